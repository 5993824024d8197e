"""Agent and collector as they are, joined in memory: buffer, sealer, spool, window and uplink on one side, pipeline and store on the other. Only
MQTT, the threads of time and the clocks of the two machines are played here; a process ends wherever its file or its wire is touched.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.collector.conftest import COLLECTOR_KEY, UNITS
from tests.collector.sending import T0, S
from tillwatch.agent import buffer, clock, identity, renewal, sealer, spool, spool_file, uplink
from tillwatch.agent.config import SpoolConfig
from tillwatch.agent.keys import SIGNATURE
from tillwatch.agent.model import Clock
from tillwatch.agent.spool import SpoolFullError
from tillwatch.agent.thinning import Taken, Thinner
from tillwatch.agent.wire import SigningKey, VerifyKey, WireError, life_topic, open_ack, split_frame, stored_columns
from tillwatch.agent.wire import frame_of as unpacked
from tillwatch.collector import pipeline
from tillwatch.collector.clock import SteadyClock
from tillwatch.collector.intake import Message
from tillwatch.collector.journal import Kind
from tillwatch.collector.rules import shipped_text
from tillwatch.collector.store.sqlite import SqliteStore, StoreError

TERMINAL = "atm-1"
SPOOL = SpoolConfig(12_000, 7_200.0)
"""Bytes and seconds: some twenty batches or two hours, so that both bounds are reached within a run."""
PARKED = 1_200
"""Bytes: three refused batches or so."""
PENDING = 40
"""Readings that the buffer holds where the spool cannot be written."""
COUNTERS = frozenset({"count"})
RULES = '[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'


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
        book = spool._Book
        drop_oldest, park, begin, append = book.drop_oldest, book.park, book.begin, spool.Spool.append

        @contextmanager
        def committing(db: sqlite3.Connection) -> Iterator[None]:
            self.touch()
            self.ledger.begin()
            with commit(db):
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
            (spool, "MAX_PARKED", PARKED),
            (buffer, "MAX_PENDING", PENDING),
            (sealer, "SPACING", 0.0),
            (pipeline, "RETRY_S", 0.0),
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


class Wire:
    """What the uplink takes for its connection."""

    def __init__(self, machine: Machine, publish: Callable[[str, bytes], None]) -> None:
        self.lost = asyncio.Event()
        self._machine, self._publish = machine, publish

    def publish(self, topic: str, payload: bytes) -> None:
        self._machine.touch()
        self._publish(topic, payload)
        self._machine.touch()


class Agent:
    """What service.py puts together, without sources. publish: towards the collector."""

    def __init__(
        self, folder: Path, machine: Machine, loop: asyncio.AbstractEventLoop, publish: Callable[[str, bytes], None]
    ) -> None:
        self.folder, self.machine = folder, machine
        self._loop, self._publish = loop, publish
        self.start()

    @property
    def file(self) -> Path:
        return self.folder / identity.SPOOL

    def start(self) -> None:
        self.spoil = False
        """The next batches get a body that nobody can read."""
        who = identity.load(self.folder)
        former = {key.public for key in who.former.values()}
        self.spool = spool.Spool(self.file, TERMINAL, who.key.public, SPOOL, former)
        with suppress(SpoolFullError):
            self.spool.open()
        if renewal.waiting(self.folder):
            with suppress(OSError, SpoolFullError, identity.IdentityError):
                who = renewal.take_up(who, self.spool)
        self.reference = clock.Reference()
        self.uplink = uplink.Uplink(who, self.spool, who.broker, None, self.reference)
        self.buffer = WatchedBuffer(self.machine.ledger)
        self.thinner = WatchedThinner(self.machine.ledger)
        self.sealer = sealer.Sealer(
            who,
            self.spool,
            self.buffer,
            interval=lambda: 60.0 * self.uplink.pace,
            least=lambda: 0.0,
            before=lambda _: None,
            sealed=self.uplink.wake,
            thinner=self.thinner,
            reference=self.reference,
        )
        self.sealer._seal = self._spoilt(self.sealer._seal)  # type: ignore[method-assign]
        self.renewal = renewal.Renewal(who, self.spool, (), self._renew)
        self.link: Wire | None = None
        self.will = b""

    def _renew(self, who: identity.Identity) -> None:
        self.sealer.renew(who)
        self.uplink.renew(who, None)

    def _spoilt(self, seal: Callable[..., Any]) -> Callable[..., Any]:
        def sealing(taken: list[Taken], slot: Any) -> Any:
            sealed = seal(taken, slot)
            if not self.spoil:
                return sealed
            head, _, _ = split_frame(unpacked(sealed.payload))
            signed = len(head).to_bytes(2, "big") + head + b"\xc1"
            topic = f"tw/1/{TERMINAL}/batch".encode()
            frame = signed + self.key.sign(b"tillwatch/batch/1\0" + topic + b"\0" + signed)
            assert len(frame) == len(signed) + SIGNATURE
            digest = sha256(frame).digest()
            SPOILT[digest] = {abs(item.value) for item in taken}
            return sealer.Sealed(b"TW\x01\0" + frame, digest, len(taken))

        return sealing

    @property
    def key(self) -> SigningKey:
        return self.uplink._who.key

    @property
    def epoch(self) -> bytes:
        return self.spool.epoch

    @property
    def idle(self) -> bool:
        """Whether all that was read is with the collector, as far as the agent knows."""
        return self.uplink.greeted and not (self.spool.batches or self.spool.former or len(self.buffer))

    def read(self, items: list[Taken]) -> None:
        self.buffer.add(items)

    def seal(self) -> None:
        """The end of an interval."""
        self._loop.run_until_complete(self.sealer._all(rest=True))
        self.spoil = False
        self.turn()

    def connect(self) -> None:
        try:
            window, birth = self.uplink._begin()
            self.will = self.uplink._life("offline", birth)
            link = self.uplink._link = self.link = Wire(self.machine, self._publish)  # type: ignore[assignment]
            link.publish(life_topic(TERMINAL), self.uplink._life("online", birth))
            window.connect(self.machine.times.now)
            self.turn()
        except SpoolFullError:
            self.disconnect()

    def turn(self) -> None:
        """The uplink's task runs until it has nothing to do."""
        window = self.uplink._window
        if self.link is None or window is None:
            return
        if self.uplink._renewed:
            self.disconnect()
            return
        try:
            while self.uplink._turn(self.link, window, self.machine.times.now):  # type: ignore[arg-type]
                pass
            ended = self.spool.epoch != window.epoch
        except SpoolFullError:
            ended = True
        if ended:
            self.disconnect()

    def hear(self, payload: bytes) -> None:
        if self.link is not None:
            self.uplink._hear("", payload)
            self.turn()

    def disconnect(self) -> None:
        self.link = self.uplink._link = None
        self.spool.offering = False
        if self.uplink._window is not None:
            self.uplink._window.disconnect()

    def prepare_rotation(self, seed: bytes) -> None:
        """As the command leaves it behind once the collector has agreed."""
        kept = json.loads((self.folder / identity.FILE).read_bytes())
        files = dict.fromkeys((identity.TLS_KEY, identity.TLS_CERT, identity.CA_CERT), b"-")
        renewal.prepare(self.uplink._who, seed, kept, files)

    def stop(self, *, clean: bool) -> None:
        """The end of the process; nothing of it remains in memory."""
        if clean:
            self.sealer.flush()
            self.turn()
            if self.link is not None:
                with suppress(SpoolFullError):
                    self.link.publish(life_topic(TERMINAL), self.uplink._life("offline", self.spool.next_life()))
        self.disconnect()
        self.spool.close(clean=clean and not len(self.buffer))

    def held(self, table: str = "sealed", where: str = "1") -> set[int]:
        """The readings in the file."""
        with closing(spool_file.connect(self.file)) as db:
            found: set[int] = set()
            with suppress(sqlite3.OperationalError):
                for payload in payloads(db, table, where):
                    found |= numbers_of(payload)
            return found


def enrolled(folder: Path, seed: bytes) -> None:
    """What the enrolment of this key leaves on the terminal."""
    reply = {
        "terminal": TERMINAL,
        "branch": "b",
        "region": "r",
        "ack_keys": [base64.b64encode(COLLECTOR_KEY.public).decode()],
        "mqtt": {"host": "127.0.0.1", "port": 1, "tls": False},
        "since": 1,
    }
    identity.save(folder, reply, {identity.SEED: seed})


class _Queue:
    """An intake with one group in it."""

    def __init__(self, group: list[Message], slow: bool) -> None:
        self._group: list[Message] | None = group
        self._slow = frozenset({TERMINAL} if slow else ())
        self.acks: list[bytes] = []
        self.dropped = 0
        self.connected = True

    async def get_batch(self, max_n: int, max_wait_s: float) -> list[Message]:
        if self._group is None:
            raise asyncio.CancelledError
        group, self._group = self._group, None
        return group

    def publish_ack(self, terminal: str, payload: bytes) -> None:
        self.acks.append(payload)

    def refused(self, terminal: str) -> None:
        pass

    def take_dropped(self) -> dict[tuple[str, str], int]:
        return {}

    def take_slow(self) -> frozenset[str]:
        return self._slow


class Collector:
    """The pipeline over its file, which may be an older copy tomorrow. record: entry number and readings of every batch in it."""

    def __init__(self, file: Path, times: Times, loop: asyncio.AbstractEventLoop) -> None:
        self.file, self.times = file, times
        self._loop = loop
        self.start()

    def start(self) -> None:
        self.store = SqliteStore(self.file)
        steady = SteadyClock(lambda: self.times.collector, lambda: self.times.real)
        self.pipeline = pipeline.Pipeline(self.store, COLLECTOR_KEY, UNITS, steady=steady)
        self._run(self.pipeline.start(shipped_text(), RULES))
        self.record: list[tuple[int, set[int]]] = []
        self.news()

    def _run(self, what: Any) -> None:
        self._loop.run_until_complete(what)

    def operate(self, **facts: Any) -> None:
        self._run(self.pipeline.operate({"terminal": TERMINAL, **facts}))

    def enrol(self, public: bytes) -> None:
        self.operate(action="enrol", branch="b", region="r", public=public, **{"class": "atm"})

    @property
    def terminal(self) -> Any:
        return self.pipeline.fold.fleet.terminals[TERMINAL]

    def take(self, group: list[tuple[str, bytes]], *, slow: bool = False, refuse: bool = False) -> list[bytes]:
        """One group of messages; the acks. refuse: the store takes nothing."""
        received = self.times.collector
        queue = _Queue([Message(topic, payload, received) for topic, payload in group], slow)
        broken = patch.object(self.store, "commit", side_effect=StoreError("the disk of this run"))
        with broken if refuse else contextlib.nullcontext():
            with suppress(asyncio.CancelledError):
                self._run(self.pipeline.run(queue, max_n=1, max_wait_s=1.0))
        return queue.acks

    def has_stored(self, payload: bytes) -> bool:
        """Whether all that an ack settles is in the file."""
        ack = open_ack(TERMINAL, payload, {COLLECTOR_KEY.key_id: VerifyKey(COLLECTOR_KEY.public)}.get)
        row = self.store.conn.execute("SELECT mark FROM stream WHERE epoch = ?", (ack.epoch,)).fetchone()
        return ack.seq <= (row[0] if row else 0)

    def news(self) -> list[tuple[int, set[int], dict[str, Any]]]:
        """Entry, readings and facts of the batches that came into the record since the last call."""
        after = self.record[-1][0] if self.record else 0
        rows = self.store.conn.execute(
            "SELECT n, payload, facts FROM journal WHERE kind = ? AND n > ? ORDER BY n", (int(Kind.BATCH), after)
        ).fetchall()
        fresh = [(n, numbers_of(payload), pipeline.msgpack.unpackb(facts)) for n, payload, facts in rows]
        self.record += [(n, numbers) for n, numbers, _ in fresh]
        return fresh

    def raised(self) -> int:
        (n,) = self.store.conn.execute(
            "SELECT count(*) FROM alarm_event JOIN alarm ON alarm.id = alarm_event.alarm"
            " WHERE rule = 'disk.full' AND kind IN ('raised', 'recurred')"
        ).fetchone()
        return int(n)

    @property
    def stored(self) -> set[int]:
        return {number for _, numbers in self.record for number in numbers}

    def stop(self) -> None:
        self.store.close()

    def copy(self, to: Path) -> None:
        self.store.conn.execute("VACUUM INTO ?", (str(to),))

    def restore(self, of: Path) -> None:
        self.stop()
        for left in self.file.parent.glob(f"{self.file.name}*"):
            left.unlink()
        shutil.copy(of, self.file)
        self.start()
