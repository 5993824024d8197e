"""SNMP through gufo-snmp: 60 us of CPU for a GET of 40 OIDs. Linux only, by its wheels."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    BaseAuthKey,
    BasePrivKey,
    DesKey,
    Md5Key,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    SnmpAuthError,
    SnmpEncodeError,
    SnmpError,
    SnmpVersion,
    User,
)
from gufo.snmp.aio import SnmpSession

from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_budget import budget_of
from tillwatch.agent.sources.snmp_client import REPETITIONS, ChunkedGet, SnmpTarget, no_answer, refused
from tillwatch.agent.sources.snmp_values import Raw

if TYPE_CHECKING:
    from gufo.snmp.policer import BasePolicer

REFRESH_SECONDS = 60
"""gufo-snmp keeps the engine's time as last heard and asks for a refresh after 150 s of silence (RFC 3414's window)."""
_FAILURES = (OSError, SnmpError, ValueError)  # TimeoutError is an OSError
_VERSIONS = {"1": SnmpVersion.v1, "2c": SnmpVersion.v2c, "3": SnmpVersion.v3}
_AUTHS: dict[str, type[BaseAuthKey]] = {
    "md5": Md5Key,
    "sha": Sha1Key,
    "sha224": Sha224Key,
    "sha256": Sha256Key,
    "sha384": Sha384Key,
    "sha512": Sha512Key,
}
_PRIVS: dict[str, type[BasePrivKey]] = {
    "des": DesKey,
    "aes": Aes128Key,
    "aes128": Aes128Key,
    "aes192": Aes192Key,
    "aes256": Aes256Key,
}


def _user(target: SnmpTarget) -> User:
    return User(
        target.user,
        auth_key=_AUTHS[target.auth](target.auth_key.encode()) if target.auth else None,
        priv_key=_PRIVS[target.priv](target.priv_key.encode()) if target.priv else None,
    )


async def _resolve(target: SnmpTarget) -> list[Any]:
    """An address needs no resolver, and so none of asyncio's threads, which once started stay for good."""
    try:
        # As bytes: for text Python loads its IDNA codec, whose tables are 0.5 MiB.
        return socket.getaddrinfo(
            target.host.encode(), target.port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        return await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)


class GufoClient:
    """An SnmpClient. The session opens with the first request, and anew after each failure: an SNMPv3 engine may have restarted."""

    def __init__(self, target: SnmpTarget) -> None:
        self._target = target
        self._session: SnmpSession | None = None
        self._heard = 0.0
        self.budget = budget_of(target.host, target.port)
        self._get = ChunkedGet(self._ask, self.budget)

    async def _open(self) -> SnmpSession:
        target = self._target
        if self._session and (target.version != "3" or time.monotonic() - self._heard < REFRESH_SECONDS):
            return self._session
        if not self._session:
            found = await _resolve(target)
            self._session = SnmpSession(
                str(found[0][4][0]),
                target.port,
                community=target.community,
                user=_user(target) if target.version == "3" else None,
                version=_VERSIONS[target.version],
                timeout=target.timeout,
                max_repetitions=REPETITIONS,
                policer=cast("BasePolicer", self.budget),  # only its wait() is called
            )
        if target.version == "3":
            await self._session.refresh()
        return self._session

    def _failed(self, error: Exception) -> SourceError:
        """One error for each way to fail."""
        self._session = None
        if isinstance(error, TimeoutError):
            return no_answer(self._target)
        if isinstance(error, SnmpAuthError):
            return refused(self._target)
        return SourceError(f"{self._target}: {error}; look at the host's name and the network")

    async def _ask(self, oids: list[str]) -> Mapping[str, Raw | None]:
        left = self._target.retries
        while True:
            try:
                session = await self._open()
                return await session.get_many(oids)
            except SnmpEncodeError:
                return {}  # more than its buffer of 4 KiB holds: as good as tooBig
            except TimeoutError:
                if not left:
                    self._session = None  # a late answer finds no socket any more
                    raise
                left -= 1

    async def get(self, oids: Sequence[str]) -> dict[str, Raw]:
        try:
            found = await self._get(oids)
        except _FAILURES as error:
            raise self._failed(error) from error
        self._heard = time.monotonic()
        return found

    async def walk(self, base: str, limit: int) -> dict[str, Raw]:
        """Starts again from the beginning when a request was not answered."""
        left = self._target.retries
        while True:
            try:
                found = await self._walk(base, limit)
            except TimeoutError as error:
                if not left:
                    raise self._failed(error) from error
                left -= 1
            except _FAILURES as error:
                raise self._failed(error) from error
            else:
                break
        self._heard = time.monotonic()
        self.budget.varbinds += len(found)
        return found

    async def _walk(self, base: str, limit: int) -> dict[str, Raw]:
        found: dict[str, Raw] = {}
        session = await self._open()
        async for oid, value in session.getnext(base) if limit == 1 else session.fetch(base):
            if oid in found:
                break  # an agent that goes in a circle
            if value is not None:
                found[oid] = value
            if len(found) >= limit:
                break
        return found

    async def close(self) -> None:
        self._session = None  # its socket closes with it
