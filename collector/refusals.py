"""Who sent what the collector did not take, and why: counted since the start, kept beside the journal so that console and commands can name
the culprit. Bounded; the journal is not touched, since what is refused proves nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgpack

from tillwatch.collector.read import Culprit
from tillwatch.collector.store.db import Db

MAX_CULPRITS = 256
"""Terminals named at a time; beyond it the one that has been quiet longest is forgotten. More than that is no matter of a few terminals."""
KEPT_EVERY_NS = 5 * 10**9
"""How old the counts shown may be: under a flood they change all the time, and each keeping is a transaction."""


@dataclass(slots=True)
class _Counts:
    last_at: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


class Unfit(StrEnum):
    """Why a message was not taken though it is genuine. Counted by this word, beside the reasons of the wire."""

    EPOCHS = "epochs"
    REPLAY = "replay"
    OVER_LIMIT = "over_limit"
    """Kept, but not followed."""


class UnfitError(Exception):
    """detail: for people."""

    def __init__(self, reason: Unfit, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Refusals:
    """by_reason: messages since the start."""

    def __init__(self) -> None:
        self.by_reason: Counter[str] = Counter()
        self._by_terminal: dict[str, _Counts] = {}
        self._kept_at = 0
        self._changed = True
        """The counts of the run before are in the store."""

    def add(self, reason: str, terminal: str, at: int, n: int = 1) -> bool:
        """Count; whether this terminal was not yet known to do this. terminal: "" for all who are not enrolled; at: UTC ns."""
        self.by_reason[reason] += n
        self._changed = True
        counts = self._by_terminal.get(terminal)
        if counts is None:
            if len(self._by_terminal) >= MAX_CULPRITS:
                del self._by_terminal[min(self._by_terminal, key=lambda name: self._by_terminal[name].last_at)]
            counts = self._by_terminal[terminal] = _Counts()
        first = reason not in counts.reasons
        counts.reasons[reason] += n
        counts.last_at = at
        return first

    def due(self, now: int) -> bool:
        """Whether the store should be told."""
        return self._changed and not 0 <= now - self._kept_at < KEPT_EVERY_NS

    def keep(self, now: int) -> Keep:
        """What writes the counts, as they are now, within a transaction of the store."""
        self._changed, self._kept_at = False, now
        named = {name: [counts.last_at, counts.reasons] for name, counts in self._by_terminal.items()}
        return Keep([("refused", msgpack.packb(self.by_reason)), ("culprits", msgpack.packb(named))])


@dataclass(frozen=True, slots=True)
class Keep:
    rows: list[tuple[str, bytes]]

    def __call__(self, db: Db) -> None:
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?,?)", self.rows)


def culprits(packed: bytes | None) -> tuple[Culprit, ...]:
    """Out of the store, the one with the most first."""
    named: dict[str, list[Any]] = msgpack.unpackb(packed) if packed else {}
    found = [
        Culprit(name, last_at, tuple(sorted(reasons.items(), key=lambda one: (-one[1], one[0]))))
        for name, (last_at, reasons) in named.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.refused, one.terminal)))
