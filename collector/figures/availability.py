"""How long a terminal served its customers: its scheduled time in a period, cut into stretches that each count as up, down, planned or
unmonitored. Pure and exact: the four always add up to the scheduled time, to the ns.

What counts, the later before the earlier:
- a correction, whatever stands in the log; of two the later entry;
- a life-cycle state (not commissioned, spare, repair, retired), and the time before the first row: out of the schedule;
- planned maintenance: planned, also while the collector was away, as a window needs no readings;
- the log of states: at a time the last row of the log whose `since` is not after it. A `cause` row says it of all
  offline time from its `since` on, until the terminal was heard again;
- while the collector itself was away: unmonitored, unless a row was known only afterwards and begins inside that time;
- late readings: they fill what is unmonitored, and nothing else. A terminal that was cut off served nobody, whatever it measured.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import pairwise
from typing import Generic, TypeVar

from tillwatch.collector.figures.intervals import Span, union
from tillwatch.collector.records import (
    CAUSES,
    DOWN,
    LIFE_CYCLE,
    OFFLINE,
    PLANNED,
    UNMONITORED,
    UP,
    Correction,
    LateSpan,
    StateChange,
)
from tillwatch.collector.terminal.condition import PARTY

DEFINITIONS = ("network", "any", "full")
"""What "available" may mean (market.md 8.1), side by side. network: the screen does not say "out of service"; any: at least one function works;
full: every function works.
"""
COUNTS = ("up", "down", "planned", "unmonitored")
EXCLUDED = "excluded"
"""Out of the schedule."""

Counts = tuple[str, str, str]
"""What a stretch counts as, by DEFINITIONS."""
HEARD = {*UP, *DOWN, UNMONITORED}
"""In these the terminal speaks: they end its offline time. A window or a life-cycle state says nothing about that."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class History:
    """All that the log has about one terminal, each kind in the order of the log. functions: those of its class, by name."""

    changes: Sequence[StateChange] = ()
    late: Sequence[LateSpan] = ()
    corrections: Sequence[Correction] = ()
    functions: AbstractSet[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stretch:
    """[since, until) of scheduled time, UTC ns, that counts as one thing. state: as the log has it, or the source where that is no state; reason: rule id,
    offline:CAUSE, a state or what a person wrote; source: `state`, a row of the log of states; `cause`, one whose cause was found out later; `late`, late
    readings; `outage`, an absence of the collector itself; `correction`, a person. known_at: the journal's time of what says so; entry, by: of a
    correction, 0 and empty otherwise; readings: (component, signal, UTC ns) behind it; why: the evidence for the cause of an offline time, in words.
    """

    since: int
    until: int
    state: str
    counts: Counts
    reason: str
    party: str
    cause: str
    lost: tuple[str, ...]
    source: str
    known_at: int
    entry: int = 0
    by: str = ""
    readings: tuple[tuple[str, str, int], ...] = ()
    why: str = ""

    @property
    def length(self) -> int:
        return self.until - self.since


@dataclass(frozen=True, slots=True)
class _Claim:
    """row: the state; found: what was found out about its cause later."""

    row: StateChange
    found: StateChange | None = None


def stretches(history: History, scheduled: Iterable[Span], outages: Iterable[Span] = ()) -> list[Stretch]:
    """The scheduled time of a terminal, in order, without what is out of the schedule.

    scheduled: the open hours of the period; outages: when the collector itself was away.
    """
    hours = union(scheduled)
    if not hours:
        return []
    start, end = hours[0][0], hours[-1][1]
    states = _timeline(history.changes, end)
    late = _latest((each.since, each.until, each) for each in history.late)
    said = _latest((each.since, each.until, each) for each in sorted(history.corrections, key=lambda each: each.n))
    away = union(outages)
    edges = {edge for layer in (states, late, said) for since, until, _ in layer for edge in (since, until)}
    edges |= {edge for spans in (hours, away) for span in spans for edge in span}
    times = sorted(edge for edge in edges if start <= edge <= end)
    at_state, at_late, at_said = _Walk(states), _Walk(late), _Walk(said)
    at_away = _Walk([(since, until, (since, until)) for since, until in away])
    at_hours = _Walk([(since, until, True) for since, until in hours])
    found: list[Stretch] = []
    for since, until in pairwise(times):
        if not at_hours.at(since):
            continue
        claim, gone, told, correction = at_state.at(since), at_away.at(since), at_late.at(since), at_said.at(since)
        one = _decide(claim, gone, told, correction, history.functions, since, until)
        if one is None:
            continue
        last = found[-1] if found else None
        if last is not None and last.until == since and replace(last, since=since, until=until) == one:
            found[-1] = replace(last, until=until)
        else:
            found.append(one)
    return found


def _decide(
    claim: _Claim | None,
    gone: Span | None,
    late: LateSpan | None,
    correction: Correction | None,
    functions: AbstractSet[str],
    since: int,
    until: int,
) -> Stretch | None:
    if correction is not None:
        return _corrected(correction, since, until)
    if claim is None or claim.row.state in LIFE_CYCLE:
        return None
    one = _logged(claim, functions, since, until)
    if gone is not None and one.counts[0] != "planned" and not _known_after(claim.row, gone):
        one = Stretch(since, until, "outage", _all("unmonitored"), "outage", "monitoring", "", (), "outage", gone[1])
    if late is not None and one.counts[0] == "unmonitored":
        return _told_late(late, functions, since, until)
    return one


def _known_after(row: StateChange, gone: Span) -> bool:
    return row.since >= gone[0] and row.at >= gone[1]


def _logged(claim: _Claim, functions: AbstractSet[str], since: int, until: int) -> Stretch:
    row, found = claim.row, claim.found
    said = found or row
    cause, reason, party = "", said.reason or row.state, said.party
    if row.state == OFFLINE:
        cause = said.cause or "unknown"
        reason = f"{OFFLINE}:{cause}"
        party = party or PARTY.get(cause, "unknown")
    return Stretch(
        since,
        until,
        row.state,
        counted(row.state, cause, row.lost, functions),
        reason,
        party or ("planned" if row.state == PLANNED else "unknown"),
        cause,
        row.lost,
        "cause" if found is not None else "state",
        said.at,
        readings=said.readings or row.readings,
        why=said.why,
    )


def counted(state: str, cause: str, lost: Sequence[str], functions: AbstractSet[str]) -> Counts:
    """What a state of the log counts as. Where the class of the terminal names no functions, any is the same as network."""
    if state == PLANNED:
        return _all("planned")
    if state == OFFLINE:
        return _all(CAUSES.get(cause, "unmonitored"))
    if state in DOWN:
        return _all("down")
    if state not in UP:
        return _all("unmonitored")
    nothing_works = bool(functions) and functions <= set(lost)
    return "up", "down" if nothing_works else "up", "down" if lost else "up"


def _told_late(late: LateSpan, functions: AbstractSet[str], since: int, until: int) -> Stretch:
    """As live: it is down by the functions that are lost, and by level 1 only where its class has no functions to lose."""
    nothing_left = functions <= set(late.lost) if functions else late.level == 1
    if late.reason and nothing_left:
        state, counts = "out_of_service", _all("down")
    else:
        state = "degraded" if late.reason or late.lost else "in_service"
        counts = counted(state, "", late.lost, functions)
    party = late.party or ("unknown" if late.reason else "")
    return Stretch(since, until, state, counts, late.reason or state, party, "", late.lost, "late", late.at)


def _corrected(said: Correction, since: int, until: int) -> Stretch | None:
    if said.counts_as == EXCLUDED:
        return None
    counts = _all(said.counts_as)
    party = said.party or {"planned": "planned", "unmonitored": "monitoring"}.get(said.counts_as, "unknown")
    return Stretch(
        since, until, "correction", counts, said.reason, party, "", (), "correction", said.at, said.n, said.by
    )


def _all(word: str) -> Counts:
    return word, word, word


def _timeline(changes: Iterable[StateChange], end: int) -> list[tuple[int, int, _Claim]]:
    """What the log says of each time: a row takes all that was said of later times, a cause row explains what is offline by then."""
    begins: list[int] = []
    claims: list[_Claim] = []
    for row in changes:
        if row.kind == "cause":
            _explain(begins, claims, row)
            continue
        while begins and begins[-1] >= row.since:
            begins.pop()
            claims.pop()
        begins.append(row.since)
        claims.append(_Claim(row))
    ends = [*begins[1:], max(end, begins[-1])] if begins else []
    return [(a, b, claim) for a, b, claim in zip(begins, ends, claims, strict=True) if a < b]


def _explain(begins: list[int], claims: list[_Claim], found: StateChange) -> None:
    i = bisect_right(begins, found.since) - 1
    if i < 0 or claims[i].row.state in HEARD:
        return
    # Who was lost in a window is offline from its end on, and of the same cause.
    if begins[i] < found.since and claims[i].row.state == OFFLINE:
        begins.insert(i + 1, found.since)
        claims.insert(i + 1, claims[i])
        i += 1
    while i < len(claims) and claims[i].row.state not in HEARD:
        if claims[i].row.state == OFFLINE:
            claims[i] = replace(claims[i], found=found)
        i += 1


def _latest(said: Iterable[tuple[int, int, T]]) -> list[tuple[int, int, T]]:
    """Without overlaps, in order of time: at each time the last of those that speak of it stays."""
    rows = list(said)
    waiting = sorted(range(len(rows)), key=lambda i: rows[i][0], reverse=True)
    edges = sorted({edge for row in rows for edge in row[:2]})
    speaking: list[int] = []  # a heap of the negative places of those that have begun
    kept: list[tuple[int, int, T]] = []
    last = 1
    for since, until in pairwise(edges):
        while waiting and rows[waiting[-1]][0] <= since:
            heappush(speaking, -waiting.pop())
        while speaking and rows[-speaking[0]][1] <= since:
            heappop(speaking)
        if not speaking:
            last = 1
        elif speaking[0] == last:
            kept[-1] = (kept[-1][0], until, kept[-1][2])
        else:
            last = speaking[0]
            kept.append((since, until, rows[-last][2]))
    return kept


class _Walk(Generic[T]):
    """What a layer says at times that are asked for in order."""

    def __init__(self, layer: Sequence[tuple[int, int, T]]) -> None:
        self._layer = layer
        self._i = 0

    def at(self, at: int) -> T | None:
        while self._i < len(self._layer) and self._layer[self._i][1] <= at:
            self._i += 1
        if self._i < len(self._layer) and self._layer[self._i][0] <= at:
            return self._layer[self._i][2]
        return None
