"""A terminal as the tests play it: it seals what it is told to and keeps its own account of what it sent."""

from __future__ import annotations

from collections.abc import Sequence

from tillwatch.agent.model import MS, Batch, Clock, Quality, Reading, State, Value
from tillwatch.agent.wire import (
    FIRST_PREV,
    Life,
    Sealed,
    SigningKey,
    batch_topic,
    life_topic,
    new_epoch,
    seal,
    seal_life,
    seal_rotation,
)
from tillwatch.collector.intake import Message
from tillwatch.collector.pipeline import Pipeline

T0 = 1_790_000_000_000 * MS
"""An arbitrary start, on a whole hour and a bit."""
S = 1_000_000_000


class Sender:
    def __init__(self, name: str, *, boot_at: int = T0 - 3600 * S, epoch: int = 1) -> None:
        self.name = name
        self.key = SigningKey(name.encode().ljust(32, b"\0")[:32])
        self.epoch = new_epoch(T0, epoch.to_bytes(8, "big"))
        self.boot = b"boot0001"
        self.boot_at = boot_at
        self.seq = 0
        self.prev = FIRST_PREV
        self.n = 0
        self.sealed: list[tuple[int, Sealed]] = []

    async def enrol(self, pipeline: Pipeline, branch: str = "hill", region: str = "north") -> None:
        await pipeline.operate(
            {
                "action": "enrol",
                "terminal": self.name,
                "branch": branch,
                "region": region,
                "class": "atm",
                "public": self.key.public,
            }
        )

    def batch(
        self, readings: Sequence[Reading], now: int, *, received: int | None = None, clock_off: int = 0
    ) -> Message:
        """Sealed at `now` of the world; the terminal's own clock is off by clock_off."""
        self.seq += 1
        sealed = seal(
            self.key,
            Batch(tuple(readings)),
            terminal=self.name,
            epoch=self.epoch,
            seq=self.seq,
            prev=self.prev,
            floor=1,
            sent=now + clock_off,
            boot=self.boot,
            up=(now - self.boot_at) // MS,
            clock=Clock("ntp", 5),
        )
        self.prev = sealed.digest
        self.sealed.append((self.seq, sealed))
        return Message(batch_topic(self.name), sealed.payload, now if received is None else received)

    def hand_over(self, new: SigningKey) -> bytes:
        """The statement; from now on the new key seals."""
        statement = seal_rotation(self.key, new, terminal=self.name, epoch=self.epoch, seq=self.seq, n=self.n, at=T0)
        self.key = new
        return statement

    def life(
        self,
        now: int,
        *,
        floor: int = 1,
        state: str = "online",
        n: int | None = None,
        lost: int = 0,
        rotations: Sequence[bytes] = (),
    ) -> Message:
        if n is None:
            self.n += 1
        life = Life(
            self.name, self.key.key_id, self.epoch, floor, self.seq + 1, lost, self.boot, (now - self.boot_at) // MS, now,
            self.n if n is None else n, state, tuple(rotations),
        )  # fmt: skip
        return Message(life_topic(self.name), seal_life(self.key, life), now)


def reading(
    component: str, signal: str, at: int, value: Value, state: State = State.NONE, quality: Quality = Quality.GOOD
) -> Reading:
    return Reading(component, signal, at, value, quality, state)
