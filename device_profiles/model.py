"""What the catalogue and a device profile hold. Frozen values; the loader makes them from YAML."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """gauge: a number of now. counter: a number that only rises, until it wraps or resets. state: one of a list of words. text: anything else."""

    GAUGE = "gauge"
    COUNTER = "counter"
    STATE = "state"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Signal:
    """One name of the closed catalogue. states: for Kind.STATE, word -> ok, warn, crit or unknown."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    states: tuple[tuple[str, str], ...] = ()
