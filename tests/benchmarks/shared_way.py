"""The batches of a whole simulated fleet over a few connections to the broker of a large installation, and all its acks over one. Who connects is a user that may
publish for any terminal, through the MQTT plugin over TLS: what reaches the openers is in nothing else than what terminals send themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gmqtt import Subscription

from tests.benchmarks.results import BenchError
from tests.scale.broker import ADMIN, Broker, Till
from tillwatch.agent.model import MS
from tillwatch.agent.wire import Sealed, ack_topic, batch_topic, life_topic
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.config import load_config
from tillwatch.collector.fleet_load.acks import Acks
from tillwatch.collector.fleet_load.sealing import Sealer
from tillwatch.collector.fleet_load.terminals import Fleet, number
from tillwatch.collector.intake import Message
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.lock import locked
from tillwatch.collector.store.opening import open_store
from tillwatch.collector.trust.pinned import own_authority, pin
from tillwatch.device_profiles.catalogue import load_catalogue

CONNECTIONS = 4
UNDER_WAY = 1_600
"""Batches sent and not acknowledged: 200 terminals with windows of 8. It keeps an installation busy, and the queues short."""
PATIENCE_S = 180.0
"""Without an ack: nothing is sent twice here, so one that is lost is an error."""
GROUP = 256


async def populate(config_file: Path, fleet: Fleet, sealer: Sealer, now_ms: int, interval_ms: int) -> set[bytes]:
    """Enrol all of them in the store of a collector that does not run, and let each be heard once; digests of the batches. interval_ms: at which they say that they
    seal: who has said nothing of it is missed after some minutes.
    """
    digests: set[bytes] = set()
    config = load_config(config_file)
    with locked(config.store) as lease:
        own = own_authority(config.authority, config.store)
        store = open_store(config.store, lease)
        try:
            store.change(lambda db: pin(db, config.store, own))
            units = {name: known.unit for name, known in load_catalogue().signals.items()}
            pipeline = Pipeline(store, own.ack_key, units, clock=lambda: now_ms * MS)
            await pipeline.start(shipped_text(), "")
            places = list(enumerate(fleet.places()))
            for first in range(0, fleet.count, GROUP):
                some = places[first : first + GROUP]
                acts: list[dict[str, Any]] = [
                    {
                        "action": "enrol", "terminal": one.terminal, "branch": one.branch, "region": one.region, "class": one.terminal_class,
                        "public": fleet.key(n).public,
                    }
                    for n, one in some
                ]  # fmt: skip
                await pipeline.operate_all(acts)
                lives = [Message(life_topic(fleet.name(n)), sealer.life(n, now_ms, 1, 1), now_ms * MS) for n, _ in some]
                sealed = [(fleet.name(n), sealer.batch(n, now_ms, interval_ms)) for n, _ in some]
                digests.update(one.digest for _, one in sealed)
                batches = [Message(batch_topic(name), one.payload, now_ms * MS) for name, one in sealed]
                await pipeline.take([*lives, *batches])
            await pipeline.stop()
        finally:
            store.close()
    return digests


class SharedWay:
    """Of a fleet of which each was heard once. digests: of all that was sent here."""

    def __init__(self, broker: Broker, folder: Path, fleet: Fleet) -> None:
        self.digests: set[bytes] = set()
        self._fleet = fleet
        self._acks = Acks(broker.authority.ack_key.public)
        self._settled = [1] * fleet.count
        self._under_way = 0
        self._moved = asyncio.Event()
        self._fault: Exception | None = None
        self._tills = [Till(f"shared-{n}", broker, folder) for n in range(CONNECTIONS + 1)]
        for till in self._tills:
            till.client.set_auth_credentials(ADMIN, broker.password)
        self._tills[-1].client.on_message = self._hear

    async def __aenter__(self) -> Self:
        for till in self._tills:
            await till.connect()
        self._tills[-1].client.subscribe([Subscription(ack_topic("+"), qos=0)])
        granted = await asyncio.wait_for(self._tills[-1].granted.get(), PATIENCE_S)
        if granted != (0,):
            raise BenchError(f"the broker does not let one connection hear all acks: {granted}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for till in self._tills:
            await till.close()

    async def send(self, batches: Iterable[tuple[int, Sealed]]) -> None:
        """batches: each with its terminal. A terminal's go over one connection, in order. Returns when all are acknowledged."""
        for n, one in batches:
            await self._until(UNDER_WAY - 1)
            self._under_way += 1
            self.digests.add(one.digest)
            self._tills[n % CONNECTIONS].client.publish(batch_topic(self._fleet.name(n)), one.payload, qos=1)
        await self._until(0)

    async def _until(self, most: int) -> None:
        while self._under_way > most:
            self._moved.clear()
            try:
                await asyncio.wait_for(self._moved.wait(), PATIENCE_S)
            except TimeoutError:
                raise BenchError(f"no ack for {PATIENCE_S:.0f} s, {self._under_way} batches under way") from None
            if self._fault is not None:
                raise BenchError(f"an ack says what it should not: {self._fault}")

    def _hear(self, _client: object, topic: str, payload: bytes, *_: object) -> None:
        try:
            name = topic.split("/")[2]
            n, ack = number(name), self._acks.read(name, payload)
            self._under_way -= max(ack.seq - self._settled[n], 0)
            self._settled[n] = max(ack.seq, self._settled[n])
        except Exception as error:  # gmqtt would drop it
            self._fault = error
        self._moved.set()
