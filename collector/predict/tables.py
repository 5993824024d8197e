"""Tables that are shipped and that a bank lays its own over: entries of the same id are changed key by key, others are added, and the shipped file stays
as it is. What is wrong is said with file, line, entry, key and mend.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import translate
from importlib.resources import files
from typing import Any, NoReturn

AGGREGATES = ("last", "mean", "min", "max")
"""Of a day's readings, which a table may name."""


class TableError(ValueError):
    """The table cannot be used. The text names file, line, entry, key and mend."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its keys with the bank's own laid over, and where each of them is written. kind: what its table is called."""

    kind: str
    id: str
    keys: Mapping[str, Any]
    places: Mapping[str, str]

    def wrong(self, key: str, mend: str) -> NoReturn:
        """Raises TableError about a key."""
        msg = f"{self.places.get(key) or self.places['id']}: [[{self.kind}]] {self.id}, {key}: {mend}"
        raise TableError(msg)

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not empty. Without a default it must be there."""
        value = self.keys.get(key, default)
        if value is None:
            self.wrong(key, f'is missing; add {key} = "..."')
        if not isinstance(value, str) or (not value.strip() and key in self.keys):
            self.wrong(key, f'{value!r} is no text; write {key} = "..."')
        return value

    def choice(self, key: str, known: Collection[str], default: str | None = None) -> str:
        """One of the known words."""
        value = self.text(key, default)
        if value not in known:
            self.wrong(key, f"{value!r} is not known; write one of {', '.join(known)}")
        return value

    def number(self, key: str, default: float | None = None, *, least: float = 0.0) -> float:
        """A number of at least `least`."""
        value = self.keys.get(key, default)
        if value is None:
            self.wrong(key, f"is missing; add {key} = a number")
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
            self.wrong(key, f"{value!r} is no number of at least {least:g}")
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false, false where it is left out."""
        value = self.keys.get(key, False)
        if not isinstance(value, bool):
            self.wrong(key, f"{value!r} is neither true nor false")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A text or a list of them; none where it is left out."""
        value = self.keys.get(key, [])
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(each, str) and each for each in found):
            self.wrong(key, f'{value!r} is no list of texts; write {key} = ["..."]')
        return tuple(found)

    def both(self, key: str) -> tuple[str, str]:
        """A text in English and Chinese."""
        value = self.keys.get(key)
        if (
            not isinstance(value, dict)
            or set(value) != {"en", "zh"}
            or not all(isinstance(each, str) and each.strip() for each in value.values())
        ):
            self.wrong(key, f'write {key} = {{ en = "...", zh = "..." }}')
        return value["en"], value["zh"]

    def globs(self, key: str) -> re.Pattern[str] | None:
        """Patterns as of file names; one that begins with `!` takes names away. None: all names. Upper and lower case are the same."""
        found = self.texts(key)
        if not found:
            return None
        wanted = [translate(each) for each in found if not each.startswith("!")] or [translate("*")]
        refused = "".join(f"(?!{translate(each[1:])})" for each in found if each.startswith("!"))
        return re.compile(f"(?i:{refused}(?:{'|'.join(wanted)}))")


def shipped_text(name: str) -> str:
    """A table of this package."""
    return (files("tillwatch.collector.predict") / name).read_text(encoding="utf-8")


def read_table(
    kind: str, known: Collection[str], shipped: tuple[str, str], site: tuple[str, str] | None = None
) -> tuple[Entry, ...]:
    """The entries of [[kind]], in the order of the shipped file and then of the bank's own. shipped, site: name of the file and its text. known: keys that an
    entry may have. Raises TableError.
    """
    keys: dict[str, dict[str, Any]] = {}
    places: dict[str, dict[str, str]] = {}
    for name, text in (shipped, site) if site else (shipped,):
        for row in _rows(kind, name, text):
            id_, line = _id(kind, name, text, row)
            if unknown := set(row) - set(known) - {"id"}:
                msg = f"{name}:{line}: [[{kind}]] {id_}: unknown key {min(unknown)!r}; known are {', '.join(sorted(known))}"
                raise TableError(msg)
            if id_ in places and places[id_]["id"].startswith(f"{name}:"):
                msg = f"{name}:{line}: [[{kind}]] {id_} stands there twice; keep one of them"
                raise TableError(msg)
            keys[id_] = {**keys.get(id_, {}), **row}
            where = f"{name}:{line}"
            places[id_] = {**places.get(id_, {}), **dict.fromkeys(row, where)}
    return tuple(Entry(kind, id_, keys[id_], places[id_]) for id_ in keys)


def _rows(kind: str, name: str, text: str) -> list[dict[str, Any]]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{name}: {error}"
        raise TableError(msg) from None
    if unknown := set(table) - {kind}:
        msg = f"{name}: unknown table {min(unknown)!r}; the file has [[{kind}]] entries"
        raise TableError(msg)
    rows = table.get(kind, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        msg = f"{name}: {kind} is a list of entries; write [[{kind}]]"
        raise TableError(msg)
    return rows


def _id(kind: str, name: str, text: str, row: dict[str, Any]) -> tuple[str, int]:
    """The entry's id and the line it stands on: the TOML reader tells no lines."""
    id_ = row.get("id")
    if not isinstance(id_, str) or not id_.strip():
        msg = f'{name}: a [[{kind}]] without an id; add id = "..."'
        raise TableError(msg)
    found = re.search(rf"^\s*id\s*=\s*[\"']{re.escape(id_)}[\"']", text, re.MULTILINE)
    return id_, text.count("\n", 0, found.end()) + 1 if found else 1
