"""What the walls of the console answer with, before anything behind them was asked: problems (RFC 9457), the form of the REST API's own."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse


def problem(path: str, status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """detail: says what to do."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail, "instance": path, "errors": []}
    return JSONResponse(
        body, status, {"Cache-Control": "no-store", **(headers or {})}, media_type="application/problem+json"
    )
