"""TOML tables that are taken key by key: what is wrong is told with file and line, what is left over is an unknown key and told with the nearest
known one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_\-.\" ]+?)\s*\]")
_KEY = re.compile(r"\s*\"?([A-Za-z0-9_-]+)\"?\s*[.=]")


class WrongError(Exception):
    """The text says file, line, what is wrong and what to write instead."""


class Lines:
    """Where tables and keys stand in the text; tomllib does not tell. A key inside an inline table is told by the line of that table."""

    def __init__(self, text: str, path: Path) -> None:
        self.path = path
        self._at: dict[tuple[str, int | None, str], int] = {}
        counts: dict[str, int] = {}
        table, index = "", None
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.match(line):
                table, index = header[2].replace('"', "").replace(" ", ""), None
                if header[1] == "[[":
                    index = counts[table] = counts.get(table, -1) + 1
                self._at.setdefault((table, index, ""), number)
            elif key := _KEY.match(line):
                self._at.setdefault((table, index, key[1]), number)

    def of(self, table: str, index: int | None, key: str) -> str:
        # A key of the root may be a table itself: then its header, or the first of its headers, is the place.
        headers = ((key, None, ""), (key, 0, "")) if not table else ((table, index, ""), ("", None, table))
        for place in ((table, index, key), *headers):
            if place in self._at:
                return f"{self.path}:{self._at[place]}"
        return f"{self.path}:1"


class Table:
    """One table, its keys taken one by one; what is left over at `done` is unknown."""

    def __init__(self, data: Mapping[str, Any], name: str, index: int | None, lines: Lines) -> None:
        self.data, self.name, self.index, self.lines = data, name, index, lines
        self.known: list[str] = []

    def where(self, key: str = "") -> str:
        return self.lines.of(self.name, self.index, key)

    def wrong(self, key: str, text: str) -> WrongError:
        place = f" in [{self.name}]" if self.name else ""
        return WrongError(f"{self.where(key)}: `{key}`{place} {text}")

    def take(self, key: str, default: T, convert: Callable[[Any], T]) -> T:
        self.known.append(key)
        if key not in self.data:
            return default
        try:
            return convert(self.data[key])
        except ValueError as error:
            raise self.wrong(key, str(error)) from None

    def need(self, key: str, convert: Callable[[Any], T], example: str) -> T:
        if key not in self.data:
            self.known.append(key)
            text = f"{self.where()}: [{self.name}] needs `{key}`, for example {key} = {example}"
            raise WrongError(text)
        value = self.take(key, None, convert)
        assert value is not None
        return value

    def sub(self, key: str) -> Table:
        self.known.append(key)
        data = self.data.get(key, {})
        if not isinstance(data, dict):
            raise self.wrong(key, f"is a table: write [{key}]")
        return Table(data, key, None, self.lines)

    def each(self, key: str) -> Iterable[Table]:
        self.known.append(key)
        data = self.data.get(key, [])
        if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
            raise self.wrong(key, f"is a list of tables: write [[{key}]] above each of them")
        return [Table(item, key, index, self.lines) for index, item in enumerate(data)]

    def done(self) -> None:
        for key in self.data:
            if key not in self.known:
                import difflib  # noqa: PLC0415 - only an error needs it; the resident agent does not pay for it

                near = difflib.get_close_matches(key, self.known, 1)
                mend = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(self.known)}"
                place = f" in [{self.name}]" if self.name else ""
                raise WrongError(f"{self.where(key)}: unknown key `{key}`{place}; {mend}")
