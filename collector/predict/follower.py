"""Follows the log behind the collector and gives the engine all that is in it, in its order; what the engine says is left for the collector to journal.
Nothing depends on when it reads: killed anywhere and begun again, it says the same for the same entry, and what was heard is not heard twice.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgpack

from tillwatch.collector.journal import GENESIS
from tillwatch.collector.predict.checkpoint import Checkpoint, Kept, Status
from tillwatch.collector.predict.events import Events
from tillwatch.collector.predict.feed import Feed, Hears, Surroundings
from tillwatch.collector.predict.finding import CLOSED, OPEN, OVER, UNKNOWN, Finding, Grade, Record
from tillwatch.collector.store import foretold, requests
from tillwatch.collector.store.db import Db, Where
from tillwatch.collector.store.log import Fault, Log, Logged
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.requests import FINDINGS, RequestError
from tillwatch.collector.store.whereabouts import writing

log = logging.getLogger(__name__)

ACTOR = "predictions"
STEP_S = 20.0
"""How long one state of the store is read at most: meanwhile the collector's write-ahead log cannot be cut."""
BEHIND = 5_000
"""Entries from which on it is said that there is catching up to do: some minutes of a fleet of thousand."""
WAITING = 100
"""Messages that wait for the collector at most, a tenth of what may wait there: people's acts must find their place."""
FULL = requests.MAX_FACTS - 4096
"""Bytes of one message, with room for what names it."""
STATUS_S = 5.0
DAY_NS = 86_400 * 10**9
BUSY_S = 10.0
"""Waiting for the collector, which holds the file for milliseconds."""


class Says(Protocol):
    """What an engine says, see engine.Said. Read at once, by the thread that asked."""

    findings: Any
    grades: Any
    records: Any
    limits: Any


class Predicts(Hears, Protocol):
    """The engine's calls, in the order of the journal and from one thread; see engine.py. None of them does I/O or raises for what a terminal says."""

    def advance(self, now: int) -> Any: ...

    def state(self) -> dict[str, Any]: ...


Make = Callable[[Mapping[str, Any] | None], Predicts]
"""An engine: out of a state, or anew for None. Raises ValueError where the state is not one of its own."""


class Follower:
    """where: the collector's store; checkpoint: where it stands. Blocks; of one thread. Raises StoreError where it cannot be read."""

    def __init__(self, where: Where, checkpoint: Checkpoint, make: Make) -> None:
        self._checkpoint = checkpoint
        self._db = reading(where, BUSY_S)
        self._asking = writing(where, BUSY_S)
        self._mind = _Mind()
        self._unsent: list[dict[str, Any]] = []
        self._told: Status | None = None
        self._told_at = self._saved_at = float("-inf")
        self._limits: Mapping[str, int] = {}
        self._head = 0
        self._drift_day, self._drifted = -1, ("", "")
        self._catching_up = False
        self._reconciled = False
        self._faults: set[str] = set()
        self._engine = self._begin(make)
        self._feed = Feed(self._engine, self._mind, self._db, self._fault)
        self._heard = self._reached()

    def close(self) -> None:
        self._db.close()
        self._asking.close()

    @property
    def position(self) -> int:
        return self._mind.position

    @property
    def unsent(self) -> int:
        """Messages that the collector's door has no place for yet."""
        return len(self._unsent)

    def _begin(self, make: Make) -> Predicts:
        kept = self._checkpoint.load()
        if kept is not None and _digest_at(self._db, kept.position) != kept.digest:
            self._checkpoint.discard(f"its entry {kept.position} is not the one of this log")
            kept = None
        if kept is not None:
            try:
                engine, mind = make(kept.state), _Mind.of(kept)
            except (ValueError, KeyError, TypeError, IndexError) as error:
                self._checkpoint.discard(f"the engine does not go on from it: {type(error).__name__} {error}")
            else:
                self._mind = mind
                return engine
        return make(None)

    def _reached(self) -> tuple[int, int]:
        """Up to where the collector has heard it, or will once it has taken what waits."""
        said = [(int(facts["position"]), int(facts["part"])) for facts in _waiting(self._asking)]
        return max([foretold.reached(self._db), *said])

    # Reading.

    def step(self, ended: Callable[[], bool] = lambda: False) -> bool:
        """Read on, for a while at most; whether there is more to read at once."""
        if not self._send():
            return False
        self._db.execute("BEGIN")
        try:
            whole = Log(self._db)
            self._head, _ = whole.head()
            self._say_how_far()
            until = time.monotonic() + STEP_S
            self._mind.events.open(self._db)
            for logged in whole.walk(self._fault, self._mind.position):
                self._take(logged)
                if ended() or time.monotonic() > until or len(self._unsent) >= WAITING:
                    break
                if time.monotonic() - self._told_at > STATUS_S:
                    self.tell()
            self._reconcile()
        finally:
            self._mind.events.shut()
            self._db.execute("COMMIT")
        self._send()
        self._say_how_far()
        self.tell()
        return self._mind.position < self._head and not self._unsent

    def _take(self, logged: Logged) -> None:
        entry, mind = logged.entry, self._mind
        self._feed.events(entry.at)
        said = self._engine.advance(entry.at)
        if said.findings or said.grades or said.records:
            self._hear(entry.n, said.findings, said.grades, said.records)
        self._limits = said.limits or self._limits
        self._feed.entry(logged)
        mind.position, mind.at, mind.digest = entry.n, entry.at, entry.digest

    def _fault(self, fault: Fault) -> None:
        """Once of each kind: `verify --log` says all of them."""
        if fault.what not in self._faults:
            self._faults.add(fault.what)
            log.error(
                "the log has a %s at entry %d: %s; the predictions go on behind it", fault.what, fault.n, fault.text
            )

    # Saying.

    def _hear(
        self, n: int, findings: Sequence[Finding], grades: Sequence[Grade], records: Sequence[Record], part: int = 0
    ) -> None:
        """What it says at entry n, in messages that the door takes."""
        self._mind.heard(findings, grades, records)
        said = [("findings", each.facts()) for each in findings] + [("grades", each.facts()) for each in grades]
        said += [("records", each) for each in map(_facts, records)]
        facts: dict[str, Any] = {}
        size = 0
        for name, each in (*said, ("", {})):
            more = len(msgpack.packb(each))
            if facts and (not name or size + more > FULL):
                if (n, part) > self._heard:
                    place = {"action": FINDINGS, "actor": ACTOR, "position": n, "part": part}
                    self._unsent.append(place | facts)
                facts, size, part = {}, 0, part + 1
            if name:
                facts.setdefault(name, []).append(each)
                size += more + 1
        self._mind.part = n, part

    def _send(self) -> bool:
        """Leave what is to be said; whether all of it is left."""
        while self._unsent:
            if requests.count(self._asking) >= WAITING:
                return False
            try:
                requests.ask(self._asking, self._unsent[0])
            except RequestError as error:
                if "waiting" not in self._faults:
                    log.warning("the predictions wait: %s", error)
                self._faults.add("waiting")
                return False
            self._unsent.pop(0)
        self._faults.discard("waiting")
        return True

    def _reconcile(self) -> None:
        """Once after a start, as soon as it stands where it was heard last: what the collector holds open and the engine does not, or otherwise,
        is put right. Nothing is where the same engine has gone on.
        """
        position, mind = self._mind.position, self._mind
        if self._reconciled or self._unsent or position < self._heard[0] or _waiting(self._db):
            return
        self._reconciled = True
        known = {each.id: each for each in foretold.findings(self._db, None, open_only=True, limit=-1)}
        findings = [each for name, each in mind.open.items() if name not in known or known[name].facts() != _kept(each)]
        findings += [
            replace(each, status=CLOSED, word=OVER, at=max(each.at, mind.at), ended=mind.at, outcome=UNKNOWN)
            for name, each in known.items()
            if name not in mind.open
        ]
        said = {each.terminal: each for each in foretold.grades(self._db)}
        rates = {(each.detector, each.kind): each for each in foretold.records(self._db)}
        grades = [each for name, each in mind.grades.items() if name in said and _grade(each) != said[name].facts()]
        records = [each for key, each in mind.records.items() if rates.get(key) != each]
        if findings or grades or records:
            part = self._heard[1] + 1 if position == self._heard[0] else 0
            if mind.part[0] == position:
                part = max(part, mind.part[1])
            self._hear(position, findings, grades, records, part)

    # How far.

    def save(self) -> float:
        """Keep where it stands, unless something is still to be said; how long that took, in s."""
        began = time.monotonic()
        if self._mind.position and not self._unsent:
            mind = self._mind
            self._checkpoint.save(Kept(mind.position, mind.digest, self._engine.state(), mind.pack()))
        return time.monotonic() - began

    def tell(self, *, running: bool = True) -> None:
        """For the doctor and the page."""
        self._told_at = time.monotonic()
        status = Status(
            self._mind.position, self._mind.at, self._head, time.time_ns(), int(getattr(self._engine, "series", 0)),
            dict(self._limits), os.getpid() if running else 0, drift=self._drift(),
        )  # fmt: skip
        if self._told is None or replace(status, looked_at=self._told.looked_at) != self._told or not running:
            self._checkpoint.tell(status)
            self._told = status

    def _drift(self) -> tuple[str, str]:
        """Asked once for each day of the log: it compares histograms of every feature."""
        day = self._mind.at // DAY_NS
        if day != self._drift_day:
            self._drift_day, self._drifted = day, getattr(self._engine, "drift", lambda: ("", ""))()
        return self._drifted

    def _say_how_far(self) -> None:
        behind = self._head - self._mind.position
        if behind > BEHIND and not self._catching_up:
            log.info("the predictions are %d entries behind and catch up", behind)
            self._catching_up = True
        elif self._catching_up and behind < BEHIND // 10:
            log.info("the predictions have caught up, at entry %d", self._mind.position)
            self._catching_up = False


class _Mind(Surroundings):
    """What the follower itself knows at a position: what was said of all that is open, and the surroundings there."""

    def __init__(self) -> None:
        super().__init__()
        self.position, self.at, self.digest = 0, 0, GENESIS
        self.part = (0, 0)
        self.open: dict[str, Finding] = {}
        self.grades: dict[str, Grade] = {}
        self.records: dict[tuple[str, str], Record] = {}

    def heard(self, findings: Sequence[Finding], grades: Sequence[Grade], records: Sequence[Record]) -> None:
        for finding in findings:
            if finding.status == OPEN:
                self.open[finding.id] = finding
            else:
                self.open.pop(finding.id, None)
        self.grades |= {grade.terminal: grade for grade in grades}
        self.records |= {(record.detector, record.kind): record for record in records}

    def pack(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "part": list(self.part),
            "events": self.events.cursor,
            "open": [each.facts() for each in self.open.values()],
            "grades": [each.facts() for each in self.grades.values()],
            "records": [_facts(each) for each in self.records.values()],
            "places": {name: list(place) for name, place in self.places.items()},
            "texts": self.texts,
        }

    @classmethod
    def of(cls, kept: Kept) -> _Mind:
        mind, said = cls(), kept.mind
        mind.position, mind.digest, mind.at = kept.position, kept.digest, said["at"]
        mind.part = said["part"][0], said["part"][1]
        mind.events = Events(said["events"])
        mind.heard(
            [Finding.of(each) for each in said["open"]],
            [Grade.of(each) for each in said["grades"]],
            [Record(**each) for each in said["records"]],
        )
        mind.places = {name: (place[0], place[1], place[2]) for name, place in said["places"].items()}
        mind.tables(said["texts"])
        return mind


def _digest_at(db: Db, n: int) -> bytes:
    """The chain's digest of an entry, empty where the log does not have it."""
    db.execute("BEGIN")
    try:
        near = Log(db).entries(n, n)
    finally:
        db.execute("COMMIT")
    return near[-1].digest if near and near[-1].n == n else b""


def _waiting(db: Db) -> list[dict[str, Any]]:
    """What it has left and nobody has taken yet."""
    rows = db.execute("SELECT facts FROM operator_request ORDER BY id").fetchall()
    return [facts for (packed,) in rows if (facts := msgpack.unpackb(packed)).get("action") == FINDINGS]


def _facts(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in Record.__slots__}


def _kept(finding: Finding) -> dict[str, Any]:
    """As it comes back from the store."""
    return Finding.of(msgpack.unpackb(msgpack.packb(finding.facts()))).facts()


def _grade(grade: Grade) -> dict[str, Any]:
    return Grade.of(msgpack.unpackb(msgpack.packb(grade.facts()))).facts()
