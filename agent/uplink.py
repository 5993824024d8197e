"""Carries the sealed batches to the collector, for as long as it takes. Connects with back-off, says where the stream stands, sends
what the window says and believes only acks that a pinned key of the collector has signed. The spool loses a batch on such an ack alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tillwatch.agent import clock, identity
from tillwatch.agent.identity import Broker, Identity
from tillwatch.agent.mqtt import Link, LinkError, TurnedAwayError
from tillwatch.agent.protection import ProtectionError, passphrase_of
from tillwatch.agent.settings import CollectorConfig, ConfigError, loopback
from tillwatch.agent.spool import Notice, Spool, SpoolFullError
from tillwatch.agent.transition import Condition
from tillwatch.agent.window import Action, Discard, NewEpoch, Offer, Send, SendLife, Window
from tillwatch.agent.wire import (
    Ack,
    AckState,
    Life,
    WireError,
    ack_topic,
    batch_topic,
    life_topic,
    open_ack,
    seal_life,
)

log = logging.getLogger(__name__)

BACKOFF_FIRST = 1.0
BACKOFF_MOST = 300.0
"""Seconds. Full jitter between 0 and a bound that doubles from the first to the most, so that a broker's restart does not line up a fleet."""
FIRST_FLUSH = 3.0
"""Seconds, at most and at random, between saying where the stream stands and sending what waits."""
PATIENCE = 60.0
"""Seconds on one connection from the first ack that is missed, before a new one is made: a broker may drop what comes over a connection and keep it open (RabbitMQ 3.10
where it cannot ask about a right at that moment). Doubles each time without an ack: a collector that is away is not what a new connection mends.
"""
MOST_PATIENCE = 3_600.0
MAX_ACKS = 64
"""Acks that wait to be handled. They are cumulative: the newest says it all."""
TLS_BUFFER = 32 * 1024
"""Bytes that asyncio reserves for one TLS connection; its default of 256 KiB is resident memory for acks of 200 bytes."""


def where_to(config: CollectorConfig, enrolled: Broker) -> Broker:
    """The broker: what the enrolment said, where the configuration does not say otherwise."""
    host = config.host or enrolled.host
    tls = enrolled.tls if config.tls is None else config.tls
    if not tls and not loopback(host):
        raise ConfigError(f"[collector] tls = false is for this machine itself only, not for {host}; set tls = true")
    return Broker(host, config.port or enrolled.port, tls)


def tls_context(config: CollectorConfig, state_dir: Path) -> ssl.SSLContext:
    """Believes the pinned CA alone and shows this terminal's certificate. Raises ConfigError naming the file."""
    ca = config.ca or state_dir / identity.CA_CERT
    cert = config.cert or state_dir / identity.TLS_CERT
    key = config.key or state_dir / identity.TLS_KEY
    # Not create_default_context: it would load the system's CAs, which have no say here and cost 1 MiB.
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for file in (ca, cert, key):
        if not file.is_file():
            raise ConfigError(f"{file}: missing; enrol this terminal, or name the file in [collector]")
    try:
        context.load_verify_locations(ca)
        context.load_cert_chain(cert, key, passphrase_of(key, identity.protector()))
    except (OSError, ssl.SSLError, ProtectionError) as error:
        raise ConfigError(f"{ca}, {cert}, {key}: not usable for TLS: {error}") from None
    return context


class _Context(ssl.SSLContext):
    """A host's name that is ASCII goes to OpenSSL as it stands: as text, ssl would load the IDNA codec, 0.5 MiB of tables that change nothing."""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,  # noqa: FBT001, FBT002 - ssl's own signature
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        if isinstance(server_hostname, str) and server_hostname.isascii():
            server_hostname = server_hostname.encode("ascii")
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def small_tls_buffers() -> None:
    """For the whole process, before the first TLS connection."""
    import asyncio.sslproto  # noqa: PLC0415 - asyncio loads it anyway with ssl

    asyncio.sslproto.SSLProtocol.max_size = TLS_BUFFER


class Listener(Protocol):
    """What takes the collector's commands or bundles, where the operator lets it. Called from the loop's own thread, and none of it waits: `heard` with each
    message on `topic`, `ready` once and again after the collector has answered on a connection, `lost` at its end.
    """

    topic: str

    def heard(self, payload: bytes) -> None: ...

    def ready(self) -> None: ...

    def lost(self) -> None: ...


class Uplink:
    """One per spool. `run` ends on cancellation only; `wake` after each sealing. on_new_epoch: called when there are batches to be sealed again."""

    def __init__(
        self,
        who: Identity,
        spool: Spool,
        broker: Broker,
        tls: ssl.SSLContext | None,
        reference: clock.Reference | None = None,
    ) -> None:
        self._who, self._spool, self._broker, self._tls = who, spool, broker, tls
        self._reference = reference or clock.Reference()
        self.on_new_epoch: Callable[[], None] = lambda: None
        self.listeners: list[Listener] = []
        """A topic that nobody of them listens to is not even subscribed to."""
        self._window: Window | None = None
        self._link: Link | None = None
        self._woken = asyncio.Event()
        self.drained = asyncio.Event()
        """Set while the collector has stored all that is sealed."""
        self._heard: deque[bytes] = deque(maxlen=MAX_ACKS)
        self._attempt = self._given_up = 0
        self._presenting = self._renewed = False
        self._unreachable = Condition(log, f"connected to {broker.host}:{broker.port}")
        self._turned_away = Condition(log, "the broker lets this terminal in again")
        self._overdue = Condition(log, "the collector acknowledges again")
        self._halted = Condition(log, "the collector accepts this terminal again")
        self._refusing = Condition(log, "the collector takes batches again")
        self._false = Condition(log, "acks are genuine again")
        self._deaf = Condition(log, "the broker lets what the collector says through")
        self._resent = 0
        self.bad_acks = 0

    @property
    def tls(self) -> bool:
        return self._tls is not None

    @property
    def pace(self) -> int:
        """How many times longer than configured the seal interval is to be."""
        return self._window.pace if self._window else 1

    @property
    def min_interval(self) -> float:
        """Seconds that the collector wants between seals."""
        return self._window.min_interval if self._window else 0.0

    @property
    def sampling(self) -> float:
        """Times its own interval at which the collector wants what is ordinary to be read."""
        return self._window.sampling if self._window else 1.0

    @property
    def resent(self) -> int:
        """Batches sent again since the start."""
        return self._resent + (self._window.resent if self._window else 0)

    @property
    def greeted(self) -> bool:
        """Whether the collector has answered on this connection."""
        return self._window is not None and self._window.greeted

    @property
    def latency(self) -> float:
        """Seconds from sending a batch to its ack, of the last one."""
        return self._window.latency if self._window else 0.0

    @property
    def connected(self) -> bool:
        return self._window is not None and self._window.connected

    def wake(self) -> None:
        """The spool has changed."""
        self.drained.clear()
        self._woken.set()

    def renew(self, who: Identity, tls: ssl.SSLContext | None) -> None:
        """Another key of the same terminal seals from now on: say so on a new connection, under the new certificate."""
        self._who, self._tls = who, tls
        self._presenting = self._renewed = True
        self._woken.set()

    async def run(self) -> None:
        while True:
            bound = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(self._attempt, 16))
            await asyncio.sleep(random.uniform(0, bound))  # noqa: S311 - spreads load, hides nothing
            self._attempt += 1
            try:
                await self._connection()
            except TurnedAwayError as error:
                self._turned_away.begins(
                    f"{error}: the broker does not let this terminal in; see tillwatch-agent doctor; what is read waits in the spool"
                )
            except LinkError as error:
                self._unreachable.begins(f"{error}; what is read waits in the spool")
            except SpoolFullError as error:
                self._unreachable.begins(str(error))

    async def goodbye(self) -> None:
        """Say offline and close, so that the broker need not send the will. For a clean stop, after `run` has been cancelled."""
        if self._link is not None and not self._link.lost.is_set():
            with contextlib.suppress(LinkError, SpoolFullError):
                self._link.publish(life_topic(self._who.terminal), self._life("offline", self._spool.next_life()))
            await self._link.close()

    async def _connection(self) -> None:
        """One connection, from birth to loss."""
        terminal, spool = self._who.terminal, self._spool
        window, birth = self._begin()
        link = self._link = await Link.connect(
            self._broker.host,
            self._broker.port,
            client_id=terminal,
            tls=self._tls,
            will=(life_topic(terminal), self._life("offline", birth)),
            subscribe=ack_topic(terminal),
            on_message=self._hear,
            also=[each.topic for each in self.listeners],
        )
        if link.denied:
            self._deaf.begins(
                f"the broker does not let this terminal hear {' and '.join(link.denied)}; write its access list anew: tillwatch-collector broker-config"
            )
        else:
            self._deaf.ends()
        self._unreachable.ends()
        self._turned_away.ends()
        try:
            link.publish(life_topic(terminal), self._life("online", birth))
            await self._wait(FIRST_FLUSH * random.random(), link.lost)  # noqa: S311 - spreads load, hides nothing
            await self._serve(link, window)
        except (LinkError, SpoolFullError):
            await link.close()
            raise
        finally:
            for each in self.listeners:
                each.lost()
            window.disconnect()
            spool.offering = False
        await link.close()

    def _begin(self) -> tuple[Window, int]:
        """What a connection begins with: the stream of the spool's epoch, and the number of the birth."""
        spool = self._spool
        if self._window is None or self._window.epoch != spool.epoch:
            self._resent = self.resent
            self._window = Window(spool.epoch, max(spool.acked + 1, spool.floor), spool.next_seq, spool.offered)
        self._window.sealed(spool.next_seq, spool.floor, 0.0)
        self._renewed = False
        self._heard.clear()
        self._reference.connected()
        return self._window, spool.next_life()

    async def _serve(self, link: Link, window: Window) -> None:
        """Until the link is lost (LinkError), or a new epoch begins or another key seals (returns)."""
        loop = asyncio.get_running_loop()
        window.connect(loop.time())
        while not link.lost.is_set():
            if self._renewed:
                return
            self._woken.clear()
            settled = self._turn(link, window, loop.time())
            if self._spool.epoch != window.epoch:
                self.on_new_epoch()
                return
            if window.overdue:
                self._overdue.begins(
                    "no ack from the collector for 30 s: it is down, or the broker drops what this terminal publishes"
                )
                self._give_up(window, loop.time())
            if window.base == window.end:
                self.drained.set()
            else:
                self.drained.clear()
            if not settled:
                seconds = None if window.deadline is None else max(window.deadline - loop.time(), 0.0)
                await self._wait(seconds, link.lost, self._woken)
        raise LinkError(f"broker {self._broker.host}:{self._broker.port}: the connection was lost")

    def _give_up(self, window: Window, now: float) -> None:
        """Raises LinkError where nothing has been acknowledged on this connection for too long."""
        silent = now - (now if window.overdue_since is None else window.overdue_since)
        if silent >= min(PATIENCE * 2.0 ** min(self._given_up, 16), MOST_PATIENCE):
            self._given_up += 1
            raise LinkError(f"nothing was acknowledged over this connection for {silent:.0f} s more: connecting anew")

    def _turn(self, link: Link, window: Window, now: float) -> bool:
        """Everything that is due, up to the end of the epoch; whether a batch was settled."""
        settled = False
        actions = window.sealed(self._spool.next_seq, self._spool.floor, now)
        while self._heard:
            actions += self._acked(window, self._heard.popleft(), now)
        actions += window.tick(now)
        while actions and self._spool.epoch == window.epoch:
            action, *actions = actions
            actions += self._carry_out(link, window, action, now)
            settled = settled or isinstance(action, Discard)
        if window.greeted and self._spool.epoch == window.epoch:
            for each in self.listeners:
                each.ready()
        return settled

    def _carry_out(self, link: Link, window: Window, action: Action, now: float) -> list[Action]:
        """What follows from it at once."""
        terminal, spool = self._who.terminal, self._spool
        match action:
            case Send(seq):
                # None: dropped meanwhile. The collector will ask for it and be told the floor.
                if seq >= spool.offered:
                    spool.offer()
                if (payload := spool.read(seq)) is not None:
                    link.publish(batch_topic(terminal), payload)
            case SendLife():
                link.publish(life_topic(terminal), self._life("online", spool.next_life()))
            case Offer():
                # Where it cannot be written down the batches wait; the next life message is the next try.
                with contextlib.suppress(SpoolFullError):
                    spool.offer()
                    spool.offering = True
                    return window.offered_now(now)
            case Discard(seq, refused):
                for number, reason in refused:
                    self._refusing.begins(
                        f"the collector refused batch {number}: {reason}; it is kept in the spool, see `tillwatch-agent show`"
                    )
                # Where the disk is full the batch stays and is sent once more after a restart: a duplicate, not a loss.
                with contextlib.suppress(SpoolFullError):
                    spool.ack(seq, refused)
            case NewEpoch(why, stored, rolled_back):
                if rolled_back:
                    why = self._went_back(why)
                spool.begin_epoch(why, stored)
                if rolled_back:
                    spool.notices.append(Notice("agent.spool.rolled-back", why))
                log.error(
                    "%s; a new epoch begins. Is this terminal's disk a copy of another's, restored from a backup, or behind a write filter?",
                    why,
                )
        return []

    def _went_back(self, why: str) -> str:
        cause = (
            "what was written before the last start of the machine is gone: a write filter discards it, or the disk was restored"
            if self._spool.rebooted
            else "the spool was replaced by an older copy"
        )
        return f"{cause} ({why})"

    def _acked(self, window: Window, payload: bytes, now: float) -> list[Action]:
        try:
            ack = open_ack(self._who.terminal, payload, self._who.ack_keys.get)
        except WireError as error:
            self.bad_acks += 1
            self._false.begins(
                f"an ack that is not the collector's was ignored ({error}); someone else may publish on the broker"
            )
            return []
        self._attempt = self._given_up = 0
        self._reference.heard(ack.time)
        self._false.ends()
        if ack.epoch != window.epoch:
            return []
        actions = window.acked(ack, now, self._own_digest(ack))
        if ack.state is AckState.ENROL:
            if self._presenting or not self._who.rotations:
                self._halted.begins(
                    "the collector does not know this terminal's key; enrol it again: tillwatch-agent enrol --force TOKEN; "
                    "what is read waits in the spool"
                )
            self._presenting = True
        else:
            self._presenting = False
            self._halted.ends()
        if not window.overdue:
            self._overdue.ends()
        if ack.state is AckState.OK:
            self._refusing.ends()
        return actions

    def _own_digest(self, ack: Ack) -> bytes:
        if not ack.digest:
            return b""
        try:
            return self._spool.digest(ack.seq)
        except (SpoolFullError, WireError):
            return b""

    def _hear(self, topic: str, payload: bytes) -> None:
        for each in self.listeners:
            if topic == each.topic:
                each.heard(payload)
                return
        self._heard.append(payload)
        self._woken.set()

    def _life(self, state: str, n: int) -> bytes:
        spool = self._spool
        return seal_life(
            self._who.key,
            Life(
                terminal=self._who.terminal,
                key=self._who.key.key_id,
                epoch=spool.epoch,
                floor=spool.floor,
                next=spool.next_seq,
                lost=spool.lost,
                boot=clock.boot_id(),
                up=clock.uptime_ms(),
                now=clock.now(),
                n=n,
                state=state,
                # A will stays short: some brokers take few bytes of it, and it is of a connection that presented them.
                rotations=self._who.rotations if self._presenting and state == "online" else (),
            ),
        )

    async def _wait(self, seconds: float | None, *events: asyncio.Event) -> None:
        """Until the time is over or one of the events is set."""
        waiters = [asyncio.ensure_future(event.wait()) for event in events]
        try:
            await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
