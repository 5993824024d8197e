"""The part of the store's reader that is about the monitoring itself: planned work, acts, what rules did, and the collector's own parts. Reads the machine as well:
disk, certificates, clock.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC
from pathlib import Path

import msgpack

from tillwatch.agent.model import AGENT
from tillwatch.agent.wire import VerifyKey
from tillwatch.collector.clock_service import synchronised
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.windows import Window
from tillwatch.collector.journal import Kind
from tillwatch.collector.oversight import (
    CertificateView,
    CommandNews,
    DoneView,
    IncidentNews,
    MonitoringFacts,
    News,
    RuleCount,
    RuleRecord,
    Shown,
    SinkView,
    SpoolView,
    everything,
)
from tillwatch.collector.proof import acts_page
from tillwatch.collector.proof.acts_page import ActsPage, EntryCheck, Stretch, Wanted
from tillwatch.collector.series.kept import read_all
from tillwatch.collector.store import done, incident_reader, requests, rule_reader
from tillwatch.collector.store.db import Db, Where
from tillwatch.collector.store.reading import OCCUPIED
from tillwatch.collector.terminal.fleet import Terminal
from tillwatch.collector.trust.authority import (
    CLIENT_LIFE,
    RENEW_BEFORE,
    AuthorityError,
    certificate_ends,
    open_authority,
)

MAX_AWAY = 100
"""Absences of the collector that are told, the newest."""
MAX_AGED = 100
MAX_NEWS = 5_000
"""Events of incidents that one look takes, the newest: a storm has as many in a second, and the lists are asked then."""
MAX_COMMANDS = 200
_HAPPENED = """
    SELECT i.corr_id, i.branch, i.region, e.kind FROM incident_event e JOIN incident i ON i.corr_id = e.incident WHERE e.seq > ? ORDER BY e.seq DESC LIMIT ?"""
_COMMANDS = "SELECT n, terminal, kind, state FROM command ORDER BY n DESC LIMIT ?"
_SPOOLS = "SELECT t.id, c.state FROM terminal t JOIN component c ON c.terminal = t.id AND c.name = ? WHERE t.state <> 'revoked' ORDER BY t.id"
_SPOOL = ("agent.spool.batches", "agent.spool.bytes", "agent.spool.oldest", "agent.spool.state")


class Oversight:
    """Of the reader. where: the store is; path: what is beside it stands beside this."""

    where: Where
    path: Path

    def snapshot(self) -> AbstractContextManager[Db]:
        raise NotImplementedError

    def _policy_now(self, db: Db) -> Policy:
        raise NotImplementedError

    def windows(self) -> Mapping[str, Window]:
        with self.snapshot() as db:
            return incident_reader.windows(db, self._policy_now(db))

    def acts(self, wanted: Wanted, before: int, limit: int, shown: Shown = everything) -> ActsPage:
        with self.snapshot() as db:
            return acts_page.page(db, wanted, before, limit, shown)

    def entry(self, n: int) -> EntryCheck:
        with self.snapshot() as db:
            return acts_page.check_entry(db, n, self._own_key())

    def stretch(self, first: int, last: int) -> Stretch:
        with self.snapshot() as db:
            return acts_page.follow(db, first, last)

    def news(self, after: int) -> News:
        with self.snapshot() as db:
            (last,) = db.execute("SELECT coalesce(max(seq), 0) FROM incident_event").fetchone()
            rows = db.execute(_HAPPENED, (after, MAX_NEWS)).fetchall() if after >= 0 else []
            commands = db.execute(_COMMANDS, (MAX_COMMANDS,)).fetchall()
        found: dict[str, tuple[str, str, list[str]]] = {}
        for corr_id, branch, region, kind in reversed(rows):
            found.setdefault(corr_id, (branch, region, []))[2].append(kind)
        return News(
            int(last), tuple(IncidentNews(name, branch, region, tuple(dict.fromkeys(kinds))) for name, (branch, region, kinds) in found.items()),
            tuple(CommandNews(*row) for row in commands),
        )  # fmt: skip

    def verified(self) -> DoneView:
        return _done(done.read(self.path).get(done.VERIFIED))

    def rules_fired(self, since: int, shown: Shown = everything) -> Mapping[str, RuleCount]:
        with self.snapshot() as db:
            return rule_reader.fired(db, since, shown)

    def rule_record(self, rule: str, since: int, now: int, shown: Shown = everything) -> RuleRecord:
        with self.snapshot() as db:
            return rule_reader.record(db, rule, since, now, shown)

    def _own_key(self) -> VerifyKey | None:
        try:
            return VerifyKey(open_authority(self._authority).ack_key.public) if self._authority.is_dir() else None
        except AuthorityError:
            return None

    @property
    def _authority(self) -> Path:
        return self.path.parent / "authority"

    def monitoring(self, now: int) -> MonitoringFacts:
        with self.snapshot() as db:
            waiting = requests.count(db)
            stopped = db.execute("SELECT max(n), max(at) FROM journal WHERE kind = ? AND payload IS NULL", (Kind.STOPPED,)).fetchone()  # fmt: skip
            started = db.execute("SELECT max(n) FROM journal WHERE kind = ? AND payload IS NULL", (Kind.STARTED,)).fetchone()  # fmt: skip
            away = db.execute("SELECT since, until FROM outage ORDER BY since DESC LIMIT ?", (MAX_AWAY,)).fetchall()
            spools = tuple(_spools(db))
            aged = tuple(_aged(db, now))
            size = self._size(db)
        kept = done.read(self.path)
        free, total = self._disk()
        return MonitoringFacts(
            store_bytes=size, disk_free=free, disk_total=total, acts_waiting=waiting,
            stopped_at=int(stopped[1] or 0) if (stopped[0] or 0) > (started[0] or 0) else 0,
            away=tuple((int(since), int(until)) for since, until in away), spools=spools, certificates=tuple(self._certificates()), aged=aged,
            backup=_done(kept.get(done.BACKUP)), verified=_done(kept.get(done.VERIFIED)), synchronised=synchronised(), sinks=tuple(_sinks(self.path)),
        )  # fmt: skip

    def _size(self, db: Db) -> int | None:
        if not isinstance(self.where, Path):
            return int(db.execute(OCCUPIED).fetchone()[0])
        try:
            beside = self.path.with_name(f"{self.path.name}-wal")
            return self.path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
        except OSError:
            return None

    def _disk(self) -> tuple[int | None, int | None]:
        try:
            usage = shutil.disk_usage(self.path.parent)
        except OSError:
            return None, None
        return usage.free, usage.total

    def _certificates(self) -> Iterator[CertificateView]:
        for name in ("ca.pem", "server.pem"):
            path = self._authority / name
            if not path.exists():
                continue
            try:
                ends = certificate_ends(path).replace(tzinfo=UTC)
                yield CertificateView(name, int(ends.timestamp()) * 10**9)
            except (OSError, ValueError) as error:
                yield CertificateView(name, 0, str(error))


def _sinks(database: Path) -> Iterator[SinkView]:
    for name, one in read_all(database).items():
        yield SinkView(
            name, one.written.n, one.written.at, one.looked_at, one.points, one.refused, bool(one.process), one.trouble
        )


def _spools(db: Db) -> Iterator[SpoolView]:
    for terminal, state in db.execute(_SPOOLS, (AGENT,)):
        series = msgpack.unpackb(state)[4]
        batches, size, oldest, word = (series.get(name) for name in _SPOOL)
        if batches is not None:
            yield SpoolView(
                terminal, batches[0], _number(batches), _number(size), _number(oldest), str(word[1]) if word is not None else "",
            )  # fmt: skip


def _number(series: list[object] | None) -> int:
    value = series[1] if series is not None else None
    return int(value) if isinstance(value, int | float) else 0


def _aged(db: Db, now: int) -> Iterator[str]:
    """Terminals whose newest certificate has a month left or less; who renews in time never comes here."""
    limit = now - int((CLIENT_LIFE - RENEW_BEFORE).total_seconds()) * 10**9
    found = 0
    for name, status in db.execute("SELECT id, status FROM terminal WHERE state <> 'revoked' ORDER BY id"):
        known = Terminal(name, "", "", "", 0)
        known.unpack_status(status)
        good = [each.since for each in known.certificates.values() if not each.revoked]
        if good and max(good) < limit and found < MAX_AGED:
            found += 1
            yield name


def _done(kept: dict[str, object] | None) -> DoneView:
    if kept is None:
        return DoneView()
    at, entries = kept.get("at"), kept.get("entries")
    return DoneView(
        at if isinstance(at, int) else 0, bool(kept.get("ok")), str(kept.get("text", "")), entries if isinstance(entries, int) else 0
    )  # fmt: skip
