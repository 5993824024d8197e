"""What became of each finding, and how often each detector was right with parts of each kind. A detector below its floor is demoted by its own record: it is
judged on in the shadow, and comes back when it is right again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import sqrt
from typing import Any

from tillwatch.agent.model import device_of
from tillwatch.collector.alarm.rules import together
from tillwatch.collector.predict.finding import (
    ANOMALY,
    FAILURE,
    FALSE,
    HIT,
    PREVENTED,
    UNKNOWN,
    Finding,
    Happened,
    Record,
    kind_of,
)
from tillwatch.collector.predict.settings import DAY_NS, Tables

WINDOW_NS = 180 * DAY_NS
"""What was judged longer ago says nothing of a detector whose models and lives have changed since."""
LEAST_JUDGED = 8
"""Findings judged before a record speaks: of fewer, even none that came true leaves the interval open up to a third."""
Z = 1.96
"""Of the two-sided 95 % interval (Wilson 1927), which holds for the small counts that a detector has on one kind of part."""
MAX_JUDGED = 1_000
"""Outcomes kept a detector and kind, the newest: half a year of five a day."""
MAX_KEPT = 500
"""Pairs of detector and kind that have a record. The shipped detectors times the kinds of parts of a large bank are some 300."""
MAX_PENDING = 50
"""Findings of one terminal that wait for their outcome. Beyond it the oldest is given up as unknown."""

PART_FAULTS = frozenset({"hardware", "supplies", "cash", "power"})
"""Parties whose alarms are faults of a part, which is what wear, anomalies and failures are told of."""
LIMIT_FAULTS = PART_FAULTS | {"software", "unknown"}
"""For a value on its way to its limit also those of what fills up: a disk that is full is put down to software."""
RIGHT, WRONG = frozenset({"true_fault", "part_changed"}), frozenset({"false_alarm", "no_fault_found"})
"""Verdicts."""
OWN = "predicted."

Key = tuple[str, str]
"""Detector and kind."""


def wilson(hits: int, judged: int) -> tuple[float, float]:
    """The interval that holds the true share, (0, 1) where nothing was judged."""
    if not judged:
        return 0.0, 1.0
    share, z2 = hits / judged, Z * Z
    centre = (share + z2 / (2 * judged)) / (1 + z2 / judged)
    half = Z * sqrt(share * (1 - share) / judged + z2 / (4 * judged * judged)) / (1 + z2 / judged)
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a finding said when it was first told, which is what it is held to: a date that moves on and on does not make it right. until: UTC ns, far
    end and grace; visited: when somebody was last there meanwhile; out: the terminal was out of service meanwhile.
    """

    id: str
    detector: str
    family: str
    kind: str
    terminal: str
    component: str
    begun: int
    until: int
    visited: int = 0
    out: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding whose outcome is known since `at`."""

    id: str
    key: Key
    terminal: str
    outcome: str
    at: int


class Records:
    """kept: pairs that found no place are not counted, and `refused` says how many."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._pending: dict[str, list[Claim]] = {}
        self._outcomes: dict[Key, list[tuple[int, str]]] = {}
        self._demoted: dict[Key, int] = {}
        self._changed: dict[Key, None] = {}
        self._missed: dict[tuple[str, str], int] = {}
        self.refused = 0

    def opened(self, finding: Finding, now: int) -> list[Judged]:
        """The first telling of an episode. Returns what had to be given up for it."""
        far = finding.due[2] if finding.due else now + self._tables.horizon_ns
        claim = Claim(
            finding.id, finding.detector, finding.family, finding.kind, finding.terminal, finding.component, finding.begun,
            far + self._tables.grace_ns,
        )  # fmt: skip
        pending = self._pending.setdefault(finding.terminal, [])
        given_up = [self._judge(pending[0], UNKNOWN, now)] if len(pending) >= MAX_PENDING else []
        pending.append(claim)
        return given_up

    def closed(self, finding: Finding, at: int) -> list[Judged]:
        """The value turned round after somebody had been there: that was his doing, and the finding's, in part."""
        claim = self._claim(finding.terminal, finding.id)
        if claim is None or not claim.visited or finding.family in {ANOMALY, FAILURE}:
            return []
        return [self._judge(claim, PREVENTED, at)]

    def renewed(self, terminal: str, component: str, at: int, families: Sequence[str]) -> list[Judged]:
        """Refilled or replaced before it came to pass: findings of these families on this very part."""
        here = [
            each for each in self._pending.get(terminal, ()) if each.component == component and each.family in families
        ]
        return [self._judge(each, PREVENTED, at) for each in here]

    def happened(self, event: Happened, could: Iterable[str] = ()) -> list[Judged]:
        """could: detectors that look at the component, for the faults that they did not tell of."""
        match event.what:
            case "raised" if not event.rule.startswith(OWN):
                return self._fault(event, could)
            case "verdict" if event.value in RIGHT:
                return [self._judge(each, HIT, event.at) for each in self._here(event.terminal, event.component)]
            case "verdict" if event.value in WRONG and event.rule.startswith(OWN):
                family = event.rule.removeprefix(OWN)
                here = self._here(event.terminal, event.component)
                return [self._judge(each, FALSE, event.at) for each in here if each.family == family]
            case "maintained":
                self._mark(event.terminal, visited=event.at)
            case "life_cycle" if event.value != "in_service":
                self._mark(event.terminal, out=True)
        return []

    def advance(self, now: int, seen: Mapping[str, int]) -> list[Judged]:
        """What has passed without coming true. seen: terminal -> UTC ns of its last reading: of whom nothing was seen for half of the time nobody can tell."""
        judged = []
        for terminal in sorted(self._pending):
            for claim in [each for each in self._pending[terminal] if each.until <= now]:
                unseen = seen.get(terminal, 0) < claim.begun + (claim.until - claim.begun) // 2
                judged.append(self._judge(claim, UNKNOWN if claim.out or unseen else FALSE, now))
        old = now - DAY_NS
        self._missed = {key: at for key, at in self._missed.items() if at > old}
        for key in [key for key, outcomes in self._outcomes.items() if outcomes[0][0] <= now - WINDOW_NS]:
            self._outcomes[key] = [each for each in self._outcomes[key] if each[0] > now - WINDOW_NS]
            self._weigh(key)
            if not self._outcomes[key]:
                del self._outcomes[key]
        return judged

    def record(self, detector: str, kind: str) -> Record:
        """As it stands."""
        outcomes = self._outcomes.get((detector, kind), [])
        count = {outcome: sum(said == outcome for _, said in outcomes) for outcome in (HIT, FALSE, PREVENTED, _MISSED)}
        since = outcomes[0][0] if outcomes else 0
        return Record(
            detector, kind, count[HIT], count[FALSE], count[PREVENTED], count[_MISSED], since, self.demoted(detector, kind),
            self._demoted.get((detector, kind), 0),
        )  # fmt: skip

    def demoted(self, detector: str, kind: str) -> bool:
        return (detector, kind) in self._demoted

    def trust(self, family: str, record: Record) -> float:
        """The share that will come true: what was judged, and what is taken for it before."""
        prior = self._tables.prior
        judged = record.hits + record.false
        return (record.hits + prior * self._tables.trust[family]) / (judged + prior) if judged + prior else 0.0

    def changed(self) -> tuple[Record, ...]:
        """Records that are others than when this was last asked."""
        said = tuple(self.record(*key) for key in self._changed)
        self._changed.clear()
        return said

    def _fault(self, event: Happened, could: Iterable[str]) -> list[Judged]:
        if event.party not in LIMIT_FAULTS:
            return []
        here = self._here(event.terminal, event.component)
        told = [each for each in here if event.party in PART_FAULTS or each.family not in {ANOMALY, FAILURE}]
        unit = event.terminal, event.component.partition(" ")[0]
        if event.party in PART_FAULTS and self._missed.get(unit, event.at - DAY_NS) <= event.at - DAY_NS:
            self._missed[unit] = event.at
            kind, by = kind_of(event.component), {each.detector for each in here}
            for detector in could:
                if detector not in by:
                    self._note((detector, kind), _MISSED, event.at)
        return [self._judge(each, HIT, event.at) for each in told if each.begun <= event.at]

    def _here(self, terminal: str, component: str) -> list[Claim]:
        return [each for each in self._pending.get(terminal, ()) if component and _near(each.component, component)]

    def _claim(self, terminal: str, finding: str) -> Claim | None:
        return next((each for each in self._pending.get(terminal, ()) if each.id == finding), None)

    def _mark(self, terminal: str, *, visited: int = 0, out: bool = False) -> None:
        if terminal in self._pending:
            self._pending[terminal] = [
                replace(each, visited=visited or each.visited, out=each.out or out) for each in self._pending[terminal]
            ]

    def _judge(self, claim: Claim, outcome: str, at: int) -> Judged:
        pending = self._pending[claim.terminal]
        pending.remove(claim)
        if not pending:
            del self._pending[claim.terminal]
        key = claim.detector, claim.kind
        if outcome != UNKNOWN:
            self._note(key, outcome, at)
        return Judged(claim.id, key, claim.terminal, outcome, at)

    def _note(self, key: Key, outcome: str, at: int) -> None:
        if key not in self._outcomes and len(self._outcomes) >= MAX_KEPT:
            self.refused += 1
            return
        outcomes = self._outcomes.setdefault(key, [])
        outcomes.append((at, outcome))
        del outcomes[:-MAX_JUDGED]
        self._weigh(key)

    def _weigh(self, key: Key) -> None:
        self._changed[key] = None
        outcomes = self._outcomes[key]
        hits = sum(outcome == HIT for _, outcome in outcomes)
        judged = hits + sum(outcome == FALSE for _, outcome in outcomes)
        floor = self._tables.floor[key[0].partition("/")[0]]
        if key in self._demoted:
            if not judged or hits / judged >= floor:
                del self._demoted[key]
        elif judged >= LEAST_JUDGED and wilson(hits, judged)[1] < floor:
            self._demoted[key] = outcomes[-1][0]

    def state(self) -> dict[str, Any]:
        return {
            "pending": [asdict(each) for claims in self._pending.values() for each in claims],
            "outcomes": [[*key, [list(each) for each in outcomes]] for key, outcomes in self._outcomes.items()],
            "demoted": [[*key, at] for key, at in self._demoted.items()],
            "changed": [list(key) for key in self._changed],
            "missed": [[*key, at] for key, at in self._missed.items()],
            "refused": self.refused,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        for facts in state["pending"]:
            claim = Claim(**facts)
            self._pending.setdefault(claim.terminal, []).append(claim)
        self._outcomes = {(d, k): [(int(at), str(o)) for at, o in outcomes] for d, k, outcomes in state["outcomes"]}
        self._demoted = {(d, k): int(at) for d, k, at in state["demoted"]}
        self._changed = dict.fromkeys((d, k) for d, k in state["changed"])
        self._missed = {(t, u): int(at) for t, u, at in state["missed"]}
        self.refused = int(state["refused"])


_MISSED = "missed"


def _near(one: str, other: str) -> bool:
    """The same part, a part of the same unit, or the device itself of which the other is a part."""
    return together("unit", one, other) or device_of(one) == other or device_of(other) == one
