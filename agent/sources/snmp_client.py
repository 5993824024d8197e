"""What the agent may ask of an SNMP device: GET and walk, nothing else. There is no SET anywhere in the agent.

Two libraries stand behind the one protocol: gufo-snmp where it has wheels, pysnmp elsewhere (Windows). Neither is imported until it is used.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_values import Raw

SYS_UPTIME = "1.3.6.1.2.1.1.3.0"
FIRST_SIZE = 20
"""OIDs in the first GET: old cards answer tooBig above about 10 variables, every other device takes 20."""
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
    most `limit` values. close: may be called at any time, also twice.
    """

    async def get(self, oids: Sequence[str]) -> dict[str, Raw]: ...

    async def walk(self, base: str, limit: int) -> dict[str, Raw]: ...

    async def close(self) -> None: ...


class ChunkedGet:
    """Splits long GETs and finds by itself how much a device takes at once.

    `ask` sends one request and gives what came; nothing at all means that the request was refused as a whole: tooBig, or in SNMPv1 noSuchName for
    any one OID. sysUpTime goes along each time, because every agent has it: an answer of none is then always a refusal. A refused request is halved;
    where the halves have everything, it had been too big, and the size stays halved.
    """

    def __init__(self, ask: Callable[[list[str]], Awaitable[dict[str, Raw]]]) -> None:
        self._ask = ask
        self.size = FIRST_SIZE

    async def __call__(self, oids: Sequence[str]) -> dict[str, Raw]:
        wanted = list(dict.fromkeys(oids))
        found: dict[str, Raw] = {}
        while wanted:
            size = self.size
            found |= await self._some(wanted[:size])
            wanted = wanted[size:]
        return found

    async def _some(self, oids: list[str]) -> dict[str, Raw]:
        answer = await self._ask(oids if SYS_UPTIME in oids else [SYS_UPTIME, *oids])
        if answer or len(oids) == 1:
            return {oid: answer[oid] for oid in oids if oid in answer}
        half = (len(oids) + 1) // 2
        both = await self._some(oids[:half]) | await self._some(oids[half:])
        if len(both) == len(oids):
            self.size = min(self.size, half)
        return both


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
