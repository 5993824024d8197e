"""The wire: bytes a reading with header, `prev` and signature in, and what sealing and opening a batch take."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks import fleet
from tests.benchmarks.options import Options
from tests.benchmarks.results import Metric
from tillwatch.agent.model import MS, Clock, State, Value
from tillwatch.agent.wire import (
    FIRST_PREV,
    Refusal,
    SigningKey,
    VerifyKey,
    batch_topic,
    new_epoch,
    open_batch,
    seal,
)

METRICS = (
    Metric("wire.bytes_per_reading", "B", "whole MQTT payload; 60 readings a batch, 10 signals x 6 ticks, all random walks with one decimal"),
    Metric("wire.bytes_per_reading_realistic", "B", "whole MQTT payload; 120 readings a batch, 20 signals x 6 ticks, mostly constants, words and counters"),
    Metric("wire.seal_cpu_us", "us", "agent's side of one batch of 60: columns, msgpack, signature, deflate"),
    Metric("wire.open_cpu_us", "us", "collector's side of one batch of 60: inflate, verify, decode, every check"),
)  # fmt: skip
BATCHES, FEW = 1500, 60
TERMINAL = "till-0001"


class _Keys:
    def __init__(self, key: SigningKey) -> None:
        self._key = VerifyKey(key.public)

    def knows(self, terminal: str) -> bool:
        return terminal == TERMINAL

    def key(self, _: str, key_id: bytes) -> VerifyKey | Refusal:
        return self._key if key_id == self._key.key_id else Refusal.UNKNOWN_KEY


def measure(options: Options, _: Path, run: int) -> dict[str, float]:
    rng = random.Random(run)
    key = SigningKey(rng.randbytes(32))
    walk, seal_us = _sealed(key, fleet.wandering(rng), rng, FEW if options.quick else BATCHES)
    real, _ = _sealed(key, fleet.realistic(rng), rng, FEW if options.quick else BATCHES)
    keys, topic = _Keys(key), batch_topic(TERMINAL)
    begin = time.process_time()
    n = sum(open_batch(topic, payload, keys).header.n for payload in walk)
    open_us = (time.process_time() - begin) / len(walk) * 1e6
    return {
        "wire.bytes_per_reading": sum(map(len, walk)) / n,
        "wire.bytes_per_reading_realistic": sum(map(len, real))
        / sum(open_batch(topic, payload, keys).header.n for payload in real),
        "wire.seal_cpu_us": seal_us,
        "wire.open_cpu_us": open_us,
    }


def _sealed(
    key: SigningKey, ticks: Iterator[list[tuple[str, str, Value, State]]], rng: random.Random, count: int
) -> tuple[list[bytes], float]:
    """Payloads of one terminal's stream, and us of processor time a batch, the making of the readings left out."""
    now, boot = 1_790_000_000_000, rng.randbytes(8)
    epoch, prev = new_epoch(now * MS, rng.randbytes(8)), FIRST_PREV
    payloads: list[bytes] = []
    spent = 0.0
    for n in range(count):
        at = now + n * 60 * fleet.SECOND_MS + rng.randrange(20)
        batch = fleet.batch(ticks, at)
        begin = time.process_time()
        one = seal(
            key,
            batch,
            terminal=TERMINAL,
            epoch=epoch,
            seq=n + 1,
            prev=prev,
            floor=n,
            sent=at * MS,
            boot=boot,
            up=at - now + 3_600_000,
            clock=Clock("ntp", 5),
        )
        spent += time.process_time() - begin
        prev = one.digest
        payloads.append(one.payload)
    return payloads, spent / count * 1e6
