"""The store, and the embedded one: one SQLite file, WAL, synchronous=FULL. One transaction keeps all that one group of entries changed: journal, latest
values, roll-ups, watermarks, detector state, alarms, and the outbox rows of their incidents. There is one writer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import msgpack

from tillwatch.agent.model import Value
from tillwatch.agent.wire import VerifyKey
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.changes import Dirty, Rollup
from tillwatch.collector.detect.limits import LimitState
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.fold import Fold
from tillwatch.collector.journal import GENESIS, Entry, Journal, Kind
from tillwatch.collector.sequence import Stream
from tillwatch.collector.store import folded, retention, segments, upgrading
from tillwatch.collector.store.db import Db, Where, scan
from tillwatch.collector.store.postgres.dialect import Table, upsert, upsert_of
from tillwatch.collector.terminal.digests import RECENT
from tillwatch.collector.terminal.fleet import Component, Terminal, TerminalKey
from tillwatch.collector.terminal.late import PREFIX as LATE
from tillwatch.collector.tickets.links import LINKED, keep_link
from tillwatch.collector.tickets.message import TicketMessage
from tillwatch.collector.tickets.outbox import enqueue, hand_over, retry, ticket_of
from tillwatch.collector.tickets.port import DRILLS, Destination

T = TypeVar("T")
SCHEMA_VERSION = 8
BUSY_MS = 10_000
"""Waiting for the outbox's or a command's short transaction: ten times the longest that was ever needed."""
_DAMAGED = {11, 26}
"""SQLITE_CORRUPT, SQLITE_NOTADB: what a disk that is full or cannot be written is not."""
TERMINAL = "INSERT OR REPLACE INTO terminal VALUES (?,?,?,?,?,?,?)"
STREAM = "INSERT OR REPLACE INTO stream VALUES (?,?,?,?,?)"
COMPONENT = "INSERT OR REPLACE INTO component VALUES (?,?,?,?,?)"
FOLD_TABLES = (
    "terminal", "terminal_key", "stream", "component", "rollup", "detector", "alarm", "alarm_event", "incident", "incident_alarm",
    "incident_event", "state_change", "late_span", "correction", "outage", "maintenance", "finding", "risk",
    "hit_rate", "foretold", "asset", "terminal_note", "command", "config_bundle",
    "rollout", "terminal_ring", "expected_terminal", "enrol_grant", "refused_claim",
)  # fmt: skip
"""What a rebuild makes anew."""


class StoreError(Exception):
    """The store cannot be used or written. The text says where it is and what to do."""


class FencedError(StoreError):
    """Somebody else is the one writer now, or may be. This process writes nothing any more, and what it knows is not to be trusted: it must end."""


def open_db(path: Path) -> Db:
    """Open the collector's file, made if it is not there. Raises StoreError for a file of a newer version, one that is damaged or cannot be used now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        conn = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000, check_same_thread=False)
        conn.execute("PRAGMA auto_vacuum=INCREMENTAL")
        conn.execute("PRAGMA journal_mode=WAL")
        conn.execute("PRAGMA synchronous=FULL")
        version = conn.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        mend = "stop the collector, keep the file, and restore the last backup beside it"
        if int(getattr(error, "sqlite_errorcode", 0)) & 0xFF not in _DAMAGED:
            mend = "see that there is room on that disk and that the collector's user may write there; terminals keep what they read"
        msg = f"{path}: {error}; {mend}"
        raise StoreError(msg) from None
    if version > SCHEMA_VERSION:
        conn.close()
        msg = f"{path} was written by a newer tillwatch (schema {version}, this one knows {SCHEMA_VERSION}); install that version again"
        raise StoreError(msg)
    while version < SCHEMA_VERSION:
        version += 1
        schema = (files("tillwatch.collector.store") / f"schema_v{version}.sql").read_text(encoding="utf-8")
        try:
            conn.executescript(f"BEGIN IMMEDIATE;\n{schema}")
            if version in upgrading.STEPS:
                upgrading.STEPS[version](conn)
            conn.execute(f"PRAGMA user_version={version}")
            conn.execute("COMMIT")
        except sqlite3.OperationalError:
            # A command beside the first start may have made the tables while this one waited for its turn.
            if conn.in_transaction:
                conn.rollback()
            if conn.execute("PRAGMA user_version").fetchone()[0] < version:
                raise
    return conn


def merge(row: list[Any] | None, late: list[Any]) -> list[Any]:
    """Two roll-ups of one hour as one, the second being the later one by sequence: [n, sum, min, max, last, last_at]."""
    if row is None:
        return late
    least = [v for v in (row[2], late[2]) if v is not None]
    most = [v for v in (row[3], late[3]) if v is not None]
    return [row[0] + late[0], row[1] + late[1], min(least, default=None), max(most, default=None), late[4], late[5]]


def terminals_of(db: Db) -> Iterator[Terminal]:
    """The terminals as they are kept, without keys, streams and components."""
    for row in db.execute("SELECT id, branch, region, class, state, enrolled_at, status FROM terminal ORDER BY id"):
        terminal = Terminal(row[0], row[1], row[2], row[3], row[5], row[4])
        terminal.unpack_status(row[6])
        yield terminal


@dataclass(frozen=True, slots=True)
class Commit:
    """One group, ready to be written; made on the loop's thread, so that the writing thread shares nothing with the fold."""

    entries: Sequence[Entry]
    rows: Sequence[tuple[str, Sequence[tuple[Any, ...]]]]
    rollups: Sequence[Rollup]
    dirty: Dirty
    advanced_to: int
    also: Sequence[Callable[[Db], None]] = ()


Route = Callable[[TicketMessage, int, str], Sequence[Destination]]
"""(message, UTC ns, connector that has the incident's ticket already or empty) -> whom it is told."""


def unrouted(message: TicketMessage, at: int, stays: str) -> Sequence[Destination]:  # noqa: ARG001 - a Route
    """Where no receiver is configured messages wait until one is."""
    return (Destination(DRILLS if message.drill else stays),)


class Store:
    """What is the same wherever it is kept. route: asked inside an incident's transaction, so that no message is without a receiver."""

    def __init__(self, where: Where, conn: Db) -> None:
        self.where = where
        self.conn = conn
        self.route: Route = unrouted
        self._spelt: dict[str, str] = {}

    def close(self) -> None:
        self.conn.close()

    def load(self, fold: Fold) -> Journal:
        """Fill the fold with what is kept, and give the end of the journal. Raises StoreError, and then the fold is not to be used."""
        with self._undone("the state cannot be loaded now") as db:
            return self._load(db, fold)

    def _load(self, db: Db, fold: Fold) -> Journal:
        fleet = fold.fleet
        rules = self.meta("rules")
        if rules is not None:
            shipped, site = msgpack.unpackb(rules)
            fold.book.rules = parse_rules(site, shipped=shipped, replay=True)
        policy = self.meta("policy")
        if policy is not None:
            shipped, site = msgpack.unpackb(policy)
            fold.book.policy = parse_policy(site, shipped=shipped, replay=True)
        fleet.terminals |= {terminal.id: terminal for terminal in terminals_of(db)}
        for name, key_id, public, state, since in scan(
            db, "SELECT terminal, key_id, public, state, since FROM terminal_key ORDER BY terminal, key_id"
        ):
            fleet.terminals[name].keys[key_id] = TerminalKey(VerifyKey(public), state, since)
        for name, epoch, mark, tail in scan(
            db, "SELECT terminal, epoch, mark, tail FROM stream ORDER BY terminal, epoch"
        ):
            fleet.terminals[name].streams[epoch] = Stream(epoch, mark, tail)
        for name, component, state in scan(db, "SELECT terminal, name, state FROM component ORDER BY terminal, name"):
            terminal = fleet.terminals[name]
            kept = Component.unpack(component, state)
            terminal.components[kept.name] = kept
            terminal.signals += len(kept.series)
        for rule, name, component, state in scan(
            db, "SELECT detector, terminal, component, state FROM detector ORDER BY detector, terminal, component"
        ):
            if rule.startswith(LATE):
                fold.late.load(rule, name, component, state)
            else:
                fold.alarming.limits[rule, name, component] = LimitState(*msgpack.unpackb(state))
        last = db.execute("SELECT n, at, digest FROM journal ORDER BY n DESC LIMIT 1").fetchone() or (0, 0, GENESIS)
        fold.advanced_to = max(last[1], self.meta_int("advanced_to"))
        folded.load(db, fold)
        for name, facts, digest in self._recent(db, list(fleet.terminals)):
            stamp = msgpack.unpackb(facts)
            fleet.remember(name, stamp["epoch"], stamp["seq"], digest)
        fold.loaded()
        return Journal(*last)

    def _recent(self, db: Db, terminals: Sequence[str]) -> Iterator[tuple[str, bytes, bytes]]:
        """Terminal, facts and digest of the last batches of each, in order."""
        for terminal in terminals:
            rows = db.execute(
                "SELECT terminal, facts, payload_digest FROM journal WHERE terminal = ? AND kind = 3 AND payload IS NOT NULL ORDER BY n DESC LIMIT ?",
                (terminal, RECENT),
            ).fetchall()
            yield from reversed(rows)

    def prepare(self, fold: Fold, entries: Sequence[Entry], also: Sequence[Callable[[Db], None]] = ()) -> Commit:
        """Take what the fold has changed and put it into rows."""
        dirty = fold.take_dirty()
        fleet = fold.fleet.terminals
        terminals = [
            (t.id, t.branch, t.region, t.terminal_class, t.state, t.enrolled_at, t.pack_status())
            for t in (fleet[name] for name in sorted(dirty.terminals))
        ]
        keys = [
            (name, key_id, k.verify.public, k.state, k.since)
            for name, key_id in dirty.keys
            for k in (fleet[name].keys[key_id],)
        ]
        streams = [
            (name, epoch, s.mark, s.tail, int(fleet[name].epoch == epoch))
            for name, epoch in dirty.streams
            for s in (fleet[name].streams[epoch],)
        ]
        components = [
            (name, c, kept.unknown, kept.worst(), kept.pack())
            for name, c in sorted(dirty.components)
            for kept in (fleet[name].components[c],)
        ]
        limits = []
        quiet = []
        for key in dirty.limits:
            state = fold.alarming.limits.get(key)
            if state is None:
                quiet.append(key)
            else:
                limits.append((*key, msgpack.packb([state.level, state.wanted, state.since, state.at, state.value])))
        journal = [
            (
                e.n,
                e.at,
                int(e.kind),
                e.terminal,
                e.facts,
                e.payload,
                e.payload_digest,
                e.digest,
                *(e.span or (None, None)),
            )
            for e in entries
        ]
        meta: list[tuple[str, bytes]] = [("advanced_to", b"%d" % fold.advanced_to)]
        if dirty.rules:
            meta.append(("rules", msgpack.packb([fold.book.rules.shipped, fold.book.rules.text])))
            meta.append(("policy", msgpack.packb([fold.book.policy.shipped, fold.book.policy.text])))
        rows = [
            ("INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?,?)", journal),
            (TERMINAL, terminals),
            ("INSERT OR REPLACE INTO terminal_key VALUES (?,?,?,?,?)", keys),
            (STREAM, streams),
            (COMPONENT, components),
            ("INSERT OR REPLACE INTO detector VALUES (?,?,?,?)", limits),
            ("DELETE FROM detector WHERE detector = ? AND terminal = ? AND component = ?", quiet),
            *folded.rows(dirty),
            ("INSERT OR REPLACE INTO meta VALUES (?,?)", meta),
        ]
        return Commit(
            entries, [(sql, params) for sql, params in rows if params], dirty.rollups, dirty, fold.advanced_to, also
        )

    def commit(self, group: Commit, *, deliver: bool = True) -> None:
        """Write one group in one transaction, or raise StoreError with nothing written.

        deliver: False in a rebuild, where the messages to ticket systems were enqueued long ago.
        """
        self.begin()
        self.write(group)
        self.end(group, deliver=deliver)

    # The same in three steps. Rows are written by the thread that made them: it would only wait for the interpreter at each of them. What
    # waits for others or for the disk is the first step and the last one, and these may run in another thread.

    def begin(self) -> None:
        with self._undone(GROUP):
            self._begin()

    def _begin(self) -> None:
        """As the one writer."""
        self.conn.execute("BEGIN IMMEDIATE")

    def write(self, group: Commit) -> None:
        with self._undone(GROUP) as db:
            for sql, params in group.rows:
                db.executemany(self._spelt.get(sql, sql), params)

    def end(self, group: Commit, *, deliver: bool = True) -> None:
        with self._undone(GROUP) as db:
            self._merge(group.rollups)
            for since, until in group.dirty.gaps:
                retention.remember(db, since, until)
            if deliver:
                for message in group.dirty.messages:
                    enqueue(db, message, message.at, self.route(message, message.at, ticket_of(db, message.incident)))
                for incident, connector in group.dirty.retries:
                    retry(db, incident, connector)
                for change in group.dirty.tickets:
                    if change.get("origin") == LINKED:
                        hand_over(db, change["incident"], change["connector"])
            for change in group.dirty.tickets:
                keep_link(db, change)
            for also in group.also:
                also(db)
            db.execute("COMMIT")

    def abandon(self) -> None:
        """Give up a transaction that was begun, if one was."""
        if self.conn.in_transaction:
            self.conn.execute("ROLLBACK")

    def change(self, change: Callable[[Db], object]) -> None:
        """Make a change of the file that changes nothing of what it says, in one transaction. Raises StoreError."""
        with self._undone("nothing was changed") as db:
            self._begin()
            change(db)
            db.execute("COMMIT")

    @contextmanager
    def _undone(self, otherwise: str) -> Iterator[Db]:
        """Whatever fails, the whole transaction is."""
        try:
            yield self.conn
        except sqlite3.Error as error:
            self.abandon()
            msg = f"{self.where}: {error}; {otherwise}"
            raise StoreError(msg) from error
        except BaseException:
            self.abandon()
            raise

    def _merge(self, rollups: Sequence[Rollup]) -> None:
        if not rollups:
            return
        hours: dict[tuple[str, str, int], dict[str, list[Any]]] = {rollup[:3]: {} for rollup in rollups}
        for *key, signals in self._hours(list(hours)):
            hours[key[0], key[1], key[2]] = msgpack.unpackb(signals)
        for terminal, component, hour, signal, late in rollups:
            known = hours[terminal, component, hour]
            known[signal] = merge(known.get(signal), late)
        self._put(
            "INSERT OR REPLACE INTO rollup VALUES (?,?,?,?)",
            [(*key, msgpack.packb(signals)) for key, signals in hours.items()],
        )

    def _hours(self, keys: Sequence[tuple[str, str, int]]) -> Iterator[Any]:
        """Those roll-ups that there are: (terminal, component, hour, signals)."""
        for key in keys:
            yield from self.conn.execute("SELECT * FROM rollup WHERE terminal = ? AND component = ? AND hour = ?", key)

    def _put(self, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
        self.conn.executemany(sql, rows)

    def read(self, look: Callable[[Db], T]) -> T:
        """What a question finds, outside of transactions. Raises StoreError."""
        with self._undone(READ) as db:
            return look(db)

    def meta(self, key: str) -> bytes | None:
        with self._undone(READ) as db:
            row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def meta_int(self, key: str) -> int:
        return int(self.meta(key) or 0)

    def stored_digest(self, terminal: str, epoch: bytes, seq: int) -> bytes | None:
        """The digest kept for a batch that left the recent ones long ago; None where it never came, or is retired. Raises StoreError."""
        with self._undone(READ) as db:
            return self._stored_digest(db, terminal, epoch, seq)

    def _stored_digest(self, db: Db, terminal: str, epoch: bytes, seq: int) -> bytes | None:
        for facts, digest in db.execute(
            "SELECT facts, payload_digest FROM journal WHERE terminal = ? AND kind = ? AND payload IS NOT NULL",
            (terminal, Kind.BATCH),
        ):
            stamp = msgpack.unpackb(facts)
            if stamp["seq"] == seq and stamp["epoch"] == epoch:
                return bytes(digest)
        packed = segments.find(db, terminal, epoch, seq)
        return sha256(packed[1]).digest() if packed else None


class SqliteStore(Store):
    def __init__(self, path: Path) -> None:
        super().__init__(path, open_db(path))
        self.path = path
        # What each batch writes anew is overwritten where it lies. REPLACE takes the row out and puts one in, pages make room among
        # each other, and a commit takes a quarter more.
        self._spelt = {sql: in_place(self.conn, sql) for sql in (TERMINAL, STREAM, COMPONENT)}


def in_place(db: Db, replace: str) -> str:
    """The same in SQLite as an update of the row that is there."""
    parts = upsert_of(replace)
    assert parts is not None
    how, name, given, rest = parts
    columns = db.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)).fetchall()
    table = Table(tuple(column for column, _ in columns), tuple(column for column, key in columns if key))
    return upsert(how, name, table, given, rest)


READ = "it cannot be read now"
GROUP = "nothing of this group was stored and nothing was acknowledged"


def plain(value: Any) -> Value:
    """A value out of msgpack, which knows no other kinds."""
    return value if isinstance(value, int | float | str) else None
