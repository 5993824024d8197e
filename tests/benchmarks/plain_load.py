"""The load of the plain consumer: the readings of a simulated fleet, unsigned. `python -m tests.benchmarks.plain_load MQTT_PORT TERMINALS EACH`. Everything is
packed before; no more is under way than a broker keeps for a consumer. Says `ready`, waits for `go`, ends with one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import gmqtt
import msgpack
from gmqtt.mqtt.constants import MQTTv311

from tests.benchmarks.plain_consumer import PROGRESS
from tillwatch.agent.model import MS
from tillwatch.collector.fleet_load.profiles import readings
from tillwatch.collector.fleet_load.terminals import Fleet
from tillwatch.collector.intake.transport import mend_gmqtt

UNDER_WAY = 2_000
PATIENCE_S = 60.0
READINGS = 40
INTERVAL_MS = 60_000


def packed(n: int, upto_ms: int) -> tuple[int, bytes]:
    """How many readings, and a message of them: by component and signal the times and the values."""
    columns: dict[tuple[str, str], tuple[list[int], list[Any]]] = {}
    found = readings(n, upto_ms, INTERVAL_MS, READINGS)
    for one in found:
        ticks, values = columns.setdefault((one.component, one.signal), ([], []))
        ticks.append(one.at // MS)
        values.append(one.value)
    return len(found), msgpack.packb([[*key, *column] for key, column in columns.items()])


async def main(port: int, terminals: int, each: int) -> None:
    mend_gmqtt()
    fleet, begin_ms = Fleet(terminals, "1"), time.time_ns() // MS - each * INTERVAL_MS
    made = [packed(n, begin_ms + k * INTERVAL_MS) for k in range(each) for n in range(terminals)]
    topics = [f"plain/{fleet.name(n)}/batch" for n in range(terminals)]
    written, moved = 0, asyncio.Event()

    def heard(_client: Any, _topic: str, payload: bytes, *_: Any) -> None:
        nonlocal written
        written = int(payload)
        moved.set()

    client, subscribed = gmqtt.Client("plain-load", clean_session=True), asyncio.Event()
    client.on_message = heard
    client.on_subscribe = lambda *_: subscribed.set()
    await client.connect("127.0.0.1", port, False, 60, MQTTv311)
    client.subscribe([gmqtt.Subscription(PROGRESS, qos=0)])
    await subscribed.wait()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begun = time.monotonic()
    for sent, (_, payload) in enumerate(made):
        while sent - written >= UNDER_WAY:
            moved.clear()
            await asyncio.wait_for(moved.wait(), PATIENCE_S)
        client.publish(topics[sent % terminals], payload, qos=1)
        if sent % 50 == 0:
            await asyncio.sleep(0)
    while written < len(made):
        moved.clear()
        await asyncio.wait_for(moved.wait(), PATIENCE_S)
    said = {"batches": len(made), "readings": sum(count for count, _ in made), "seconds": time.monotonic() - begun}
    print(json.dumps(said), flush=True)
    await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:4])))
