"""What the agent may ask of an SNMP device: GET and walk, nothing else. There is no SET anywhere in the agent.

Two libraries stand behind the one protocol: gufo-snmp where it has wheels, pysnmp elsewhere (Windows). Neither is imported until it is used.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_budget import Budget
from tillwatch.agent.sources.snmp_values import Raw

SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
FIRST_SIZE = 20
"""OIDs in the first GET: old cards answer tooBig above about 10 variables, every other device takes 20."""
LARGEST_SIZE = 60
"""OIDs in the largest GET: with 20 bytes each, the request stays under one Ethernet frame."""
TRY_AGAIN = 1_000
"""Answers after which a limit is tried again: firmware is updated and paths change. At ten seconds a poll it is about once in an hour or two."""
REPETITIONS = 20
"""Rows of one GETBULK answer: about 1 kB, under every device's limit and every path's MTU."""
VERSIONS = ("1", "2c", "3")
AUTHS = ("", "md5", "sha", "sha224", "sha256", "sha384", "sha512")
PRIVS = ("", "des", "aes", "aes128", "aes192", "aes256")
"""Empty: none. `aes` is `aes128`, the only one that RFC 3826 knows; the longer ones extend the key as net-snmp does (Blumenthal)."""
MIN_KEY = 8
"""Characters of an SNMPv3 pass phrase (RFC 3414, 11.2)."""


@dataclass(frozen=True, slots=True)
class SnmpTarget:
    """A device and how to ask it. Wrong values raise ValueError, whose text names the field.

    version: `1`, `2c` or `3`. Version 3: user; auth (one of AUTHS) with auth_key, priv (one of PRIVS) with priv_key. authPriv is what to use.
    timeout in seconds, of one request; retries: how often one is asked again.
    """

    host: str
    port: int = 161
    version: str = "2c"
    community: str = field(default="public", repr=False)
    user: str = ""
    auth: str = ""
    auth_key: str = field(default="", repr=False)
    priv: str = ""
    priv_key: str = field(default="", repr=False)
    timeout: float = 5.0
    retries: int = 1

    def __post_init__(self) -> None:
        if not self.host:
            raise ValueError("host is empty: write the device's name or address")
        if not 0 < self.port < 65536:
            raise ValueError(f"port {self.port} is not one: write 1 to 65535, SNMP's own is 161")
        if self.version not in VERSIONS:
            raise ValueError(f"version {self.version!r} is not one of {', '.join(VERSIONS)}")
        if not 0 < self.timeout <= 60 or not 0 <= self.retries <= 5:
            raise ValueError("timeout must be above 0 and at most 60 s, retries 0 to 5")
        if self.version != "3":
            return
        if not self.user:
            raise ValueError("version 3 needs a user")
        if self.auth not in AUTHS or self.priv not in PRIVS:
            raise ValueError(f"auth must be one of {', '.join(AUTHS[1:])}, priv one of {', '.join(PRIVS[1:])}")
        if self.priv and not self.auth:
            raise ValueError("priv needs auth: SNMPv3 has no privacy without authentication")
        for name, protocol, key in (("auth_key", self.auth, self.auth_key), ("priv_key", self.priv, self.priv_key)):
            if protocol and len(key) < MIN_KEY:
                raise ValueError(f"{name} must have at least {MIN_KEY} characters (RFC 3414)")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port} (SNMPv{self.version})"


class SnmpClient(Protocol):
    """One device. Calls come one at a time. All raise SourceError when the device does not answer or does not let us in.

    get: any number of OIDs; what the device does not have is not in the answer. walk: everything beneath `base`, which may be the OID itself, at
    most `limit` values. close: may be called at any time, also twice. budget: what was asked, counted request by request as they leave.
    """

    budget: Budget

    async def get(self, oids: Sequence[str]) -> dict[str, Raw]: ...

    async def walk(self, base: str, limit: int) -> dict[str, Raw]: ...

    async def close(self) -> None: ...


class ChunkedGet:
    """Splits long GETs and finds by itself how much a device takes at once; it remembers that for as long as the client lives.

    `ask` sends one request and gives what came, None for what is not there; nothing at all means that the request was refused as a whole: tooBig, or in SNMPv1 noSuchName for
    any one OID. sysUpTime goes along each time, because every agent has it: an answer of none is then always a refusal. A refused request is split;
    where no single OID was refused, it had been too big, and `size` is what was taken instead. An answer to a full request lets `size` grow towards
    the least that is known to be too big. TimeoutError from `ask` for more than was ever answered is taken as too big as well: some cards are silent then.
    """

    def __init__(self, ask: Callable[[list[str]], Awaitable[Mapping[str, Raw | None]]], budget: Budget) -> None:
        self._ask = ask
        self._budget = budget
        self.size = FIRST_SIZE
        self._proven = 0
        self._too_big = LARGEST_SIZE + 1
        self._answers = 0
        self._refused_alone = 0

    async def __call__(self, oids: Sequence[str]) -> dict[str, Raw]:
        wanted = list(dict.fromkeys(oids))
        if 0 < len(wanted) <= self.size:
            return await self._some(wanted)
        found: dict[str, Raw] = {}
        while wanted:
            size = self.size
            found |= await self._some(wanted[:size])
            wanted = wanted[size:]
        return found

    async def _some(self, oids: list[str]) -> dict[str, Raw]:
        count = len(oids)
        asked = oids if SYS_UPTIME in oids else [SYS_UPTIME, *oids]
        self._budget.varbinds += len(asked)
        silent = False
        try:
            answer = await self._ask(asked)
        except TimeoutError:
            silent = 0 < self._proven < count
            if not silent:
                raise
            answer = {}
        found = {oid: value for oid in oids if (value := answer.get(oid)) is not None}
        if found or answer.get(SYS_UPTIME) is not None:
            self._answered(count)
            return found
        if count == 1:
            self._refused_alone += 1
            return {}
        half = (count + 1) // 2
        piece = self._proven if silent or half < self._proven < count else half
        alone = self._refused_alone
        for start in range(0, count, piece):
            found |= await self._some(oids[start : start + piece])
        if silent or alone == self._refused_alone:
            self._too_big = min(self._too_big, count)
            self.size = min(self.size, piece)
        return found

    def _answered(self, count: int) -> None:
        self._proven = max(self._proven, count)
        self._answers += 1
        if self._answers >= TRY_AGAIN:
            self._answers, self._too_big = 0, LARGEST_SIZE + 1
        if count >= self.size:
            self.size = max(self.size, min(2 * self.size, (self.size + self._too_big) // 2))


def no_answer(target: SnmpTarget) -> SourceError:
    """One text for both libraries. A device that does not know the community is silent as well."""
    secret = "user and keys" if target.version == "3" else "community"
    return SourceError(
        f"{target}: no answer within {target.timeout:g} s, asked {target.retries + 1} times; look at power, network, SNMP access list and {secret}"
    )


def refused(target: SnmpTarget) -> SourceError:
    """The device answers, and does not let this user in."""
    return SourceError(
        f"{target}: the device refuses user {target.user!r}; look at its auth and priv protocols and keys"
    )


def open_client(target: SnmpTarget) -> SnmpClient:
    """Sends nothing yet. Raises SourceError where no SNMP library is installed."""
    if importlib.util.find_spec("gufo") and importlib.util.find_spec("gufo.snmp"):
        from tillwatch.agent.sources.snmp_gufo import GufoClient  # noqa: PLC0415 - imported where an SNMP device is configured

        return GufoClient(target)
    if importlib.util.find_spec("pysnmp"):
        from tillwatch.agent.sources.snmp_pysnmp import PysnmpClient  # noqa: PLC0415 - 25 MB, only where gufo-snmp has no wheels

        return PysnmpClient(target)
    raise SourceError("no SNMP library: install gufo-snmp (Linux) or pysnmp")
