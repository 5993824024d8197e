"""Whether a bundle that runs on probation is as good as what ran before. Pure: what was seen goes in; a verdict comes out, or none yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tillwatch.agent.bundles.machine import Before

LEAST_S = 60.0
"""Seconds that it runs at least: one round of what is read ordinarily."""
MOST_S = 900.0
"""Seconds by which everything must have been seen: the slowest source needs some minutes to its first answer, an ack after a broker's restart five."""
MORE_RSS = 16 << 20
"""Bytes that it may take above what was taken before: the unit has 96 MiB, and a profile takes some hundred KiB."""
LEAST_YIELD = 0.5
"""Of the values that a source gave before: a profile that reads less of a device than half is a loss, one that leaves out a few is meant to."""


@dataclass(frozen=True, slots=True)
class Seen:
    """seconds: since it runs; sealed, acked: whether a batch of this run was; yields: values of the last poll of each source that answered; troubles:
    why each source cannot be read now.
    """

    seconds: float
    sealed: bool
    acked: bool
    yields: Mapping[str, int]
    troubles: Mapping[str, str]
    rss: int


def judge(before: Before, seen: Seen) -> str | None:
    """Empty: it is good; a text: why it is given up; None: it is not decided yet."""
    if before.rss and seen.rss > before.rss + MORE_RSS:
        return f"it takes {seen.rss >> 20} MiB, {before.rss >> 20} were taken before"
    lost = [_loss(name, count, seen) for name, count in sorted(before.yields.items())]
    wrong = [words for words in lost if words]
    if not wrong and not seen.sealed:
        wrong = ["nothing was sealed"]
    if not wrong and not seen.acked:
        wrong = ["the collector has acknowledged nothing"]
    if seen.seconds >= MOST_S:
        return "; ".join(wrong)
    return "" if not wrong and seen.seconds >= LEAST_S else None


def _loss(name: str, count: int, seen: Seen) -> str:
    if name not in seen.yields:
        return f"{name} answered before: {seen.troubles.get(name) or 'not any more'}"
    now = seen.yields[name]
    return f"{name} gave {count} values, now {now}" if now < count * LEAST_YIELD else ""
