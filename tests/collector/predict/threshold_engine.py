"""An engine that is simple enough to know what it must say: it finds what the last hours of a signal show, and counts everything that it was given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from tillwatch.agent.wire import Column
from tillwatch.collector.predict.finding import (
    CLOSED,
    LATER,
    OPEN,
    OVER,
    SOON,
    Finding,
    Grade,
    Happened,
    Record,
    finding_id,
    kind_of,
)

TICK_NS = 60 * 10**9
DETECTOR = "trend/host.disk.percent"


class Said(NamedTuple):
    findings: tuple[Finding, ...] = ()
    grades: tuple[Grade, ...] = ()
    records: tuple[Record, ...] = ()
    limits: Mapping[str, int] = {}


class ThresholdEngine:
    """A finding is open while the last value of the disk is above 40, and soon above 60. digest: over all calls, in their order."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        state = state or {"last": {}, "open": {}, "tick": 0, "calls": 0, "digest": b"", "places": {}, "events": []}
        self.last: dict[str, float] = dict(state["last"])
        self.open: dict[str, dict[str, Any]] = dict(state["open"])
        self.tick: int = state["tick"]
        self.calls: int = state["calls"]
        self.digest: bytes = state["digest"]
        self.places: dict[str, list[str]] = dict(state["places"])
        self.events: list[str] = list(state["events"])

    def state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("last", "open", "tick", "calls", "digest", "places", "events")}

    def _called(self, *what: object) -> None:
        self.calls += 1
        self.digest = sha256(self.digest + repr(what).encode()).digest()

    @property
    def series(self) -> int:
        return len(self.last)

    def place(self, terminal: str, branch: str, region: str, terminal_class: str, zone: str = "") -> None:
        self._called("place", terminal, branch, region, terminal_class, zone)
        self.places[terminal] = [branch, region, terminal_class, zone]

    def read(
        self, terminal: str, columns: Sequence[Column], at: int, *, correction_ms: int = 0, historical: bool = False
    ) -> None:
        self._called(
            "read",
            terminal,
            [(c.component, c.signal, list(c.at), list(c.values)) for c in columns],
            at,
            correction_ms,
            historical,
        )
        for column in columns:
            if column.signal == "host.disk.percent":
                self.last[f"{terminal} {column.component}"] = float(column.values[-1])  # type: ignore[arg-type]  # a percentage

    def happened(self, event: Happened) -> None:
        self._called("happened", event)
        self.events.append(f"{event.what} {event.terminal} {event.component} {event.rule} {event.value} {event.party}")

    def advance(self, now: int) -> Said:
        self._called("advance", now)
        if now // TICK_NS <= self.tick:
            return Said()
        self.tick = now // TICK_NS
        findings = [self._finding(name, value, now) for name, value in sorted(self.last.items())]
        told = tuple(each for each in findings if each is not None)
        grades = tuple(
            Grade(
                each.terminal, "high" if each.status == OPEN else "low", float(each.status == OPEN), now, now, pace=0.5
            )
            for each in told
        )
        return Said(
            told,
            grades,
            (Record(DETECTOR, "host/disk", len(self.open), 1, since=1),) if told else (),
            {"things": self.calls},
        )

    def _finding(self, name: str, value: float, now: int) -> Finding | None:
        terminal, component = name.split(" ")
        known = self.open.get(name)
        word = SOON if value > 60 else LATER if value > 40 else OVER
        if (known is None) == (word == OVER) and (known is None or known["word"] == word):
            return None
        begun = known["begun"] if known is not None else now
        common = {
            "id": finding_id(DETECTOR, terminal, component, begun), "detector": DETECTOR, "family": "trend", "terminal": terminal,
            "component": component, "kind": kind_of(component), "signal": "host.disk.percent", "begun": begun, "at": now, "word": word,
        }  # fmt: skip
        if word == OVER:
            del self.open[name]
            return Finding(status=CLOSED, ended=now, **common)
        self.open[name] = {"begun": begun, "word": word}
        return Finding(
            status=OPEN, values={"value": value}, readings=((component, "host.disk.percent", now, value),), **common
        )


def make(state: Mapping[str, Any] | None) -> ThresholdEngine:
    return ThresholdEngine(state)
