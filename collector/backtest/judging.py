"""What was raised against what happened, pure. An episode is right where a fault of the same unit overlaps it or follows within the horizon; wrong where a
technician found nothing, or where the horizon passed and nothing came; not known where it is too early to tell. A detector's own findings bring their outcome along: they
name their dates, and the engine has held them to those.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from tillwatch.agent.model import device_of
from tillwatch.collector.alarm.rules import together
from tillwatch.collector.learn.panel import DAY_NS, YEAR_DAYS
from tillwatch.collector.predict.finding import FALSE, HIT, PREVENTED, UNKNOWN

MAX_EPISODES = 50_000
"""Of one run: who raises a thousand a week for a year has learnt enough. What comes beyond is counted only."""
WEEK_NS = 7 * DAY_NS


@dataclass(frozen=True, slots=True)
class Episode:
    """begun, ended: UTC ns, 0 while it lasts; level: 1 to 3, the gravest; value: what raised it; outcome: of finding.py, empty where it is to be judged by what
    happened; lead: ns until the fault that it was right about, below 0 where that was there first; told: a person would have been told of it.
    """

    rule: str
    terminal: str
    component: str
    begun: int
    ended: int
    level: int
    value: Any
    outcome: str = ""
    lead: int | None = None
    told: bool = True

    def until(self, horizon: int) -> int:
        return max(self.ended, self.begun + horizon)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happened. at, ended: UTC ns, ended 0 while it lasts; own: it is an alarm of the rule that is tried; verdict: empty, or what the
    technician said: right or wrong.
    """

    terminal: str
    component: str
    rule: str
    at: int
    ended: int = 0
    own: bool = False
    verdict: str = ""


CONFIRMED, REFUTED = "confirmed", "refuted"


@dataclass(frozen=True, slots=True)
class Span:
    """What is looked at, UTC ns; known: until when it is known what happened; terminals: how many were watched; horizon: ns."""

    since: int
    until: int
    known: int
    terminals: int
    horizon: int

    @property
    def terminal_years(self) -> float:
        return self.terminals * (self.until - self.since) / (DAY_NS * YEAR_DAYS)


@dataclass(frozen=True, slots=True)
class Tally:
    """hits, false, prevented, unknown: episodes; faults, missed: what happened to the parts that it looks at, and what of that no episode was about; leads: days,
    of the hits; tickets: branch -> a week.
    """

    episodes: tuple[Episode, ...]
    hits: int
    false: int
    prevented: int
    unknown: int
    faults: int
    missed: int
    lead_days: float | None
    earlier: int
    false_per_terminal_year: float | None
    tickets: Mapping[str, float]
    also: int = 0
    left_out: int = 0

    @property
    def precision(self) -> float | None:
        return self.hits / (self.hits + self.false) if self.hits + self.false else None

    def facts(self) -> dict[str, Any]:
        """For JSON, without the episodes."""
        return {
            "episodes": len(self.episodes), "hits": self.hits, "false": self.false, "prevented": self.prevented, "unknown": self.unknown,
            "precision": self.precision, "faults": self.faults, "missed": self.missed, "lead_days_median": self.lead_days,
            "hits_before_the_fault": self.earlier, "false_per_terminal_year": self.false_per_terminal_year,
            "tickets_a_week": dict(self.tickets), "also_raised_by_the_other": self.also, "left_out": self.left_out,
        }  # fmt: skip


@dataclass(slots=True)
class Faults:
    """By unit, in order of time."""

    _by_terminal: dict[str, list[Fault]] = field(default_factory=dict)

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> Faults:
        found = cls()
        for fault in sorted(faults, key=lambda each: each.at):
            found._by_terminal.setdefault(fault.terminal, []).append(fault)
        return found

    def near(self, episode: Episode, until: int) -> list[Fault]:
        """Those of the same unit that overlap it, or begin by then."""
        own = self._by_terminal.get(episode.terminal, [])
        last = bisect_left(own, until, key=lambda each: each.at)
        return [
            each
            for each in own[:last]
            if (not each.ended or each.ended >= episode.begun) and near(each.component, episode.component)
        ]

    def all(self) -> Iterable[Fault]:
        return (each for faults in self._by_terminal.values() for each in faults)


def near(one: str, other: str) -> bool:
    """The same part, a part of the same unit, or the device itself of which the other is a part."""
    return together("unit", one, other) or device_of(one) == other or device_of(other) == one


def judge(
    episodes: Sequence[Episode],
    faults: Faults,
    span: Span,
    *,
    looked_at: Iterable[Fault],
    tickets: Mapping[str, int],
    other: Sequence[Episode] = (),
    left_out: int = 0,
    in_force: bool = False,
) -> Tally:
    """in_force: the episodes are those of the rule that stood then, of which the own faults are the same. looked_at: faults of the parts that the rule looks at; tickets: branch -> how many it would have opened; other: what the other table has."""
    judged = [_judged(each, faults, span, in_force=in_force) for each in episodes]
    count = Counter(each.outcome for each in judged)
    leads = sorted(each.lead for each in judged if each.outcome == HIT and each.lead is not None)
    seen = list(looked_at)
    covered = _Covered(judged)
    years, weeks = span.terminal_years, max((span.until - span.since) / WEEK_NS, 1e-9)
    theirs = _Covered(other)
    return Tally(
        tuple(judged), count[HIT], count[FALSE], count[PREVENTED], count[UNKNOWN], len(seen),
        sum(not covered.tells(each, span.horizon) for each in seen),
        round(median(leads) / DAY_NS, 3) if leads else None, sum(each > 0 for each in leads),
        round(count[FALSE] / years, 4) if years else None, {branch: round(n / weeks, 3) for branch, n in sorted(tickets.items())},
        sum(theirs.tells(Fault(e.terminal, e.component, "", e.begun, e.ended), span.horizon) for e in judged), left_out,
    )  # fmt: skip


class _Covered:
    """Episodes by terminal."""

    def __init__(self, episodes: Iterable[Episode]) -> None:
        self._of: dict[str, list[Episode]] = {}
        for each in episodes:
            self._of.setdefault(each.terminal, []).append(each)

    def tells(self, fault: Fault, horizon: int) -> bool:
        """Whether one of them is about it: it began within its horizon, or while it lasted."""
        return any(
            each.begun <= (fault.ended or each.begun)
            and fault.at <= each.until(horizon)
            and near(each.component, fault.component)
            for each in self._of.get(fault.terminal, ())
        )


def _judged(episode: Episode, faults: Faults, span: Span, *, in_force: bool) -> Episode:
    if episode.outcome and episode.outcome != HIT:
        return episode
    until = episode.until(span.horizon)
    found = [each for each in faults.near(episode, until) if each.verdict or not (in_force and each.own)]
    right = [each for each in found if each.verdict != REFUTED]
    if right and (episode.outcome == HIT or not _refuted(found, episode)):
        return replace(episode, outcome=HIT, lead=_nearest(right, episode).at - episode.begun)
    if episode.outcome:
        return episode
    if _refuted(found, episode) or (until <= span.known and not in_force):
        return replace(episode, outcome=FALSE)
    return replace(episode, outcome=UNKNOWN)


def _nearest(right: Sequence[Fault], episode: Episode) -> Fault:
    """What a technician confirmed before what an alarm said; the first that came after it, else the last that was there before."""
    said = [each for each in right if each.verdict == CONFIRMED] or right
    return min(said, key=lambda each: (each.at < episode.begun, abs(each.at - episode.begun)))


def _refuted(found: Iterable[Fault], episode: Episode) -> bool:
    """A technician was there while it stood, and found nothing, and nobody found anything."""
    verdicts = {each.verdict for each in found if each.at <= (episode.ended or each.at)}
    return REFUTED in verdicts and CONFIRMED not in verdicts
