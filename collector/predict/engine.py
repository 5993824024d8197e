"""The engine of predictions: readings and what happened go in, findings with their evidence come out. Pure: the same calls give the same
output bit for bit, also where state() and restore() lie between them. Follower, simulated year and back-test all use it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from tillwatch.collector.predict.finding import Finding, Grade, Happened, Record
from tillwatch.collector.predict.settings import Tables

if TYPE_CHECKING:
    from tillwatch.agent.wire import Column


@dataclass(frozen=True, slots=True)
class Models:
    """What was learnt from the past of a fleet; None: the fixed fallback of the tables."""

    hazard: Any = None
    remaining_life: Any = None


@dataclass(frozen=True, slots=True)
class Said:
    """What is new or has changed. limits: bound -> how often it was reached since the engine began."""

    findings: tuple[Finding, ...] = ()
    grades: tuple[Grade, ...] = ()
    records: tuple[Record, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)


class Engine:
    """Calls come in the order of the journal. Time is what `advance` is told: it runs every tick and every day that is due by then."""

    def __init__(self, tables: Tables, models: Models | None = None) -> None:
        self.tables = tables
        self.models = models or Models()

    def place(self, terminal: str, branch: str, region: str, terminal_class: str, zone: str = "") -> None:
        """Where a terminal stands; again where that changed. zone: IANA name, UTC where it is empty or not known."""

    def read(
        self, terminal: str, columns: Sequence[Column], at: int, *, correction_ms: int = 0, historical: bool = False
    ) -> None:
        """An accepted batch. at: when it was received, UTC ns; correction_ms: to be added to the times of its readings."""

    def happened(self, event: Happened) -> None:
        """What predictions are held against, in the order of the journal."""

    def advance(self, now: int) -> Said:
        """Journal time, UTC ns."""
        return Said()

    def state(self) -> dict[str, Any]:
        """All that is kept, msgpack-able beside numpy arrays."""
        return {"v": 1}

    @classmethod
    def restore(cls, state: Mapping[str, Any], tables: Tables, models: Models | None = None) -> Self:
        """Goes on exactly where state() was taken. Raises ValueError where it is of another version."""
        return cls(tables, models)
