"""Agent and collector as they are, joined in memory: buffer, sealer, spool, window and uplink on one side, pipeline and store on the other. Only
MQTT, the tasks and the two machines (machine.py) are played.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import msgpack

from tests.chaos.machine import (
    SPOILT,
    SPOOL,
    Machine,
    Times,
    WatchedBuffer,
    WatchedThinner,
    numbers_of,
    payloads,
)
from tests.collector.conftest import COLLECTOR_KEY, UNITS
from tillwatch.agent import clock, identity, sealer, spool, spool_file, uplink
from tillwatch.agent.enrolment import renewal
from tillwatch.agent.keys import SIGNATURE
from tillwatch.agent.model import MS
from tillwatch.agent.spool import SpoolFullError
from tillwatch.agent.thinning import Taken
from tillwatch.agent.wire import SigningKey, VerifyKey, life_topic, open_ack, split_frame
from tillwatch.agent.wire import frame_of as unpacked
from tillwatch.collector import pipeline
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.clock import SteadyClock
from tillwatch.collector.ingest import Ingest
from tillwatch.collector.intake import Message
from tillwatch.collector.journal import Kind
from tillwatch.collector.store.sqlite import SqliteStore, StoreError

TERMINAL = "atm-1"
RULES = '[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'


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


@dataclass(frozen=True)
class Copy:
    """The state directory as it was. held: readings in it; open: those that may or may not go out after this."""

    folder: Path
    held: set[int]
    open: set[int]
    lost: int


class _Queue:
    """An intake with one group in it."""

    def __init__(self, group: list[Message], slow: bool) -> None:
        self._group = group
        self._slow = frozenset({TERMINAL} if slow else ())
        self.acks: list[bytes] = []
        self.dropped = 0
        self.connected = True

    async def get_batch(self, max_n: int, max_wait_s: float) -> list[Message]:
        return self._group

    def publish_ack(self, terminal: str, payload: bytes) -> None:
        self.acks.append(payload)

    def refused(self, terminal: str) -> None:
        pass

    def take_dropped(self) -> dict[tuple[str, str], int]:
        return {}

    def settled(self, count: int, *, stored: bool) -> None: ...

    def take_slow(self) -> frozenset[str]:
        return self._slow


class Stored(NamedTuple):
    """A batch in the record. n: of its entry; boot, up: when it was sealed, up in ns; historical: what the collector took it for."""

    n: int
    numbers: set[int]
    boot: bytes
    up: int
    historical: bool


class Collector:
    """The pipeline over its file, which may be an older copy tomorrow. record: every batch in it."""

    def __init__(self, file: Path, times: Times, loop: asyncio.AbstractEventLoop) -> None:
        self.file, self.times = file, times
        self._loop = loop
        self.start()

    def start(self) -> None:
        self.store = SqliteStore(self.file)
        steady = SteadyClock(lambda: self.times.collector, lambda: self.times.real)
        self.pipeline = pipeline.Pipeline(self.store, COLLECTOR_KEY, UNITS, steady=steady)
        self._run(self.pipeline.start(shipped_text(), RULES))
        self.record: list[Stored] = []
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
        ingest = Ingest(self.pipeline, queue, max_n=1, max_wait_s=1.0)
        broken = patch.object(self.store, "write", side_effect=StoreError("the disk of this run"))

        async def one() -> None:
            await ingest._store(await ingest._gather(None))

        with broken if refuse else contextlib.nullcontext():
            self._run(one())
        return queue.acks

    def has_stored(self, payload: bytes) -> bool:
        """Whether all that an ack settles is in the file."""
        ack = open_ack(TERMINAL, payload, {COLLECTOR_KEY.key_id: VerifyKey(COLLECTOR_KEY.public)}.get)
        row = self.store.conn.execute("SELECT mark FROM stream WHERE epoch = ?", (ack.epoch,)).fetchone()
        return ack.seq <= (row[0] if row else 0)

    def news(self) -> list[Stored]:
        """The batches that came into the record since the last call."""
        after = self.record[-1].n if self.record else 0
        rows = self.store.conn.execute(
            "SELECT n, payload, facts FROM journal WHERE kind = ? AND n > ? ORDER BY n", (int(Kind.BATCH), after)
        ).fetchall()
        fresh = []
        for n, payload, facts in rows:
            head = msgpack.unpackb(split_frame(unpacked(payload))[0])
            historical = bool(msgpack.unpackb(facts).get("historical"))
            fresh.append(Stored(n, numbers_of(payload), head["boot"], head["up"] * MS, historical))
        self.record += fresh
        return fresh

    def raised(self) -> int:
        (n,) = self.store.conn.execute(
            "SELECT count(*) FROM alarm_event JOIN alarm ON alarm.id = alarm_event.alarm"
            " WHERE rule = 'disk.full' AND kind IN ('raised', 'recurred')"
        ).fetchone()
        return int(n)

    @property
    def stored(self) -> set[int]:
        return {number for batch in self.record for number in batch.numbers}

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
