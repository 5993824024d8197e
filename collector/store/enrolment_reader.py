"""The part of the store's reader that is about who may enrol, and who has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

from tillwatch.collector.store.db import Db
from tillwatch.collector.trust.expected import BATCH, EXPECTED, Expected, Grant, RefusedClaim
from tillwatch.collector.trust.reading import NotEnrolled


class EnrolmentReader:
    """Of the reader."""

    def snapshot(self) -> AbstractContextManager[Db]:
        raise NotImplementedError

    def grants(self) -> Sequence[Grant]:
        with self.snapshot() as db:
            return [Grant.of_row(row) for row in db.execute("SELECT * FROM enrol_grant ORDER BY at DESC, name")]

    def expected(self) -> Sequence[Expected]:
        with self.snapshot() as db:
            rows = db.execute("SELECT * FROM expected_terminal ORDER BY terminal, serial").fetchall()
        return [Expected.of_row(row) for row in rows]

    def refused_claims(self) -> Sequence[RefusedClaim]:
        with self.snapshot() as db:
            return [
                RefusedClaim.of_row(row) for row in db.execute("SELECT * FROM refused_claim ORDER BY at DESC, serial")
            ]

    def not_enrolled(self, name: str) -> Sequence[NotEnrolled]:
        with self.snapshot() as db:
            row = db.execute("SELECT * FROM enrol_grant WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise KeyError(name)
            grant = Grant.of_row(row)
            if grant.kind == BATCH:
                return [
                    NotEnrolled(*row)
                    for row in db.execute(
                        "SELECT terminal, branch, region, class FROM token WHERE batch = ? AND used_at IS NULL ORDER BY terminal, secret_digest",
                        (name,),
                    )
                ]
            rows = db.execute(
                "SELECT * FROM expected_terminal WHERE state = ? ORDER BY terminal, serial", (EXPECTED,)
            ).fetchall()
        wanted = name if grant.listed else ""
        return [
            NotEnrolled(one.terminal, one.branch, one.region, one.terminal_class, one.serial)
            for one in map(Expected.of_row, rows)
            if one.image == wanted
        ]
