"""Whether a command that the collector has signed is taken. Pure: the command, the collector's time and what was taken before go in, a refusal
comes out, or none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tillwatch.agent.model import AGENT, device_of
from tillwatch.agent.wire import MAX_COMMAND_LIFE, MAX_FACTOR, MAX_MINUTES, MIN_FACTOR, Command, CommandKind

PER_HOUR = 12
"""Commands taken in an hour, of all kinds: one in five minutes is what a person at a console does, and less than the poller does anyway."""
BUNDLES_PER_HOUR = 2
"""A bundle takes a process of 30 MiB for some seconds, and 65 KiB of the line."""


class Reason(StrEnum):
    """Why a command was refused: the word that travels back. packaging/docs/remote-diagnosis.md has them for people."""

    STALE = "stale"
    EPOCH = "epoch"
    EXPIRED = "expired"
    LIFETIME = "lifetime"
    KIND = "kind"
    NOT_ALLOWED = "not-allowed"
    ARGUMENTS = "arguments"
    COMPONENT = "component"
    RATE = "rate"
    NO_REPORT = "no-report"
    SPOOL = "spool"


@dataclass(frozen=True, slots=True)
class Past:
    """mark: the highest number that was ever taken or refused; recent: kinds of what was taken within the last hour that agents ran."""

    mark: int = 0
    recent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Reason
    words: str


_COMPONENT, _MINUTES, _FACTOR = "component", "minutes", "factor"
_BOUNDS = {_MINUTES: (1, MAX_MINUTES), _FACTOR: (MIN_FACTOR, MAX_FACTOR)}
_TAKES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    CommandKind.POLL_NOW: (frozenset(), frozenset({_COMPONENT})),
    CommandKind.RAISE_SAMPLING: (frozenset(), frozenset({_MINUTES, _FACTOR})),
    CommandKind.COLLECT_BUNDLE: (frozenset(), frozenset()),
    CommandKind.SELF_REPORT: (frozenset({_COMPONENT}), frozenset()),
}
"""Kind -> (arguments that it needs, arguments that it may have beside)."""


def judge(
    command: Command, *, now: int, epoch: bytes, allow: Collection[str], sources: Collection[str], past: Past
) -> Refused | None:
    """now: the collector's time, UTC ns; epoch: of the spool; allow: kinds that the operator allows; sources: names of what is read here."""
    if command.number <= past.mark:
        return Refused(Reason.STALE, f"command {past.mark} was taken before; an earlier one is never taken after it")
    if command.epoch != epoch:
        return Refused(Reason.EPOCH, "it was meant for another stream of this terminal; ask again")
    if now > command.expires:
        return Refused(Reason.EXPIRED, f"it came {(now - command.expires) / 1e9:.0f} s after its expiry")
    if command.expires - command.issued > MAX_COMMAND_LIFE:
        return Refused(Reason.LIFETIME, "it asks to hold for longer than an hour")
    if command.kind not in set(CommandKind):
        return Refused(Reason.KIND, "this agent does not know the kind")
    if command.kind not in allow:
        return Refused(Reason.NOT_ALLOWED, f"[commands] allow of this terminal does not list {command.kind}")
    return _arguments(command, sources) or _rate(command, past)


def _arguments(command: Command, sources: Collection[str]) -> Refused | None:
    needed, optional = _TAKES[command.kind]
    given = set(command.arguments)
    if not needed <= given <= needed | optional:
        return Refused(Reason.ARGUMENTS, f"{command.kind} takes {', '.join(sorted(needed | optional)) or 'none'}")
    for name, value in command.arguments.items():
        if name in _BOUNDS:
            least, most = _BOUNDS[name]
            if not isinstance(value, int) or not least <= value <= most:
                return Refused(Reason.ARGUMENTS, f"{name} is a number from {least} to {most}")
        elif not isinstance(value, str) or device_of(value) not in sources:
            own = " itself" if value == AGENT else ""
            return Refused(Reason.COMPONENT, f"no device of that name is read here{own}")
    return None


def _rate(command: Command, past: Past) -> Refused | None:
    bundles = command.kind == CommandKind.COLLECT_BUNDLE and past.recent.count(command.kind) >= BUNDLES_PER_HOUR
    if bundles or len(past.recent) >= PER_HOUR:
        most = f"{BUNDLES_PER_HOUR} bundles" if bundles else f"{PER_HOUR} commands"
        return Refused(Reason.RATE, f"{most} in an hour are taken, not more")
    return None
