"""A rule with other limits: what the table has, where it comes from, and the few lines of TOML that would change it. Pure; the lines are for a person to write into the
bank's rules file, nothing here switches anything on.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tillwatch.collector.alarm.rules import Rule, Rules

SHIPPED, CHANGED, OWN = "shipped", "changed", "own"
"""Where a rule comes from: as it ships, shipped and changed by the bank, the bank's own."""
_LENGTHS = ((86_400 * 10**9, "d"), (3600 * 10**9, "h"), (60 * 10**9, "m"), (10**9, "s"), (10**6, "ms"))


@dataclass(frozen=True, slots=True)
class Origin:
    """keys: that the bank has changed, of a shipped rule."""

    kind: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Off:
    """A rule that the bank does without, and why."""

    id: str
    text: str
    why: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be other than it is; None: as it is. above, below: (limit, level), mildest first; words: state word -> level; for_s, hold_s: seconds."""

    above: Sequence[tuple[float, int]] | None = None
    below: Sequence[tuple[float, int]] | None = None
    words: Mapping[str, int] | None = None
    deadband: float | None = None
    for_s: float | None = None
    hold_s: float | None = None

    @property
    def any(self) -> bool:
        return any(getattr(self, name) is not None for name in self.__slots__)


def origins(rules: Rules) -> dict[str, Origin]:
    """Of every rule in force."""
    shipped = {row["id"]: row for row in _rows(rules.shipped)}
    own = {str(row.get("id")): row for row in _rows(rules.text)}
    found = {}
    for rule in rules.by_id:
        if rule not in own:
            found[rule] = Origin(SHIPPED)
        elif rule not in shipped:
            found[rule] = Origin(OWN)
        else:
            keys = tuple(key for key, value in own[rule].items() if shipped[rule].get(key) != value)
            found[rule] = Origin(CHANGED, keys) if keys else Origin(SHIPPED)
    return found


def switched_off(rules: Rules) -> list[Off]:
    """What the bank does without."""
    rows: dict[str, dict[str, Any]] = {}
    for row in (*_rows(rules.shipped), *_rows(rules.text)):
        name = str(row.get("id"))
        rows[name] = {**rows.get(name, {}), **row}
    return [
        Off(name, str(row.get("text", "")), str(row["off"]))
        for name, row in sorted(rows.items())
        if "off" in row and name not in rules.by_id
    ]


def _rows(text: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(text).get("rule", []) if text.strip() else []
    return found


def fragment(rule: str, changes: Changes) -> str:
    """The lines that make it so, for the bank's rules file: keys that are not named stay as they are."""
    lines = ["[[rule]]", f"id = {_quoted(rule)}"]
    for key, steps in (("above", changes.above), ("below", changes.below)):
        if steps is not None:
            said = ", ".join(f"{{ limit = {_number(limit)}, level = {level} }}" for limit, level in steps)
            lines.append(f"{key} = [{said}]")
    if changes.words is not None:
        said = ", ".join(f"{_key(word)} = {level}" for word, level in changes.words.items())
        lines.append(f"words = {{ {said} }}")
    if changes.deadband is not None:
        lines.append(f"deadband = {_number(changes.deadband)}")
    for key, length in (("for", changes.for_s), ("hold", changes.hold_s)):
        if length is not None:
            lines.append(f'{key} = "{_length(length)}"')
    return "\n".join(lines) + "\n"


def _key(word: str) -> str:
    bare = word.isascii() and word.replace("-", "").replace("_", "").isalnum()
    return word if bare else _quoted(word)


def _quoted(text: str) -> str:
    """A TOML basic string: as JSON has it, but for one character that only TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


def _length(seconds: float) -> str:
    """In the largest unit of which it is a whole number."""
    ns = round(seconds * 1e9)
    for size, unit in _LENGTHS:
        if ns >= size and ns % size == 0:
            return f"{ns // size}{unit}"
    return f"{max(round(ns / 10**6), 0)}ms"


def limits_of(rule: Rule) -> Iterator[tuple[str, float, int]]:
    """(`above` or `below`, limit, level), mildest first."""
    for name, steps in (("above", rule.limits.above), ("below", rule.limits.below)):
        for step in steps:
            yield name, step.limit, step.level
