"""The figures of availability over stretches of scheduled time, of one terminal or of many. Times are ns and add up exactly: a scope's are the sums
of its terminals', so a fleet's ratio is weighted by scheduled time.

- shares: up + down + planned + unmonitored = scheduled (alarms.md 10);
- availability: (up + unmonitored) / (scheduled - planned) at best, up / (scheduled - planned) at worst: a planned window is neither;
- interruption ratio: down / scheduled, net of planned windows; (down + planned) / scheduled, gross (market.md 8.1: target below 0.5 %);
- 开机率: (scheduled - down) / scheduled, fault time being what is down (market.md 8.1);
- interruptions: how often it went from anything else to down, from one scheduled stretch to the next;
- impact: transactions that were to be expected while it was down, of all that were to be expected (impact.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tillwatch.collector.figures.availability import COUNTS, DEFINITIONS, Stretch
from tillwatch.collector.figures.impact import Profile
from tillwatch.collector.figures.tally import share


@dataclass(frozen=True, slots=True)
class Shares:
    """ns of scheduled time by what it counts as."""

    up: int = 0
    down: int = 0
    planned: int = 0
    unmonitored: int = 0

    @property
    def scheduled(self) -> int:
        return self.up + self.down + self.planned + self.unmonitored

    @property
    def availability_best(self) -> float | None:
        return share(self.up + self.unmonitored, self.scheduled - self.planned)

    @property
    def availability_worst(self) -> float | None:
        return share(self.up, self.scheduled - self.planned)

    @property
    def interruption_net(self) -> float | None:
        return share(self.down, self.scheduled)

    @property
    def interruption_gross(self) -> float | None:
        return share(self.down + self.planned, self.scheduled)

    @property
    def operating_ratio(self) -> float | None:
        """开机率."""
        return share(self.scheduled - self.down, self.scheduled)

    def plain(self) -> dict[str, Any]:
        times = {f"{word}_ns": getattr(self, word) for word in COUNTS}
        parts = {word: share(getattr(self, word), self.scheduled) for word in COUNTS}
        ratios = {name: getattr(self, name) for name in RATIOS}
        return {"scheduled_ns": self.scheduled, **times, "shares": parts, **ratios}


RATIOS = ("availability_best", "availability_worst", "interruption_net", "interruption_gross", "operating_ratio")


@dataclass(frozen=True, slots=True)
class Part:
    """One definition of availability. reasons, parties: ns of what is down, by both; lost: expected transactions while down."""

    shares: Shares = Shares()
    interruptions: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    parties: Mapping[str, int] = field(default_factory=dict)
    lost: float = 0.0


@dataclass(frozen=True, slots=True)
class Availability:
    """parts: by DEFINITIONS. unmonitored, planned: ns by reason, the same in each of them; expected: transactions in all the scheduled time;
    late, corrected: ns that late readings and people decided; terminals: with scheduled time.
    """

    parts: Mapping[str, Part]
    unmonitored: Mapping[str, int] = field(default_factory=dict)
    planned: Mapping[str, int] = field(default_factory=dict)
    expected: float = 0.0
    late: int = 0
    corrected: int = 0
    terminals: int = 0

    def impact(self, definition: str) -> float | None:
        """Share of the expected transactions that met a terminal that was down."""
        return share(self.parts[definition].lost, self.expected)

    def plain(self) -> dict[str, Any]:
        definitions = {
            name: {
                **part.shares.plain(),
                "interruptions": part.interruptions,
                "down_by_reason_ns": dict(part.reasons),
                "down_by_party_ns": dict(part.parties),
                "expected_lost": part.lost,
                "impact": self.impact(name),
            }
            for name, part in self.parts.items()
        }
        return {
            "terminals": self.terminals,
            "definitions": definitions,
            "unmonitored_by_reason_ns": dict(self.unmonitored),
            "planned_by_reason_ns": dict(self.planned),
            "expected": self.expected,
            "by_late_readings_ns": self.late,
            "by_corrections_ns": self.corrected,
        }


def measure(them: Sequence[Stretch], profile: Profile) -> Availability:
    """The figures of one terminal, from its stretches in order."""
    return Availability(
        {name: _part(them, place, profile) for place, name in enumerate(DEFINITIONS)},
        _times((one.reason, one.length) for one in them if one.counts[0] == "unmonitored"),
        _times((one.reason, one.length) for one in them if one.counts[0] == "planned"),
        sum(profile.expected(one.since, one.until) for one in them),
        sum(one.length for one in them if one.source == "late"),
        sum(one.length for one in them if one.source == "correction"),
        int(bool(them)),
    )


def _part(them: Sequence[Stretch], place: int, profile: Profile) -> Part:
    down = [one for one in them if one.counts[place] == "down"]
    counted = _times((one.counts[place], one.length) for one in them)
    begun = sum(
        one.counts[place] == "down" and (not i or them[i - 1].counts[place] != "down") for i, one in enumerate(them)
    )
    return Part(
        Shares(**counted),
        begun,
        _times((one.reason, one.length) for one in down),
        _times((one.party, one.length) for one in down),
        sum(profile.expected(one.since, one.until) for one in down),
    )


def together(them: Iterable[Availability]) -> Availability:
    """The figures of a scope."""
    several = list(them)
    return Availability(
        {name: _sum([one.parts[name] for one in several]) for name in DEFINITIONS},
        _times(pair for one in several for pair in one.unmonitored.items()),
        _times(pair for one in several for pair in one.planned.items()),
        sum(one.expected for one in several),
        sum(one.late for one in several),
        sum(one.corrected for one in several),
        sum(one.terminals for one in several),
    )


def _sum(parts: Sequence[Part]) -> Part:
    return Part(
        Shares(**{word: sum(getattr(part.shares, word) for part in parts) for word in COUNTS}),
        sum(part.interruptions for part in parts),
        _times(pair for part in parts for pair in part.reasons.items()),
        _times(pair for part in parts for pair in part.parties.items()),
        sum(part.lost for part in parts),
    )


def _times(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Summed up, the longest first."""
    sums: Counter[str] = Counter()
    for name, length in pairs:
        sums[name] += length
    return dict(sorted(sums.items(), key=lambda pair: (-pair[1], pair[0])))
