"""From what is foretold of a part to a finding that stands: opened when it is first said, kept for some days in which it is silent, ended when it is silent
for longer, or when the part was replaced or refilled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from tillwatch.collector.detect.days_left import DaysLeft
from tillwatch.collector.predict.finding import (
    LATER,
    MAX_FACTORS,
    MAX_READINGS,
    OPEN,
    RUNOUT,
    SOON,
    TREND,
    WEAR,
    Finding,
    finding_id,
    kind_of,
)
from tillwatch.collector.predict.ledger import Key, Ledger
from tillwatch.collector.predict.record import Judged, Records
from tillwatch.collector.predict.settings import DAY_NS, Tables

SILENT_DAYS = 3
"""Days in a row on which nothing is foretold until a finding ends: a range that is too wide on one day is no all-clear."""
REFILLED = "refilled"
FARTHEST_DAYS = 3650.0
"""Ten years: what is said beyond means never."""


@dataclass(frozen=True, slots=True)
class Foretold:
    """What one detector says of one part today. left: None where only that it is due is known; lead: days that planning takes."""

    detector: str
    family: str
    terminal: str
    component: str
    signal: str
    left: DaysLeft | None
    lead: float
    reason: str
    values: Mapping[str, Any]
    factors: tuple[tuple[str, Any, float], ...] = ()
    readings: tuple[tuple[str, str, int, Any], ...] = ()
    probability: float | None = None
    model: str = ""

    @property
    def over(self) -> bool:
        """Whether it is there already: a store that is empty, a value at its limit. A rated life that is past is still to be told."""
        return self.family != WEAR and self.left is not None and self.left.high <= 0

    @property
    def key(self) -> Key:
        return self.detector, self.terminal, self.component


@dataclass(frozen=True, slots=True)
class Renewed:
    """A part was replaced or a store filled, UTC ns. why: of parts.NewLife, or REFILLED."""

    terminal: str
    component: str
    at: int
    why: str


@dataclass(slots=True)
class Foretelling:
    """silent: days that an open finding has been silent for."""

    tables: Tables
    records: Records
    ledger: Ledger
    silent: dict[Key, int] = field(default_factory=dict)

    def renew(self, renewed: Iterable[Renewed]) -> list[Judged]:
        """What was foretold of the old part, or of what was in the store, ends."""
        judged = []
        for each in renewed:
            families = (RUNOUT,) if each.why == REFILLED else (WEAR, TREND, RUNOUT)
            judged += self.records.renewed(each.terminal, each.component, each.at, families)
            for finding in self.ledger.of_terminal(each.terminal):
                if finding.component == each.component and finding.family in families:
                    self.silent.pop((finding.detector, finding.terminal, finding.component), None)
                    if routine(finding):
                        self.ledger.end(finding.detector, finding.terminal, finding.component, each.at)
        return judged

    def tell(self, foretold: Iterable[Foretold], families: Sequence[str], now: int) -> list[Judged]:
        """All that these families say today."""
        judged: list[Judged] = []
        said: set[Key] = set()
        for each in foretold:
            if each.over and self.ledger.get(*each.key) is None:
                continue  # it has its alarm, and nothing was foretold
            said.add(each.key)
            self.silent.pop(each.key, None)
            finding = self._finding(each, now)
            if self.ledger.put(finding) and not routine(finding):
                judged += self.records.opened(finding, now)
        for finding in self.ledger.open():
            key = finding.detector, finding.terminal, finding.component
            if finding.family not in families or key in said:
                continue
            self.silent[key] = self.silent.get(key, 0) + 1
            if self.silent[key] >= SILENT_DAYS:
                del self.silent[key]
                ended = self.ledger.end(*key, now)
                judged += self.records.closed(ended, now) if ended else []
        self.silent = {key: days for key, days in self.silent.items() if self.ledger.get(*key) is not None}
        return judged

    def _finding(self, each: Foretold, now: int) -> Finding:
        kind = kind_of(each.component)
        record = self.records.record(each.detector, kind)
        near = each.left.low if each.left is not None else 0.0
        return Finding(
            id=finding_id(each.detector, each.terminal, each.component, now), detector=each.detector, family=each.family,
            terminal=each.terminal, component=each.component, kind=kind, signal=each.signal, status=OPEN,
            word=SOON if near * DAY_NS <= min(each.lead * DAY_NS, self.tables.soon_ns) else LATER, begun=now, at=now,
            due=_due(each.left, now), probability=each.probability, reason=each.reason, values=_shown(each),
            factors=each.factors[:MAX_FACTORS], readings=each.readings[:MAX_READINGS], record=record, demoted=record.demoted,
            model=each.model or self.tables.digest,
        )  # fmt: skip

    def state(self) -> list[list[Any]]:
        return [[*key, days] for key, days in self.silent.items()]

    def restore(self, state: Iterable[Sequence[Any]]) -> None:
        self.silent = {(d, t, c): int(days) for d, t, c, days in state}


def routine(finding: Finding) -> bool:
    """Whether it asks for cleaning or maintenance: that no fault came says nothing of whether it was due, so it is held against nothing and stands."""
    return finding.values.get("purpose") == "service"


def _due(left: DaysLeft | None, now: int) -> tuple[int, int, int] | None:
    if left is None:
        return None
    low, median, high = (now + round(_days(each) * DAY_NS) for each in (left.low, left.median, left.high))
    return low, median, high


def _days(days: float) -> float:
    return min(days, FARTHEST_DAYS) if isfinite(days) else FARTHEST_DAYS


def _shown(each: Foretold) -> Mapping[str, Any]:
    if each.left is None:
        return each.values
    return {**each.values, "low_days": round(_days(each.left.low), 1), "high_days": round(_days(each.left.high), 1)}


def plain(value: float) -> float:
    """As it is told: five digits, so that a record does not carry what a float32 made up."""
    return float(f"{float(value):.5g}")
