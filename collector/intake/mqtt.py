"""The intake over MQTT 3.1.1: one clean session that comes back by itself, and a bounded queue. What does not fit is dropped, counted
and told, since the broker was answered before this code ran; the terminal sends it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gmqtt import Client, Subscription
from gmqtt.mqtt.constants import MQTTv311

from tillwatch.agent.wire import ack_topic, bundle_topic, command_topic
from tillwatch.collector.intake import Message
from tillwatch.collector.intake.fairness import Dropped, FairQueue
from tillwatch.collector.intake.transport import (
    ANSWER_TIMEOUT_S,
    NO_RECONNECT,
    begin_session,
    full_jitter,
    keep_connected,
    mend_gmqtt,
)

log = logging.getLogger(__name__)

SUBSCRIPTIONS = ("tw/1/+/batch", "tw/1/+/life")
KEEPALIVE_S = 30
BACKOFF_MOST_S = 30.0
"""One collector does not flood a broker, and the whole fleet waits for it: it comes back sooner than a terminal would."""
MAX_SLOW = 10_000
"""Terminals remembered as too fast between two calls of take_slow()."""
MAX_UNSENT = 4 * 1024 * 1024
"""Bytes that may wait for a broker that does not read; acks beyond it are dropped, and the next ones make them good."""
CALM_S = 10.0
"""Without a message dropped, before the intake is said to have caught up: a queue that is full is empty again within milliseconds."""


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Where the broker is. tls: None for a plain connection. queue, queue_bytes: bounds of what waits for the pipeline."""

    host: str
    port: int
    client_id: str
    tls: ssl.SSLContext | None = None
    username: str = ""
    password: str = ""
    queue: int = 4096
    queue_bytes: int = 64 * 1024 * 1024


class MqttIntake:
    """The Intake over gmqtt. jitter(most): seconds between 0 and most to wait before the next attempt; knows: whether a terminal is enrolled."""

    def __init__(
        self,
        settings: MqttSettings,
        jitter: Callable[[float], float] = full_jitter,
        knows: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.dropped = 0
        self._settings = settings
        self._jitter = jitter
        self._client: Any = None
        self._lost = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._granted: tuple[int, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._queue = FairQueue(settings.queue, settings.queue_bytes, knows)
        self._wanted = 1
        self._enough = asyncio.Event()
        self._slow: set[str] = set()
        self._full = 0.0
        """When the queue was last full; 0 once it has caught up."""
        self._unread = False
        """Whether acks are dropped, or were and not all that waited then has gone."""

    @property
    def connected(self) -> bool:
        return self._subscribed.is_set() and not self._lost.is_set()

    async def start(self) -> None:
        """Returns at once; the connection is made, and made again, in the background."""
        broker = f"{self._settings.host} port {self._settings.port}"
        keeping = keep_connected(broker, self._connect, self._stay, BACKOFF_MOST_S, self._jitter)
        self._task = asyncio.create_task(keeping, name="mqtt intake")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def wait_connected(self) -> None:
        await self._subscribed.wait()

    async def get_batch(self, max_n: int, max_wait_s: float) -> list[Message]:
        queue = self._queue
        if not queue.count:
            await self._until(1)
        if queue.count < max_n and max_wait_s > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max_wait_s):
                    await self._until(max_n)
        batch = queue.take(max_n)
        if self._full and not queue.count and time.monotonic() - self._full > CALM_S:
            self._full = 0.0
            log.warning(
                "the intake has caught up; %d messages were dropped since the start, terminals send them again",
                self.dropped,
            )
        return batch

    def publish_ack(self, terminal: str, payload: bytes) -> None:
        self._publish(ack_topic(terminal), payload)

    def publish_command(self, terminal: str, payload: bytes) -> None:
        self._publish(command_topic(terminal), payload)

    def publish_directive(self, terminal: str, payload: bytes) -> None:
        self._publish(bundle_topic(terminal), payload)

    def _publish(self, topic: str, payload: bytes) -> None:
        if not self.connected:
            return
        waiting = self._transport().get_write_buffer_size()
        if waiting > MAX_UNSENT:
            if not self._unread:
                log.warning(
                    "the broker does not read: %d bytes wait for it, and further acks are dropped until it has taken them; see what holds it",
                    waiting,
                )
            self._unread = True
            return
        self._unread = self._unread and waiting > 0
        self._client.publish(topic, payload, qos=0)

    def refused(self, terminal: str) -> None:
        self._queue.refused(terminal)

    def settled(self, count: int, *, stored: bool) -> None:
        """The broker was answered long ago: what was not stored is sent again because it is not acknowledged."""

    def take_dropped(self) -> Mapping[tuple[str, str], int]:
        dropped: Counter[tuple[str, str]] = Counter(self._queue.take_dropped())
        return dropped

    def take_slow(self) -> frozenset[str]:
        slow = frozenset(self._slow)
        self._slow.clear()
        return slow

    async def _until(self, count: int) -> None:
        self._wanted = count
        self._enough.clear()
        await self._enough.wait()

    def _on_message(self, _client: Any, topic: str, payload: bytes, *_: Any) -> None:
        levels = (
            topic.split("/") if type(topic) is str else []
        )  # gmqtt hands over as bytes what is not UTF-8, which no terminal sends
        if len(levels) != 4:
            self.dropped += 1
            return
        queue, terminal = self._queue, levels[2]
        why = queue.put(Message(topic, payload, time.time_ns()), terminal, life=levels[3] == "life")
        if why is not None:
            self.dropped += 1
            if why is not Dropped.MUTED and len(self._slow) < MAX_SLOW:
                self._slow.add(terminal)
            if why is Dropped.FULL:
                full, self._full = self._full, time.monotonic()
                if full:
                    return
                log.warning(
                    "the intake queue is full (%d messages, %d bytes): messages are dropped and terminals told to slow down; "
                    "see the store's speed, or raise queue in [intake]",
                    queue.count,
                    queue.bytes,
                )
        elif queue.count >= self._wanted:
            self._enough.set()

    async def _stay(self) -> None:
        try:
            await self._lost.wait()
        finally:
            await self._disconnect()

    async def _connect(self) -> None:
        settings = self._settings
        self._lost.clear()
        client = self._client = Client(settings.client_id, clean_session=True)
        client.set_config({"reconnect_retries": NO_RECONNECT})
        if settings.username:
            client.set_auth_credentials(settings.username, settings.password)
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        await begin_session(self._subscribe(client), self._lost, self._disconnect)

    async def _subscribe(self, client: Any) -> None:
        settings = self._settings
        mend_gmqtt()
        await client.connect(settings.host, settings.port, settings.tls or False, KEEPALIVE_S, MQTTv311)
        client.subscribe([Subscription(topic, qos=1) for topic in SUBSCRIPTIONS])
        await self._subscribed.wait()
        if any(granted > 2 for granted in self._granted):
            raise ConnectionError(
                f"the broker refuses {' and '.join(SUBSCRIPTIONS)}: give the collector's user read rights on them"
            )

    def _on_subscribe(self, client: Any, _mid: int, granted: tuple[int, ...], _properties: Any) -> None:
        if client is self._client:
            self._granted = granted
            self._subscribed.set()

    def _on_disconnect(self, client: Any, *_: Any) -> None:
        if client is self._client:
            self._lost.set()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        self._subscribed.clear()
        if client is not None:
            # A connection that is gone already cannot be closed politely.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await client.disconnect()

    def _transport(self) -> asyncio.Transport:
        # gmqtt shows no other way how much waits for a broker that does not read.
        transport: asyncio.Transport = self._client._connection._transport  # noqa: SLF001
        return transport
