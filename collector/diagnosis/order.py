"""One command in its life: asked by a person, sent to its terminal, done or refused by it, or expired. Pure: the journal's time comes in with each
step, and a step that does not apply gives nothing.

    asked -> sent -> done | refused        asked, sent -> expired -> done | refused, where the word of it came late
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgpack

from tillwatch.agent.model import MS
from tillwatch.agent.wire import (
    MAX_FACTOR,
    MAX_MINUTES,
    MAX_NAME,
    MIN_FACTOR,
    OFF,
    CommandKind,
    Outcome,
    Result,
)

ASKED, SENT, DONE, REFUSED, EXPIRED = "asked", "sent", "done", "refused", "expired"
OPEN = (ASKED, SENT)
ACTS = ("command", "command-sent")
"""Of the journal: asked by a person; first handed to the broker, by the collector."""

LIFE_S = 600
"""Seconds that a command may take to reach its terminal, unless somebody says otherwise: it is for somebody who waits for the answer."""
LEAST_LIFE_S, MOST_LIFE_S = 60, 3_600
"""The terminal takes none that holds longer than an hour."""
ANSWER_NS = 300 * 10**9
"""Beyond its expiry in which the answer to one that was sent is waited for: the longest command takes four minutes on the terminal."""
LATE_NS = 24 * 3_600 * 10**9
"""Beyond its expiry in which the word of one that was sent is still taken: the line was cut after it was carried out."""
MAX_OPEN = 4
"""Commands of one terminal that are not settled: they are carried out one after the other."""
MAX_REASON = 200
"""Characters of why somebody asks."""
MAX_REF = 64

TOO_MANY, ARGUMENTS = "too-many", "arguments"
"""Why the collector itself refuses one that stands in the journal."""


@dataclass(frozen=True, slots=True)
class Order:
    """n: of the journal's entry; number: what the terminal knows it by, which rises even where the journal was restored from a backup; ref: what
    the asker calls it, empty for nothing. Times are UTC ns, 0 for never. outcome: of wire.Outcome, empty without one; why: a word of the refusal.
    """

    n: int
    terminal: str
    kind: str
    asked_at: int
    expires_at: int
    by: str
    reason: str
    state: str
    number: int
    arguments: Mapping[str, str | int]
    sent_at: int = 0
    done_at: int = 0
    outcome: str = ""
    why: str = ""
    words: str = ""
    ref: str = ""

    @property
    def component(self) -> str:
        return str(self.arguments.get("component", ""))

    def row(self) -> tuple[Any, ...]:
        """As the table `command` has it."""
        body = {
            "number": self.number,
            "arguments": dict(self.arguments),
            "outcome": self.outcome,
            "why": self.why,
            "words": self.words,
            "ref": self.ref,
        }
        return (
            self.n,
            self.terminal,
            self.kind,
            self.asked_at,
            self.expires_at,
            self.by,
            self.reason,
            self.state,
            self.sent_at,
            self.done_at,
            msgpack.packb(body),
        )

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Order:
        n, terminal, kind, asked_at, expires_at, by, reason, state, sent_at, done_at, packed = row
        body = msgpack.unpackb(packed)
        return cls(
            n, terminal, kind, asked_at, expires_at, by, reason, state, body["number"], body["arguments"], sent_at, done_at,
            body["outcome"], body["why"], body["words"], body["ref"],
        )  # fmt: skip


def ask(n: int, at: int, terminal: str, facts: Mapping[str, Any], last: int, waiting: int) -> Order:
    """facts: of the act; last: the number before; waiting: commands of the terminal that are not settled. One that cannot be sent is refused at once:
    it is record all the same.
    """
    kind, arguments = str(facts.get("kind", ""))[:MAX_REF], facts.get("arguments") or {}
    life = facts.get("life_s")
    seconds = life if isinstance(life, int) and LEAST_LIFE_S <= life <= MOST_LIFE_S else LIFE_S
    problem = argument_problem(kind, arguments)
    order = Order(
        n,
        terminal,
        kind,
        at,
        at + seconds * 10**9,
        str(facts.get("actor", "")),
        str(facts.get("reason", ""))[:MAX_REASON],
        ASKED,
        max(last + 1, at // MS),
        {} if problem else dict(arguments),
        ref=str(facts.get("ref", ""))[:MAX_REF],
    )
    if problem:
        return replace(order, state=REFUSED, done_at=at, outcome=Outcome.REFUSED.value, why=ARGUMENTS, words=problem)
    if waiting >= MAX_OPEN:
        return replace(order, state=REFUSED, done_at=at, outcome=Outcome.REFUSED.value, why=TOO_MANY)
    return order


def sent(order: Order, at: int) -> Order | None:
    return replace(order, state=SENT, sent_at=at) if order.state == ASKED else None


def told(order: Order, result: Result, at: int) -> Order | None:
    """The first word counts: a terminal that says it twice, or otherwise after a restart, changes nothing."""
    late = order.state == EXPIRED and order.sent_at and at <= order.expires_at + LATE_NS
    if order.state != SENT and not late:
        return None
    state = REFUSED if result.outcome is Outcome.REFUSED else DONE
    return replace(order, state=state, done_at=at, outcome=result.outcome.value, why=result.reason, words=result.words)


def due_at(order: Order) -> int:
    """When it expires, if nothing comes before; 0 where it cannot any more."""
    if order.state not in OPEN:
        return 0
    return order.expires_at + (ANSWER_NS if order.state == SENT else 0)


def expire(order: Order, at: int) -> Order | None:
    due = due_at(order)
    return replace(order, state=EXPIRED, done_at=at) if due and at >= due else None


def argument_problem(kind: str, arguments: object) -> str:
    """What is wrong with what is asked, in words; empty for nothing. The terminal judges by itself once more."""
    if kind not in set(CommandKind):
        return f"there is no kind of command {kind!r}; there are {', '.join(CommandKind)}"
    if not isinstance(arguments, Mapping):
        return "arguments are not a map"
    takes: Mapping[str, tuple[str, ...]] = {
        CommandKind.POLL_NOW: ("component",),
        CommandKind.RAISE_SAMPLING: ("minutes", "factor"),
        CommandKind.SELF_REPORT: ("component",),
    }
    if strange := [str(name) for name in arguments if name not in takes.get(kind, ())]:
        return f"{kind} takes no {strange[0]}"
    if kind == CommandKind.SELF_REPORT and not arguments.get("component"):
        return f"{kind} needs a component: the device that is to report"
    component = arguments.get("component", "-")
    if not isinstance(component, str) or not 0 < len(component) <= MAX_NAME or not component.isprintable():
        return f"a component is a name of 1 to {MAX_NAME} printable characters"
    for name, least, most in (("minutes", 1, MAX_MINUTES), ("factor", MIN_FACTOR, MAX_FACTOR)):
        value = arguments.get(name, least)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            return f"{name} is a number from {least} to {most}"
    return ""


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether a terminal can be asked anything. enabled: by this collector; allowed: the kinds that the terminal said it takes, None where it never
    said so (an agent that knows no commands); told_at: UTC ns of that; connection: as of TerminalView; waiting: commands that are not settled.
    """

    enabled: bool
    allowed: frozenset[str] | None
    told_at: int
    connection: str
    waiting: int


def allowed_of(said: object) -> frozenset[str] | None:
    """Of the reading `monitor.commands`."""
    if not isinstance(said, str):
        return None
    return frozenset() if said == OFF else frozenset(said.split())


COLLECTOR_OFF, UNKNOWN_THERE, TERMINAL_OFF, NOT_ALLOWED, REVOKED = "collector-off", "no-commands", "terminal-off", "not-allowed", "revoked"  # fmt: skip
"""Why one cannot be asked now, beside TOO_MANY."""


def refusal(reach: Reach, kind: str) -> str:
    """Why this kind cannot be asked now; empty where it can. A terminal that is offline can: it is told when it comes back in time."""
    if not reach.enabled:
        return COLLECTOR_OFF
    if reach.connection == "revoked":
        return REVOKED
    if reach.allowed is None:
        return UNKNOWN_THERE
    if not reach.allowed:
        return TERMINAL_OFF
    if kind not in reach.allowed:
        return NOT_ALLOWED
    return TOO_MANY if reach.waiting >= MAX_OPEN else ""
