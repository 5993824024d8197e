"""What a batch or a life message means for a terminal's stream: a pure function of the state and the header. It decides whether a batch is
the next one, a copy, ahead of a hole, or a second history; nothing here knows bytes, time or the store. Specification: delivery.md 6.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tillwatch.agent.wire import FIRST_PREV, Header, Life

WINDOW = 8
"""Batches a terminal may have in flight (delivery.md 6.4)."""
UNVERIFIABLE = b""
"""The tail after a declared loss: the batch that `prev` names was dropped by the terminal, so nothing can be compared."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One epoch of one terminal. mark: the last seq accepted, all before it are settled; tail: the digest at mark."""

    epoch: bytes
    mark: int = 0
    tail: bytes = FIRST_PREV


class Verdict(StrEnum):
    ACCEPT = "accept"
    DUPLICATE = "duplicate"
    GAP = "gap"
    FORK = "fork"


@dataclass(frozen=True, slots=True)
class Decision:
    """stream: the state afterwards; want: the seq to go back to, for a gap; detail: for people, where it is a fork."""

    verdict: Verdict
    stream: Stream
    want: int = 0
    detail: str = ""


def decide(streams: Mapping[bytes, Stream], header: Header, digest: bytes, stored: bytes | None) -> Decision:
    """Decide on a batch whose signature has held.

    streams: every epoch ever seen of this terminal. stored: the digest that is kept for this (epoch, seq), None if none is.
    """
    stream = streams.get(header.epoch) or Stream(header.epoch)
    if header.seq <= stream.mark:
        if stored is not None and stored != digest:
            return Decision(Verdict.FORK, stream, detail=f"seq {header.seq} came a second time with other content")
        # Without a stored digest the number lies in a declared loss or before the epoch's first life message: settled all the same.
        return Decision(Verdict.DUPLICATE, stream)
    if header.seq > stream.mark + 1:
        return Decision(Verdict.GAP, stream, want=stream.mark + 1)
    if stream.tail not in (UNVERIFIABLE, header.prev):
        return Decision(
            Verdict.FORK,
            stream,
            detail=f"seq {header.seq} follows another batch than the one that is kept as {stream.mark}",
        )
    return Decision(Verdict.ACCEPT, Stream(header.epoch, header.seq, digest))


@dataclass(frozen=True, slots=True)
class LifeDecision:
    """stream: the state afterwards; loss: first and last seq that the terminal declares gone, or None; new: an epoch not seen before."""

    stream: Stream
    loss: tuple[int, int] | None
    new: bool

    @property
    def moved(self) -> bool:
        """Whether the stream goes on behind batches that never come."""
        return self.loss is not None or (self.new and self.stream.mark > 0)


def on_life(streams: Mapping[bytes, Stream], life: Life) -> LifeDecision:
    """Take the floor from a life message: what lies below it will never come. That goes for an epoch not seen before too: the terminal dropped
    it before it was first heard, or another collector has it, of which this one is an older copy.
    """
    known = streams.get(life.epoch)
    floor = max(life.floor, 1)
    if known is None:
        if floor == 1:
            return LifeDecision(Stream(life.epoch), None, new=True)
        return LifeDecision(Stream(life.epoch, floor - 1, UNVERIFIABLE), (1, floor - 1), new=True)
    if floor <= known.mark + 1:
        return LifeDecision(known, None, new=False)
    return LifeDecision(Stream(life.epoch, floor - 1, UNVERIFIABLE), (known.mark + 1, floor - 1), new=False)
