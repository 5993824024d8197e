"""gmqtt's protocol, its connection, and the beginning and the return of a session with their flaws mended, for whoever in the collector speaks MQTT."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import gmqtt.mqtt.connection
from gmqtt.mqtt.connection import MQTTConnection
from gmqtt.mqtt.handler import MQTTConnectError
from gmqtt.mqtt.protocol import MQTTProtocol

log = logging.getLogger(__name__)

NO_RECONNECT = -2
"""Below gmqtt's -1 for "unlimited": its own reconnect has neither back-off nor jitter."""
ANSWER_TIMEOUT_S = 10.0
"""For the connection, the CONNACK and the SUBACK together."""
BACKOFF_FIRST_S = 0.5
"""A broker that is only started anew is back within it; each further wait may be twice as long."""
REFUSAL_S = 0.2
"""A refusal and the end of the connection arrive together; the refusal, which may be read a moment later, says why."""


class _Protocol(MQTTProtocol):  # type: ignore[misc]  # gmqtt has no types
    """gmqtt's own fails with a traceback when it is lost before it was given its connection: a connect that is given up half-way. And it
    sends each PUBACK and each ack by itself: a system call a packet, and as many wake-ups of the broker.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unsent: list[bytes] = []

    def write_data(self, data: bytes) -> None:
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self.flush)
        self._unsent.append(data)

    def flush(self) -> None:
        unsent, self._unsent = b"".join(self._unsent), []
        # The connection may have gone since.
        if unsent and self._connection is not None and self._transport is not None and not self._transport.is_closing():
            super().write_data(unsent)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            super().connection_lost(exc)


class _Connection(MQTTConnection):  # type: ignore[misc]  # gmqtt has no types
    """gmqtt's own says goodbye to a peer that fell silent, and waits for what was written to leave: half a minute with TLS, else for ever."""

    def _keep_connection(self) -> None:
        if time.monotonic() - self._last_data_in >= 2 * self._keepalive:
            self._transport.abort()
        else:
            super()._keep_connection()

    async def close(self) -> None:
        # The DISCONNECT is among what is still to be written: without it the broker publishes the will.
        self._protocol.flush()
        await super().close()


def mend_gmqtt() -> None:
    """Before a client connects: gmqtt has no other way to name these classes, and looks the names up as connect() begins."""
    gmqtt.mqtt.connection.MQTTProtocol = _Protocol
    gmqtt.mqtt.connection.MQTTConnection = _Connection
    # What gmqtt logs is one line a packet and a warning a retry; the transitions are logged by who uses it.
    logging.getLogger("gmqtt").setLevel(logging.CRITICAL)


async def begin_session(
    begin: Coroutine[Any, Any, None], lost: asyncio.Event, disconnect: Callable[[], Awaitable[None]]
) -> None:
    """Wait until `begin` has connected and subscribed; gmqtt itself waits for ever where the broker closes the connection (lost) or says nothing.
    Raises what `begin` raises, ConnectionError or TimeoutError, each after disconnect().
    """
    answer, end = asyncio.create_task(begin), asyncio.create_task(lost.wait())
    try:
        await asyncio.wait({answer, end}, timeout=ANSWER_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if end.done():
            await asyncio.wait({answer}, timeout=REFUSAL_S)
        if answer.done():
            answer.result()
        elif end.done():
            raise ConnectionError("the broker closed the connection, as for a certificate that it refuses")
        else:
            raise TimeoutError(f"no answer within {ANSWER_TIMEOUT_S:g} s")
    except BaseException:
        await disconnect()
        raise
    finally:
        answer.cancel()
        end.cancel()
        await asyncio.gather(answer, end, return_exceptions=True)


def full_jitter(most: float) -> float:
    return random.uniform(0, most)  # noqa: S311 - it spreads load and keeps no secret


async def keep_connected(
    broker: str,
    connect: Callable[[], Awaitable[None]],
    stay: Callable[[], Awaitable[None]],
    most_s: float,
    jitter: Callable[[float], float] = full_jitter,
) -> None:
    """One session after the other, until cancelled. broker: host and port, for the log; connect: raises OSError or MQTTConnectError; stay: returns when the
    connection is lost, and has closed it then, or when it is cancelled; jitter(most): seconds to wait before the next attempt, with `most` up to most_s.
    """
    failing, attempt = False, 0
    while True:
        try:
            await connect()
        except (OSError, MQTTConnectError) as error:
            if not failing:
                log.warning("MQTT broker %s: cannot connect (%s); trying again until it answers", broker, error)
            failing = True
        else:
            log.info("MQTT broker %s: connected", broker)
            failing, attempt = False, 0
            await stay()
            log.warning("MQTT broker %s: connection lost; trying again until it answers", broker)
            failing = True
        await asyncio.sleep(jitter(min(most_s, BACKOFF_FIRST_S * 2**attempt)))
        attempt = min(attempt + 1, 16)
