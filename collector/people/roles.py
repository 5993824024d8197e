"""What each role may do, and on which part of the fleet. Pure: who somebody is is found out elsewhere.

Three roles are apart, as graded protection asks: who manages people does not act on the fleet, who audits changes nothing, and who acts does
not decide who may.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    VIEWER = "viewer"
    TECHNICIAN = "technician"
    SUPERVISOR = "supervisor"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"


class Permission(StrEnum):
    """What a route asks for; each asks for exactly one."""

    OPEN = "open"
    """Of everybody, also of who has not signed in: the sign-in page and what belongs to it."""
    SELF = "self"
    """One's own account: password, preferences, sessions."""
    SEE = "see"
    """The fleet, its alarms, incidents and figures, with serials and addresses masked."""
    SEE_PROTECTED = "see_protected"
    """Serials and addresses whole; each look is record."""
    ACT = "act"
    """Alarms and incidents: take on, hand over, hold, resolve, close, shelve, split, merge, note."""
    DIAGNOSE = "diagnose"
    """Commands to terminals that change nothing there."""
    PLAN = "plan"
    """Maintenance windows, device files, life cycles, corrections."""
    TRY_RULES = "try_rules"
    """Rules run over the past."""
    PROVE = "prove"
    """Bundles that prove a value."""
    AUDIT = "audit"
    """Who did and saw what."""
    PEOPLE = "people"
    """Accounts, roles and scopes."""
    METRICS = "metrics"
    """The figures of the monitoring itself, for machines."""
    ROLL_OUT = "roll_out"
    """What terminals run beside their own configuration. Who plans work on the fleet decides it; who manages people or audits does not."""


_EVERYBODY = frozenset({Permission.OPEN})
_VIEWER = _EVERYBODY | {Permission.SELF, Permission.SEE, Permission.METRICS}
_TECHNICIAN = _VIEWER | {Permission.SEE_PROTECTED, Permission.ACT, Permission.DIAGNOSE}
GRANTS: Mapping[Role, frozenset[Permission]] = MappingProxyType({
    Role.VIEWER: _VIEWER,
    Role.TECHNICIAN: _TECHNICIAN,
    Role.SUPERVISOR: _TECHNICIAN | {Permission.PLAN, Permission.TRY_RULES, Permission.PROVE, Permission.ROLL_OUT},
    Role.ADMINISTRATOR: _VIEWER | {Permission.PEOPLE},
    Role.AUDITOR: _VIEWER | {Permission.SEE_PROTECTED, Permission.PROVE, Permission.TRY_RULES, Permission.AUDIT},
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the fleet that somebody is there for: terminals of these regions, and of these branches; both empty: of all."""

    regions: frozenset[str] = frozenset()
    branches: frozenset[str] = frozenset()

    @property
    def whole(self) -> bool:
        return not self.regions and not self.branches

    def covers(self, branch: str, region: str) -> bool:
        return self.whole or branch in self.branches or region in self.regions


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks. name: empty for nobody; session: which one of that person's, empty for a token; anonymous: has not signed in, and may look by the
    installation's leave. language: `en`, `zh` or empty for the browser's; zone: IANA name, empty for the browser's; theme: `dark`, `light` or empty
    for the system's; csrf: what the acts of this session's pages carry.
    """

    name: str
    role: Role | None
    scope: Scope = field(default_factory=Scope)
    session: str = ""
    language: str = ""
    zone: str = ""
    anonymous: bool = False
    theme: str = ""
    csrf: str = field(default="", repr=False)

    def may(self, permission: Permission) -> bool:
        """Somebody anonymous has no account that would be theirs."""
        granted = GRANTS[self.role] if self.role is not None else _EVERYBODY
        return permission in granted and not (self.anonymous and permission is Permission.SELF)

    @property
    def sees(self) -> tuple[object, ...]:
        """What decides how the same data look to somebody: two with the same get the same answers."""
        return (self.role, self.anonymous, tuple(sorted(self.scope.regions)), tuple(sorted(self.scope.branches)))


NOBODY = Visitor("", None)
ANYBODY = Visitor("", Role.VIEWER, anonymous=True)
"""Who has not signed in where that is not asked for."""

_ASKING: ContextVar[Visitor] = ContextVar("tillwatch_visitor", default=NOBODY)


def asking() -> Visitor:
    """On whose behalf this runs; NOBODY where nobody said so."""
    return _ASKING.get()


@contextmanager
def on_behalf_of(visitor: Visitor) -> Iterator[None]:
    token = _ASKING.set(visitor)
    try:
        yield
    finally:
        _ASKING.reset(token)
