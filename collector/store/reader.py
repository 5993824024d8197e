"""The store as the console, the REST API and the command line see it: read-only, every call one consistent state, in a process of its own if need
be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgpack

from tillwatch.agent.model import MS, Quality, State
from tillwatch.collector.alarm.rules import FORK, PREDICTED, Rules, parse_rules
from tillwatch.collector.duty.policy import Policy, parse_policy
from tillwatch.collector.incident.case import Why
from tillwatch.collector.incident.incident_views import Addressed, IncidentFile, IncidentView, InForce
from tillwatch.collector.predict.finding import Finding, Grade, Record
from tillwatch.collector.predict.supplies import Stored
from tillwatch.collector.read import (
    AlarmView,
    ComponentView,
    Health,
    History,
    IdentityView,
    KeyView,
    Mark,
    OutgoingView,
    RiskView,
    SignalView,
    StoredReadings,
    TerminalView,
    Touched,
    WaitingView,
)
from tillwatch.collector.records import Correction
from tillwatch.collector.refusals import culprits
from tillwatch.collector.store import (
    foretold,
    history_reader,
    incident_reader,
    readings_reader,
    supply_reader,
    terminal_reader,
)
from tillwatch.collector.store.db import Db, Where
from tillwatch.collector.store.delivery_reader import backlog, queues, undone, waiting
from tillwatch.collector.store.dossier_reader import Dossiers
from tillwatch.collector.store.enrolment_reader import EnrolmentReader
from tillwatch.collector.store.order_reader import OrderReader
from tillwatch.collector.store.oversight_reader import Oversight
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.rollout_reader import RolloutStore
from tillwatch.collector.store.sqlite import plain
from tillwatch.collector.store.state_reader import corrections
from tillwatch.collector.store.whereabouts import anchor
from tillwatch.collector.terminal.fleet import Component, Terminal
from tillwatch.device_profiles.catalogue import kept_catalogue

BUSY_S = 10.0
"""Readers wait for nobody but a migration."""
_UNKNOWN = {"silent": "nothing comes of it any more", "unreadable": "the agent cannot read it"}


class SqliteReader(Dossiers, Oversight, OrderReader, EnrolmentReader, RolloutStore):
    """A FleetReader over the collector's state."""

    def __init__(self, where: Where) -> None:
        self.where, self.path = where, anchor(where)
        self._db = reading(where, BUSY_S)
        self._lock = threading.Lock()
        self._catalogue = kept_catalogue().signals
        self._rules: tuple[bytes, Rules] = (b"", parse_rules())
        self._policy: tuple[bytes, Policy] = (b"", parse_policy())
        self._sorter = terminal_reader.Sorter()

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def snapshot(self) -> Iterator[Db]:
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                # Of a state that was only read there is nothing to keep, and a connection that was lost has no transaction any more.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def revision(self) -> int:
        with self._lock:
            return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    # Terminals and components.

    def terminals(self) -> Sequence[TerminalView]:
        with self.snapshot() as db:
            return terminal_reader.terminals(db, self._rules_now(db), self._sorter)

    def terminals_of(self, only: Collection[str]) -> Sequence[TerminalView]:
        with self.snapshot() as db:
            return terminal_reader.terminals(db, self._rules_now(db), self._sorter, only)

    def touched(self, since: Mark | None) -> Touched:
        with self.snapshot() as db:
            return terminal_reader.touched(db, since)

    def terminal(self, terminal: str) -> TerminalView:
        views = self.terminals_of({terminal})
        if not views:
            raise KeyError(terminal)
        return views[0]

    def places(self, only: set[str] | None = None) -> Mapping[str, tuple[str, str]]:
        some = " WHERE id IN (SELECT value FROM json_each(?))" if only is not None else ""
        with self.snapshot() as db:
            wanted = (json.dumps(sorted(only)),) if only is not None else ()
            rows = db.execute(f"SELECT id, branch, region FROM terminal{some}", wanted)  # noqa: S608 - a constant
            return {name: (branch, region) for name, branch, region in rows}

    def identity(self, terminal: str) -> IdentityView:
        with self.snapshot() as db:
            row = db.execute("SELECT state, status FROM terminal WHERE id = ?", (terminal,)).fetchone()
            if row is None:
                raise KeyError(terminal)
            known = Terminal(terminal, "", "", "", 0, row[0])
            known.unpack_status(row[1])
            keys = db.execute(
                "SELECT key_id, state, since FROM terminal_key WHERE terminal = ? ORDER BY since, key_id", (terminal,)
            ).fetchall()
            fork = db.execute(
                "SELECT detail FROM alarm WHERE terminal = ? AND rule = ? AND condition <> 'normal'", (terminal, FORK)
            ).fetchone()
        good = [certificate.since for certificate in known.certificates.values() if not certificate.revoked]
        return IdentityView(
            known.state,
            known.why,
            tuple(KeyView(key.hex(), state, since, known.until.get(key, (b"", 0, 0))[1]) for key, state, since in keys),
            max(good, default=0),
            tuple(str(speaker) for speaker in known.speakers),
            str(msgpack.unpackb(fork[0])["value"]) if fork else "",
        )

    def components(self, terminal: str) -> Sequence[ComponentView]:
        with self.snapshot() as db:
            row = db.execute("SELECT status FROM terminal WHERE id = ?", (terminal,)).fetchone()
            if row is None:
                raise KeyError(terminal)
            state = Terminal(terminal, "", "", "", 0)
            state.unpack_status(row[0])
            rules = self._rules_now(db)
            levels: dict[str, tuple[int, str]] = {}
            for name, level, rule in db.execute(
                "SELECT component, level, rule FROM alarm WHERE terminal = ? AND condition <> 'normal' ORDER BY level DESC, id",
                (terminal,),
            ):
                if rule not in PREDICTED:
                    levels[name] = (level, rules.by_id[rule].text if rule in rules.by_id else rule)
            return [
                self._component(Component.unpack(name, packed), state, levels.get(name, (0, "")), rules)
                for name, packed in db.execute(
                    "SELECT name, state FROM component WHERE terminal = ? ORDER BY name", (terminal,)
                )
            ]

    def _component(
        self, component: Component, terminal: Terminal, alarm: tuple[int, str], rules: Rules
    ) -> ComponentView:
        signals = tuple(
            SignalView(
                component=component.name,
                signal=name,
                unit=self._unit(name),
                kind=self._kind(name),
                value=plain(series.value),
                at=series.at,
                received=series.received,
                quality=Quality(series.quality).name.lower(),
                state=State(series.state).name.lower(),
                corrected_by=series.corrected * MS,
            )
            for name, series in sorted(component.series.items())
        )
        interval = component.interval_s or rules.default_interval_s
        allowed = max(round(interval * rules.silent_after * 1e9), rules.silent_least_ns)
        if terminal.connection != "online":
            condition, reason = "unknown", terminal_reader.SILENCE[terminal.connection]
        elif component.unknown:
            condition, reason = "unknown", _UNKNOWN[component.unknown]
            why = component.series.get("monitor.reason")
            if component.unknown == "unreadable" and why is not None and why.value:
                reason = f"{reason}: {why.value}"
        else:
            condition, reason = terminal_reader.judge("online", alarm[0], component.worst(), 0)
            reason = alarm[1] or reason
        newest = max((s.at for s in signals if not s.signal.startswith("monitor.")), default=0)
        due = component.heard + allowed if component.heard else 0
        return ComponentView(component.name, condition, reason, newest, interval, due, signals)

    def _unit(self, signal: str) -> str:
        known = self._catalogue.get(signal)
        return known.unit if known is not None else ""

    def _kind(self, signal: str) -> str:
        known = self._catalogue.get(signal)
        return known.kind.value if known is not None else "gauge"

    # Alarms and incidents.

    def alarms(self, *, terminal: str | None = None, open_only: bool = True, limit: int = 500) -> Sequence[AlarmView]:
        with self.snapshot() as db:
            return incident_reader.alarms(db, self._book(db), terminal=terminal, open_only=open_only, limit=limit)

    def incidents(self, now: int, *, living: bool = True, limit: int = 500) -> tuple[list[IncidentView], int]:
        with self.snapshot() as db:
            return incident_reader.incidents(db, self._book(db), now, living=living, limit=limit)

    def incident(self, corr_id: str, now: int) -> IncidentFile:
        with self.snapshot() as db:
            return incident_reader.incident(db, self._book(db), corr_id, now)

    def alarm(self, alarm: int) -> AlarmView:
        with self.snapshot() as db:
            return incident_reader.alarm(db, self._book(db), alarm)

    def asked(self, actor: str, request: str, since: int) -> str:
        with self.snapshot() as db:
            return incident_reader.asked(db, actor, request, since)

    def forgotten(self) -> frozenset[int]:
        with self.snapshot() as db:
            return incident_reader.forgotten(db)

    def handled(self) -> int:
        with self.snapshot() as db:
            return int(db.execute("SELECT coalesce(max(seq), 0) FROM incident_event").fetchone()[0])

    def find_incident(self, text: str) -> list[str]:
        with self.snapshot() as db:
            return incident_reader.find(db, text)

    def places_of(self, incidents: Collection[str]) -> Mapping[str, tuple[str, str]]:
        with self.snapshot() as db:
            return incident_reader.places(db, incidents)

    def addressed(self, corr_id: str) -> Addressed:
        """What the way of its messages depends on."""
        with self.snapshot() as db:
            return incident_reader.addressed(db, self._book(db), corr_id)

    def why(self, alarm: int, now: int) -> tuple[AlarmView, Why]:
        with self.snapshot() as db:
            return incident_reader.why(db, self._book(db), alarm, now)

    def in_force(self) -> InForce:
        """The rules and the policy that the collector goes by now."""
        with self.snapshot() as db:
            return self._book(db)

    def supplies(self, signals: Collection[str]) -> Sequence[Stored]:
        with self.snapshot() as db:
            return supply_reader.stored(db, self._rules_now(db), signals)

    def corrections(self, terminal: str | None = None) -> Sequence[Correction]:
        with self.snapshot() as db:
            return corrections(db, terminal)

    def _book(self, db: Db) -> InForce:
        return InForce(self._rules_now(db), self._policy_now(db))

    def _policy_now(self, db: Db) -> Policy:
        row = db.execute("SELECT value FROM meta WHERE key = 'policy'").fetchone()
        if row is not None and row[0] != self._policy[0]:
            shipped, site = msgpack.unpackb(row[0])
            self._policy = (row[0], parse_policy(site, shipped=shipped, replay=True))
        return self._policy[1]

    def _rules_now(self, db: Db) -> Rules:
        row = db.execute("SELECT value FROM meta WHERE key = 'rules'").fetchone()
        if row is not None and row[0] != self._rules[0]:
            shipped, site = msgpack.unpackb(row[0])
            self._rules = (row[0], parse_rules(site, shipped=shipped, replay=True))
        return self._rules[1]

    # What is foreseen.

    def at_risk(self, *, branch: str | None = None, region: str | None = None, limit: int = 500) -> Sequence[RiskView]:
        with self.snapshot() as db:
            return foretold.at_risk(db, branch=branch, region=region, limit=limit)

    def findings(self, terminal: str | None = None, *, open_only: bool = True, limit: int = 500) -> Sequence[Finding]:
        with self.snapshot() as db:
            return foretold.findings(db, terminal, open_only=open_only, limit=limit)

    def finding(self, number: str) -> Finding:
        with self.snapshot() as db:
            return foretold.finding(db, number)

    def records(self) -> Sequence[Record]:
        with self.snapshot() as db:
            return foretold.records(db)

    def grades(self) -> Sequence[Grade]:
        with self.snapshot() as db:
            return foretold.grades(db)

    def foretold(self) -> tuple[int, int]:
        with self.snapshot() as db:
            return foretold.reached(db)

    def watched_since(self) -> int:
        with self.snapshot() as db:
            return foretold.watched_since(db)

    # History.

    def history(self, terminal: str, component: str, signal: str, start: int, end: int) -> History:
        with self.snapshot() as db:
            points, resolution = history_reader.points(db, terminal, component, signal, start, end)
        return History(terminal, component, signal, self._unit(signal), resolution, tuple(points))

    def readings(self, terminal: str, component: str, signal: str, at: int, count: int) -> StoredReadings:
        with self.snapshot() as db:
            if db.execute("SELECT 1 FROM terminal WHERE id = ?", (terminal,)).fetchone() is None:
                raise KeyError(terminal)
            return readings_reader.around(db, terminal, component, signal, at, count)

    def health(self) -> Health:
        with self.snapshot() as db:
            n, at = db.execute("SELECT n, at FROM journal ORDER BY n DESC LIMIT 1").fetchone() or (0, 0)
            started = db.execute("SELECT max(at) FROM journal WHERE kind = 1").fetchone()[0] or 0
            lines, waiting = queues(db), self._waiting(db)
            meta = dict(
                db.execute("SELECT key, value FROM meta WHERE key IN ('advanced_to', 'refused', 'culprits')").fetchall()
            )
        refused = msgpack.unpackb(meta["refused"]) if "refused" in meta else {}
        return Health(
            n,
            at,
            sum(line.waiting for line in lines),
            sum(line.dead for line in lines),
            tuple(sorted(refused.items())),
            started,
            int(meta.get("advanced_to", 0)),
            culprits(meta.get("culprits")),
            waiting,
        )

    def undone(self) -> tuple[int, int]:
        with self.snapshot() as db:
            return undone(db)

    def waiting(self) -> tuple[WaitingView, ...]:
        with self.snapshot() as db:
            return self._waiting(db)

    def _waiting(self, db: Db) -> tuple[WaitingView, ...]:
        targets = self._policy_now(db).targets
        return waiting(db, {level: target.undelivered_ns for level, target in targets.items()})

    def outgoing(
        self, *, connector: str | None = None, limit: int = 500, offset: int = 0
    ) -> tuple[list[OutgoingView], int]:
        with self.snapshot() as db:
            return backlog(db, connector, limit, offset)
