"""The watchdog's own stream of sealed batches, as values: what is sealed, what waits to be stored, and what an ack of the collector does to it. At
most one batch waits at a time. Whoever keeps a Stream writes it down before its batch leaves, so that a crash sends the same bytes again and
never others under the same number. Keys and times come in.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tillwatch.agent.model import MS, Batch, Clock, Reading
from tillwatch.agent.wire import (
    ACK_DIGEST,
    FIRST_PREV,
    Ack,
    AckState,
    Life,
    SigningKey,
    new_epoch,
    seal,
    seal_life,
)


@dataclass(frozen=True, slots=True)
class Stream:
    """epoch; seq, prev: number and digest of the last batch sealed; life: number of the last life message; payload: of the last batch while it
    waits to be stored, else empty.
    """

    epoch: bytes
    seq: int = 0
    prev: bytes = FIRST_PREV
    life: int = 0
    payload: bytes = b""

    @property
    def floor(self) -> int:
        """The oldest batch that can still be sent."""
        return self.seq if self.payload else self.seq + 1

    def pack(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch.hex(),
            "seq": self.seq,
            "prev": self.prev.hex(),
            "life": self.life,
            "payload": base64.b64encode(self.payload).decode(),
        }

    @classmethod
    def unpack(cls, kept: dict[str, Any]) -> Stream:
        """Raises KeyError, TypeError or ValueError."""
        return cls(
            bytes.fromhex(kept["epoch"]),
            int(kept["seq"]),
            bytes.fromhex(kept["prev"]),
            int(kept["life"]),
            base64.b64decode(kept["payload"], validate=True),
        )


@dataclass(frozen=True, slots=True)
class Moment:
    """Of a message: UTC ns, the boot it is of, ms since then."""

    utc: int
    boot: bytes
    up: int


def begin(now: int, random: bytes) -> Stream:
    return Stream(new_epoch(now, random))


def sealed(stream: Stream, key: SigningKey, terminal: str, readings: Sequence[Reading], now: Moment) -> Stream:
    """With one more batch, which waits. The one before it must not wait any more: it would be lost."""
    seq = stream.seq + 1
    made = seal(
        key,
        Batch(tuple(readings)),
        terminal=terminal,
        epoch=stream.epoch,
        seq=seq,
        prev=stream.prev,
        floor=seq,
        sent=now.utc,
        boot=now.boot,
        up=now.up,
        clock=Clock("rtc", 0),
    )
    return replace(stream, seq=seq, prev=made.digest, payload=made.payload)


def life(stream: Stream, key: SigningKey, terminal: str, state: str, now: Moment) -> bytes:
    """The payload of the life message numbered stream.life."""
    told = Life(
        terminal, key.key_id, stream.epoch, stream.floor, stream.seq + 1, 0, now.boot, now.up, now.utc // MS * MS,
        stream.life, state,
    )  # fmt: skip
    return seal_life(key, told)


class Heard(StrEnum):
    """What an ack means for the batch that waits."""

    NOTHING = "nothing"
    STORED = "stored"
    REFUSED = "refused"
    AGAIN = "again"
    """The collector misses what went before, too: a life message tells that it is gone, then the batch goes once more."""
    STRANGER = "stranger"
    """The collector does not know this key."""
    FORKED = "forked"
    """It has another history of this epoch: the state here is an old copy, or somebody else has this key. A new epoch is needed."""


def heard(stream: Stream, ack: Ack) -> tuple[Stream, Heard]:
    """The stream after an ack whose signature has held."""
    if ack.epoch != stream.epoch:
        return stream, Heard.NOTHING
    if ack.state is AckState.ENROL:
        return stream, Heard.STRANGER
    other = ack.seq == stream.seq and bool(ack.digest) and ack.digest != stream.prev[:ACK_DIGEST]
    if ack.state is AckState.FORK or ack.seq > stream.seq or other:
        return stream, Heard.FORKED
    if stream.payload and ack.seq == stream.seq:
        stored = replace(stream, payload=b"")
        return stored, Heard.REFUSED if any(seq == stream.seq for seq, _ in ack.refused) else Heard.STORED
    if ack.state is AckState.RESEND or 0 < ack.want < stream.floor:
        return stream, Heard.AGAIN
    return stream, Heard.NOTHING
