"""Terminals of a fleet, as far as a collector sees them: keys, life messages and sealed batches, all made before anything is measured. Their
values wander inside the limits of every rule, so that what is measured is health, the work that a collector does all day.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from tillwatch.agent.model import MS, Batch, Clock, Reading, State, Value
from tillwatch.agent.wire import FIRST_PREV, Life, SigningKey, new_epoch, seal, seal_life

SECOND_MS = 1000
TICKS = 6
"""Readings of each signal in a batch: one in ten seconds for a minute."""
TICK_MS = 10 * SECOND_MS
PACE_MS = 50
"""Between two batches of one terminal, by its own clock: a fleet that is measured lives faster, and must not look late or early."""

WALKS: Sequence[tuple[str, str, float, float, State]] = (
    ("host", "host.cpu.percent", 15, 45, State.NONE),
    ("host", "host.memory.percent", 40, 60, State.OK),
    ("host/disk:/", "host.disk.percent", 30, 50, State.OK),
    ("host/temperature:Core 0", "host.temperature", 45, 60, State.OK),
    ("ups", "ups.battery.charge", 96, 100, State.OK),
    ("ups", "ups.battery.voltage", 54, 56, State.NONE),
    ("ups", "ups.battery.temperature", 22, 28, State.OK),
    ("ups/input:1", "ups.input.voltage", 225, 235, State.NONE),
    ("ups/output:1", "ups.output.voltage", 229, 231, State.NONE),
    ("ups/output:1", "ups.output.load", 20, 40, State.OK),
)
"""Component, signal, least, most and judgement: every second of them is looked at by a rule of the shipped table."""


@dataclass(frozen=True, slots=True)
class Stream:
    """What one terminal sends: the payloads of its life message and, from seq 1 on, of its batches."""

    name: str
    seed: bytes
    epoch: bytes
    life: bytes
    batches: list[bytes]

    @property
    def key(self) -> SigningKey:
        return SigningKey(self.seed)


def wandering(rng: random.Random) -> Iterator[list[tuple[str, str, Value, State]]]:
    """One tick after the other: every signal moves by up to 0.3 and stays within its bounds. One decimal, as devices give it."""
    values = [rng.uniform(least, most) for _, _, least, most, _ in WALKS]
    while True:
        values = [
            min(max(value + rng.uniform(-0.3, 0.3), least), most)
            for value, (_, _, least, most, _) in zip(values, WALKS, strict=True)
        ]
        yield [(w[0], w[1], round(value, 1), w[4]) for value, w in zip(values, WALKS, strict=True)]


def realistic(rng: random.Random) -> Iterator[list[tuple[str, str, Value, State]]]:
    """As a branch server with a UPS looks: few values wander, counters rise, most stand still or are words."""
    sent, received, used = rng.randrange(10**9, 10**11), rng.randrange(10**9, 10**11), rng.randrange(10**10, 10**11)
    for ticks, walk in enumerate(wandering(rng)):
        sent, received, used = (
            sent + rng.randrange(2 * 10**5),
            received + rng.randrange(10**6),
            used + 4096 * rng.randrange(50),
        )
        still: list[tuple[str, str, Value, State]] = [
            ("host", "host.uptime", 1_000_000 + 10 * ticks, State.NONE),
            ("host", "host.processes", 212 + rng.randrange(3), State.NONE),
            ("host", "host.users", 1, State.NONE),
            ("host/disk:/", "host.disk.used", used, State.NONE),
            ("host/disk:/", "host.disk.inodes.percent", 12.4, State.NONE),
            ("host/net:eth0", "net.oper", "up", State.OK),
            ("host/net:eth0", "net.rx.bytes", received, State.NONE),
            ("host/net:eth0", "net.tx.bytes", sent, State.NONE),
            ("host/net:eth0", "net.rx.errors", 0, State.NONE),
            ("ups", "ups.output.source", "normal", State.OK),
            ("ups", "ups.battery.status", "normal", State.OK),
            ("ups", "ups.battery.runtime", 42, State.OK),
            ("ups", "ups.battery.elapsed", 0, State.OK),
            ("ups/input:1", "ups.input.frequency", 50.0, State.NONE),
        ]
        yield [*walk[:3], *still, *walk[7:]]


def batch(ticks: Iterator[list[tuple[str, str, Value, State]]], last_ms: int) -> Batch:
    """TICKS ticks, the newest at last_ms."""
    return Batch(
        tuple(
            Reading(component, signal, (last_ms - (TICKS - 1 - i) * TICK_MS) * MS, value, state=state)
            for i in range(TICKS)
            for component, signal, value, state in next(ticks)
        )
    )


def make(terminals: int, batches: int, now_ms: int, seed: int) -> list[Stream]:
    """A fleet whose clocks say now_ms, each terminal with its own walk."""
    return [_stream(f"till-{n:04}", batches, now_ms, random.Random(f"{seed}/{n}")) for n in range(terminals)]


def _stream(name: str, batches: int, now_ms: int, rng: random.Random) -> Stream:
    seed = rng.randbytes(32)
    key, epoch, boot, up = SigningKey(seed), new_epoch(now_ms * MS, rng.randbytes(8)), rng.randbytes(8), 3_600_000
    life = seal_life(key, Life(name, key.key_id, epoch, 1, 1, 0, boot, up, now_ms * MS, 1))
    ticks, prev, sealed = wandering(rng), FIRST_PREV, []
    for n in range(batches):
        later = n * PACE_MS
        one = seal(
            key,
            batch(ticks, now_ms + later),
            terminal=name,
            epoch=epoch,
            seq=n + 1,
            prev=prev,
            floor=1,
            sent=(now_ms + later) * MS,
            boot=boot,
            up=up + later,
            clock=Clock("ntp", 5),
        )
        prev = one.digest
        sealed.append(one.payload)
    return Stream(name, seed, epoch, life, sealed)


def store(path: Path, streams: Sequence[Stream]) -> None:
    path.write_bytes(msgpack.packb([[s.name, s.seed, s.epoch, s.life, s.batches] for s in streams]))


def load(path: Path) -> list[Stream]:
    rows: list[list[Any]] = msgpack.unpackb(path.read_bytes())
    return [Stream(*row) for row in rows]
