"""What a ticket system is told, and what may come of it.

`TicketMessage` is the whole of one message about one incident, frozen when the incident changed: a message sent again says the same.
A connector is a `TicketPort`; it turns one message into one request (or a few) and says in one of five words what came of it. It never
retries by itself: when, how often and in which order things are sent is decided in one place (delivery.py) and kept in the outbox.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import msgpack

from tillwatch.agent.model import Value

MAX_EVIDENCE = 40
"""Readings in one message. A technician reads a screenful; the rest is behind the address of the page. What is left out is counted."""

MAX_AFFECTED = 100
"""Terminals in one message; the count says how many there are."""

MAX_TEXT = 2000
"""Characters of one text. With MAX_EVIDENCE a message stays near the 20 kB that Standard Webhooks recommends as the most."""


class Op(StrEnum):
    """What happened to the incident."""

    OPEN = "open"
    UPDATE = "update"
    RESOLVE = "resolve"


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
    have a queue and a receiver of their own. means, checks, brings, parts: the diagnosis card: what it means, what branch staff can check, what the
    engineer brings, and what the device told of its parts, as (label, value).
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
    means: str = ""
    checks: tuple[str, ...] = ()
    brings: tuple[str, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()

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
            known = {name: fields[name] for name in cls.__slots__ if name in fields}
            known["op"] = Op(known["op"])
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


@dataclass(frozen=True, slots=True)
class Link:
    """The ticket of an incident, as the ticket system last told it. Empty texts: it did not say."""

    external_id: str
    url: str
    state: str


@dataclass(frozen=True, slots=True)
class Done:
    """It happened, and as far as the connector can see it is true. Empty texts: the ticket system did not say."""

    external_id: str = ""
    url: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """Known not to have happened.

    after_s: how long the ticket system asked to wait. refused: it was read and declined, so it is asked again slowly, until somebody
    mends the cause.
    """

    reason: str
    after_s: float | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Uncertain:
    """It may have happened: no answer, or one that leaves it open."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """The message can never be delivered as it is; only a person brings it back."""

    reason: str


@dataclass(frozen=True, slots=True)
class Disabled:
    """The endpoint wants no more messages. All of them wait until a person switches it on again."""

    reason: str


Outcome = Done | Retry | Uncertain | Dead | Disabled


class TicketPort(Protocol):
    """One ticket system. `settle_s`: how long after an attempt ended without a clear answer the system may still be carrying it out."""

    @property
    def name(self) -> str: ...

    @property
    def settle_s(self) -> float: ...

    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool) -> Outcome:
        """Tell the ticket system once.

        link: the incident's ticket, None as long as none is known. doubtful: an earlier attempt at this very message may have been
        carried out (its settle time is over), so the connector makes sure that it does not happen twice: by an idempotency key, or by
        looking first.
        """
        ...

    async def close(self) -> None: ...
