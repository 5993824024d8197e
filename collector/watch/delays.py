"""How long the rounds of the last day took, stage by stage: the figures of the drills. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tillwatch.collector.watch.path import Stage

SPAN_NS = 24 * 3600 * 10**9
MOST = 2_000
"""Rounds that are kept: a day of one every five minutes has 288. More than that and the span is shorter."""
MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Sample:
    """A round that is over. at: UTC ns; late: it was complained of; delays: stage -> ns since its leg began, empty where the round was given up
    or not watched all the way.
    """

    at: int
    late: bool
    delays: Mapping[Stage, int]

    def row(self) -> list[Any]:
        return [self.at, self.late, {stage.value: delay for stage, delay in self.delays.items()}]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Sample:
        at, late, delays = row
        return cls(int(at), bool(late), {Stage(stage): int(delay) for stage, delay in delays.items()})


def kept(samples: Iterable[Sample], now: int) -> tuple[Sample, ...]:
    """Those of the last day, the newest MOST of them. now: UTC ns; what a clock that was set back left in the future goes, too."""
    return tuple(one for one in samples if now - SPAN_NS < one.at <= now)[-MOST:]


def figures(samples: Sequence[Sample]) -> dict[str, Any]:
    """rounds, late ones among them, and of each stage the middle, the 99th percentile (nearest rank) and the longest delay in ms.

    detection is the time until the collector says that the fault is stored, which it does in the transaction that raises the alarm;
    notification until the ticket has arrived.
    """
    stages = {}
    for stage in Stage:
        told = sorted(one.delays[stage] for one in samples if stage in one.delays)
        if told:
            stages[stage.value] = {
                "p50_ms": round(rank(told, 0.5) / MS, 1),
                "p99_ms": round(rank(told, 0.99) / MS, 1),
                "most_ms": round(told[-1] / MS, 1),
                "n": len(told),
            }
    return {
        "rounds": len(samples),
        "late": sum(one.late for one in samples),
        "detection": stages.get(Stage.STORED.value),
        "notification": stages.get(Stage.TICKET.value),
        "stages": stages,
    }


def rank(told: Sequence[int], share: float) -> int:
    """The nearest-rank percentile of values in rising order."""
    return told[max(math.ceil(share * len(told)), 1) - 1]
