"""A collector on recorded time, without keys and wires: what terminals say and people do enters the real fold as entries of the journal, and is kept
in a real store. Everybody is online and patiently waited for until a story says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import msgpack

from tests.collector.conftest import UNITS
from tests.collector.sending import T0, S
from tillwatch.agent.model import MS, Clock, Quality, State, Value
from tillwatch.agent.wire import FIRST_PREV, Column, Header, Life, Opened, new_epoch
from tillwatch.collector.alarm.alarms import Alarm
from tillwatch.collector.alarm.diagnosis import parse_cards
from tillwatch.collector.alarm.foretelling import check
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.duty.policy import shipped_policy
from tillwatch.collector.fold import Fold
from tillwatch.collector.incident.incidents import COLUMNS, Incident
from tillwatch.collector.journal import Entry, Journal, Kind
from tillwatch.collector.predict.finding import Finding, Grade, Record
from tillwatch.collector.proof.rebuild import tables
from tillwatch.collector.records import IncidentEvent
from tillwatch.collector.store.folded import ALARM, alarm_of
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.tickets.message import Op, TicketMessage

MINUTE, HOUR, DAY = 60 * S, 3600 * S, 86400 * S
PATIENT = '[fold]\nsilent_least = "900d"\n'
"""Nobody is missed: who is lost says so, by a will."""
CARDS = parse_cards()
KEY = b"key".ljust(16, b"\0")


class Player:
    """One terminal."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage, self.name = stage, name
        self.epoch = new_epoch(T0, b"\0" * 8)
        self.boot, self.boot_at = 1, stage.now - HOUR
        self.seq = self.n = 0

    def says(
        self,
        component: str,
        signal: str,
        value: Value,
        state: State = State.NONE,
        *,
        quality: Quality = Quality.GOOD,
        at: int = 0,
    ) -> None:
        """at: when it was read, UTC ns; 0 for now."""
        ms = [(at or self.stage.now) // MS]
        column = Column(component, signal, ms, [value], quality, state, numeric=type(value) in (int, float))
        self.seq += 1
        sent = at or self.stage.now
        header = Header(
            self.name, KEY, self.epoch, self.seq, FIRST_PREV, 1, sent, self._boot, (sent - self.boot_at) // MS, Clock("ntp", 5), 0, 1
        )  # fmt: skip
        self.stage.enter(
            Kind.BATCH, self.name, {"epoch": self.epoch, "seq": self.seq}, Opened(header, FIRST_PREV, [column])
        )

    def _life(self, state: str) -> None:
        up = (self.stage.now - self.boot_at) // MS
        life = Life(self.name, KEY, self.epoch, 1, self.seq + 1, 0, self._boot, up, self.stage.now, self.n, state)
        self.stage.enter(Kind.LIFE, self.name, {"state": state}, life)

    @property
    def _boot(self) -> bytes:
        return self.boot.to_bytes(8, "big")

    def lost(self) -> None:
        """The broker sends its will."""
        self._life("offline")

    def goodbye(self) -> None:
        """It is stopped in order."""
        self.n += 1
        self._life("offline")

    def back(self, *, restarted: bool = False) -> None:
        if restarted:
            self.boot, self.boot_at = self.boot + 1, self.stage.now - MINUTE
        self.n += 1
        self._life("online")

    def disk(self, percent: float) -> None:
        """A fault of level 3 above 90, of level 2 above 97."""
        self.says("host/disk:/", "host.disk.percent", percent)

    def port(self, n: int) -> str:
        return f"switch/net:{n}"


def _opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    store.conn.execute("PRAGMA synchronous = OFF")  # no story is about a power cut of the collector
    return store


class Shot(NamedTuple):
    """What a fold knows at one moment, but for its way there."""

    alarms: Mapping[Any, Alarm]
    incidents: Mapping[str, Incident]
    members: Mapping[str, Any]
    parts: Mapping[str, set[str]]
    limits: Mapping[Any, Any]
    timers: Mapping[Any, int]
    states: Mapping[str, Any]
    losses: Mapping[str, Any]
    windows: tuple[Any, Any]
    roots: Mapping[str, set[Any]]
    concluded: Mapping[Any, str]
    external: Mapping[str, str]
    terminals: Mapping[str, Any]
    count: int
    away: tuple[int, int]
    foretold: tuple[Any, ...]


def shot(fold: Fold) -> Shot:
    book = fold.book
    return Shot(
        dict(book.alarms),
        dict(book.incidents),
        {name: dict(each) for name, each in book.members.items() if each},
        {name: set(each) for name, each in book.parts.items() if each},
        dict(fold.alarming.limits),
        # A deadline that only moved: its timer looks again when it fires, and moves.
        {
            key: due if key[0] != "flap" else 0
            for key, due in fold.timers._due.items()
            if key[0] not in ("silent", "late")
        },
        dict(fold.standing.states),
        dict(fold.losses.of),
        (dict(fold.masking.made), dict(fold.masking.active)),
        {branch: set(each) for branch, each in fold.handling._roots.items() if each},
        dict(book.concluded),
        dict(book.alerts),
        {
            t.id: (t.pack_status(), t.branch, t.region, {c.name: c.pack() for c in t.components.values()})
            for t in fold.fleet.terminals.values()
        },
        book.count,
        fold.away,
        (
            dict(fold.foretelling.open),
            dict(fold.foretelling.newest),
            fold.foretelling.reached,
            fold.foretelling.left_out,
            dict(fold.foretelling.paces),
        ),
    )


def _only(one: Shot, other: Shot, name: str) -> Any:
    """What one has and the other has not, or has otherwise."""
    mine, its = getattr(one, name), getattr(other, name)
    if not isinstance(mine, dict):
        return mine
    return {key: value for key, value in mine.items() if key not in its or its[key] != value}


class Stage:
    """now: UTC ns; told: everything that ticket systems were told, in order."""

    def __init__(self, folder: Path, rules: str = PATIENT, policy: str = "") -> None:
        self.now = T0
        self.path = folder / "stage.db"
        self.store = _opened(self.path)
        self.fold = Fold(UNITS, cards=CARDS)
        self.journal: Journal = self.store.load(self.fold)
        self.told: list[TicketMessage] = []
        self.played: list[tuple[Entry, Opened | Life | None]] = []
        self._open: list[Entry] = []
        self.players: dict[str, Player] = {}
        self.enter(Kind.STARTED, "", {"down_since": 0})
        self.change_rules(rules, policy)

    # What happens.

    def enter(self, kind: Kind, terminal: str, facts: dict[str, Any], content: Opened | Life | None = None) -> None:
        at = max(self.now, self.fold.advanced_to, self.journal.at + 1)
        entry = self.journal.append(kind, at, terminal=terminal, facts=facts)
        self.fold.apply(entry, content)
        self.played.append((entry, content))
        self._open.append(entry)
        self._keep()

    def _keep(self) -> None:
        group = self.store.prepare(self.fold, self._open)
        self.told += group.dirty.messages
        self.store.commit(group)
        self._open = []

    def wait(self, ns: int) -> None:
        """The time passes."""
        self.now += ns
        self.fold.advance(self.now)
        self._keep()

    def wait_until(self, at: int) -> None:
        self.wait(at - self.now)

    def terminal(self, name: str, branch: str = "hill", region: str = "north", kind: str = "atm") -> Player:
        player = self.players[name] = Player(self, name)
        self.act(
            "enrol", terminal=name, branch=branch, region=region, public=name.encode().ljust(32, b"\0")[:32], **{"class": kind}
        )  # fmt: skip
        player.back()
        return player

    def act(self, action: str, *, terminal: str = "", actor: str = "li.wei", **facts: Any) -> None:
        self.enter(Kind.OPERATOR, terminal, {"action": action, "terminal": terminal, "actor": actor, **facts})

    def ticket(self, incident: str, state: str = "open", *, connector: str = "rt", **facts: Any) -> None:
        """What a person did at its ticket is seen. Further facts: those of a TICKET_CHANGE entry."""
        known = {
            "external_id": f"{connector}-1",
            "url": "",
            "status": state,
            "owner": "",
            "by": "wang",
            "origin": "seen",
        }
        self.enter(
            Kind.TICKET_CHANGE, "", {"incident": incident, "connector": connector, "state": state, **known, **facts}
        )

    def delivered(self, incident: str, state: str = "open", *, connector: str = "rt", **facts: Any) -> None:
        """The sender has told it there, and read back how the ticket stands."""
        self.ticket(incident, state, connector=connector, **{"by": "", "origin": "delivered", **facts})

    def foretell(self, *findings: Finding, grades: Sequence[Grade] = (), records: Sequence[Record] = ()) -> None:
        """What the predictions say of the log up to here."""
        told: dict[str, Any] = {
            "findings": [each.facts() for each in findings],
            "grades": [each.facts() for each in grades],
        }
        told["records"] = [asdict(each) for each in records]
        facts = msgpack.unpackb(msgpack.packb(told | {"position": self.journal.n, "part": 0, "actor": "predictions"}))
        check(facts)
        self.enter(Kind.FINDING, "", facts)

    def change_rules(self, rules: str = PATIENT, policy: str = "") -> None:
        facts = {"shipped": shipped_text(), "site": rules, "shipped_policy": shipped_policy(), "policy": policy}
        self.enter(Kind.RULES_CHANGED, "", facts)

    def restart(self, away: int = 0) -> None:
        """A kill: the file is all that remains. What is loaded from it is what was running."""
        before = shot(self.fold)
        self.store.close()
        self.store = _opened(self.path)
        self.fold = Fold(UNITS, cards=CARDS)
        self.journal = self.store.load(self.fold)
        after = shot(self.fold)
        for name in Shot._fields:
            kept, was = _only(after, before, name), _only(before, after, name)
            assert kept == was, f"{name}: {kept} after the restart, {was} before it"
        self.now += away
        self.enter(Kind.STARTED, "", {"down_since": self.fold.advanced_to})

    # What came of it.

    def alarm(self, rule: str, terminal: str, component: str = "") -> Alarm:
        return self.fold.book.alarms[rule, terminal, component]

    def incident(self, fault: str, terminal: str = "") -> Incident:
        """The last of this fault."""
        found = [
            each for each in self.incidents() if each.fault == fault and (not terminal or each.terminal == terminal)
        ]
        assert found, f"no incident of {fault} {terminal}"
        return max(found, key=lambda each: (each.opened_at, each.episode))

    def incidents(self, *states: str) -> list[Incident]:
        """All that there ever were, the first ones first."""
        rows = self.store.conn.execute(f"SELECT {COLUMNS} FROM incident ORDER BY opened_at, corr_id")
        found = [Incident.of_row(row) for row in rows]
        return [each for each in found if not states or each.state in states]

    def alarms(self) -> list[Alarm]:
        return [alarm_of(row) for row in self.store.conn.execute(f"SELECT {ALARM} FROM alarm ORDER BY id")]

    def log(self, incident: str) -> list[IncidentEvent]:
        rows = self.store.conn.execute(
            "SELECT incident, kind, at, body FROM incident_event WHERE incident = ? ORDER BY seq", (incident,)
        )
        return [IncidentEvent(name, kind, at, msgpack.unpackb(body)) for name, kind, at, body in rows]

    def kinds(self, incident: str) -> list[str]:
        return [each.kind for each in self.log(incident)]

    def members(self, incident: str, role: str) -> set[str]:
        """The terminals of the alarms that are, or were, part of it in this role."""
        rows = self.store.conn.execute(
            "SELECT terminal FROM incident_alarm WHERE incident = ? AND role = ?", (incident, role)
        )
        return {terminal for (terminal,) in rows}

    def tickets(self) -> set[str]:
        """The incidents that a ticket system knows of."""
        return {each.incident for each in self.told}

    def ops(self, incident: str) -> list[Op]:
        return [each.op for each in self.told if each.incident == incident]

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nobody is told anything within."""
        before = len(self.told)
        yield
        assert self.told[before:] == []

    def rebuilt(self) -> None:
        """The same entries make the same state, told in the same words."""
        path = self.path.with_name("again.db")
        for left in path.parent.glob(f"{path.name}*"):
            left.unlink()
        store = _opened(path)
        fold = Fold(UNITS, cards=CARDS)
        for entry, content in self.played:
            fold.apply(entry, content)
        fold.advance(self.fold.advanced_to)
        told = list(fold.dirty.messages)
        store.commit(store.prepare(fold, ()))
        expected, found = tables(self.store.conn), tables(store.conn)
        store.close()
        for name in expected:
            more, less = set(found[name]) - set(expected[name]), set(expected[name]) - set(found[name])
            assert found[name] == expected[name], f"{name}: a rebuild makes {more} of {less}"
        assert told == self.told
