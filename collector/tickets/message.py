"""What others are told of an incident: the whole of one message, frozen when the incident changed. A message sent again says the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import msgpack

from tillwatch.agent.model import Value

MAX_EVIDENCE = 40
"""Readings in one message. A technician reads a screenful; the rest is behind the address of the page. What is left out is counted."""

MAX_AFFECTED = 100
"""Terminals in one message; the count says how many there are."""

MAX_TEXT = 2000
"""Characters of one text. With MAX_EVIDENCE a message stays near the 20 kB that Standard Webhooks recommends as the most."""


class Op(StrEnum):
    """What happened to the incident, and for the last one: that a person is told of it, beside the ticket."""

    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"
    NOTIFY = "notify"


class TicketState(StrEnum):
    """Where a ticket stands, in words that every ticket system can be mapped to."""

    OPEN = "open"
    WORKING = "working"
    ON_HOLD = "on_hold"
    RESOLVED = "resolved"
    CLOSED = "closed"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"

    @property
    def over(self) -> bool:
        """Nobody works on it any more."""
        return self not in (TicketState.OPEN, TicketState.WORKING, TicketState.ON_HOLD)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reading behind an incident. at: corrected reading time, UTC ns."""

    signal: str
    value: Value
    unit: str
    at: int


@dataclass(frozen=True, slots=True)
class TicketMessage:
    """One change of one incident, as every connector gets it.

    incident: correlation id (ASCII, no spaces, at most 40 characters). seq: counts the incident's messages from 1, in order.
    at: when this change happened; since: when the fault began; both UTC ns. what: one line for the subject.
    address: of the page that shows the incident, empty if there is none. evidence_left_out: readings that did not fit.
    scope: `terminal`, `branch`, `region` or `fleet`; terminal and component are empty beyond the first. state: of the incident, see incidents.py; note: what is
    new, in words. affected: the terminals that it concerns, at most MAX_AFFECTED of affected_count. parent: the incident that explains this one.
    told: (role, person, channel) that are to be told of this change. drill: somebody injected the fault; such messages
    have a queue and a receiver of their own. fault: the rule; terminal_class: as it was enrolled; both for whoever routes. wish: the state
    that the ticket is to be in from now on, None where it stays as people have it. source: the connector whose own ticket said what this tells: that one
    knows. means, checks, brings, parts: the diagnosis card: what it means, what branch staff can check, what the
    engineer brings, and what the device told of its parts, as (label, value). earlier: (at, note) of updates that waited and are told together
    with this one, the oldest first; not kept in its row, since they have rows of their own.
    """

    incident: str
    op: Op
    seq: int
    level: int
    terminal: str
    branch: str
    region: str
    component: str
    what: str
    at: int
    since: int
    evidence: tuple[Evidence, ...] = ()
    cause: str = ""
    consequence: str = ""
    action: str = ""
    address: str = ""
    evidence_left_out: int = 0
    scope: str = "terminal"
    state: str = ""
    note: str = ""
    affected: tuple[str, ...] = ()
    affected_count: int = 0
    parent: str = ""
    told: tuple[tuple[str, str, str], ...] = ()
    drill: bool = False
    fault: str = ""
    terminal_class: str = ""
    wish: TicketState | None = None
    source: str = ""
    means: str = ""
    checks: tuple[str, ...] = ()
    brings: tuple[str, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()
    earlier: tuple[tuple[int, str], ...] = ()

    def in_language(self, language: str) -> TicketMessage:  # noqa: ARG002
        """The same in another language, as far as it holds it."""
        return self

    def after(self, waited: Sequence[TicketMessage]) -> TicketMessage:
        """The same, with what the updates before it had to say: they waited together."""
        if not waited:
            return self
        wishes = [each.wish for each in (*waited, self) if each.wish is not None]
        notes = [(each.at, each.note or each.what) for each in waited]
        told = tuple(dict.fromkeys(one for each in (*waited, self) for one in each.told))
        return replace(self, earlier=tuple(notes), wish=wishes[-1] if wishes else None, told=told)

    def pack(self) -> bytes:
        """The body of the outbox row: a msgpack map. Texts and evidence past their bounds are cut here, visibly."""
        kept = self.evidence[:MAX_EVIDENCE]
        body = {
            "incident": self.incident,
            "op": self.op.value,
            "seq": self.seq,
            "level": self.level,
            "terminal": self.terminal,
            "branch": self.branch,
            "region": self.region,
            "component": self.component,
            "what": _cut(self.what),
            "at": self.at,
            "since": self.since,
            "evidence": [[e.signal, _plain(e.value), e.unit, e.at] for e in kept],
            "cause": _cut(self.cause),
            "consequence": _cut(self.consequence),
            "action": _cut(self.action),
            "address": self.address,
            "evidence_left_out": self.evidence_left_out + len(self.evidence) - len(kept),
            "scope": self.scope,
            "state": self.state,
            "note": _cut(self.note),
            "affected": list(self.affected[:MAX_AFFECTED]),
            "affected_count": self.affected_count,
            "parent": self.parent,
            "told": [list(each) for each in self.told],
            "drill": self.drill,
            "fault": self.fault,
            "terminal_class": self.terminal_class,
            "wish": self.wish.value if self.wish else None,
            "source": self.source,
            "means": _cut(self.means),
            "checks": list(self.checks),
            "brings": list(self.brings),
            "parts": [[label, _cut(value)] for label, value in self.parts],
        }
        # Device texts may hold lone surrogates; a ticket with a question mark is better than no ticket.
        packed: bytes = msgpack.packb(body, unicode_errors="replace")
        return packed

    @classmethod
    def unpack(cls, body: bytes) -> TicketMessage:
        """The message of an outbox row. Raises ValueError if it is none. Keys of a newer version are ignored."""
        try:
            fields: dict[str, Any] = msgpack.unpackb(body)
            known = {name: fields[name] for name in cls.__slots__ if name in fields and name != "earlier"}
            known["op"] = Op(known["op"])
            known["wish"] = TicketState(known["wish"]) if known.get("wish") else None
            known["evidence"] = tuple(Evidence(*row) for row in known["evidence"])
            for name in ("affected", "checks", "brings"):
                known[name] = tuple(known.get(name, ()))
            known["parts"] = tuple((label, value) for label, value in known.get("parts", ()))
            known["told"] = tuple((role, person, channel) for role, person, channel in known.get("told", ()))
            return cls(**known)
        except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
            raise ValueError(f"an outbox body that is no ticket message: {error!r}") from error


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _plain(value: Value) -> Value:
    if isinstance(value, str):
        return _cut(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
