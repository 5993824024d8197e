"""Planned work as people ask for it, at the command line and in the console: what must be said of a maintenance window, whom it covers, what else is planned
meanwhile, and when windows are open. Pure; whoever asks brings the fleet along.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tillwatch.collector.duty.calendars import DAY_MIN, DAY_NS, instant, local_day
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.windows import EVERYWHERE, PLACES, Window, check_node

MAX_DAYS = 92
"""A longer window is a slip of the pen, such as another year, and would silence its scope for as long: what is away for longer has a life-cycle state."""
MAX_WORDS = 200
"""Characters of a reason or a name: one line on a page."""
MAX_OCCURRENCES = 2_000
"""Of all windows together in one look: a year of a window every night is 366. What comes beyond is counted."""
NIGHT_FROM, NIGHT_TO = 22 * 60, 6 * 60
"""Minutes of the clock between which a night's work is proposed: after the last counter has closed and before the first staff arrives. A proposal, nothing more."""
LARGE_SHARE = 0.5
"""Of the fleet; a window over more of it leaves the bank without calls, and is asked about twice."""


class PlanError(ValueError):
    """field: `scope`, `from`, `to`, `reason`, `approved_by` or `change_ref`. The text says what to write instead."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


class UnknownError(PlanError):
    """The scope is well-formed, and nobody has it."""


class Place(NamedTuple):
    """Where a terminal stands."""

    branch: str
    region: str


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One stretch of a window, UTC ns."""

    window: Window
    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Extent:
    """Whom a scope covers. terminals: ids in order; components: of a scope that names some; share: of the fleet."""

    terminals: tuple[str, ...]
    components: tuple[str, ...]
    share: float

    @property
    def large(self) -> bool:
        return self.share > LARGE_SHARE and len(self.terminals) > 1


def check_words(text: str, field: str, *, needed: bool = False) -> str:
    """The text without blanks around it. Raises PlanError."""
    said = text.strip()
    if len(said) > MAX_WORDS or (said and not said.isprintable()):
        raise PlanError(field, f"up to {MAX_WORDS} printable characters")
    if needed and not said:
        raise PlanError(field, "say it for the record, and for whoever looks at it")
    return said


def check_approval(approved_by: str, actor: str) -> str:
    """The name of somebody who is not the one who acts. actor: such as `li.na (as root)`. Raises PlanError."""
    said = check_words(approved_by, "approved_by", needed=True)
    own = {part.strip(" ()").removeprefix("as ").casefold() for part in actor.split("(")}
    if said.casefold() in own:
        raise PlanError("approved_by", f"{said}: that is you; somebody else has to agree")
    return said


def check_span(since: int, until: int, now: int) -> None:
    """UTC ns. Raises PlanError."""
    if until <= max(since, now):
        raise PlanError("to", "it must lie after the beginning and after now")
    if until - since > MAX_DAYS * DAY_NS:
        raise PlanError("to", f"longer than {MAX_DAYS} days: what is away for so long has a life-cycle state")


def zone_of_scope(scope: str, policy: Policy, places: Mapping[str, Place]) -> str:
    """By whose clocks times without an offset are meant: those of the branch, or of the terminal's branch, or of the site."""
    kind, _, name = scope.partition(":")
    if kind == "branch":
        branch = name
    else:
        owner = places.get(scope.partition("/")[0])
        branch = owner.branch if owner is not None else ""
    return (policy.branch(branch).zone if branch else "") or policy.zone


def extent(scope: str, places: Mapping[str, Place], components: Sequence[str] = ()) -> Extent:
    """places: of the whole fleet; components: of the terminal that the scope names. Raises PlanError for a scope that nobody has."""
    if scope != EVERYWHERE:
        try:
            check_node(scope)
        except ValueError as error:
            raise PlanError("scope", f'{error}; or "{EVERYWHERE}"') from None
    window = Window("", scope)
    covered = tuple(sorted(name for name, place in places.items() if window.touches(name, place.branch, place.region)))
    owner, slash, pattern = scope.partition("/")
    parts: tuple[str, ...] = ()
    kind, _, name = scope.partition(":")
    if not covered and scope != EVERYWHERE:
        if kind in PLACES:
            raise _unknown(kind, name, {p.branch if kind == "branch" else p.region for p in places.values()})
        raise _unknown("terminal", owner, places)
    if slash and kind not in PLACES:
        parts = tuple(each for each in components if fnmatchcase(each, pattern))
        if not parts:
            raise _unknown(f"component of {owner}", pattern, components)
    return Extent(covered, parts, len(covered) / len(places) if places else 0.0)


def _unknown(what: str, name: str, known: Iterable[str]) -> UnknownError:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return UnknownError("scope", f"no {what} is called {name}{hint}")


def window_facts(window: Window, approved_by: str, change_ref: str, terminal: str) -> dict[str, Any]:
    """Of the act that makes it; terminal: empty where the scope is wider than one."""
    return {
        "action": "window", "id": window.id, "scope": window.scope, "from": window.since, "to": window.until, "reason": window.reason,
        "approved_by": approved_by, "change_ref": change_ref, "terminal": terminal,
    }  # fmt: skip


def overlapping(window: Window, others: Iterable[Window], places: Mapping[str, Place]) -> list[Window]:
    """Those of the others that are open meanwhile over a terminal that both touch."""
    mine = [(name, place) for name, place in places.items() if window.touches(name, place.branch, place.region)]
    return [
        other
        for other in others
        if other.id != window.id
        and next(iter(other.spans(window.since, window.until)), None) is not None
        and any(other.touches(name, place.branch, place.region) for name, place in mine)
    ]


def occurrences(windows: Iterable[Window], start: int, end: int) -> tuple[list[Occurrence], int]:
    """When windows are open between start and end (UTC ns), in order of their beginning, each with its whole length; and how many were left out beyond
    MAX_OCCURRENCES, the last ones.
    """
    found = sorted(
        (each for window in windows for each in _of(window, start, end)), key=lambda o: (o.since, o.window.id)
    )
    return found[:MAX_OCCURRENCES], max(0, len(found) - MAX_OCCURRENCES)


def _of(window: Window, start: int, end: int) -> Iterator[Occurrence]:
    """With what of them lies outside: a stretch that is cut off would say another time than the window has."""
    if window.weekly is None:
        if window.since < end and window.until > start:
            yield Occurrence(window, window.since, window.until)
        return
    before = window.weekly.length_ns
    for since, until in window.spans(start - before, end + before):
        if since < end and until > start:
            yield Occurrence(window, since, until)


def tonight(zone: str, now: int) -> tuple[int, int]:
    """The night that is coming by the clocks of zone, or what is left of the one that has begun: UTC ns, to the minute."""
    place = ZoneInfo(zone)
    today = local_day(place, now)
    if now < instant(place, today, NIGHT_TO):
        return now - now % (60 * 10**9), instant(place, today, NIGHT_TO)
    begin, end = instant(place, today, NIGHT_FROM), instant(place, today, DAY_MIN + NIGHT_TO)
    return max(begin, now - now % (60 * 10**9)), end


def state_of(window: Window, now: int) -> tuple[str, int, int]:
    """`open`, `to come` or `over`; and from when to when: of the stretch that is open, or of the next. UTC ns, 0 for never."""
    change, active = window.next_change(now), window.active(now)
    if active:
        begin = window.since if window.weekly is None else next(each.since for each in _of(window, now, now + 1))
        return "open", begin, change or window.until
    if change is None:
        return "over", window.since, window.until
    return "to come", change, window.next_change(change) or 0
