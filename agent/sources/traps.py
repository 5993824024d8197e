"""Listens for SNMP traps and informs of the devices that are polled. Each is a hint that its device is worth reading now, and nothing else: what is
wrong is decided by the poll. Who sends is looked at before anything is decoded; addresses that belong to no device are only counted. Nobody can make the
agent work more than the bounds here allow.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tillwatch.agent.hint import Hint
from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_client import SnmpTarget
from tillwatch.agent.sources.trap_messages import MAX_MESSAGE, MessageError, Notice, read, version_of
from tillwatch.agent.transition import Condition

if TYPE_CHECKING:
    from tillwatch.agent.sources.traps_v3 import V3Receiver

log = logging.getLogger(__name__)

PORT = 162
BURST, RATE = 20, 1.0
"""Messages of one device that are read at once, and a second from then on: a UPS in trouble sends some ten within a minute."""
BURST_ALL, RATE_ALL = 60, 10.0
"""The same of all devices together: one takes 0.3 ms, of version 3 some 1 ms, and 16 ms where its sender is new."""
REPEAT_S = 60.0
"""What a device says again within that is no new hint; it repeats itself until somebody answers."""
MAX_REMEMBERED = 256
"""Messages that are remembered for that long."""
MAX_USERS = 8
"""SNMPv3 users, each with an engine of some 1.5 MiB. A bank has one, or one for each kind of device."""
RESOLVE_S = 3_600.0
RESOLVE_WITHIN_S = 10.0

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Sender:
    """A polled device and what may come from it: version 3 only where it is polled so, with the same user; else any of the communities."""

    name: str
    target: SnmpTarget
    hint: Hint


@dataclass(slots=True)
class _Tally:
    """What came from a device since the start."""

    count: int = 0
    last: str = ""


@dataclass(slots=True)
class Bucket:
    """Lets `burst` through at once and `rate` a second from then on. Times in seconds that rise."""

    burst: float
    rate: float
    left: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.left = self.burst

    def take(self, now: float) -> bool:
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class TrapSource:
    """A Source that never reads anything: its samples tell what came. The port is opened by the first poll and kept.

    senders: the devices. community: which traps of version 1 and 2c may carry beside the one that the device is polled with. Raises ValueError for
    more than MAX_USERS users of version 3.
    """

    classes = frozenset({PollClass.NORMAL})

    def __init__(
        self,
        name: str,
        senders: Sequence[Sender],
        *,
        listen: str = "0.0.0.0",  # noqa: S104 - devices send from outside
        port: int = PORT,
        community: str = "",
    ) -> None:
        self.name = name
        users = len({_credentials(sender.target) for sender in senders if sender.target.version == "3"})
        if users > MAX_USERS:
            raise ValueError(
                f"the devices are polled with {users} SNMPv3 users; traps of at most {MAX_USERS} can be read"
            )
        self._senders = tuple(senders)
        self._listen, self._port, self._community = listen, port, community
        self._transport: asyncio.DatagramTransport | None = None
        self._by_address: dict[str, list[Sender]] = {}
        self._resolved_at: float | None = None
        self._buckets: dict[str, Bucket] = {}
        self._all = Bucket(BURST_ALL, RATE_ALL)
        self._recent: dict[tuple[str, str], float] = {}
        self._tallies: dict[str, _Tally] = {}
        self._v3: dict[SnmpTarget, V3Receiver] = {}
        self._counts: Counter[str] = Counter()
        self._before: Counter[str] = Counter()
        self._why: dict[str, str] = {}
        self._troubles = {
            "foreign": Condition(log, f"{name}: no more traps from unknown addresses"),
            "refused": Condition(log, f"{name}: no more traps that cannot be believed"),
            "limited": Condition(log, f"{name}: no more traps than can be taken"),
        }

    @property
    def port(self) -> int:
        """Where it listens; another than was asked for where that was 0."""
        return int(self._transport.get_extra_info("sockname")[1]) if self._transport else self._port

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """What came until now. SourceError: the port cannot be had."""
        if wanted not in self.classes:
            return []
        await self._resolve()
        if self._transport is None or self._transport.is_closing():
            await self._open()
        for what, trouble in self._troubles.items():
            new = self._counts[what] - self._before[what]
            if new:
                trouble.begins(f"{self.name}: {self._why[what]}")
            else:
                trouble.ends()
        self._before = self._counts.copy()
        samples = [
            Sample(self.name, "trap.taken", self._counts["taken"]),
            Sample(self.name, "trap.refused", sum(self._counts[what] for what in self._troubles)),
        ]
        for device, tally in self._tallies.items():
            samples += [
                Sample(f"{self.name}/{device}", "trap.taken", tally.count),
                Sample(f"{self.name}/{device}", "trap.last", tally.last),
            ]
        return samples

    async def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()
        for receiver in self._v3.values():
            receiver.close()
        self._v3 = {}

    def received(self, data: bytes, address: Address, now: float) -> None:
        """One datagram. now: the loop's time."""
        host = _plain(address[0])
        senders = self._by_address.get(host)
        if senders is None:
            self._left(
                "foreign", f"traps come from {host}, which is no device of this configuration; they are not looked at"
            )
            return
        # The device's first, so that one that floods does not use up what is left for the others.
        if not self._buckets.setdefault(host, Bucket(BURST, RATE, at=now)).take(now) or not self._all.take(now):
            self._left("limited", f"more traps come from {host} than are taken ({RATE:g} a second); look at the device")
            return
        try:
            notice = self._read(data, address, senders)
        except MessageError as error:
            self._left("refused", f"a message from {host} is no trap that can be believed: {error}")
            return
        if notice is None:
            return
        if notice.answer:
            self._send(notice.answer, address)
        self._take(notice, senders, host, now)

    def _read(self, data: bytes, address: Address, senders: Sequence[Sender]) -> Notice | None:
        if len(data) > MAX_MESSAGE:
            raise MessageError(f"more than {MAX_MESSAGE} bytes")
        version = version_of(data)
        may = [sender for sender in senders if (sender.target.version == "3") == (version == "3")]
        if not may:
            raise MessageError(f"it comes in version {version}, the device is polled with {senders[0].target.version}")
        if version != "3":
            notice = read(data)
            if notice.community not in {self._community or None, *(sender.target.community for sender in may)}:
                raise MessageError("another community than the device is polled with; give it as [traps] community")
            return notice
        from tillwatch.agent.sources.traps_v3 import V3Receiver  # noqa: PLC0415 - 14 MiB, for devices of version 3 only

        error = MessageError("")
        for target in dict.fromkeys(_credentials(sender.target) for sender in may):
            if target not in self._v3:
                self._v3[target] = V3Receiver(target, self._send)
            try:
                return self._v3[target].receive(data, address)
            except MessageError as failed:
                error = failed
        raise error

    def _take(self, notice: Notice, senders: Sequence[Sender], host: str, now: float) -> None:
        text = str(notice)
        self._recent = {key: at for key, at in self._recent.items() if now - at < REPEAT_S}
        again = (host, text) in self._recent
        if again or len(self._recent) < MAX_REMEMBERED:
            self._recent[host, text] = now
        self._counts["taken"] += 1
        for sender in senders:
            tally = self._tallies.setdefault(sender.name, _Tally())
            tally.count += 1
            tally.last = text
            if not again:
                sender.hint.give()

    def _left(self, what: str, why: str) -> None:
        self._counts[what] += 1
        self._why[what] = why

    def _send(self, data: bytes, address: Address) -> None:
        if self._transport is not None:
            self._transport.sendto(data, address)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._transport, _ = await loop.create_datagram_endpoint(
                lambda: _Listener(self), local_addr=(self._listen, self._port)
            )
        except PermissionError as error:
            raise SourceError(
                f"port {self._port}: {error.strerror}; a service needs the drop-in tillwatch-agent-traps.conf, "
                "or take a port from 1024 on and set it in the devices"
            ) from error
        except OSError as error:
            raise SourceError(
                f"{self._listen}:{self._port}: {error.strerror}; does another trap receiver have the port?"
            ) from error

    async def _resolve(self) -> None:
        """The devices' addresses, once an hour. A name that is not known now keeps the address that it had."""
        loop = asyncio.get_running_loop()
        if self._resolved_at is not None and loop.time() - self._resolved_at < RESOLVE_S:
            return
        found = await asyncio.gather(*(_addresses(sender.target.host) for sender in self._senders))
        before, self._by_address = self._by_address, {}
        for sender, addresses in zip(self._senders, found, strict=True):
            kept = addresses or [host for host, senders in before.items() if sender in senders]
            for host in kept:
                self._by_address.setdefault(host, []).append(sender)
        if all(found):
            self._resolved_at = loop.time()


class _Listener(asyncio.DatagramProtocol):
    def __init__(self, source: TrapSource) -> None:
        self._source = source

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self._source.received(data, (str(addr[0]), int(addr[1])), asyncio.get_running_loop().time())


def _credentials(target: SnmpTarget) -> SnmpTarget:
    """The same for all devices that share a user: the keys are made once for them."""
    return SnmpTarget("*", 161, "3", "", target.user, target.auth, target.auth_key, target.priv, target.priv_key)


def _plain(host: str) -> str:
    """An IPv4 address as such where the socket speaks both, an IPv6 one without its zone."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


async def _addresses(host: str) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        async with asyncio.timeout(RESOLVE_WITHIN_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, TimeoutError):
        return []
    return list(dict.fromkeys(_plain(str(address[0])) for *_, address in found))
