"""The tables of a file as they are read: like those of the policy, and an error names the file and the line, too. TOML tells nobody where a value
stood, so the lines are looked for again in the text; one that is not found is left out of the error.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tillwatch.collector.duty.tables import PolicyError, Table

_KEY = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_KEY}(?:\s*\.\s*{_KEY})*)\s*\]\]?\s*(?:#.*)?$")
_ENTRY = re.compile(rf"\s*({_KEY})\s*=")
_QUOTES = re.compile(r"""["'\s]""")


class RouteError(PolicyError):
    """The table cannot be used. The text names the file, the line where it is known, the table, and the mend."""


class Lines:
    """Where what stands in a text."""

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self._found: dict[tuple[str, int, str], int] = {}
        seen: Counter[str] = Counter()
        path, row = "", 0
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.match(line):
                path = _QUOTES.sub("", header[2])
                seen[path] += 1
                row = seen[path] if header[1] == "[[" else 0
                self._found.setdefault((path, row, ""), number)
            elif entry := _ENTRY.match(line):
                self._found.setdefault((path, row, _QUOTES.sub("", entry[1])), number)

    def where(self, path: str, row: int, key: str) -> str:
        """The file, and the line of the key or else of its table."""
        path, key = _QUOTES.sub("", path), _QUOTES.sub("", key)
        line = self._found.get((path, row, key)) or self._found.get((path, row, ""))
        return f"{self.source}, line {line}" if line else self.source


class Section(Table):
    """One table, and how many of its name it is. Raises RouteError."""

    def __init__(self, path: str, data: Any, lines: Lines, *, row: int = 0) -> None:
        self._lines = lines
        self.nth = row
        try:
            super().__init__(path, data, row=row)
        except PolicyError as error:
            raise RouteError(f"{lines.where(path, row, '')}: {error}") from None

    def error(self, key: str, mend: str) -> RouteError:
        return RouteError(f"{self._lines.where(self.path, self.nth, key)}: {super().error(key, mend)}")

    def whole(self, mend: str) -> RouteError:
        """Of a table that is wrong as a whole."""
        return RouteError(f"{self._lines.where(self.path, self.nth, '')}: {self.name} {mend}")

    def done(self) -> None:
        for key in self._data:
            if key in self._known:
                continue
            near = difflib.get_close_matches(key, self._known, n=1)
            mend = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(dict.fromkeys(self._known))}"
            what, where = ("key", f"{self.name} ") if self.path else ("table", "")
            at = self._lines.where(self.path, self.nth, key) if self.path else self._lines.where(key, 0, "")
            if not self.path and isinstance(self._data[key], list):
                at = self._lines.where(key, 1, "")
            raise RouteError(f"{at}: {where}unknown {what} {key!r}; {mend}")

    def table(self, key: str) -> Section:
        return Section(self._inside(key), self.raw(key, {}), self._lines)

    def tables(self, key: str) -> Iterator[Section]:
        rows = self.raw(key, [])
        if not isinstance(rows, list):
            inside = self._inside(key)
            at = self._lines.where(inside, 0, "")
            raise RouteError(f"{at}: [[{inside}]] is a list of tables; write [[{inside}]] before each")
        for row, data in enumerate(rows, 1):
            yield Section(self._inside(key), data, self._lines, row=row)
