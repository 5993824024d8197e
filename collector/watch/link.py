"""The watchdog's connection to the broker: one session after the other, made again with back-off. It hears acks, publishes with QoS 1, and tells
which of what it published the broker has taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any

from gmqtt import Client, Message
from gmqtt.mqtt.constants import MQTTv311

from tillwatch.agent.wire import ack_topic, life_topic
from tillwatch.collector.intake.transport import NO_RECONNECT, begin_session, keep_connected, mend_gmqtt

KEEPALIVE_S = 30
GOODBYE_S = 2.0
BACKOFF_MOST_S = 10.0
"""One watchdog floods no broker, and every second until it is back counts against the path."""


class _Taken:
    """What gmqtt asks of its store of messages without PUBACK: here only what to call when it comes. A new connection forgets it; who publishes
    sends again.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Callable[[], None]] = {}
        self.next: Callable[[], None] = _nobody
        self.all = asyncio.Event()
        self.all.set()

    @property
    def is_empty(self) -> bool:
        return True  # gmqtt sends nothing again by itself

    def push_message(self, mid: int, _: bytes) -> None:
        self._waiting[mid] = self.next
        self.all.clear()

    def remove_message_by_mid(self, mid: int) -> None:
        self._waiting.pop(mid, _nobody)()
        if not self._waiting:
            self.all.set()

    def clear(self) -> None:
        self._waiting.clear()
        self.all.set()

    def get_all(self) -> list[tuple[int, bytes]]:
        return []

    async def wait_empty(self) -> None: ...


def _nobody() -> None: ...


class Link:
    """will: the last word that the broker is to publish, of the coming connection; connected: called when acks are heard, lost: when that is over;
    heard: with the bytes of an ack. All from the loop.
    """

    def __init__(
        self,
        host: str,
        port: int,
        terminal: str,
        tls: ssl.SSLContext | None,
        *,
        will: Callable[[], bytes],
        connected: Callable[[], None],
        lost: Callable[[], None],
        heard: Callable[[bytes], None],
    ) -> None:
        self._where, self._terminal, self._tls = (host, port), terminal, tls
        self._will, self._connected, self._cut_off, self._heard = will, connected, lost, heard
        self._client: Any = None
        self._taken = _Taken()
        self._lost = asyncio.Event()
        self._granted: asyncio.Future[int] | None = None
        self.up = False

    async def run(self) -> None:
        """Until cancelled: then it says goodbye, so that the broker publishes no will."""
        await keep_connected(f"{self._where[0]} port {self._where[1]}", self._connect, self._stay, BACKOFF_MOST_S)

    async def _stay(self) -> None:
        try:
            self.up = True
            self._connected()
            await self._lost.wait()
        finally:
            self.up = False
            self._cut_off()
            await self._disconnect()

    def publish(self, topic: str, payload: bytes, taken: Callable[[], None] = _nobody) -> None:
        """Hand over with QoS 1, without waiting; taken: called when the broker has it. Nothing happens while there is no connection."""
        if not self.up or self._lost.is_set():
            return
        self._taken.next = taken
        try:
            self._client.publish(topic, payload, qos=1)
        except (OSError, RuntimeError):
            self._lost.set()

    async def _connect(self) -> None:
        self._lost.clear()
        self._taken = _Taken()
        self._granted = asyncio.get_running_loop().create_future()
        client = self._client = Client(
            self._terminal,
            clean_session=True,
            will_message=Message(life_topic(self._terminal), self._will(), qos=1),
            persistent_storage=self._taken,
        )
        client.set_config({"reconnect_retries": NO_RECONNECT})
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        await begin_session(self._begin(client), self._lost, self._disconnect)

    async def _begin(self, client: Any) -> None:
        mend_gmqtt()
        await client.connect(*self._where, self._tls or False, KEEPALIVE_S, MQTTv311)
        client.subscribe(ack_topic(self._terminal), qos=0)
        assert self._granted is not None
        if await self._granted > 2:
            raise ConnectionError(f"the broker does not let the watchdog read {ack_topic(self._terminal)}")

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            # A connection that is gone already cannot be closed politely.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(GOODBYE_S):
                    if not self._lost.is_set():
                        await self._taken.all.wait()  # brokers stumble over whoever leaves with an answer under way
                    await client.disconnect()

    def _on_message(self, client: Any, topic: str, payload: bytes, *_: Any) -> None:
        if client is self._client and topic == ack_topic(self._terminal):
            self._heard(payload)

    def _on_subscribe(self, client: Any, _: int, granted: tuple[int, ...], *__: Any) -> None:
        if client is self._client and self._granted is not None and not self._granted.done():
            self._granted.set_result(granted[0])

    def _on_disconnect(self, client: Any, *_: Any) -> None:
        if client is self._client:
            self._lost.set()
