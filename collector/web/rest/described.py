"""The OpenAPI document of the console, made whole: what any operation may answer stands with each, and problems have the type with which they come."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

PROBLEM = "application/problem+json"
ANYWHERE = {
    "400": "The call cannot be read",
    "401": "Nobody has signed in",
    "403": "The asker's role may not do this",
    "429": "Too many requests; Retry-After says when to ask again",
}
"""Answers of the door and of the framework, before an operation is reached."""


def describe(app: FastAPI) -> None:
    """From now on the application's document is complete."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            for path in made()["paths"].values():
                for operation in path.values():
                    _complete(operation["responses"])
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(responses: dict[str, Any]) -> None:
    for status, text in ANYWHERE.items():
        responses.setdefault(status, {"description": text})
    for status, response in responses.items():
        if status >= "400":
            content = response.get("content", {})
            shape = content.get("application/json") or {"schema": {"$ref": "#/components/schemas/Problem"}}
            response["content"] = {PROBLEM: shape}
