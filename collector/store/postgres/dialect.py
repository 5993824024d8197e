"""SQLite's SQL as PostgreSQL reads it: pure, text to text. What differs in meaning and cannot be said in either is not translated: the statements avoid it
(`db.py` says how they are written).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

MAX_KEPT = 1024
"""Statements whose translation is kept: the collector has some 400, the rest differ in the number of their question marks."""

_TOKENS = re.compile(
    r"""(?P<text>'(?:[^']|'')*') | (?P<quoted>"(?:[^"]|"")*") | (?P<remark>--[^\n]*) | \b[xX]'(?P<hex>[0-9a-fA-F]*)'
    | \?(?P<number>[0-9]*) | (?<![:\w]):(?P<name>[A-Za-z_]\w*)""",
    re.VERBOSE,
)
_INTEGER = re.compile(r"\bAS INTEGER\)", re.IGNORECASE)
_ASKED = re.compile(r"(\$[0-9]+) IS\b", re.IGNORECASE)
_FIRST_NULL = re.compile(r"\bVALUES \(NULL\b")
_RETURNED = re.compile(r"\bWHERE returned\b")
"""A number as a condition: in the words of SQLite's index, which is used for no others."""
_UPSERT = re.compile(
    r"\s*INSERT OR (?P<how>REPLACE|IGNORE) INTO (?P<table>\w+)\s*(?:\((?P<columns>[\w\s,]+)\))?\s*(?P<rest>(?:VALUES|SELECT)\b.*)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Translated:
    """text: with $1, $2 ...; names: whose value each of them is, where values are named."""

    text: str
    names: tuple[str, ...]

    def values(self, parameters: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any]:
        if isinstance(parameters, Mapping):
            return [parameters[name] for name in self.names]
        return parameters


@dataclass(frozen=True, slots=True)
class Table:
    """columns in their order; key: those of the primary key."""

    columns: tuple[str, ...]
    key: tuple[str, ...]


@lru_cache(maxsize=MAX_KEPT)
def translate(sql: str) -> Translated:
    names: list[str] = []
    count = 0

    def turned(match: re.Match[str]) -> str:
        nonlocal count
        if match["hex"] is not None:
            return f"'\\x{match['hex']}'::bytea"
        if match["name"] is not None:
            if match["name"] not in names:
                names.append(match["name"])
            return f"${names.index(match['name']) + 1}"
        if match["number"] is not None:
            count += 1
            return f"${match['number'] or count}"
        return "" if match["remark"] is not None else match[0]

    text = _TOKENS.sub(turned, sql)
    text = _INTEGER.sub("AS BIGINT)", text)
    # Of a parameter that is only asked whether it is there nobody knows the type.
    text = _ASKED.sub(r"\1::text IS", text)
    text = _RETURNED.sub("WHERE returned <> 0", text)
    text = _FIRST_NULL.sub("VALUES (DEFAULT", text)
    return Translated(text, tuple(names))


def upsert_of(sql: str) -> tuple[str, str, tuple[str, ...] | None, str] | None:
    """(REPLACE or IGNORE, table, columns or None for all, what follows) of such a statement, else None."""
    match = _UPSERT.fullmatch(sql)
    if match is None:
        return None
    columns = tuple(name.strip() for name in match["columns"].split(",")) if match["columns"] else None
    return match["how"].upper(), match["table"], columns, match["rest"]


def conflict(how: str, table: Table, columns: Sequence[str]) -> str:
    """What is done with a row whose key is there already. As in SQLite a replaced row keeps nothing: columns that are not given get their default."""
    if how == "IGNORE":
        return "ON CONFLICT DO NOTHING"
    changed = [name for name in table.columns if name not in table.key]
    sets = ", ".join(f"{name} = {f'excluded.{name}' if name in columns else 'DEFAULT'}" for name in changed)
    key = ", ".join(table.key)
    return f"ON CONFLICT ({key}) DO UPDATE SET {sets}" if sets else f"ON CONFLICT ({key}) DO NOTHING"


def upsert(how: str, name: str, table: Table, columns: tuple[str, ...] | None, rest: str) -> str:
    given = columns if columns is not None else table.columns
    return f"INSERT INTO {name} ({', '.join(given)}) {rest} {conflict(how, table, given)}"
