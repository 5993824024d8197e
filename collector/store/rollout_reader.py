"""The part of the store's reader that is about configuration bundles, rollouts, and what terminals run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgpack

from tillwatch.collector.rollout.reading import MemberView, RolloutView
from tillwatch.collector.rollout.rings import Tally
from tillwatch.collector.rollout.states import RUNNING, Bundle, Member, Rollout, counted
from tillwatch.collector.store.db import Db
from tillwatch.collector.terminal.fleet import Terminal

_WITHOUT = "n, name, digest, at, by, reason, x'', body"


class RolloutStore:
    """Of the reader."""

    def snapshot(self) -> AbstractContextManager[Db]:
        raise NotImplementedError

    def rollouts_enabled(self) -> bool:
        with self.snapshot() as db:
            packed = db.execute("SELECT value FROM meta WHERE key = 'settings'").fetchone()
        settings = msgpack.unpackb(packed[0]) if packed else {}
        return bool(settings.get("rollout.enabled") == "True")

    def config_bundles(self) -> Sequence[Bundle]:
        with self.snapshot() as db:
            rows = db.execute(f"SELECT {_WITHOUT} FROM config_bundle ORDER BY n DESC").fetchall()  # noqa: S608 - a constant
        return [Bundle.of_row(row) for row in rows]

    def config_bundle(self, n: int) -> Bundle:
        with self.snapshot() as db:
            return content_of(db, n)

    def rollouts(self, limit: int = 50) -> Sequence[RolloutView]:
        with self.snapshot() as db:
            rows = db.execute("SELECT * FROM rollout ORDER BY n DESC LIMIT ?", (limit,)).fetchall()
            return [_view(db, Rollout.of_row(row)) for row in rows]

    def rollout(self, n: int) -> RolloutView:
        with self.snapshot() as db:
            row = db.execute("SELECT * FROM rollout WHERE n = ?", (n,)).fetchone()
            if row is None:
                raise KeyError(str(n))
            return _view(db, Rollout.of_row(row))

    def members(self, terminals: Sequence[str] = ()) -> Sequence[MemberView]:
        with self.snapshot() as db:
            names = dict(db.execute("SELECT n, name FROM config_bundle").fetchall())
            wanted = "WHERE t.id IN (SELECT value FROM json_each(?1))" if terminals else "WHERE ?1 = ''"
            rows = db.execute(
                f"SELECT t.branch, t.region, t.id, t.class, t.state, t.enrolled_at, t.status, r.* FROM terminal t LEFT JOIN terminal_ring r ON r.terminal = t.id {wanted} ORDER BY t.id",  # noqa: S608 - two constants
                (json.dumps(list(terminals)) if terminals else "",),
            ).fetchall()
        return [_member(row, names) for row in rows]


def content_of(db: Db, n: int) -> Bundle:
    """A bundle with its content. Raises KeyError."""
    row = db.execute("SELECT * FROM config_bundle WHERE n = ?", (n,)).fetchone()
    if row is None:
        raise KeyError(str(n))
    return Bundle.of_row(row)


def _member(row: tuple[Any, ...], names: dict[int, str]) -> MemberView:
    branch, region, name, kind, state, enrolled_at, status = row[:7]
    terminal = Terminal(name, branch, region, kind, enrolled_at, state)
    terminal.unpack_status(status)
    member = Member.of_row(row[7:]) if row[7] is not None else Member(name)
    return MemberView(member, names.get(member.bundle, ""), terminal.version, branch, region)


def _view(db: Db, rollout: Rollout) -> RolloutView:
    """Of a ring under way the members are counted; of one that is over, its tally was kept."""
    row = db.execute("SELECT name FROM config_bundle WHERE n = ?", (rollout.bundle,)).fetchone()
    tallies = dict(rollout.tallies)
    if rollout.state == RUNNING:
        name = rollout.rings[rollout.ring].name
        tally = Tally()
        for packed in db.execute("SELECT * FROM terminal_ring WHERE ring = ? AND number >= ?", (name, rollout.number)):
            member = Member.of_row(packed)
            if member.told_at >= rollout.at:
                tally = counted(tally, member, 1)
        tallies[name] = tally
    return RolloutView(rollout, row[0] if row else "", tuple(tallies.get(ring.name, Tally()) for ring in rollout.rings))
