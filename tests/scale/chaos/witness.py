"""Who wrote what, told by the database itself: a trigger notes for each entry of the journal which address wrote it, under which epoch of the lease and when. So it
is seen whether one that was fenced off wrote anything, and how long nobody stored a batch.
"""

from __future__ import annotations

from typing import NamedTuple

import psycopg

from tests.scale.chaos.database import Database
from tillwatch.collector.journal import Kind

_SETUP = """
    CREATE SCHEMA witness;
    CREATE TABLE witness.written (n BIGINT, kind BIGINT, terminal TEXT, epoch BIGINT, address INET, at DOUBLE PRECISION);
    CREATE FUNCTION witness.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO witness.written
        VALUES (NEW.n, NEW.kind, NEW.terminal, (SELECT epoch FROM lease WHERE name = 'fold'), inet_client_addr(), extract(epoch FROM clock_timestamp()));
        RETURN NEW;
    END $$;
    CREATE TRIGGER note AFTER INSERT ON journal FOR EACH ROW EXECUTE FUNCTION witness.note();
"""


class Lease(NamedTuple):
    """address: of the machine that wrote last under this epoch, empty before it wrote anything; good: whether the lease has not run out."""

    epoch: int
    holder: str
    good: bool


class Witness:
    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self) -> None:
        """Once, when the tables are there."""
        with self._database.asked() as conn:
            conn.execute(_SETUP)

    def lease(self) -> Lease | None:
        """None while the database does not answer."""
        try:
            with self._database.asked() as conn:
                row = conn.execute(
                    "SELECT epoch, holder, until > clock_timestamp() FROM lease WHERE name = 'fold'"
                ).fetchone()
        except psycopg.Error:
            return None
        return Lease(*row) if row is not None else Lease(0, "", good=False)

    def stored(self) -> int:
        """Batches that are in the journal; -1 while the database does not answer."""
        try:
            with self._database.asked() as conn:
                row = conn.execute(
                    "SELECT count(*) FROM witness.written WHERE kind = %s", (int(Kind.BATCH),)
                ).fetchone()
        except psycopg.Error:
            return -1
        return int(row[0]) if row is not None else 0

    def first_batch(self, after_s: float, epoch: int = 0) -> float | None:
        """When the first one after that time was stored, UTC s; epoch: under this one or a later one."""
        try:
            with self._database.asked() as conn:
                asked = "SELECT min(at) FROM witness.written WHERE kind = %s AND at > %s AND epoch >= %s"
                row = conn.execute(asked, (int(Kind.BATCH), after_s, epoch)).fetchone()
        except psycopg.Error:
            return None
        return row[0] if row is not None else None

    def newest(self) -> list[float]:
        """Of each terminal that has stored any, when its newest batch was stored, UTC s."""
        try:
            with self._database.asked() as conn:
                asked = "SELECT max(at) FROM witness.written WHERE kind = %s GROUP BY terminal"
                return [row[0] for row in conn.execute(asked, (int(Kind.BATCH),)).fetchall()]
        except psycopg.Error:
            return []

    def longest_wait(self, since_s: float) -> float:
        """Seconds between two batches of one terminal that were stored one after the other, the second one after that time: of all terminals the most."""
        with self._database.asked() as conn:
            asked = """
                SELECT max(gap) FROM (SELECT at, at - lag(at) OVER (PARTITION BY terminal ORDER BY n) AS gap FROM witness.written WHERE kind = %s) AS gaps
                WHERE at > %s
            """
            row = conn.execute(asked, (int(Kind.BATCH), since_s)).fetchone()
        return float(row[0] or 0) if row is not None else 0.0

    def longest_pause(self, since_s: float) -> float:
        """Seconds between two batches that were stored one after the other, of whichever terminal, the second one after that time."""
        with self._database.asked() as conn:
            asked = "SELECT max(gap) FROM (SELECT at, at - lag(at) OVER (ORDER BY n) AS gap FROM witness.written WHERE kind = %s) AS gaps WHERE at > %s"
            row = conn.execute(asked, (int(Kind.BATCH), since_s)).fetchone()
        return float(row[0] or 0) if row is not None else 0.0

    def wrote(self, address: str, after_s: float) -> int:
        """Entries that came from there."""
        with self._database.asked() as conn:
            asked = "SELECT count(*) FROM witness.written WHERE address = %s AND at > %s"
            row = conn.execute(asked, (address, after_s)).fetchone()
        return int(row[0]) if row is not None else 0

    def findings(self) -> list[str]:
        """Two that wrote under one epoch, an epoch that came back, an entry that was written twice."""
        found = []
        with self._database.asked() as conn:
            for epoch, addresses in conn.execute(
                "SELECT epoch, array_agg(DISTINCT host(address)) FROM witness.written GROUP BY epoch HAVING count(DISTINCT address) > 1"
            ):
                found.append(f"under epoch {epoch} several wrote: {addresses}")
            for n, epoch, before in conn.execute(
                "SELECT n, epoch, before FROM (SELECT n, epoch, lag(epoch) OVER (ORDER BY n) AS before FROM witness.written) AS w WHERE epoch < before"
            ):
                found.append(f"entry {n} was written under epoch {epoch}, behind one of epoch {before}")
            for n, times in conn.execute("SELECT n, count(*) FROM witness.written GROUP BY n HAVING count(*) > 1"):
                found.append(f"entry {n} was written {times} times")
        return found
