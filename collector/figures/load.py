"""How much the alarms ask of the people who watch them, after EEMUA 191 and ISA-18.2 / IEC 62682 (alarms.md 2). What counts is an alarm that is
annunciated: raised or recurred without a mask. Drills are not alarms.

- per operator hour: alarms / (hours of the period x people who watch at a time); EEMUA 191: some 6 an hour can be handled, 5 on average, 15 at
  the peak;
- flood: 10 or more alarms in 10 minutes for each operator; the share of 10-minute steps of the period, counted from its beginning;
- priority mix: of levels 1, 2, 3, beside 5, 15 and 80 %;
- standing: alarms that had lasted more than 24 hours at a time of the period; shelved: those that people put away in it;
- chattering: conditions that turned (raised or cleared) 5 times within 30 minutes, the limits of the policy at which they flap. ISA-18.2's three
  times in a minute cannot happen here: every rule holds its alarm for longer;
- without action: of those that are over or that somebody took on, the share that nobody took on, neither the alarm nor its incident;
- top ten: the sources with the most alarms, and their share of all.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tillwatch.collector.figures.tally import Ratio, ratio_of, share

MINUTE_NS = 60 * 10**9
STEP_NS = 10 * MINUTE_NS
HOUR_NS = 60 * MINUTE_NS
FLOOD = 10
"""Alarms in a step, for each operator."""
STANDING_NS = 24 * HOUR_NS
MIX = {1: 0.05, 2: 0.15, 3: 0.80}
TOP = 10
MAX_LISTED = 500
"""Rows in a list: no one reads more, and what is left out is counted."""

NOTHING = Ratio()

Source = tuple[str, str, str]
"""(rule, terminal, component)."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A change of an alarm: `raised`, `recurred` or `cleared`. muted: masked at that moment; acted: whether somebody took the alarm or its incident on, None
    where that may still come.
    """

    at: int
    kind: str
    rule: str
    terminal: str
    component: str
    level: int
    muted: bool = False
    drill: bool = False
    acted: bool | None = None

    @property
    def source(self) -> Source:
        return self.rule, self.terminal, self.component


@dataclass(frozen=True, slots=True)
class Standing:
    """An episode of an alarm. until: UTC ns, 0 while it lasts."""

    rule: str
    terminal: str
    component: str
    level: int
    since: int
    until: int
    drill: bool = False


@dataclass(frozen=True, slots=True)
class Shelf:
    """An alarm that somebody shelved. until: when the shelf ends, or ended."""

    rule: str
    terminal: str
    component: str
    since: int
    until: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Frequent:
    """A source with its number of alarms, or of turns."""

    rule: str
    terminal: str
    component: str
    n: int


@dataclass(frozen=True, slots=True)
class Load:
    """See the head of this module. muted: alarms that were masked when they were raised; listed: rows left out of each list by MAX_LISTED."""

    alarms: int
    muted: int
    operators: int
    hours: float
    floods: Ratio
    peak_step: int
    peak_hour: int
    levels: Mapping[int, int]
    top: tuple[Frequent, ...]
    chattering: tuple[Frequent, ...]
    standing: tuple[Standing, ...]
    shelved: tuple[Shelf, ...]
    left_out: Mapping[str, int]
    without_action: Ratio = NOTHING

    @property
    def per_operator_hour(self) -> float | None:
        return share(self.alarms, self.hours * self.operators)

    @property
    def mix(self) -> dict[int, float | None]:
        return {level: share(n, self.alarms) for level, n in self.levels.items()}

    @property
    def top_share(self) -> float | None:
        return share(sum(each.n for each in self.top), self.alarms)

    def plain(self) -> dict[str, Any]:
        rows = ("top", "chattering", "standing", "shelved")
        return {
            "alarms": self.alarms,
            "muted": self.muted,
            "operators": self.operators,
            "hours": self.hours,
            "per_operator_hour": self.per_operator_hour,
            "floods": self.floods.plain(),
            "without_action": self.without_action.plain(),
            "peak_10_minutes": self.peak_step,
            "peak_hour": self.peak_hour,
            "levels": {str(level): n for level, n in self.levels.items()},
            "mix": {str(level): part for level, part in self.mix.items()},
            "top_share": self.top_share,
            **{name: [asdict(one) for one in getattr(self, name)] for name in rows},
            "left_out": dict(self.left_out),
        }


def load(
    turns: Iterable[Turn],
    episodes: Iterable[Standing],
    shelves: Iterable[Shelf],
    start: int,
    end: int,
    *,
    operators: int = 1,
    chatter: tuple[int, int] = (5, 30 * MINUTE_NS),
) -> Load:
    """The load of a period, of turns in order of time. episodes: all that overlap it; operators: people who watch at a time; chatter: turns, and within
    how many ns.
    """
    real = [turn for turn in turns if not turn.drill and start <= turn.at < end]
    begun = [turn for turn in real if turn.kind != "cleared"]
    told = [turn for turn in begun if not turn.muted]
    steps = Counter((turn.at - start) // STEP_NS for turn in told)
    hours = Counter((turn.at - start) // HOUR_NS for turn in told)
    total = -((start - end) // STEP_NS) if end > start else 0
    lists: dict[str, Sequence[Any]] = {
        "chattering": _chattering(real, *chatter),
        "standing": _standing(episodes, start, end),
        "shelved": sorted(shelves, key=lambda each: (each.since, each.terminal, each.component)),
    }
    return Load(
        alarms=len(told),
        muted=len(begun) - len(told),
        operators=operators,
        hours=max(0, end - start) / HOUR_NS,
        floods=Ratio(sum(n >= FLOOD * operators for n in steps.values()), total),
        peak_step=max(steps.values(), default=0),
        peak_hour=max(hours.values(), default=0),
        levels={level: sum(turn.level == level for turn in told) for level in MIX},
        top=_frequent(Counter(turn.source for turn in told))[:TOP],
        chattering=tuple(lists["chattering"][:MAX_LISTED]),
        standing=tuple(lists["standing"][:MAX_LISTED]),
        shelved=tuple(lists["shelved"][:MAX_LISTED]),
        without_action=ratio_of(None if turn.acted is None else not turn.acted for turn in told),
        left_out={name: len(rows) - MAX_LISTED for name, rows in lists.items() if len(rows) > MAX_LISTED},
    )


def _frequent(counted: Mapping[Source, int]) -> tuple[Frequent, ...]:
    ranked = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(Frequent(*source, n) for source, n in ranked)


def _chattering(turns: Iterable[Turn], least: int, within: int) -> tuple[Frequent, ...]:
    times: dict[Source, list[int]] = defaultdict(list)
    for turn in turns:
        times[turn.source].append(turn.at)
    noisy = {
        source: len(at)
        for source, at in times.items()
        if any(later - earlier < within for earlier, later in zip(at, at[least - 1 :], strict=False))
    }
    return _frequent(noisy)


def _standing(episodes: Iterable[Standing], start: int, end: int) -> list[Standing]:
    """The longest first; one that lasts has the age that it has at the end."""
    old = [
        each
        for each in episodes
        if not each.drill and (each.until or end) > start and min(each.until or end, end) - each.since > STANDING_NS
    ]
    return sorted(old, key=lambda each: (each.since - (each.until or end), each.rule, each.terminal, each.component))
