"""What every receiver of messages has in common in the configuration: a table [tickets.NAME] or [channels.NAME] of a kind.

A kind is a file: desks/request_tracker.py is the kind "request-tracker". It holds a dataclass `Settings`, which extends `ReceiverSettings` by
what only that system needs, and `connect(name, settings)`, which makes the port. Secrets stand in files or in the environment.
"""
# ruff: noqa: RUF009 - setting() makes a dataclasses.field, which is what the rule wants to see

from __future__ import annotations

import os
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from tillwatch.collector import values
from tillwatch.collector.tickets import desks
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.two_way.hook_schemes import Scheme
from tillwatch.collector.values import setting

MAX_SECRET = 64 * 1024
"""Bytes of a secret file: a mistaken path must not be read into memory."""

LEAST_HOOK_SECRET = 16
"""Characters: a shorter one is guessed, or is not meant."""

KINDS: Mapping[str, str] = {
    each.name.replace("_", "-"): f"{desks.__name__}.{each.name}" for each in pkgutil.iter_modules(desks.__path__)
}
"""Kind -> module."""

STATES = tuple(state.value for state in TicketState)


class SecretError(ValueError):
    """There is no secret where one should be; says where."""


def _states(value: Any) -> dict[str, str]:
    table = values.words(value)
    if odd := [one for one in table.values() if one not in STATES]:
        raise ValueError(f"{odd[0]!r} is no state of a ticket; known: {', '.join(STATES)}")
    return table


def _scheme(value: Any) -> str:
    if value in [one.value for one in Scheme]:
        return str(value)
    raise ValueError(f"write one of {', '.join(Scheme)}")


@dataclass(frozen=True, slots=True)
class ReceiverSettings:
    """url: of the system; secret_file or secret_env: where its secret is; ca_file: trusted instead of the system's own authorities.

    language: of what it is told; queue: where its tickets go, in its own word, where a route names none; timeout: of one request, s; settle: how
    long (s) after a request without an answer the system may still carry it out, 0 for what the kind knows. states: its words for where a
    ticket stands -> ours, beside those that the kind knows; verdict_field, verdicts: the field that says what it was, and its words -> ours. hook_secret_file or hook_secret_env: what
    its calls to us are checked with, without one they are not taken; hook_scheme: how, one of hook_schemes.Scheme.
    """

    url: str = field(default="", repr=False, metadata={"read": values.url})  # it may hold a token
    secret_file: Path | None = setting(values.path, None)
    secret_env: str = setting(values.variable, "")
    ca_file: Path | None = setting(values.path, None)
    language: str = setting(values.language, "en")
    queue: str = setting(values.text, "")
    timeout: float = setting(values.duration, 20.0)
    settle: float = setting(values.duration, 0.0)
    states: Mapping[str, str] = field(default_factory=dict, metadata={"read": _states})
    verdict_field: str = setting(values.text, "")
    verdicts: Mapping[str, str] = field(default_factory=dict, metadata={"read": values.words})
    hook_scheme: str = setting(_scheme, Scheme.STANDARD.value)
    hook_secret_file: Path | None = setting(values.path, None)
    hook_secret_env: str = setting(values.variable, "")

    def problem(self) -> tuple[str, str] | None:
        """(key or "", what to write instead) if these settings cannot work together."""
        if not self.url:
            return "", "url is missing; write the address of the system"
        if bool(self.secret_file) == bool(self.secret_env):
            return "", "write either secret_file or secret_env, and not both"
        return None

    @property
    def takes_hooks(self) -> bool:
        return bool(self.hook_secret_file or self.hook_secret_env)

    def hook_problem(self) -> tuple[str, str] | None:
        """As problem(), of what it calls us with."""
        if self.hook_secret_file and self.hook_secret_env:
            return "hook_secret_env", "write either hook_secret_file or hook_secret_env, and not both"
        return None

    def secret(self) -> str:
        """The secret, read now: one that was replaced in its file is found. Raises SecretError."""
        return read_secret(self.secret_file, self.secret_env)

    def hook_secrets(self) -> tuple[str, ...]:
        """What calls are checked with, read now, one a line: the current one and, during a rotation, the one before. Raises SecretError."""
        lines = read_secret(self.hook_secret_file, self.hook_secret_env, "hook_secret").splitlines()
        found = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
        if short := [line for line in found if len(line) < LEAST_HOOK_SECRET] or not found:
            what = f"a secret of fewer than {LEAST_HOOK_SECRET} characters" if short and found else "no secret"
            raise SecretError(f"hook_secret_file: there is {what}; write one such as `openssl rand -hex 32` makes")
        return found

    def told(self) -> dict[str, str]:
        """All of it as text, for the record. An address may hold a secret: of those only the digest."""
        said = {one.name: str(getattr(self, one.name)) for one in fields(self)}
        return {
            key: sha256(value.encode()).hexdigest() if key.endswith("url") and value else value
            for key, value in said.items()
        }


def read_secret(file: Path | None, variable: str, what: str = "secret") -> str:
    """What stands in the environment variable, or else in the file. what: of the keys WHAT_file and WHAT_env. Raises SecretError, which says where
    and never what.
    """
    if variable:
        value, where = os.environ.get(variable, ""), f"environment variable {variable}"
    else:
        where = f"file {file}"
        try:
            with (file or Path()).open("rb") as held:
                value = held.read(MAX_SECRET).decode()
        except OSError as error:
            raise SecretError(f"{what}_file: cannot read {file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SecretError(f"{what}_file: {file} is not UTF-8 text") from None
    if not value.strip():
        raise SecretError(f"the {where} holds no secret; put it there")
    return value.strip()


def settings_of(kind: str) -> type[ReceiverSettings]:
    """The settings class of one of KINDS."""
    found: type[ReceiverSettings] = import_module(KINDS[kind]).Settings
    return found
