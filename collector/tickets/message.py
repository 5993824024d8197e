"""What others are told of an incident: the whole of one message, frozen when the incident changed. A message sent again says the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

import msgpack

from tillwatch.agent.model import Value
from tillwatch.collector.predict.finding import Finding
from tillwatch.collector.tickets.words import catalogue, phrase

OURS = "HWM-"
"""How the keys of incidents begin."""

MAX_EVIDENCE = 40
"""Readings in one message. A technician reads a screenful; the rest is behind the address of the page. What is left out is counted."""

MAX_AFFECTED = 100
"""Terminals in one message; the count says how many there are."""

MAX_FORETOLD = 3
"""Findings in one message, the gravest: one part has rarely two of a family."""

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
    """One reading behind an incident. at: corrected reading time, UTC ns; component: who told it, empty where no device did."""

    signal: str
    value: Value
    unit: str
    at: int
    component: str = ""


class Saying(NamedTuple):
    """One thing that is new. key: of a phrase in the section `note` of words.toml; values: for its places. `words` among them, what a person added,
    stands behind the phrase.
    """

    key: str
    values: Mapping[str, str]


Says = tuple[Saying, ...]


def say(key: str, **values: str) -> Says:
    return (Saying(key, values),)


def said(says: Says, language: str) -> str:
    """In words. Raises KeyError for a key that there is not."""
    return phrase("joined.and", language, {}).join(filter(None, (_said(each, language) for each in says)))


def _said(saying: Saying, language: str) -> str:
    told = phrase(f"note.{saying.key}", language, saying.values)
    if words := saying.values.get("words"):
        return phrase("joined.words", language, {"said": told, "words": words})
    return told


class Words(NamedTuple):
    """What a message says in a further language; as the fields of the same names."""

    what: str = ""
    cause: str = ""
    consequence: str = ""
    action: str = ""
    means: str = ""
    checks: tuple[str, ...] = ()
    brings: tuple[str, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()

    def pack(self) -> dict[str, Any]:
        body: dict[str, Any] = {name: _cut(getattr(self, name)) for name in self._fields[:5]}
        parts = [[label, _cut(value)] for label, value in self.parts]
        return {**body, "checks": list(self.checks), "brings": list(self.brings), "parts": parts}

    @classmethod
    def unpack(cls, body: Mapping[str, Any]) -> Words:
        known = {name: body[name] for name in cls._fields if name in body}
        for name in ("checks", "brings"):
            known[name] = tuple(known.get(name, ()))
        known["parts"] = tuple((label, value) for label, value in known.get("parts", ()))
        return cls(**known)


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
    engineer brings, and what the device told of its parts, as (label, value). says: what `note` was made of; also: its words in other
    languages; zone: the branch's time zone, an IANA name. foretold: the findings that it tells of, of each the last
    reading alone, since `evidence` has them. waited: updates that are told together with this one, the oldest first; not kept in
    its row, since they have rows of their own.
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
    says: Says = ()
    also: Mapping[str, Words] = field(default_factory=dict)
    zone: str = ""
    foretold: tuple[Finding, ...] = ()
    waited: tuple[TicketMessage, ...] = ()

    @property
    def earlier(self) -> tuple[tuple[int, str], ...]:
        """(at, note) of what waited."""
        return tuple((each.at, each.note or each.what) for each in self.waited)

    def in_language(self, language: str) -> TicketMessage:
        """The same in another language, as far as it holds it."""
        words: dict[str, Any] = self.also[language]._asdict() if language in self.also else {}
        # A note with a phrase that a newer version knows stays as that one put it.
        known = all(f"note.{each.key}" in catalogue() for each in self.says)
        note = said(self.says, language) if self.says and known else self.note
        return replace(self, **words, note=note, waited=tuple(each.in_language(language) for each in self.waited))

    def after(self, waited: Sequence[TicketMessage]) -> TicketMessage:
        """The same, with what the updates before it had to say: they waited together."""
        if not waited:
            return self
        wishes = [each.wish for each in (*waited, self) if each.wish is not None]
        told = tuple(dict.fromkeys(one for each in (*waited, self) for one in each.told))
        return replace(self, waited=tuple(waited), wish=wishes[-1] if wishes else None, told=told)

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
            "evidence": [[e.signal, _plain(e.value), e.unit, e.at, e.component] for e in kept],
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
            "says": [[each.key, {name: _cut(value) for name, value in each.values.items()}] for each in self.says],
            "also": {language: words.pack() for language, words in self.also.items()},
            "zone": self.zone,
            "foretold": [_facts(each) for each in self.foretold[:MAX_FORETOLD]],
        }
        # Device texts may hold lone surrogates; a ticket with a question mark is better than no ticket.
        packed: bytes = msgpack.packb(body, unicode_errors="replace")
        return packed

    @classmethod
    def unpack(cls, body: bytes) -> TicketMessage:
        """The message of an outbox row. Raises ValueError if it is none. Keys of a newer version are ignored."""
        try:
            fields: dict[str, Any] = msgpack.unpackb(body)
            known = {name: fields[name] for name in cls.__slots__ if name in fields and name != "waited"}
            known["op"] = Op(known["op"])
            known["wish"] = TicketState(known["wish"]) if known.get("wish") else None
            known["evidence"] = tuple(Evidence(*row) for row in known["evidence"])
            for name in ("affected", "checks", "brings"):
                known[name] = tuple(known.get(name, ()))
            known["parts"] = tuple((label, value) for label, value in known.get("parts", ()))
            known["says"] = tuple(Saying(key, values) for key, values in known.get("says", ()))
            known["also"] = {language: Words.unpack(words) for language, words in known.get("also", {}).items()}
            known["told"] = tuple((role, person, channel) for role, person, channel in known.get("told", ()))
            known["foretold"] = tuple(Finding.of(each) for each in known.get("foretold", ()))
            return cls(**known)
        except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
            raise ValueError(f"an outbox body that is no ticket message: {error!r}") from error


def _facts(finding: Finding) -> dict[str, Any]:
    facts = replace(finding, readings=finding.readings[-1:]).facts()
    values = {name: _cut(value) if isinstance(value, str) else value for name, value in finding.values.items()}
    return facts | ({"values": values} if values else {})


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _plain(value: Value) -> Value:
    if isinstance(value, str):
        return _cut(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
