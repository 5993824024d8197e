"""How each component of a terminal was over some days, as bands of states on one axis: from its alarms, from when anything was read of it, and from where its
terminal was. What was not seen is unknown, whatever was seen before and after. Pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

OK, WARN, CRIT, UNKNOWN, OUT, NEW = "ok", "warn", "crit", "unknown", "out", "new"
"""OUT: its terminal was out of service by decision; NEW: nothing had been heard of it yet."""
RANK = (OK, WARN, UNKNOWN, CRIT)
"""Of two that hold at once the later one is shown: an alarm that is open on a component that says nothing any more is still a fault."""

Span = tuple[int, int]
"""From, to: UTC ns, the end excluded."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that held for a time and decides how the band looks. text: why, in words or as the rule's id."""

    since: int
    until: int
    state: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch in which nothing changed. since, until: UTC ns; texts: what made it so, the gravest first."""

    since: int
    until: int
    state: str
    texts: tuple[str, ...] = ()


def joined(spans: Iterable[Span]) -> list[Span]:
    """In order, none touching the next."""
    found: list[Span] = []
    for since, until in sorted(spans):
        if until <= since:
            continue
        if found and since <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], until)
        else:
            found.append((since, until))
    return found


def bands(start: int, end: int, first: int, known: Iterable[Span], marks: Iterable[Mark]) -> list[Band]:
    """From start to end without a hole, neighbours told apart by state or reason. first: when the component was heard for the first time, 0 for never; known: when
    something current was known of it; marks: its alarms, and the times in which its terminal was away (UNKNOWN) or OUT.
    """
    seen = joined(known)
    held = sorted(marks, key=lambda mark: mark.since)
    edges = {start, end, min(max(first or end, start), end)}
    for since, until in (*seen, *((mark.since, mark.until) for mark in held)):
        edges |= {at for at in (since, until) if start < at < end}
    places = sorted(edges)
    found: list[Band] = []
    for since, until in itertools.pairwise(places):
        state, texts = _state(since, first, seen, [mark for mark in held if mark.since <= since < mark.until])
        if found and (found[-1].state, found[-1].texts) == (state, texts):
            found[-1] = Band(found[-1].since, until, state, texts)
        else:
            found.append(Band(since, until, state, texts))
    return found


def _state(at: int, first: int, seen: Sequence[Span], marks: Sequence[Mark]) -> tuple[str, tuple[str, ...]]:
    out = [mark for mark in marks if mark.state == OUT]
    if out:
        return OUT, (out[-1].text,)
    if not first or at < first:
        return NEW, ()
    states = [mark.state for mark in marks]
    if not any(since <= at < until for since, until in seen):
        states.append(UNKNOWN)
    worst = max(states, key=RANK.index, default=OK)
    texts = dict.fromkeys(mark.text for mark in marks if mark.state == worst and mark.text)
    return worst, tuple(texts)
