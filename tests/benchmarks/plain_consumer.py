"""What most would write: readings from MQTT into a time-series store, and nothing else. `python -m tests.benchmarks.plain_consumer MQTT_PORT HTTP_PORT`.

Readings come unsigned, a batch a message; each becomes a line of the line protocol, and lines go to VictoriaMetrics some thousand at a time. No
signature, no order, no record, no alarm, and what it has taken from the broker and not written yet is lost with it. It says `ready`, after that
how many batches are written, each time it has written some, on PROGRESS.
"""

from __future__ import annotations

import asyncio
import http.client
import sys
from typing import Any

import gmqtt
import msgpack
from gmqtt.mqtt.constants import MQTTv311

from tillwatch.collector.intake.transport import mend_gmqtt

TOPICS = "plain/+/batch"
PROGRESS = "plain/written"
LINES = 5_000
"""A request: above some thousand lines VictoriaMetrics takes them no faster."""
WAIT_S = 0.05


def escaped(text: str) -> str:
    return text.replace(" ", "\\ ").replace(",", "\\,").replace("=", "\\=")


class Consumer:
    def __init__(self, http_port: int) -> None:
        self._store = http.client.HTTPConnection("127.0.0.1", http_port, timeout=30)
        self._lines: list[str] = []
        self._heads: dict[tuple[str, str, str], str] = {}
        self.batches = 0

    def take(self, _client: Any, topic: str, payload: bytes, *_: Any) -> None:
        terminal = topic.split("/")[1]
        heads, lines = self._heads, self._lines
        for component, signal, ticks, values in msgpack.unpackb(payload):
            head = heads.get((terminal, component, signal))
            if head is None:
                head = f"{escaped(signal)},terminal={terminal},component={escaped(component)} "
                heads[terminal, component, signal] = head
            for at, value in zip(ticks, values, strict=True):
                if type(value) is str:
                    value = f'"{value}"'  # noqa: PLW2901 - as a field of text is written
                lines.append(f"{head}value={value} {at}000000")
        self.batches += 1

    @property
    def full(self) -> bool:
        return len(self._lines) >= LINES

    def write(self) -> int:
        """How many batches are written in all."""
        lines, self._lines = self._lines, []
        self._store.request("POST", "/write", "\n".join(lines).encode())
        answer = self._store.getresponse()
        answer.read()
        if answer.status != http.HTTPStatus.NO_CONTENT:
            raise SystemExit(f"the store answers {answer.status}")
        return self.batches

    @property
    def waiting(self) -> bool:
        return bool(self._lines)


async def main(mqtt_port: int, http_port: int) -> None:
    mend_gmqtt()
    consumer = Consumer(http_port)
    client = gmqtt.Client("plain-consumer", clean_session=True)
    subscribed = asyncio.Event()
    client.on_message = consumer.take
    client.on_subscribe = lambda *_: subscribed.set()
    await client.connect("127.0.0.1", mqtt_port, False, 60, MQTTv311)
    client.subscribe([gmqtt.Subscription(TOPICS, qos=1)])
    await subscribed.wait()
    print("ready", flush=True)
    while True:
        await asyncio.sleep(0 if consumer.full else WAIT_S)
        if consumer.waiting:
            client.publish(PROGRESS, str(consumer.write()).encode(), qos=0)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
