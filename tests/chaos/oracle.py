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
from pathlib import Path

import msgpack

from tests.chaos.device import SIGNALS, Answer, Run
from tillwatch.agent.model import MS, Value
from tillwatch.agent.wire import FIRST_PREV, Refusal, VerifyKey, WireError, open_batch_frame
from tillwatch.collector.journal import Kind
from tillwatch.collector.rebuild import rebuild, tables
from tillwatch.collector.store.log import Log
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import StoreError

NUMBER = "ups.battery.runtime"
"""The signal whose values are the numbers of the answers."""
CLOCK_SLACK_NS = 200_000_000
"""Between the clock of the devices and that of the agents, which stamp with the uptime and convert: a clock that is being slewed."""

Account = Mapping[tuple[str, str], Sequence[Run]]
"""(terminal, device) -> what it answered, by the processes of the agent that asked."""
Readings = list[tuple[int, Value]]
"""(UTC ms, value), in the order of the journal."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many of a device's newest readings may be missing after the end of an agent's process."""

    killed: int
    stopped: int

    @classmethod
    def of(cls, seal_s: float, poll_s: float) -> Bounds:
        """Killed: what one seal interval brings, one more for a poll that was late and is followed by the next, and the answer that was
        under way. Stopped: that answer alone, all else is sealed.
        """
        return cls(killed=math.ceil(seal_s / poll_s) + 2, stopped=1)


def findings(database: Path, account: Account, bounds: Bounds) -> list[str]:
    """Everything that is wrong. The collector must not run."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
        found, stored = _streams(db, {terminal for terminal, _ in account})
    for (terminal, device), runs in account.items():
        of_device = {signal: stored.get((terminal, device, signal), []) for signal in SIGNALS}
        found += [f"{terminal} {device}: {text}" for text in _device(of_device, runs, bounds)]
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
            readings += zip(column.at, column.values, strict=True)
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


def _device(stored: Mapping[str, Readings], runs: Sequence[Run], bounds: Bounds) -> Iterator[str]:
    numbers = [value for _, value in stored[NUMBER]]
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
        if [value for _, value in stored[signal]] != [reads_as(n) for n in numbers]:  # type: ignore[arg-type]
            yield f"{signal} is not what was answered"
        if [at for at, _ in stored[signal]] != [at for at, _ in stored[NUMBER]]:
            yield f"{signal} has other times than {NUMBER}, which was read with it"
    yield from _times(stored[NUMBER], [answer for run in runs for answer in run.answers])


def _run(run: Run, have: set[Value], bounds: Bounds) -> Iterator[str]:
    """What is missing of one process of the agent: only the newest, and only as many as can have been unsealed when it ended."""
    allowed = {"killed": bounds.killed, "stopped": bounds.stopped}.get(run.ended, 0)
    kept = [answer.n in have for answer in run.answers]
    missing = kept.count(False)
    if False in kept[: len(kept) - missing]:
        gone = [answer.n for answer, is_kept in zip(run.answers, kept, strict=True) if not is_kept]
        yield f"lost from the middle: {gone[:10]}"
    elif missing > allowed:
        yield f"{missing} of its {len(kept)} readings are missing; it {f'was {run.ended}' if run.ended else 'drained'}, which explains {allowed}"


def _times(readings: Readings, answers: Sequence[Answer]) -> Iterator[str]:
    """Read after the answer was given, and before the next one was."""
    given = {answer.n: answer.at for answer in answers}
    following = {answer.n: later.at for answer, later in pairwise(answers)}
    for at, n in readings:
        if n not in given:
            continue
        if not given[n] - CLOCK_SLACK_NS <= at * MS <= following.get(n, at * MS) + CLOCK_SLACK_NS:
            yield f"reading {n} was answered at {given[n]} and is kept as of {at * MS}"


def _shown(database: Path, account: Account, stored: Mapping[tuple[str, str, str], Readings]) -> Iterator[str]:
    """The history that people see, signal by signal."""
    with closing(SqliteReader(database)) as reader:
        for terminal, device in account:
            for signal in SIGNALS:
                readings = stored.get((terminal, device, signal), [])
                if not readings:
                    continue
                start, end = min(readings)[0] * MS, max(readings)[0] * MS
                try:
                    history = reader.history(terminal, device, signal, start, end)
                except WireError as error:
                    yield f"{terminal} {device} {signal}: no history: {error}"
                    continue
                if history.resolution != "reading" or [(p.at // MS, p.value) for p in history.points] != readings:
                    yield f"{terminal} {device} {signal}: the history shown is not the readings kept"


def _rebuilt(database: Path) -> Iterator[str]:
    """The chain from the first entry to the last, every signature, and the same state once more out of them."""
    again = database.with_name("rebuilt.db")
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
