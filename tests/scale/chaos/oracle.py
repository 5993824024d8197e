"""What must hold once every fault is mended and everything is drained: what the fleet says that it sent, compared with what the database keeps, what the desk was told
and what the sink has. Every deviation is a line of text.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tests.collector.tickets.invariants import assert_invariants
from tests.scale.chaos.desk import Desk
from tests.scale.chaos.fleet import Account
from tests.scale.servers.victoriametrics import VictoriaMetrics
from tillwatch.agent.wire import FIRST_PREV, Refusal, VerifyKey, WireError, open_batch_frame
from tillwatch.collector.journal import Kind
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.series.lines import measurement
from tillwatch.collector.store.db import Db, Postgres
from tillwatch.collector.store.log import Fault, Log
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.store.sqlite import SqliteStore, StoreError

Times = dict[tuple[str, str, str], set[int]]
"""(terminal, component, measurement) -> UTC ms, corrected."""


@dataclass
class Truth:
    """Of the journal, opened anew. numbers: when numeric readings were made, as sinks have them."""

    batches: int = 0
    readings: int = 0
    numbers: Times = field(default_factory=lambda: defaultdict(set))
    found: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Stream:
    seq: int = 0
    tail: bytes = FIRST_PREV


def copied(where: Postgres, path: Path) -> Path:
    """All tables of the server in a file, row by row and column by column: what is compared is looked at there, at leisure."""
    with closing(open_db(where)) as old, closing(SqliteStore(path)) as new:
        names = [
            row[0]
            for row in new.conn.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            ).fetchall()
        ]
        old.execute("BEGIN")
        new.conn.execute("BEGIN IMMEDIATE")
        for name in names:
            columns = ", ".join(f'"{row[1]}"' for row in new.conn.execute(f"PRAGMA table_info({name})").fetchall())
            rows = old.execute(f"SELECT {columns} FROM {name}").fetchall()
            new.conn.execute(f"DELETE FROM {name}")
            places = ",".join("?" * (columns.count(",") + 1))
            new.conn.executemany(f"INSERT INTO {name} ({columns}) VALUES ({places})", rows)
        new.conn.execute("COMMIT")
        old.execute("COMMIT")
    return path


def truth(db: Db, account: Account) -> Truth:
    """Walk the log, and hold every batch against what was sent: once, in order, without a hole, link by link up to the digest that the fleet remembers."""
    found = Truth()
    sent = {(row.terminal, row.epoch): row for row in account.sent}
    streams = {key: _Stream() for key in sent}
    keys = _Keys(db)

    def damaged(fault: Fault) -> None:
        found.found.append(f"entry {fault.n}: {fault.text}")

    for logged in Log(db).walk(damaged):
        entry = logged.entry
        where = f"{entry.terminal}, entry {entry.n}"
        if entry.kind in (Kind.FORK, Kind.REFUSED):
            found.found.append(f"{where}: {entry.kind.name}")
        if entry.kind is not Kind.BATCH:
            continue
        if logged.frame is None:
            found.found.append(f"{where}: the batch is {logged.state}")
            continue
        try:
            opened = open_batch_frame(entry.terminal, logged.frame, keys)
        except WireError as error:
            found.found.append(f"{where}: {error}")
            continue
        header, said = opened.header, entry.facts_map()
        stream = streams.get((entry.terminal, header.epoch))
        if stream is None:
            found.found.append(f"{where}: of an epoch that nobody sent")
            continue
        if header.seq != stream.seq + 1:
            found.found.append(f"{where}: batch {header.seq} follows batch {stream.seq}")
        elif header.prev != stream.tail:
            found.found.append(f"{where}: batch {header.seq} does not name the batch before it")
        stream.seq, stream.tail = header.seq, sha256(logged.frame).digest()
        row = sent[entry.terminal, header.epoch]
        if header.seq == row.acknowledged and stream.tail != row.digest:
            found.found.append(f"{where}: batch {header.seq} is not the one that was sent")
        found.batches += 1
        for column in opened.columns:
            found.readings += len(column.values)
            times = found.numbers[entry.terminal, column.component, measurement(column.signal)]
            fix = said.get("correction_ms", 0)
            times |= {
                at + fix for at, value in zip(column.at, column.values, strict=True) if isinstance(value, int | float)
            }
    found.found += _against(db, account, streams)
    if found.readings != account.figures["readings"]:
        found.found.append(f"{account.figures['readings']} readings were sent, {found.readings} are kept")
    return found


def _against(db: Db, account: Account, streams: dict[tuple[str, bytes], _Stream]) -> Iterator[str]:
    marks = {
        (terminal, epoch): (mark, tail)
        for terminal, epoch, mark, tail in db.execute("SELECT terminal, epoch, mark, tail FROM stream").fetchall()
    }
    for row in account.sent:
        stream = streams[row.terminal, row.epoch]
        if not row.acknowledged <= stream.seq <= row.last:
            yield f"{row.terminal}: {row.acknowledged} batches were acknowledged, {row.last} were sent, {stream.seq} are kept"
        if row.acknowledged != row.last:
            yield f"{row.terminal}: {row.last - row.acknowledged} of {row.last} batches were never acknowledged"
        if marks.get((row.terminal, row.epoch)) != (stream.seq, stream.tail):
            yield f"{row.terminal}: the mark is {marks.get((row.terminal, row.epoch), (0,))[0]}, and {stream.seq} batches are kept"
    figures = account.figures
    if figures["failed"] or figures["unacknowledged"]:
        yield f"the fleet: {figures['unacknowledged']} not acknowledged; {json.dumps(figures['failed'])}"


def told(path: Path, desk: Desk) -> Iterator[str]:
    """Alarms, incidents and tickets."""
    try:
        assert_invariants(path)
    except AssertionError as error:
        yield str(error)
    with closing(sqlite3.connect(path)) as db:
        for row in db.execute(
            "SELECT rule, terminal, component, episode, count(*) FROM alarm GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"
        ):
            yield f"an alarm is there twice: {row}"
        for alarm, incidents in db.execute(
            "SELECT alarm, count(DISTINCT incident) FROM incident_alarm WHERE until = 0 GROUP BY 1 HAVING count(DISTINCT incident) > 1"
        ):
            yield f"alarm {alarm} is in {incidents} incidents at a time"
        for corr_id, count in db.execute("SELECT corr_id, count(*) FROM incident GROUP BY 1 HAVING count(*) > 1"):
            yield f"incident {corr_id} is there {count} times"
        opened = {
            row[0] for row in db.execute("SELECT incident FROM outbox WHERE op = 'open' AND connector = 'webhook'")
        }
        waiting = db.execute("SELECT count(*) FROM outbox WHERE state <> 'done'").fetchone()[0]
    if waiting:
        yield f"{waiting} messages were never told"
    tickets = desk.opened()
    yield from (f"incident {incident} has {count} tickets" for incident, count in tickets.items() if count > 1)
    yield from (
        f"the desk has a ticket of an incident that is not there: {incident}" for incident in tickets.keys() - opened
    )
    yield from (f"the desk never heard of incident {incident}" for incident in opened - tickets.keys())
    yield from _in_order(desk)


def _in_order(desk: Desk) -> Iterator[str]:
    """Of an incident what opens it comes first, and what ends it last; what is told again comes before the next."""
    last: dict[str, int] = {}
    for message in desk.told:
        seq = int(message.id.rpartition("_")[2])
        if seq < last.get(message.incident, 0):
            yield f"incident {message.incident}: message {seq} came behind message {last[message.incident]}"
        last[message.incident] = seq


def rebuilt(path: Path) -> Iterator[str]:
    """The chain from the first entry to the last, every signature, and the same state once more out of them."""
    again = path.with_name("rebuilt.db")
    try:
        rebuild(path, again)
    except (StoreError, WireError) as error:
        yield f"the journal does not verify: {error}"
        return
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(again)) as new:
        kept, made = tables(old), tables(new)
    for name, rows in kept.items():
        if rows != made[name]:
            ours, theirs = Counter(rows), Counter(made[name])
            yield f"table {name} is not what the journal gives:\n  kept {list(ours - theirs)[:3]}\n  made {list(theirs - ours)[:3]}"


def written(true: Truth, victoria: VictoriaMetrics) -> Iterator[str]:
    """Every number of the journal is in the sink, once."""
    has: Times = {}
    for labels, samples in victoria.exported().items():
        of = dict(labels)
        name = of["__name__"]
        if name.endswith("_value"):
            has[of["terminal"], of.get("component", ""), name.removesuffix("_value")] = set(samples)
            if doubled := [at for at, values in samples.items() if len(values) > 1]:
                yield f"the sink has {len(doubled)} samples twice of {labels}"
    for key, times in true.numbers.items():
        if times and (missing := times - has.get(key, set())):
            yield f"the sink lacks {len(missing)} of {len(times)} readings of {key}"
    if more := has.keys() - true.numbers.keys():
        yield f"the sink has what nobody sent: {sorted(more)[:3]}"


class _Keys:
    """Whoever enrolled may sign."""

    def __init__(self, db: Db) -> None:
        rows = db.execute("SELECT terminal, key_id, public FROM terminal_key").fetchall()
        self._keys = {(terminal, key_id): VerifyKey(public) for terminal, key_id, public in rows}
        self._terminals = {terminal for terminal, _ in self._keys}

    def knows(self, terminal: str) -> bool:
        return terminal in self._terminals

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        return self._keys.get((terminal, key_id), Refusal.UNKNOWN_KEY)
