"""ServiceNow's Table API, as far as its documentation tells it: rows in, rows out, and what its 200s hide.

A query's part that it does not understand is dropped and the answer is all rows ("the invalid part of the query condition is dropped", GlideRecord),
so whoever asks looks at every row again. A reference to nothing is stored as empty, so references are looked up before they are written. A list that
was cut off while it was written ends in `error`, with 200.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tillwatch.collector.tickets.calling import Answer, Caller, as_id, authorization
from tillwatch.collector.tickets.port import BarredError, NotAppliedError, RejectedError, UnclearError
from tillwatch.collector.tickets.settings import ReceiverSettings, SecretError

MAX_TERM = 200
"""Characters of one value in a query: names, keys and marks are far shorter."""

Row = Mapping[str, Any]


class TableApi:
    """The tables of one instance. The secret is `user:password` (HTTP Basic) or an OAuth bearer token."""

    def __init__(self, settings: ReceiverSettings) -> None:
        self._settings = settings
        self.base = settings.url.rstrip("/")
        self.caller = Caller(
            self.base, lambda: authorization(settings.secret()), ca=settings.ca_file, timeout_s=settings.timeout
        )
        self._known: dict[tuple[str, str], str] = {}

    @property
    def host(self) -> str:
        return self.caller.host

    async def rows(self, table: str, query: str, fields: str, limit: int, offset: int = 0) -> list[Row]:
        """What answers a query, not yet looked at."""
        params = _shape(fields) | {
            "sysparm_query": query,
            "sysparm_limit": str(limit),
            "sysparm_offset": str(offset),
        }
        answer = await self.caller.call("GET", f"/api/now/table/{table}", write=False, params=params, accept=(404,))
        if answer.status == 404:
            if "No Record found" in answer.said():  # older releases answer so where nothing matches
                return []
            raise RejectedError(f"{self.host} has no Table API for {table}: {answer.said()}")
        rows = _result(answer)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise NotAppliedError(f"{self.host} answered with no list of {table}")
        return rows

    async def row(self, table: str, sys_id: str, fields: str) -> Row:
        """One record. Raises GoneError."""
        path = f"/api/now/table/{table}/{as_id(sys_id)}"
        answer = await self.caller.call("GET", path, write=False, params=_shape(fields), accept=(403,))
        if answer.status == 403:
            # A rule of this record: a user whom the instance does not know is a 401.
            raise RejectedError(f"{self.host} does not show {table} {sys_id}: {answer.said()}")
        row = _result(answer)
        if not isinstance(row, dict) or value(row, "sys_id") != sys_id:
            raise NotAppliedError(f"{self.host} answered with no {table} {sys_id}")
        return row

    async def write(self, table: str, sys_id: str, fields: str, body: Mapping[str, str]) -> Row:
        """A new record if sys_id is empty, else a change; the record as it then is."""
        method = "PATCH" if sys_id else "POST"
        path = f"/api/now/table/{table}" + (f"/{as_id(sys_id)}" if sys_id else "")
        answer = await self.caller.call(method, path, write=True, params=_shape(fields), body=body, accept=(403,))
        if answer.status == 403:
            # A data policy or one record's rule, and not the user, unless it is about new records as such.
            said = f"{self.host} answered 403 to {method}: {answer.said()}"
            raise RejectedError(said) if sys_id or "Data Policy" in answer.said() else BarredError(said)
        row = _result(answer)
        if not isinstance(row, dict) or not value(row, "sys_id"):
            raise UnclearError(f"{self.host} answered {answer.status} to {method} with no {table}")
        return row

    async def reference(self, table: str, words: str) -> str:
        """The sys_id of the one record with this name or sys_id. Raises RejectedError if there is none, or more."""
        if not words or (table, words) in self._known:
            return self._known.get((table, words), "")
        rows = await self.rows(table, f"name={term(words)}^ORsys_id={term(words)}", "sys_id,name", 2)
        if len(rows) != 1 or words not in (value(rows[0], "name"), value(rows[0], "sys_id")):
            raise RejectedError(f"{self.host} has not exactly one {table} {words!r}")
        self._known[table, words] = value(rows[0], "sys_id")
        return self._known[table, words]

    def own_user(self) -> str:
        """The login name of the service user, empty where the secret does not tell it."""
        try:
            user, colon, _ = self._settings.secret().partition(":")
        except SecretError:
            return ""
        return user if colon else ""


def _shape(fields: str) -> dict[str, str]:
    # `all`: values are codes and UTC, and what is shown of a reference is a name.
    return {"sysparm_fields": fields, "sysparm_display_value": "all", "sysparm_exclude_reference_link": "true"}


def _result(answer: Answer) -> Any:
    body = answer.json()
    if not isinstance(body, dict) or "result" not in body or body.get("error"):
        said = f"{answer.host} answered {answer.status} with no result: {answer.said()}"
        raise UnclearError(said) if answer.write else NotAppliedError(said)
    return body["result"]


def value(row: Row, field: str) -> str:
    """As it is stored."""
    held = row.get(field)
    return str((held.get("value") if isinstance(held, dict) else held) or "")


def shown(row: Row, field: str) -> str:
    """As people see it."""
    held = row.get(field)
    return str((held.get("display_value") if isinstance(held, dict) else held) or "")


def seconds(text: str) -> int:
    """Unix seconds of `2026-03-01 08:00:00`, which is UTC; 0 for anything else."""
    try:
        return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp())
    except ValueError:
        return 0


def term(text: str) -> str:
    """A value in an encoded query, which has no way to quote `^`. Raises RejectedError."""
    if not text.isprintable() or "^" in text or len(text) > MAX_TERM:
        raise RejectedError(f"{text[:MAX_TERM]!r} cannot be asked for in an encoded query")
    return text
