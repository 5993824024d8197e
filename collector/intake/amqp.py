"""A connection to a RabbitMQ that comes back by itself, to one of several nodes, and the few calls that this project makes on it. aio-pika is imported
when the first connection is made: a collector beside mosquitto needs none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tillwatch.collector.intake.transport import BACKOFF_FIRST_S, full_jitter

if TYPE_CHECKING:
    from aiormq import Channel

log = logging.getLogger(__name__)

CONNECT_S = 10.0
"""For one node: with three of which one hangs, the next is asked before terminals have waited twice."""
HEARTBEAT_S = 10
"""A node or a collector that is stopped, or a line that is cut, is missed after two of them: only then does the broker give its queues to another."""
BACKOFF_MOST_S = 10.0
"""The whole fleet waits for a collector; three nodes bear one attempt each 10 s."""
MAX_FRAME = 128 * 1024
"""Bytes that RabbitMQ sends at once; larger messages come in pieces."""


class Delivery(Protocol):
    """A message as the broker hands it over; called from the loop of its connection."""

    @property
    def body(self) -> bytes: ...
    @property
    def routing_key(self) -> str | None: ...
    @property
    def delivery_tag(self) -> int | None: ...
    @property
    def header(self) -> Any: ...


class ReturnedError(Exception):
    """The broker has no queue for this message, or none that takes it: it was not sent."""


class FullError(ReturnedError):
    """It has a queue for it, which is full."""


class TopologyError(Exception):
    """What the collector stands on is not there, or is different. The text says what, and which command writes it."""


@dataclass(frozen=True, slots=True)
class AmqpSettings:
    """hosts: nodes, each with its port; tls: None for a plain connection; name: shown by the broker beside the connection."""

    hosts: tuple[tuple[str, int], ...]
    vhost: str
    user: str
    password: str = field(repr=False)
    tls: ssl.SSLContext | None = None
    name: str = "tillwatch"


class Link:
    """One connection, until it or any of its channels is lost. node: host and port, as they were called."""

    def __init__(self, connection: Any, node: tuple[str, int]) -> None:
        self._connection = connection
        self.node = node
        self.lost: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.serves = False
        self.version = str(connection.transport.connection.server_properties.get("version", ""))
        self._watch(connection.transport.connection.closing)

    def serve(self, what: str) -> None:
        """What it was made for stands."""
        self.serves = True
        log.info("AMQP broker: connected, %s", what)

    async def channel(self, *, confirms: bool = False, prefetch: int = 0) -> Channel:
        """A channel whose loss is that of the link. prefetch: unanswered messages of each of its consumers."""
        channel = await self._connection.channel(publisher_confirms=confirms)
        below: Channel = await channel.get_underlay_channel()
        self._watch(below.closing)
        if prefetch:
            await below.basic_qos(prefetch_count=prefetch)
        return below

    async def asking(self) -> Channel:
        """A channel that the broker may close for what it is asked; nothing else is lost with it."""
        channel = await self._connection.channel(publisher_confirms=True)
        below: Channel = await channel.get_underlay_channel()
        return below

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CONNECT_S):
                await self._connection.close()

    def _watch(self, closing: asyncio.Future[Any]) -> None:
        def ended(future: asyncio.Future[Any]) -> None:
            if not self.lost.done():
                self.lost.set_result(None if future.cancelled() else future.exception())

        closing.add_done_callback(ended)


async def open_link(settings: AmqpSettings, host: str, port: int) -> Link:
    """Raises OSError, TimeoutError, or what aio-pika says of a broker that refuses."""
    import aio_pika  # noqa: PLC0415 - 8 MiB and 0.3 s that only a large installation has a use for

    for name in ("aio_pika", "aiormq"):
        # Theirs is a traceback for each connection that is lost; the transitions are logged here.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    connection = await aio_pika.connect(
        host=host,
        port=port,
        login=settings.user,
        password=settings.password,
        virtualhost=settings.vhost,
        ssl=settings.tls is not None,
        ssl_context=settings.tls,
        timeout=CONNECT_S,
        heartbeat=HEARTBEAT_S,
        client_properties={"connection_name": settings.name},
    )
    return Link(connection, (host, port))


async def keep_linked(
    settings: AmqpSettings,
    session: Callable[[Link], Coroutine[Any, Any, None]],
    jitter: Callable[[float], float] = full_jitter,
) -> None:
    """One session after the other, on the first node that lets us in, until cancelled. session: runs until it is cancelled, and calls link.serve() when
    it stands; what it raises ends it.
    """
    told, attempt, turn = set[str](), 0, 0
    while True:
        host, port = settings.hosts[turn % len(settings.hosts)]
        link = None
        try:
            link = await open_link(settings, host, port)
            await _in_session(link, session)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the libraries have some forty kinds, and a session may meet each of them
            if link is not None and link.serves:
                told, attempt = set(), 0
            # Each reason once: the first one is that a node went, and why nothing stands on the others is another.
            if (said := f"{host} port {port}: {_said(error)}") not in told:
                log.warning("AMQP broker %s; trying again, node after node", said)
            told.add(said)
        finally:
            if link is not None:
                await link.close()
        turn += 1
        await asyncio.sleep(jitter(min(BACKOFF_MOST_S, BACKOFF_FIRST_S * 2**attempt)))
        attempt = min(attempt + 1, 8)


async def _in_session(link: Link, session: Callable[[Link], Coroutine[Any, Any, None]]) -> None:
    running = asyncio.create_task(session(link), name="amqp session")
    try:
        either: set[asyncio.Future[Any]] = {running, link.lost}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        raise ConnectionError(f"connection lost ({_said(link.lost.result() if link.lost.done() else None)})")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _said(error: BaseException | None) -> str:
    return "closed" if error is None else str(error) or type(error).__name__


async def publish(
    channel: Channel,
    exchange: str,
    key: str,
    body: bytes,
    *,
    kind: str = "",
    durable: bool = False,
    reply_to: str = "",
    also: Sequence[str] = (),
) -> None:
    """Send it to somebody. also: further keys by which the exchange may find a queue; who gets it sees the first. On a channel with confirms it returns when every queue that is to have it has it. Raises ReturnedError where there is none,
    FullError where one is full.
    """
    from aiormq.exceptions import DeliveryError, PublishError  # noqa: PLC0415 - as above
    from pamqp.commands import Basic  # noqa: PLC0415

    properties = Basic.Properties(
        delivery_mode=2 if durable else 1,
        message_type=kind or None,
        reply_to=reply_to or None,
        headers={"CC": list(also)} if also else None,
    )
    try:
        said = await channel.basic_publish(
            body, exchange=exchange, routing_key=key, properties=properties, mandatory=True, wait=False
        )
    except PublishError:
        raise ReturnedError(f"{exchange} has no queue for {key}") from None
    except DeliveryError:
        raise FullError(f"a queue behind {exchange} is full") from None
    if said is not None and not isinstance(said, Basic.Ack):
        raise ReturnedError(f"{exchange} has no queue for {key}")


async def tell(channel: Channel, exchange: str, key: str, body: bytes, kind: str = "") -> None:
    """Send it, on a channel without confirms, to whoever hears it, if anybody does. Returns at once."""
    from pamqp.commands import Basic  # noqa: PLC0415 - as above

    properties = Basic.Properties(delivery_mode=1, message_type=kind or None)
    await channel.basic_publish(body, exchange=exchange, routing_key=key, properties=properties, wait=False)


def nodes(hosts: Sequence[str], port: int) -> tuple[tuple[str, int], ...]:
    """Hosts as configured: a name or address, with its own port behind a colon where nodes share a machine."""
    found = []
    for host in hosts:
        name, colon, own = host.rpartition(":")
        alone = bool(colon) and own.isdigit() and ":" not in name
        found.append((name, int(own)) if alone else (host, port))
    return tuple(found)
