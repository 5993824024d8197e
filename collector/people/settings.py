"""What the configuration says of the console: where it answers, who may look without signing in, how long sessions last, and an identity provider."""
# ruff: noqa: RUF009 - setting() makes a dataclasses.field, which is what the rule wants to see

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tillwatch.collector import values
from tillwatch.collector.people.accounts import AccountError, scope_of
from tillwatch.collector.people.roles import Role, Scope
from tillwatch.collector.values import setting

LONGEST_S = 7 * 86_400.0
"""Of a person's session: who was dismissed last week must not be signed in still."""


def _roles(value: Any) -> tuple[Role, ...]:
    known = ", ".join(Role)
    if isinstance(value, list) and all(one in list(Role) for one in value):
        return tuple(Role(one) for one in value)
    raise ValueError(f'write a list of roles, for example ["administrator"]; known: {known}')


def _text_list(value: Any) -> tuple[str, ...]:
    if isinstance(value, list) and all(
        isinstance(one, str) and 0 < len(one) <= 120 and one.isprintable() for one in value
    ):
        return tuple(value)
    raise ValueError('write a list of texts, for example ["openid", "profile"]')


def _session(value: Any) -> float:
    seconds = values.duration(value)
    if not 60 <= seconds <= LONGEST_S:
        raise ValueError('write from "1m" to "7d"')
    return seconds


@dataclass(frozen=True, slots=True)
class Claim:
    """Who has this value among those of this claim is that, for that part of the fleet."""

    claim: str
    value: str
    role: Role
    scope: Scope = field(default_factory=Scope)


def _claims(value: Any) -> tuple[Claim, ...]:
    mend = 'write a list of tables, such as [{ claim = "groups", value = "tellers-it", role = "technician", regions = ["North"] }]'
    if not isinstance(value, list):
        raise ValueError(mend)  # noqa: TRY004 - as every setting is refused
    found = []
    for row in value:
        if not isinstance(row, dict) or not {"claim", "value", "role"} <= row.keys() <= {
            "claim",
            "value",
            "role",
            "regions",
            "branches",
        }:
            raise ValueError(mend)
        if row["role"] not in list(Role):
            raise ValueError(f"{str(row['role'])[:30]!r} is no role; known: {', '.join(Role)}")
        try:
            scope = scope_of(_text_list(row.get("regions", [])), _text_list(row.get("branches", [])))
        except AccountError as error:
            raise ValueError(str(error)) from None
        if row["role"] == Role.ADMINISTRATOR and not scope.whole:
            raise ValueError("an administrator has no regions and no branches")
        found.append(Claim(values.text(row["claim"]), values.text(row["value"]), Role(row["role"]), scope))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class ConsoleSection:
    """names: host names under which browsers reach it from other machines; certificate, key: PEM files of what it shows them. anonymous: who is on this
    machine looks without signing in, even where there are accounts. session_idle, session_length: how long (s) a session lasts without a sign of life,
    and at most; sessions: of one person at once; totp: roles that need a second factor. rate: requests a second of one session or token.
    """

    host: str = setting(values.host, "127.0.0.1")
    port: int = setting(values.port, 8080)
    names: tuple[str, ...] = setting(values.hosts, ())
    certificate: Path | None = setting(values.path, None)
    key: Path | None = setting(values.path, None)
    anonymous: bool = setting(values.flag, False)
    session_idle: float = setting(_session, 30 * 60.0)
    session_length: float = setting(_session, 12 * 3600.0)
    sessions: int = setting(values.count, 5)
    totp: tuple[Role, ...] = setting(_roles, ())
    rate: int = setting(values.count, 20)

    @property
    def far(self) -> bool:
        """Whether browsers of other machines reach it: by its own address, or through a proxy that knows its names."""
        return not _loopback(self.host) or bool(self.names)

    @property
    def address(self) -> str:
        """Where people find it, for tickets: the first name, with the port unless a proxy stands before it."""
        if self.certificate is None:
            return f"https://{self.names[0]}" if self.names else f"http://{self.host}:{self.port}"
        return f"https://{self.names[0] if self.names else self.host}:{self.port}"

    def problem(self) -> tuple[str, str] | None:
        """(key or "", what to write instead) if these settings cannot work together."""
        if bool(self.certificate) != bool(self.key):
            return "certificate", "certificate and key belong together"
        if not _loopback(self.host):
            if self.certificate is None:
                return "host", (
                    f'passwords never cross a network in the clear: write certificate = "..." and key = "...", or host = "127.0.0.1" '
                    f'instead of "{self.host}" and reach it through an SSH tunnel'
                )
            if not self.names:
                return (
                    "host",
                    'write names = ["..."]: the host names under which people reach it; calls for any other are refused',
                )
        if self.anonymous and self.far:
            return "anonymous", "whoever reaches it from another machine has to sign in: write anonymous = false"
        if self.session_idle > self.session_length:
            return "session_idle", "write at most what session_length is"
        return None


@dataclass(frozen=True, slots=True)
class OidcSection:
    """An identity provider (OpenID Connect). issuer: its address, as its tokens say; address: of the console, as browsers reach it; label: on the button.
    name_claim, full_name_claim: which claims hold the two. roles: the first row that fits decides; whom none fits does not come in.
    """

    issuer: str = setting(values.url, "")
    client_id: str = setting(values.text, "")
    secret_file: Path | None = setting(values.path, None)
    secret_env: str = setting(values.variable, "")
    ca_file: Path | None = setting(values.path, None)
    address: str = setting(values.url, "")
    label: str = setting(values.text, "OpenID Connect")
    scopes: tuple[str, ...] = setting(_text_list, ("openid", "profile", "email"))
    name_claim: str = setting(values.text, "preferred_username")
    full_name_claim: str = setting(values.text, "name")
    roles: tuple[Claim, ...] = field(default=(), metadata={"read": _claims})

    def problem(self) -> tuple[str, str] | None:
        """As ConsoleSection.problem."""
        for key in ("issuer", "client_id", "address", "roles"):
            if not getattr(self, key):
                return "", f"{key} is missing"
        if bool(self.secret_file) == bool(self.secret_env):
            return "", "write either secret_file or secret_env, and not both"
        for key in ("issuer", "address"):
            parts = urlsplit(getattr(self, key))
            if parts.scheme != "https" and not _loopback(parts.hostname or ""):
                return key, "write an https:// address: what is signed in with must not be read on the way"
        if "openid" not in self.scopes:
            return "scopes", 'write "openid" among them, or it is no OpenID Connect'
        return None

    def told(self) -> Mapping[str, str]:
        """What of it is settings, as text; the secret is none."""
        return {"issuer": self.issuer, "client_id": self.client_id, "roles": "; ".join(map(str, self.roles))}


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
