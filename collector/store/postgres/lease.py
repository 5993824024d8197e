"""Who is the one writer, as a row with a time on it: whoever holds the lease writes, and everybody's transaction asks first. All times are the server's clock: what
a holder's own clock says, or that it was stopped for an hour and goes on, changes nothing. A holder whose lease ran out is not the one any more, also where nobody else has
taken it: it takes a new one, under a new epoch, and loads what is kept.

A transaction that has asked holds the key of the row until it ends: its own holder renews it meanwhile, and who takes the lease waits for it, at most as long as the server lets a writer say nothing
(connection.WRITER_IDLE_S), and then sees what it kept. One that still has not ended then is ended by who waits.
"""

from __future__ import annotations

import logging
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tillwatch.collector.store.db import Fence, Postgres
from tillwatch.collector.store.postgres.connection import WRITER_IDLE_S, WRITER_LOCK, PostgresDb
from tillwatch.collector.store.postgres.schema import open_postgres, unreachable
from tillwatch.collector.store.sqlite import FencedError, StoreError

log = logging.getLogger(__name__)

FOLD = "fold"
"""Of the one fold of an installation."""
GOOD_S = 10.0
"""How long a lease is good for: the longest that an installation is without a writer when its process or machine dies."""
RENEW_S = 3.0
"""Between two renewals: two may be lost."""
TAKE_WAIT_S = WRITER_IDLE_S + 2.0
"""For the last transaction of the holder before: longer than the server lets one that says nothing go on."""
assert GOOD_S >= WRITER_IDLE_S
STATEMENT_S = TAKE_WAIT_S + 1.0
"""What is asked here touches one row: who waits longer than for its key waits for a server that does not answer."""
LOCKED = "(55P03)"
"""lock_not_available, as the text of an error has it: the wait above was in vain."""

_TAKE = """
    WITH over AS (SELECT 1 FROM lease WHERE name = $1 AND until <= clock_timestamp() FOR UPDATE)
    INSERT INTO lease (name, holder, epoch, until)
    SELECT $1, $2, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, clock_timestamp() + make_interval(secs => $3)
    WHERE EXISTS (SELECT 1 FROM over) OR NOT EXISTS (SELECT 1 FROM lease WHERE name = $1)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, epoch = greatest(lease.epoch + 1, excluded.epoch), until = clock_timestamp() + make_interval(secs => $3)
    WHERE lease.until <= clock_timestamp() RETURNING epoch
"""
"""Epochs are microseconds: also behind a failover to a server that has not heard of the last holder none comes twice. FOR UPDATE waits for the last transaction of the holder before, which has asked FOR KEY SHARE;
whoever only stands by locks nothing.
"""
_RENEW = """
    UPDATE lease SET until = clock_timestamp() + make_interval(secs => $3)
    WHERE name = $1 AND epoch = $2 AND until > clock_timestamp() RETURNING epoch
"""
_CUT_OFF = f"""
    SELECT count(pg_terminate_backend(l.pid)) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid = 0 AND l.objid = {WRITER_LOCK} AND l.objsubid = 1 AND l.granted
    AND EXISTS (SELECT 1 FROM lease WHERE name = $1 AND until <= clock_timestamp())
"""  # noqa: S608 - a number
"""The transaction of a holder whose lease ran out, where it still has not ended. The server counts no idle time between the statements of a group, which go over one behind the
other: a holder that is stopped there would keep everybody else from the lease.
"""
_RELEASE = "UPDATE lease SET until = clock_timestamp() WHERE name = $1 AND epoch = $2"


def asks(fence: Fence) -> str:
    """The query by which a transaction asks whether it may write: a row if so, which stays as it is until the transaction ends."""
    assert fence.name.isidentifier()
    return f"SELECT 1 FROM lease WHERE name = '{fence.name}' AND epoch = {fence.epoch:d} AND until > clock_timestamp() FOR KEY SHARE"  # noqa: S608 - both are checked


class Lease:
    """Not held until `acquire` says so. Has a connection of its own, and is used by one thread at a time. Every call but `close` blocks and raises StoreError
    where the server cannot be reached. until: by this process's monotonic clock, before when it surely is still good; 0.0 where it is not held.
    """

    def __init__(self, where: Postgres, name: str = FOLD, *, holder: str = "", good_s: float = GOOD_S) -> None:
        self.where, self.name = where, name
        self.holder = holder or f"{socket.gethostname()} (process {os.getpid()})"
        self.epoch = 0
        self.until = 0.0
        self._good_s = good_s
        self._db: PostgresDb | None = None

    def acquire(self) -> bool:
        """Whether it is ours now, under a new epoch. The one that there was is over or was given back."""
        began = time.monotonic()
        try:
            row = self._ask(_TAKE, self.name, self.holder, self._good_s)
        except StoreError as error:
            if LOCKED in str(error):
                with suppress(StoreError):
                    self._ask(_CUT_OFF, self.name)
            raise
        if row is None:
            return False
        self.epoch, self.until = row[0], began + self._good_s
        return True

    def renew(self) -> None:
        """Raises FencedError: it ran out. Also after a StoreError it may still be good: see `until`."""
        began = time.monotonic()
        if self._ask(_RENEW, self.name, self.epoch, self._good_s) is None:
            self.until = 0.0
            msg = f"{self.where}: the lease of {self.name} ran out under epoch {self.epoch}; another collector writes now or will"
            raise FencedError(msg)
        self.until = began + self._good_s

    def release(self) -> None:
        """Who waits need not wait for its end."""
        self.until = 0.0
        self._ask(_RELEASE, self.name, self.epoch)

    def held_by(self) -> str:
        """For people: who has it, empty if nobody does."""
        row = self._ask("SELECT holder FROM lease WHERE name = $1 AND until > clock_timestamp()", self.name)
        return str(row[0]) if row is not None else ""

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def _ask(self, sql: str, *values: object) -> tuple[int] | None:
        try:
            if self._db is None:
                open_postgres(self.where).close()
                self._db = PostgresDb(self.where, read_only=False, timeout_s=TAKE_WAIT_S, statement_s=STATEMENT_S)
            row: tuple[int] | None = self._db.own(sql, values).fetchone()
        except sqlite3.Error as error:
            raise unreachable(self.where, error) from None
        return row


@contextmanager
def kept(lease: Lease) -> Iterator[Lease]:
    """Renew a lease that is held from a thread, until the block ends; then give it back. Who does not notice that it ran out is refused by the server."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(RENEW_S):
            try:
                lease.renew()
            except FencedError as error:
                log.error("%s", error)
                return
            except StoreError as error:
                # Whoever writes meets the same server, and says so.
                log.debug("not now: %s", error)

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        over.set()
        thread.join()
        try:
            if lease.until:
                lease.release()
        except StoreError as error:
            log.warning("the lease is not given back and runs out by itself: %s", error)
        lease.close()
