"""When a new part began its life: a technician says so in the ticket, the device gives another date of replacement or serial number, or what it measures
takes a step that only a new part explains. The reason is kept. One change of a part that shows itself in several ways is one new life.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

DAY_NS = 86_400 * 10**9
SAME_CHANGE_NS = 14 * DAY_NS
"""A ticket is closed, a date is typed in and a level recovers within days of the same visit; no part lasts only two weeks as a rule."""
CONFIRMING = 2
"""Readings in a row beyond a step until it is one. One reading lies now and then."""
REMEMBERED = 0.9
"""Of the usual level, at each reading that is no step: it follows wear of weeks, not a step of a day."""
LEARNED = 5
"""Readings until there is a usual level to step from."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A technician's `part_changed`. at: UTC ns; part: what was changed, in the technician's words."""

    at: int
    part: str


@dataclass(frozen=True, slots=True)
class Dated:
    """The device's own day of replacement. at: UTC ns of the reading; day: yyyy-mm-dd."""

    at: int
    day: str


@dataclass(frozen=True, slots=True)
class Numbered:
    """The part's own serial number. at: UTC ns of the reading."""

    at: int
    serial: str


@dataclass(frozen=True, slots=True)
class Measured:
    """A reading whose steps tell a new part. at: UTC ns; signal: by its name; value; step: how much it must change from its usual level towards new; up: whether
    new is high (level, runtime) or low (used %); relative: whether step is a share of the usual level rather than units.
    """

    at: int
    signal: str
    value: float
    step: float
    up: bool
    relative: bool = False


Evidence = Verdict | Dated | Numbered | Measured


@dataclass(frozen=True, slots=True)
class NewLife:
    """A part began its life at UTC ns `at`. why: verdict, date, serial or step; evidence: what was said or read."""

    at: int
    why: str
    evidence: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class PartState:
    """What is known of the part in place. began: UTC ns, 0 where not known; changed: UTC ns of the last evidence of a change, 0 for none; day, serial: as the
    device told them; usual: the signal's usual level after `learned` readings; beyond: readings in a row beyond the step, the first of them `first` at
    `first_at`.
    """

    began: int = 0
    changed: int = 0
    day: str = ""
    serial: str = ""
    usual: float = 0.0
    learned: int = 0
    beyond: int = 0
    first: float = 0.0
    first_at: int = 0


def step(state: PartState, evidence: Evidence, words: Iterable[str] = ()) -> tuple[PartState, NewLife | None]:
    """One piece of evidence. words: what the part is called, in any language; a verdict that names none of them is about another part."""
    match evidence:
        case Verdict(at=at, part=part):
            named = next((word for word in words if names(part, word)), "")
            return _anew(state, at, at, "verdict", (("part", part), ("names", named))) if named else (state, None)
        case Dated():
            return _dated(state, evidence)
        case Numbered(at=at, serial=serial):
            return _numbered(state, at, serial.strip())
        case Measured():
            return _measured(state, evidence)


def names(text: str, word: str) -> bool:
    """Whether a technician's text names a part. A word of letters must stand by itself (`fan` is not in `infant`); Chinese is written without spaces."""
    if word.isascii():
        return re.search(rf"(?<![a-z]){re.escape(word.lower())}s?(?![a-z])", text.lower()) is not None
    return word in text


def _anew(
    state: PartState, at: int, seen: int, why: str, evidence: tuple[tuple[str, Any], ...]
) -> tuple[PartState, NewLife | None]:
    """at: when the life began; seen: when that was learned."""
    known = bool(state.changed) and abs(seen - state.changed) < SAME_CHANGE_NS
    if known:
        return state, None
    fresh = replace(state, began=at, changed=seen, usual=0.0, learned=0, beyond=0)
    return fresh, NewLife(at, why, evidence)


def _dated(state: PartState, told: Dated) -> tuple[PartState, NewLife | None]:
    try:
        began = int(datetime.strptime(told.day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 10**9
    except ValueError:
        return state, None
    # A clock that was never set dates its battery to 1970 or 2000, or into the future.
    if not _EARLIEST < began <= told.at + DAY_NS or told.day == state.day:
        return state, None
    before, state = state.day, replace(state, day=told.day)
    if not before:
        return replace(state, began=state.began or began), None
    if told.day < before:
        return state, None  # a date that was typed in wrong, and mended
    return _anew(state, began, told.at, "date", (("before", before), ("now", told.day)))


_EARLIEST = int(datetime(2000, 2, 1, tzinfo=UTC).timestamp()) * 10**9


def _numbered(state: PartState, at: int, serial: str) -> tuple[PartState, NewLife | None]:
    if not serial or serial == state.serial:
        return state, None
    before, state = state.serial, replace(state, serial=serial)
    if not before:
        return state, None
    return _anew(state, at, at, "serial", (("before", before), ("now", serial)))


def _measured(state: PartState, read: Measured) -> tuple[PartState, NewLife | None]:
    if not state.learned:
        return replace(state, usual=read.value, learned=1), None
    least = read.step * abs(state.usual) if read.relative else read.step
    change = (read.value - state.usual) * (1 if read.up else -1)
    if state.learned < LEARNED or change < least or least <= 0:
        usual = REMEMBERED * state.usual + (1 - REMEMBERED) * read.value
        return replace(state, usual=usual, learned=min(state.learned + 1, LEARNED), beyond=0), None
    if not state.beyond:
        state = replace(state, first=read.value, first_at=read.at)
    state = replace(state, beyond=state.beyond + 1)
    if state.beyond < CONFIRMING:
        return state, None
    usual, first_at = state.usual, state.first_at
    found = (("signal", read.signal), ("before", usual), ("now", state.first))
    # Whether it is told or not: the level from which the next step is taken is the new one.
    state = replace(state, usual=read.value, learned=1, beyond=0)
    return _anew(state, first_at, first_at, "step", found)
