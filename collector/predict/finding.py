"""What a prediction says, in values: the finding with its evidence, the record of who said it, the grade of a terminal, and what happened that a
prediction is held against. These are the facts of FINDING entries of the journal, so their form is that of a record: keys are only ever added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from typing import Any

WEAR, RUNOUT, TREND, ANOMALY, FAILURE = "wear", "runout", "trend", "anomaly", "failure"
FAMILIES = (WEAR, RUNOUT, TREND, ANOMALY, FAILURE)
"""Part used up; supply or space at its end; a value on its way to a limit; unlike itself or its peers; likely to fail within the horizon."""
RULES = {family: f"predicted.{family}" for family in FAMILIES}
"""The rule of the alarm table that stands for each family."""

LATER, SOON, OVER = "later", "soon", "over"
"""The words of those rules: within the horizon; so near that the next visit is too late; no more."""

OPEN, CLOSED = "open", "over"
HIT, FALSE, PREVENTED, UNKNOWN = "hit", "false", "prevented", "unknown"
"""What became of a finding: it happened, or a technician found the part at fault; it did not, or he found nothing; somebody acted before (refilled,
replaced); nobody can tell (terminal out of service, not seen).
"""
LOW, MEDIUM, HIGH = "low", "medium", "high"
GRADES = (LOW, MEDIUM, HIGH)

MAX_FACTORS = 8
MAX_READINGS = 12
"""What one finding carries as evidence: what fits on one screen; the charts lead to the rest."""


@dataclass(frozen=True, slots=True)
class Record:
    """How often a detector was right on components of this kind, of the findings that were judged since `since` (UTC ns). missed: faults of
    these parts that it could have told and did not. demoted_at: UTC ns of the outcome by which it was demoted.
    """

    detector: str
    kind: str
    hits: int = 0
    false: int = 0
    prevented: int = 0
    missed: int = 0
    since: int = 0
    demoted: bool = False
    demoted_at: int = 0

    @property
    def precision(self) -> float | None:
        """None while nothing was judged."""
        judged = self.hits + self.false
        return self.hits / judged if judged else None


@dataclass(frozen=True, slots=True)
class Finding:
    """id: of this episode, see finding_id. detector: family and what it looks at, such as `trend/host.disk.percent`; kind: see kind_of. word: LATER
    or SOON while open. due: UTC ns, near end, most likely, far end of when it will happen; None where no date is said. probability: of it
    within the horizon, where one is told. reason: key of predict/words.toml with its values. factors: (name, value, weight), the strongest first. readings:
    (component, signal, UTC ns, value). demoted: below its floor, so it stands on the trend page only. model: what judged: digest of table or model.
    """

    id: str
    detector: str
    family: str
    terminal: str
    component: str
    kind: str
    signal: str
    status: str
    word: str
    begun: int
    at: int
    due: tuple[int, int, int] | None = None
    probability: float | None = None
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[tuple[str, Any, float], ...] = ()
    readings: tuple[tuple[str, str, int, Any], ...] = ()
    record: Record | None = None
    demoted: bool = False
    model: str = ""
    ended: int = 0
    outcome: str = ""

    def facts(self) -> dict[str, Any]:
        """As it stands in the journal; what has its default is left out."""
        return {each.name: value for each in fields(self) if (value := _plain(getattr(self, each.name))) not in _EMPTY}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Finding:
        """Keys that this version does not know are left out."""
        known = {each.name for each in fields(cls)}
        given = {name: value for name, value in facts.items() if name in known}
        if given.get("due") is not None:
            low, likely, high = given["due"]
            given["due"] = int(low), int(likely), int(high)
        if given.get("record") is not None:
            given["record"] = record_of(given["record"])
        given["factors"] = tuple((str(n), v, float(w)) for n, v, w in given.get("factors", ()))
        given["readings"] = tuple((str(c), str(s), int(t), v) for c, s, t, v in given.get("readings", ()))
        return cls(**{"status": OPEN, "word": LATER, "kind": "", "signal": ""} | given)


_EMPTY: tuple[Any, ...] = (None, "", (), [], {}, False)


def _plain(value: Any) -> Any:
    return asdict(value) if isinstance(value, Record) else dict(value) if isinstance(value, Mapping) else value


def record_of(facts: Mapping[str, Any]) -> Record:
    known = {each.name for each in fields(Record)}
    return Record(**{name: value for name, value in facts.items() if name in known})


def finding_id(detector: str, terminal: str, component: str, begun: int) -> str:
    """The same for the same episode, however often it is found again after a restart."""
    return sha256(f"{detector}|{terminal}|{component}|{begun}".encode()).hexdigest()[:16]


def kind_of(component: str) -> str:
    """The kind of part, without which one it is: `host/disk:C` -> `host/disk`, `atm/CashDispenser unit:2` -> `atm/CashDispenser unit`."""
    return component.partition(":")[0]


def unit_of(component: str) -> str:
    """The kind of unit that a component is a part of: `atm/CashDispenser unit:2` -> `atm/CashDispenser`, `host/disk:C` -> `host/disk`. A fault of a dispenser has
    alarms on several of its parts, and what announces it is read from others: each for itself they would be told four times, and learnt from badly.
    """
    return kind_of(component).partition(" ")[0]


@dataclass(frozen=True, slots=True)
class Grade:
    """How much a terminal is at risk. score: expected visits within the horizon, 0 to 1 and above; reasons: (finding id or fact, weight), strongest
    first. pace: what its usual sampling interval is to be multiplied with; inspect_by: UTC ns; effort_min: minutes of work on site that are expected.
    """

    terminal: str
    grade: str
    score: float
    at: int
    since: int
    reasons: tuple[tuple[str, float], ...] = ()
    pace: float = 1.0
    inspect_by: int = 0
    effort_min: int = 0

    def facts(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Grade:
        known = {each.name for each in fields(cls)}
        given = {name: value for name, value in facts.items() if name in known}
        given["reasons"] = tuple((str(name), float(weight)) for name, weight in given.get("reasons", ()))
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Happened:
    """What predictions are held against and learn from. what: `raised` or `cleared` (an alarm of a rule; not of RULES), `verdict` (value of
    incident.VERDICTS), `enrolled`, `life_cycle` (value: the new state), `maintained` (somebody was there).
    """

    at: int
    what: str
    terminal: str
    component: str = ""
    rule: str = ""
    value: str = ""
    level: int = 0
    party: str = ""
    incident: str = ""
