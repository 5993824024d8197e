"""The terminal's hardware in memory: its clocks, its disk and its power. Where the spool's file or the wire is touched the process may end or the
disk refuse, and a ledger writes down what the spool has no room for, when the spool's own transaction stands.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from typing import Any
from unittest.mock import patch

from tests.collector.sending import T0, S
from tillwatch.agent import buffer, clock, sealer, spool, spool_book
from tillwatch.agent.config import SpoolConfig
from tillwatch.agent.model import Clock, Quality, State
from tillwatch.agent.thinning import Taken, Thinner
from tillwatch.agent.wire import WireError, stored_columns
from tillwatch.agent.wire import frame_of as unpacked
from tillwatch.collector import ingest

SPOOL = SpoolConfig(12_000, 7_200.0)
"""Bytes and seconds: some twenty batches or two hours, so that both bounds are reached within a run."""
PARKED = 1_200
"""Bytes: three refused batches or so."""
PENDING = 40
"""Readings that the buffer holds where the spool cannot be written."""
COUNTERS = frozenset({"count"})

DISK = ("host/disk:/", "host.disk.percent")
KINDS = {
    "state": lambda n, up: Taken("dev", "n", up, n, Quality.GOOD, State.WARN),
    "counter": lambda n, up: Taken("dev", "count", up, n, Quality.GOOD, State.NONE),
    "full": lambda n, up: Taken(*DISK, up, n, Quality.GOOD, State.NONE),
    "room": lambda n, up: Taken(*DISK, up, -n, Quality.GOOD, State.NONE),
}
"""A reading of each grade that thinning knows: number and uptime go in."""


class Killed(BaseException):
    """The agent's process ends here."""


class Times:
    """Real time, and the clocks of both machines, which are set by the run."""

    def __init__(self) -> None:
        self.real = 10**13
        self.agent_off = self.collector_off = T0 - 10**13
        self.booted: dict[bytes, int] = {}
        self.reboot()

    def reboot(self) -> None:
        self.boot = b"boot%04d" % len(self.booted)
        self.booted[self.boot] = self.real - S

    @property
    def up(self) -> int:
        return self.real - self.booted[self.boot]

    @property
    def agent(self) -> int:
        return max(self.real + self.agent_off, 0)

    @property
    def collector(self) -> int:
        return max(self.real + self.collector_off, 0)

    @property
    def now(self) -> float:
        return self.real / 1e9


class Ledger:
    """What the agent's spool did with readings for which it has no room. It is written down when the spool's own transaction stands.

    lost: as the epoch must declare it; gone: the readings of it.
    """

    def __init__(self) -> None:
        self.lost = 0
        self.gone: set[int] = set()
        self.thinned: list[int] = []
        """Not declared yet, oldest first."""
        self._staged: list[Callable[[], None]] = []
        self._dropping = False

    def begin(self) -> None:
        self._staged = []

    def commit(self) -> None:
        for step in self._staged:
            step()

    def new_epoch(self) -> None:
        def step() -> None:
            self.lost = 0

        self._staged.append(step)

    def drop(self, numbers: set[int]) -> None:
        def step() -> None:
            self.gone |= numbers
            self.lost += len(numbers)

        self._staged.append(step)

    def declare(self, n: int) -> None:
        def step() -> None:
            self.lost += n
            self.gone |= set(self.thinned[:n])
            del self.thinned[:n]

        self._staged.append(step)


class Machine:
    """The terminal's hardware: its clocks, its disk and its power. fault: SQLite's code for every write, 0 for none; kill_in: how many more times
    file or wire are touched before the process ends, 0 for never.
    """

    def __init__(self, times: Times) -> None:
        self.times, self.ledger = times, Ledger()
        self.fault = self.kill_in = 0
        self._patches = ExitStack()
        commit, prepare = spool.commit, spool.prepare
        book = spool_book.Book
        drop_oldest, park, begin, append = book.drop_oldest, book.park, book.begin, spool.Spool.append

        @contextmanager
        def committing(db: sqlite3.Connection, *, soon: bool = False) -> Iterator[None]:
            self.touch()
            self.ledger.begin()
            with commit(db, soon=soon):
                yield
                self.touch()
                if self.fault:
                    error = sqlite3.OperationalError("the disk of this run")
                    error.sqlite_errorcode = self.fault
                    raise error
            self.ledger.commit()
            self.touch()

        def dropping(of: Any) -> None:
            (payload,) = of.db.execute("SELECT bytes FROM sealed ORDER BY id LIMIT 1").fetchone()
            self.ledger.drop(numbers_of(payload))
            drop_oldest(of)

        def parking(of: Any, which: str, values: Any, reason: str) -> None:
            held = payloads(of.db, "parked")
            park(of, which, values, reason)
            for payload in held - payloads(of.db, "parked"):
                self.ledger.drop(numbers_of(payload))

        def beginning(of: Any, *args: Any) -> None:
            self.ledger.new_epoch()
            begin(of, *args)

        def appending(of: Any, seal: Any, at: int, lost: int = 0) -> int:
            def sealing(slot: Any) -> Any:
                self.ledger.declare(lost)
                return seal(slot)

            return append(of, sealing, at, lost)

        everything = (
            (clock, "uptime_ns", lambda: times.up),
            (clock, "boot_id", lambda: times.boot),
            (clock, "source", lambda: Clock("ntp", 5)),
            (clock.time, "time_ns", lambda: times.agent),
            (spool, "commit", committing),
            (spool, "prepare", lambda db, _: prepare(db, 1 << 24)),
            (spool_book, "MAX_PARKED", PARKED),
            (buffer, "MAX_PENDING", PENDING),
            (sealer, "SPACING", 0.0),
            (ingest, "RETRY_S", 0.0),
            (book, "drop_oldest", dropping),
            (book, "park", parking),
            (book, "begin", beginning),
            (spool.Spool, "append", appending),
        )
        for where, name, value in everything:
            self._patches.enter_context(patch.object(where, name, value))

    def touch(self) -> None:
        if self.kill_in:
            self.kill_in -= 1
            if not self.kill_in:
                raise Killed

    def close(self) -> None:
        self._patches.close()


def payloads(db: sqlite3.Connection, table: str, where: str = "1") -> set[bytes]:
    return {row[0] for row in db.execute(f"SELECT bytes FROM {table} WHERE {where}")}


SPOILT: dict[bytes, set[int]] = {}
"""The readings of bodies that nobody can read, by the digest of the frame."""


def numbers_of(payload: bytes) -> set[int]:
    """Every reading has a number of its own: its value, or as far below zero."""
    try:
        return {abs(int(value)) for column in stored_columns(payload) for value in column.values}
    except WireError:
        return SPOILT[sha256(unpacked(payload)).digest()]


class WatchedBuffer(buffer.Buffer):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__(COUNTERS)
        self._ledger = ledger

    @property
    def numbers(self) -> list[int]:
        return [abs(item.value) for item in self._items]

    def _bound(self) -> None:
        before = self.numbers
        super()._bound()
        self._ledger.thinned += sorted(set(before) - set(self.numbers))


class WatchedThinner(Thinner):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__(COUNTERS)
        self._ledger = ledger

    def keep(self, items: Collection[Taken], fill: float) -> list[Taken]:
        kept = super().keep(items, fill)
        self._ledger.thinned += sorted({abs(one.value) for one in items} - {abs(one.value) for one in kept})
        return kept
