"""One rollout in its life, and one terminal's part in it. Pure: the journal's time comes in with each step, and a step that does not apply gives nothing.

running -> done                  every ring has passed its gate
running -> halted -> returned    the gate, or a person; and back to what was good before, by itself or by a person
done -> returned                 a person thinks better of it

waiting -> trying -> good | fallen-back | refused        what a terminal says of what it was told under one number
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import msgpack

from tillwatch.agent.model import MS
from tillwatch.agent.wire import MAX_PACKED, Report, Running, valid_name
from tillwatch.collector.rollout.rings import Gate, Ring, Tally, gate_of, lacking, rings_of, spoiled

ACTS = ("bundle", "rollout", "rollout-halt", "rollout-return", "terminal-ring")
"""Of the journal, each by a person."""
RUNNING, HALTED, DONE, RETURNED = "running", "halted", "done", "returned"
WAITING = "waiting"
MAX_REASON = 200
MAX_REF = 64
MAX_LOSSES = 100
"""Terminals named in a rollout as those that it was bad for: a gate stops it long before; the tallies count all of them."""
MAX_WORDS = 240
MAX_HISTORY = 64
"""Lines of what happened to one rollout: a ring has at most three."""
MINUTE_NS = 60 * 10**9
LOOK_NS = MINUTE_NS
"""Between two looks at who has gone silent, while a rollout runs."""
SILENT_NS = 2 * MINUTE_NS
"""Without a word and without a connection: a start anew takes seconds."""
BY_ITSELF = "collector"


@dataclass(frozen=True, slots=True)
class Bundle:
    """One that was published. files: path -> bytes. content: packed; empty where only the rest is wanted."""

    n: int
    name: str
    digest: bytes
    at: int
    by: str
    reason: str
    content: bytes
    files: Mapping[str, int]

    def row(self) -> tuple[Any, ...]:
        body = msgpack.packb({"files": dict(self.files)})
        return (self.n, self.name, self.digest, self.at, self.by, self.reason, self.content, body)

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Bundle:
        n, name, digest, at, by, reason, content, body = row
        return cls(n, name, digest, at, by, reason, content, msgpack.unpackb(body)["files"])


def publish(n: int, at: int, facts: Mapping[str, Any], digest: bytes) -> Bundle | None:
    """digest: of the content."""
    name, content, files = facts.get("name"), facts.get("content"), facts.get("files")
    if not isinstance(name, str) or not valid_name(name) or not isinstance(content, bytes):
        return None
    if not 0 < len(content) <= MAX_PACKED:
        return None
    kept = {str(path): size for path, size in files.items()} if isinstance(files, Mapping) else {}
    return Bundle(n, name, digest, at, str(facts.get("actor", "")), _reason(facts), content, kept)


@dataclass(frozen=True, slots=True)
class Event:
    """what: started, ring, passed, halted, returned, done; why: a word of WHYS, or a person's."""

    at: int
    what: str
    ring: str = ""
    by: str = BY_ITSELF
    why: str = ""


@dataclass(frozen=True, slots=True)
class Loss:
    """A terminal that counted against the bundle. why: as of Member.bad; words: its own, or the sources that failed."""

    at: int
    terminal: str
    ring: str
    why: str
    words: str = ""


SPOILED, LACKING, EMPTY = "too-many-bad", "too-few-good", "nobody-takes-it"
WHYS = (SPOILED, LACKING, EMPTY)


@dataclass(frozen=True, slots=True)
class Rollout:
    """n: of the journal's entry. bundle: number of it, 0 for the terminals' own configuration. number: what terminals are told it under. ring: place of
    the one that is under way; since: when it began, UTC ns. losses: the first of each terminal; tallies: by name, of the rings that are over, as they were
    then. ref: what the asker calls it.
    """

    n: int
    bundle: int
    number: int
    state: str
    at: int
    ended_at: int
    by: str
    reason: str
    rings: tuple[Ring, ...]
    gate: Gate
    ring: int = 0
    since: int = 0
    history: tuple[Event, ...] = ()
    ref: str = ""
    losses: tuple[Loss, ...] = ()
    tallies: Mapping[str, Tally] = field(default_factory=dict)

    @property
    def due(self) -> int:
        """When the ring under way is judged; 0 where none is."""
        return self.since + self.gate.minutes * MINUTE_NS if self.state == RUNNING else 0

    @property
    def begun(self) -> tuple[str, ...]:
        return tuple(ring.name for ring in self.rings[: self.ring + 1])

    def row(self) -> tuple[Any, ...]:
        body = msgpack.packb(
            {
                "number": self.number,
                "rings": [ring.facts() for ring in self.rings],
                "gate": self.gate.facts(),
                "ring": self.ring,
                "since": self.since,
                "history": [[e.at, e.what, e.ring, e.by, e.why] for e in self.history],
                "ref": self.ref,
                "losses": [[e.at, e.terminal, e.ring, e.why, e.words] for e in self.losses],
                "tallies": {name: list(astuple(tally)) for name, tally in self.tallies.items()},
            }
        )
        return (self.n, self.bundle, self.state, self.at, self.ended_at, self.by, self.reason, body)

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Rollout:
        n, bundle, state, at, ended_at, by, reason, packed = row
        body = msgpack.unpackb(packed)
        rings = tuple(Ring(r["name"], r["share"], tuple(r["terminals"])) for r in body["rings"])
        return cls(
            n, bundle, body["number"], state, at, ended_at, by, reason, rings, Gate(**body["gate"]), body["ring"], body["since"],
            tuple(Event(*each) for each in body["history"]), body["ref"], tuple(Loss(*each) for each in body["losses"]),
            {name: Tally(*tally) for name, tally in body["tallies"].items()},
        )  # fmt: skip


def begin(n: int, at: int, facts: Mapping[str, Any], last: int) -> Rollout:
    """last: the number before. Raises RingError."""
    rings, gate = rings_of(facts.get("rings")), gate_of(facts.get("gate"))
    by, why = str(facts.get("actor", "")), _reason(facts)
    bundle = facts.get("bundle")
    history = (Event(at, "started", by=by, why=why), Event(at, "ring", rings[0].name))
    return Rollout(
        n, bundle if isinstance(bundle, int) else 0, max(last + 1, at // MS), RUNNING, at, 0, by, why, rings, gate, 0, at, history,
        str(facts.get("ref", ""))[:MAX_REF],
    )  # fmt: skip


def judged(rollout: Rollout, tally: Tally, at: int) -> Rollout | None:
    """After anything that changed the ring under way, or its time. None: it goes on as it is. A ring without terminals is passed at once."""
    if rollout.state != RUNNING:
        return None
    ring = rollout.rings[rollout.ring].name
    over = replace(rollout, tallies={**rollout.tallies, ring: tally})
    if spoiled(rollout.gate, tally):
        return halt(over, at, BY_ITSELF, SPOILED)
    if (tally.told or tally.apart) and at < rollout.due:
        return None
    if lacking(rollout.gate, tally):
        return halt(over, at, BY_ITSELF, LACKING if tally.told else EMPTY)
    after = _with(over, Event(at, "passed", ring))
    if rollout.ring + 1 == len(rollout.rings):
        return replace(_with(after, Event(at, "done")), state=DONE, ended_at=at)
    following = rollout.rings[rollout.ring + 1].name
    return replace(_with(after, Event(at, "ring", following)), ring=rollout.ring + 1, since=at)


def lost(rollout: Rollout, member: Member, at: int) -> Rollout | None:
    """A terminal counts against it from now on. None where it is named already, or enough are."""
    if len(rollout.losses) >= MAX_LOSSES or any(each.terminal == member.terminal for each in rollout.losses):
        return None
    words = ", ".join(member.failed) if member.bad == "source" else member.said[4] if member.state == member.bad else ""
    loss = Loss(at, member.terminal, member.ring, member.bad, words[:MAX_WORDS])
    return replace(rollout, losses=(*rollout.losses, loss))


def halt(rollout: Rollout, at: int, by: str, why: str) -> Rollout | None:
    if rollout.state != RUNNING:
        return None
    event = Event(at, "halted", rollout.rings[rollout.ring].name, by, why)
    return replace(_with(rollout, event), state=HALTED, ended_at=at)


def give_back(rollout: Rollout, at: int, by: str, why: str) -> Rollout | None:
    """Also of one that runs: it halts with that."""
    if rollout.state == RETURNED:
        return None
    return replace(_with(rollout, Event(at, "returned", "", by, why)), state=RETURNED, ended_at=rollout.ended_at or at)


def begin_anew(rollout: Rollout, at: int) -> Rollout:
    """The collector was away and heard nobody: the time of the ring under way begins again."""
    return replace(rollout, since=at)


def _with(rollout: Rollout, event: Event) -> Rollout:
    return replace(rollout, history=(*rollout.history, event)[-MAX_HISTORY:])


def _reason(facts: Mapping[str, Any]) -> str:
    return str(facts.get("reason", ""))[:MAX_REASON]


@dataclass(frozen=True, slots=True)
class Member:
    """One terminal. fixed: its ring by a person. bundle, number: what it is to run, and the number that it is told it under, 0 for never told. state: of
    Running or WAITING, empty where nothing is known. at: since when, UTC ns; told_at: when it was to be told. said: its last word. good: the bundle that ran
    well last, before: the one of those before what it is told now. silent, failed: since when it is silent, and which sources failed since it was told.
    failing: those that already did.
    """

    terminal: str
    ring: str = ""
    fixed: bool = False
    bundle: int = 0
    number: int = 0
    state: str = ""
    at: int = 0
    told_at: int = 0
    said: tuple[int, str, str, str, str] = (0, "", "", "", "")
    good: int = 0
    before: int = 0
    silent: int = 0
    failed: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()

    @property
    def takes(self) -> bool:
        """Whether it ever said that it takes bundles."""
        return self.said[1] not in ("", Running.OFF)

    @property
    def bad(self) -> str:
        """Why it counts against the bundle, empty where it does not."""
        if self.state in (Running.FALLEN_BACK, Running.REFUSED):
            return self.state
        if self.failed:
            return "source"
        return "silent" if self.silent else ""

    def row(self) -> tuple[Any, ...]:
        body = msgpack.packb([self.told_at, self.said, self.good, self.before, self.silent, self.failed, self.failing])
        return (
            self.terminal, self.ring, int(self.fixed), self.bundle, self.number, self.state, self.at, body,
        )  # fmt: skip

    @classmethod
    def of_row(cls, row: tuple[Any, ...]) -> Member:
        terminal, ring, fixed, bundle, number, state, at, packed = row
        told_at, said, good, before, silent, failed, failing = msgpack.unpackb(packed)
        return cls(
            terminal, ring, bool(fixed), bundle, number, state, at, told_at, tuple(said), good, before, silent, tuple(failed), tuple(failing)
        )  # fmt: skip


def tell(member: Member, ring: str, bundle: int, number: int, at: int, failing: tuple[str, ...] = ()) -> Member:
    """It is to run this from now on; brought out once more, a bundle is not what was before it. A number below what it has taken would never be taken: the collector was restored from a backup."""
    return replace(
        member, ring=ring, bundle=bundle, number=max(number, member.said[0] + 1), state=WAITING, at=at, told_at=at,
        before=member.before if member.good == bundle else member.good, silent=0, failed=(), failing=failing,
    )  # fmt: skip


def hear(member: Member, report: Report, at: int) -> Member:
    """The terminal's own word."""
    said = (report.number, report.state.value, report.digest, report.name, report.words)
    after = replace(member, said=said)
    if report.state is Running.OFF or not member.number:
        state = report.state.value
    elif report.number < member.number:
        # A terminal that lost its memory is told again, one that fell back from this very number is not.
        state = WAITING
    elif report.number > member.number:
        # It took something that this collector does not know any more.
        return replace(after, number=report.number + 1, state=WAITING, at=at)
    else:
        state = report.state.value
    if state == Running.GOOD:
        after = replace(after, good=member.bundle)
    return after if state == member.state else replace(after, state=state, at=at)


def counted(tally: Tally, member: Member, by: int) -> Tally:
    """With one more, or one less."""
    if not member.takes:
        return replace(tally, apart=tally.apart + by)
    bad = bool(member.bad)
    good = not bad and member.state == Running.GOOD
    away = not bad and not good
    return Tally(tally.told + by, tally.good + by * good, tally.bad + by * bad, tally.away + by * away, tally.apart)
