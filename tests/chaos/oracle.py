"""What must hold once every fault is over and every backlog is stored: the account that the devices kept, compared with what the
collector has. Every deviation is a line of text; none means that nothing was lost, doubled, mixed up or made up.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import msgpack

from tests.chaos.device import SIGNALS, Answer, Run
from tillwatch.agent.model import MS, Value
from tillwatch.agent.wire import FIRST_PREV, Refusal, VerifyKey, WireError, open_batch_frame
from tillwatch.collector.journal import Kind
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.log import Log
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import StoreError

NUMBER = "ups.battery.runtime"
"""The signal whose values are the numbers of the answers."""
CLOCK_SLACK_NS = 200_000_000
"""Between the clock of the devices and that of the agents, which stamp with the uptime and convert: a clock that is being slewed."""

SEALED_NS = 60 * 10**9
"""Within which a reading is sealed on the slowest of machines, a full disk and a stopped process included."""
HOUR_MS = 3_600_000

Account = Mapping[tuple[str, str], Sequence[Run]]
"""(terminal, device) -> what it answered, by the processes of the agent that asked."""
Clocks = Mapping[str, Sequence[tuple[int, int]]]
"""Terminal -> (UTC ns, by how many ns its clock was wrong from then on). Who is not named was always right."""


class Kept(NamedTuple):
    """One reading of the journal. at: UTC ms as sealed; correction: what the collector adds, in ms."""

    at: int
    value: Value
    correction: int


Readings = list[Kept]
"""In the order of the journal."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many of a device's newest readings may be missing after the end of an agent's process."""

    killed: int
    stopped: int
    poll_s: float = 1.0

    @classmethod
    def of(cls, seal_s: float, poll_s: float) -> Bounds:
        """Killed: what one seal interval brings, one more for a poll that was late and is followed by the next, and the answer that was
        under way. Stopped: that answer alone, all else is sealed.
        """
        return cls(killed=math.ceil(seal_s / poll_s) + 2, stopped=1, poll_s=poll_s)

    def after(self, run: Run) -> int:
        """Of one process: what it could not seal was in its memory alone."""
        unsealed = math.ceil(run.unsealed_s / self.poll_s)
        return {"killed": self.killed + unsealed, "stopped": self.stopped}.get(run.ended, 0)


def findings(database: Path, account: Account, bounds: Bounds, clocks: Clocks | None = None) -> list[str]:
    """Everything that is wrong. The collector must not run."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        found, stored = _streams(db, {terminal for terminal, _ in account})
    for (terminal, device), runs in account.items():
        of_device = {signal: stored.get((terminal, device, signal), []) for signal in SIGNALS}
        found += [
            f"{terminal} {device}: {text}"
            for text in _device(of_device, runs, bounds, _Clock((clocks or {}).get(terminal, ())))
        ]
    found += _shown(database, account, stored)
    found += _rebuilt(database)
    return found


def _streams(
    db: sqlite3.Connection, terminals: Iterable[str]
) -> tuple[list[str], dict[tuple[str, str, str], Readings]]:
    """Every batch opened anew: one epoch, 1, 2, 3 and on without a hole, each naming the one before it."""
    found: list[str] = []
    stored: dict[tuple[str, str, str], Readings] = {}
    keys = _Keys(db)
    streams = {terminal: _Stream() for terminal in terminals}
    for logged in Log(db).walk(lambda fault: found.append(f"entry {fault.n}: {fault.text}")):
        entry = logged.entry
        where = f"{entry.terminal}, entry {entry.n}"
        if entry.kind in (Kind.FORK, Kind.REFUSED):
            found.append(f"{where}: {entry.kind.name}")
        if entry.kind is not Kind.BATCH:
            continue
        if logged.frame is None:
            found.append(f"{where}: the batch is {logged.state}")
            continue
        try:
            opened = open_batch_frame(entry.terminal, logged.frame, keys)
        except WireError as error:
            found.append(f"{where}: {error}")
            continue
        said = entry.facts_map()
        header, stream = opened.header, streams[entry.terminal]
        if (said["epoch"], said["seq"]) != (header.epoch, header.seq):
            found.append(f"{where}: kept as {said['seq']}, sealed as {header.seq}")
        if header.seq != stream.seq + 1:
            found.append(f"{where}: batch {header.seq} follows batch {stream.seq}")
        elif header.prev != stream.tail:
            found.append(f"{where}: batch {header.seq} does not name the batch before it")
        stream.seq, stream.tail = header.seq, opened.digest
        stream.epochs.add(header.epoch)
        for column in opened.columns:
            readings = stored.setdefault((entry.terminal, column.component, column.signal), [])
            readings += [
                Kept(at, value, said.get("correction_ms", 0))
                for at, value in zip(column.at, column.values, strict=True)
            ]
    for terminal, stream in streams.items():
        if len(stream.epochs) != 1:
            found.append(f"{terminal}: {len(stream.epochs)} epochs, though no spool was lost")
    for terminal, status in db.execute("SELECT id, status FROM terminal"):
        known = msgpack.unpackb(status)
        if known["lost"] or known["holes"]:
            found.append(
                f"{terminal}: {known['lost']} readings declared lost, {known['holes']} batches dropped, without a cause"
            )
    return found, stored


@dataclass(slots=True)
class _Stream:
    """Where the walk is in the batches of one terminal."""

    seq: int = 0
    tail: bytes = FIRST_PREV
    epochs: set[bytes] = field(default_factory=set)


class _Clock:
    """By how much a terminal's clock was wrong."""

    def __init__(self, changes: Sequence[tuple[int, int]]) -> None:
        self._changes = [(0, 0), *changes]

    def off(self, read: int) -> set[int]:
        """Whatever it was from a reading (UTC ns) until that was sealed: the clock of that moment gives it its time."""
        ends = [at for at, _ in self._changes[1:]] + [read + SEALED_NS]
        spans = zip(self._changes, ends, strict=True)
        return {off for (at, off), end in spans if at <= read + SEALED_NS and end >= read - CLOCK_SLACK_NS}


def _device(stored: Mapping[str, Readings], runs: Sequence[Run], bounds: Bounds, clock: _Clock) -> Iterator[str]:
    numbers = [kept.value for kept in stored[NUMBER]]
    seen: set[Value] = set()
    for before, number in pairwise([0, *numbers]):
        if number in seen:
            yield f"reading {number} comes again"
        elif number <= before:  # type: ignore[operator]
            yield f"reading {number} comes after {before}"
        seen.add(number)
    have = set(numbers)
    made = {answer.n for run in runs for answer in run.answers}
    if invented := sorted(have - made, key=str):
        yield f"readings that were never made: {invented[:10]}"
    for number, run in enumerate(runs, 1):
        yield from (f"process {number} of {len(runs)} of its agent: {text}" for text in _run(run, have, bounds))
    for signal, reads_as in SIGNALS.items():
        if [kept.value for kept in stored[signal]] != [reads_as(n) for n in numbers]:  # type: ignore[arg-type]
            yield f"{signal} is not what was answered"
        if [kept.at for kept in stored[signal]] != [kept.at for kept in stored[NUMBER]]:
            yield f"{signal} has other times than {NUMBER}, which was read with it"
    yield from _times(stored[NUMBER], [answer for run in runs for answer in run.answers], clock)


def _run(run: Run, have: set[Value], bounds: Bounds) -> Iterator[str]:
    """What is missing of one process of the agent: only the newest, and only as many as can have been unsealed when it ended."""
    allowed = bounds.after(run)
    kept = [answer.n in have for answer in run.answers]
    missing = kept.count(False)
    if False in kept[: len(kept) - missing]:
        gone = [answer.n for answer, is_kept in zip(run.answers, kept, strict=True) if not is_kept]
        yield f"lost from the middle: {gone[:10]}"
    elif missing > allowed:
        yield f"{missing} of its {len(kept)} readings are missing; it {f'was {run.ended}' if run.ended else 'drained'}, which explains {allowed}"


def _times(readings: Readings, answers: Sequence[Answer], clock: _Clock) -> Iterator[str]:
    """Read after the answer was given, and before the next one was, by the clock that the terminal had."""
    given = {answer.n: answer.at for answer in answers}
    following = {answer.n: later.at for answer, later in pairwise(answers)}
    for at, n, _ in readings:
        if n not in given:
            continue
        first, last = given[n] - CLOCK_SLACK_NS, following.get(n, math.inf) + CLOCK_SLACK_NS
        if not any(first + off <= at * MS <= last + off for off in clock.off(given[n])):
            yield f"reading {n} was answered at {given[n]} and is kept as of {at * MS}"


def _shown(database: Path, account: Account, stored: Mapping[tuple[str, str, str], Readings]) -> Iterator[str]:
    """The history that people see, signal by signal, in the order of the corrected times."""
    with closing(SqliteReader(database)) as reader:
        for terminal, device in account:
            for signal in SIGNALS:
                readings = [(at + fix, value) for at, value, fix in stored.get((terminal, device, signal), [])]
                for part in _spans(sorted(readings, key=itemgetter(0))):
                    start, end = part[0][0] * MS, part[-1][0] * MS
                    try:
                        history = reader.history(terminal, device, signal, start, end)
                    except WireError as error:
                        yield f"{terminal} {device} {signal}: no history: {error}"
                        continue
                    if history.resolution != "reading" or [(p.at // MS, p.value) for p in history.points] != part:
                        yield f"{terminal} {device} {signal}: the history shown is not the readings kept"


def _spans(readings: list[tuple[int, Value]]) -> Iterator[list[tuple[int, Value]]]:
    """Parts with no hour's gap: a clock that was set lies years apart, and over years people are shown hours."""
    start = 0
    for at in range(1, len(readings) + 1):
        if at == len(readings) or readings[at][0] - readings[at - 1][0] > HOUR_MS:
            yield readings[start:at]
            start = at


def _rebuilt(database: Path) -> Iterator[str]:
    """The chain from the first entry to the last, every signature, and the same state once more out of them."""
    again = database.with_name("rebuilt.db")
    for left in again.parent.glob(f"{again.name}*"):
        left.unlink()
    try:
        rebuild(database, again)
    except (StoreError, WireError) as error:
        yield f"the journal does not verify: {error}"
        return
    with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(again)) as new:
        kept, made = tables(old), tables(new)
    for name, rows in kept.items():
        if rows != made[name]:
            only_kept = [row for row in rows if row not in made[name]]
            only_made = [row for row in made[name] if row not in rows]
            yield f"table {name} is not what the journal gives:\n  kept {only_kept[:3]}\n  made {only_made[:3]}"


class _Keys:
    """Whoever enrolled may sign."""

    def __init__(self, db: sqlite3.Connection) -> None:
        rows = db.execute("SELECT terminal, key_id, public FROM terminal_key").fetchall()
        self._keys = {(terminal, key_id): VerifyKey(public) for terminal, key_id, public in rows}
        self._terminals = {terminal for terminal, _ in self._keys}

    def knows(self, terminal: str) -> bool:
        return terminal in self._terminals

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        return self._keys.get((terminal, key_id), Refusal.UNKNOWN_KEY)
