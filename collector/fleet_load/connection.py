"""One MQTT connection of simulated terminals: of one, as every real terminal has it, or shared by several where the broker lets one client speak for
others. It comes back by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from gmqtt import Client, Message, Subscription
from gmqtt.mqtt.constants import MQTTv311

from tillwatch.collector.intake.transport import (
    ANSWER_TIMEOUT_S,
    NO_RECONNECT,
    begin_session,
    keep_connected,
    mend_gmqtt,
)

KEEPALIVE_S = 60
BACKOFF_MOST_S = 30.0
"""Shorter than a terminal's five minutes: a test should not wait for its own load."""
MAX_SHARED = 1_000
"""Terminals on one connection: MQTT has 65,535 numbers for what is not answered, and each may have a window of 64 batches under way."""
_TOPICS = 100
"""Of one SUBSCRIBE: brokers bound the size of a packet."""


class _Unanswered:
    """What gmqtt asks of its store of messages without PUBACK: nothing is kept, the spool has it."""

    is_empty = True

    def push_message(self, mid: int, raw: bytes) -> None: ...

    def remove_message_by_mid(self, mid: int) -> None: ...

    def clear(self) -> None: ...

    def get_all(self) -> list[tuple[int, bytes]]:
        return []

    async def wait_empty(self) -> None: ...


class Connection:
    """hear(topic, payload): of each message; up, down: it has begun, and all its subscriptions with it, or it was lost; will: topic and payload, of a
    connection of one terminal. Called in the loop's own thread.
    """

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        topics: Sequence[str],
        *,
        tls: Callable[[], ssl.SSLContext] | None,
        will: Callable[[], tuple[str, bytes]] | None,
        hear: Callable[[str, bytes], None],
        up: Callable[[], None],
        down: Callable[[], None],
    ) -> None:
        self.open = False
        self.denied = ""
        self.begun = asyncio.Event()
        """It was up once, or the broker has said no."""
        self._host, self._port, self._client_id, self._topics = host, port, client_id, topics
        self._tls, self._will, self._hear, self._up, self._down = tls, will, hear, up, down
        self._client: Any = None
        self._lost = asyncio.Event()
        self._granted = 0
        self._subscribed = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        await keep_connected(f"{self._host} port {self._port}", self._connect, self._stay, BACKOFF_MOST_S)

    def publish(self, topic: str, payload: bytes) -> None:
        """With QoS 1. On a connection that is gone nothing happens: who publishes hears of it by `down`."""
        if not self.open:
            return
        try:
            self._client.publish(topic, payload, qos=1)
        except (OSError, OverflowError, RuntimeError):
            self._lost.set()

    def leave(self) -> None:
        """Nothing comes of it any more: another is made."""
        self._lost.set()

    async def _connect(self) -> None:
        self._lost.clear()
        self._subscribed.clear()
        self._granted = 0
        will = Message(*self._will(), qos=1) if self._will else None
        client = self._client = Client(
            self._client_id, clean_session=True, will_message=will, persistent_storage=_Unanswered()
        )
        client.set_config({"reconnect_retries": NO_RECONNECT})
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        await begin_session(self._subscribe(client), self._lost, self._disconnect)
        self.open = True
        self.begun.set()
        self._up()

    async def _subscribe(self, client: Any) -> None:
        mend_gmqtt()
        await client.connect(self._host, self._port, self._tls() if self._tls else False, KEEPALIVE_S, MQTTv311)
        for first in range(0, len(self._topics), _TOPICS):
            client.subscribe([Subscription(topic, qos=0) for topic in self._topics[first : first + _TOPICS]])
        await self._subscribed.wait()
        if self.denied:
            raise ConnectionError(self.denied)

    async def _stay(self) -> None:
        try:
            await self._lost.wait()
        finally:
            self.open = False
            self._down()
            await self._disconnect()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            # A connection that is gone already cannot be closed politely.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await client.disconnect()

    def _on_message(self, _client: Any, topic: str, payload: bytes, *_: Any) -> None:
        self._hear(topic, payload)

    def _on_subscribe(self, client: Any, _mid: int, granted: tuple[int, ...], _properties: Any) -> None:
        if client is not self._client:
            return
        if any(each > 2 for each in granted):
            self.denied = (
                "the broker does not let this connection hear the acks of all its terminals: give each a connection of its own "
                "(--connections as many as --terminals), with its own certificate where the broker has an access list"
            )
            self.begun.set()
        self._granted += len(granted)
        if self._granted >= len(self._topics):
            self._subscribed.set()

    def _on_disconnect(self, client: Any, *_: Any) -> None:
        if client is self._client:
            self._lost.set()
