"""Reads a self-service terminal's own devices over XFS4IoT: finds the services through their publishers, and asks each for its capabilities, its status and
its storage. Read-only by the rules of xfs_link.py; whatever a service says unasked is a hint that leads to a poll.

A service that does not answer is asked less and less often. One that is lost while it is being asked three times running is left alone for a day: a
watcher must never be what ends it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tillwatch.agent.model import PollClass, Sample
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.xfs_link import (
    CAPABILITIES,
    GET_SERVICES,
    GET_STORAGE,
    STATUS,
    VERSIONS,
    Address,
    LostError,
    RefusedError,
    XfsError,
    XfsLink,
)
from tillwatch.agent.sources.xfs_map import Unread, identity, plain, status, unreadable, versions, worst
from tillwatch.agent.sources.xfs_storage import MAX_UNITS, RejectRate, units
from tillwatch.agent.transition import Condition

log = logging.getLogger(__name__)

PORTS = tuple(range(5846, 5857))
"""Each maker's publisher binds the next one that is free; all of them are looked at. Before them 80 without TLS and 443 with it."""
ROOT = "/xfs4iot/v1.0/"
POLL_S = 120.0
AT_ONCE = 3
"""Services that are asked at a time."""
MAX_SERVICES = 32
"""An ATM with everything has some 15."""
SPACING_S = 30.0
"""Seconds between two polls that events ask for: a dispense alone changes the status some ten times."""
BACKOFF_S, BACKOFF_MOST_S = 30.0, 900.0
"""After an error, doubled each time."""
LOST_S = 300.0
MAX_LOST = 3
LEFT_ALONE_S = 86_400.0

_URI = re.compile(
    r"(wss?)://(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(?::(\d{1,5}))?(/xfs4iot/v1\.0/([A-Za-z0-9_.-]{1,40}))/?"
)
_OTHER_VERSION = {"unsupportedCommand", "invalidCommand"}


@dataclass(slots=True)
class _Service:
    """given: what the last good poll gave, as (component, signal) and unit."""

    name: str
    address: Address
    trouble: Condition
    link: XfsLink | None = None
    known: dict[str, frozenset[str]] = field(default_factory=dict)
    who: list[Sample] = field(default_factory=list)
    rates: dict[str, RejectRate] = field(default_factory=dict)
    given: dict[tuple[str, str], str] = field(default_factory=dict)
    failures: int = 0
    lost: int = 0
    not_before: float = 0.0

    async def close(self) -> None:
        link, self.link = self.link, None
        if link is not None:
            await link.close()

    def missing(self) -> list[Sample]:
        return [unreadable(component, signal, unit) for (component, signal), unit in self.given.items()]


class XfsSource:
    """A Source. host: where the publishers run, this machine as a rule. port: the only one to look at, 0 for all. tls: None for ws.

    hinted: called when a service says that something changed.
    """

    classes = frozenset({PollClass.NORMAL, PollClass.SLOW})

    def __init__(
        self,
        name: str,
        host: str,
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        hinted: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._host, self._tls, self._hinted = host, tls, hinted
        self._ports = (port,) if port else (443 if tls else 80, *PORTS)
        self._services: dict[str, _Service] = {}
        self._maker = ""
        self._failures = 0
        self._not_before = 0.0
        self._why = ""

    async def poll(self, wanted: PollClass) -> list[Sample]:
        """NORMAL: status and storage. SLOW: looks for services anew, and who they are. SourceError: there is no publisher, or no service answers."""
        try:
            async with asyncio.timeout(POLL_S):
                if wanted is PollClass.SLOW or not self._services:
                    await self._discover()
                if wanted is PollClass.SLOW and (known := self._who()):
                    return known
                samples = await self._poll()
                return self._who() if wanted is PollClass.SLOW else samples
        except TimeoutError:
            raise SourceError(f"XFS4IoT services did not answer within {POLL_S:g} s") from None

    async def close(self) -> None:
        for service in self._services.values():
            await service.close()

    async def _poll(self) -> list[Sample]:
        turns, unread = asyncio.Semaphore(AT_ONCE), Unread()
        services = list(self._services.values())

        async def asked(service: _Service) -> list[Sample] | None:
            async with turns:
                return await self._ask(service, unread)

        answers = await asyncio.gather(*(asked(service) for service in services))
        left = sum(answer is None for answer in answers)
        if left == len(services):
            raise SourceError(services[0].trouble.text.removeprefix(f"{self.name}: "))
        samples: list[Sample] = []
        for service, answer in zip(services, answers, strict=True):
            samples += service.missing() if answer is None else answer
        counts = (Sample(self.name, "atm.services", len(services)), Sample(self.name, "atm.services.left", left))
        return [*counts, *unread.samples(self.name), *worst(samples)]

    def _who(self) -> list[Sample]:
        """What the services said of themselves when they were reached; empty before."""
        said = [sample for service in self._services.values() for sample in service.who]
        return [Sample(self.name, "identity.maker", self._maker), *said] if self._maker else said

    async def _ask(self, service: _Service, unread: Unread) -> list[Sample] | None:
        """None: it was not asked, or did not answer."""
        now = asyncio.get_running_loop().time()
        if now < service.not_before:
            return None
        try:
            samples = await self._answers(service, unread)
        except XfsError as error:
            await self._failed(service, error, now)
            return None
        except Exception as error:  # a fault here takes no other service with it
            if not service.trouble.text:
                log.exception("%s: %s: a fault in the source", self.name, service.name)
            await self._failed(service, XfsError(f"{type(error).__name__} over its answer"), now)
            return None
        service.failures = service.lost = 0
        service.trouble.ends()
        service.given = {
            (sample.component, sample.signal): sample.unit
            for sample in samples
            if not sample.signal.startswith("identity.")
        }
        return samples

    async def _answers(self, service: _Service, unread: Unread) -> list[Sample]:
        component = f"{self.name}/{service.name}"
        if service.link is None or not service.link.is_open:
            await service.close()
            service.link = await XfsLink.open(service.address, self._hinted)
            capabilities = await _first(service.link, CAPABILITIES)
            service.known = versions(capabilities)
            service.who = list(identity(component, capabilities))
        samples = list(status(component, await service.link.ask(STATUS, _version(service, STATUS)), unread))
        if GET_STORAGE in service.known:
            payload = await service.link.ask(GET_STORAGE, _version(service, GET_STORAGE))
            samples += units(component, payload, service.rates, unread)
            if len(service.rates) > MAX_UNITS:
                service.rates.clear()  # units that are called otherwise at each poll
        return samples

    async def _failed(self, service: _Service, error: XfsError, now: float) -> None:
        text = f"{self.name}: {service.name}: {error}"
        if not isinstance(error, RefusedError):
            await service.close()
        if isinstance(error, LostError):
            service.lost += 1
            service.not_before = now + (LEFT_ALONE_S if service.lost >= MAX_LOST else LOST_S)
            if service.lost >= MAX_LOST:
                # Not on the transition alone: this one is new, and somebody must look.
                log.error("%s while it was asked, %d times running; it is left alone for a day", text, service.lost)
        else:
            service.not_before = now + min(BACKOFF_S * 2**service.failures, BACKOFF_MOST_S)
            service.failures += 1
        service.trouble.begins(text)

    async def _discover(self) -> None:
        """Raises SourceError where no publisher is found and no service is known."""
        now = asyncio.get_running_loop().time()
        if now < self._not_before:
            if self._services:
                return
            raise SourceError(self._why)
        found: dict[str, Address] = {}
        silent: list[str] = []
        reasons: list[str] = []
        for port in self._ports:
            try:
                payload = await self._published(port)
            except XfsError as error:
                silent.append(str(error))
                continue
            self._maker = plain(payload.get("vendorName")) or self._maker
            found |= self._listed(payload, port, reasons)
        if not found:
            self._not_before = now + min(BACKOFF_S * 2**self._failures, BACKOFF_MOST_S)
            self._failures += 1
            self._why = f"no XFS4IoT service is published on {self._host}, ports {self._ports[0]} to {self._ports[-1]}: {(reasons or silent)[-1]}"
            if not self._services:
                raise SourceError(self._why)
            return
        self._failures = 0
        await self._keep(found)

    async def _published(self, port: int) -> Mapping[str, Any]:
        link = await XfsLink.open(Address(self._host, port, ROOT, self._tls))
        try:
            return await _first(link, GET_SERVICES)
        finally:
            await link.close()

    def _listed(self, payload: Mapping[str, Any], port: int, reasons: list[str]) -> dict[str, Address]:
        """The services of one publisher, on the host that is configured: where else its answer points to is not followed."""
        found: dict[str, Address] = {}
        services = payload.get("services")
        for entry in services[:MAX_SERVICES] if isinstance(services, list) else ():
            uri = entry.get("serviceURI") if isinstance(entry, Mapping) else None
            match = _URI.fullmatch(uri) if isinstance(uri, str) else None
            if match is None:
                reasons.append(f"port {port} publishes a service whose address is none of XFS4IoT")
                continue
            secure, own, path, name = match.groups()
            where = int(own or (443 if secure == "wss" else 80))
            if (secure == "wss") != (self._tls is not None) or where not in {port, *self._ports}:
                reasons.append(
                    f"port {port} publishes {name} on port {where} with {secure}, which is not what is configured"
                )
                continue
            found[name] = Address(self._host, where, f"{path}/", self._tls)
        if not services:
            reasons.append(f"port {port} publishes no service")
        return found

    async def _keep(self, found: Mapping[str, Address]) -> None:
        for name in [name for name, service in self._services.items() if found.get(name) != service.address]:
            await self._services.pop(name).close()
        for name, address in list(found.items())[:MAX_SERVICES]:
            if name not in self._services:
                trouble = Condition(log, f"{self.name}: {name} can be read again")
                self._services[name] = _Service(name, address, trouble)


def _version(service: _Service, command: str) -> str:
    known = service.known.get(command, frozenset())
    return next((version for version in VERSIONS if version in known), VERSIONS[0])


async def _first(link: XfsLink, command: str) -> Mapping[str, Any]:
    """The first question to a service, whose versions are not known yet."""
    for version in VERSIONS[:-1]:
        try:
            return await link.ask(command, version)
        except RefusedError as error:
            if error.code not in _OTHER_VERSION:
                raise
    return await link.ask(command, VERSIONS[-1])
