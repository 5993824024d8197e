"""The readings of one signal round a time as they stand in the log: each with the sealed batch that holds it. What a page shows, and what a proof
proves, is one of these.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from operator import attrgetter
from typing import Any

import msgpack

from tillwatch.agent.model import MS, Quality, State, Value
from tillwatch.agent.wire import WireError, frame_of, split_frame, stored_column
from tillwatch.collector.read import StoredReading, StoredReadings
from tillwatch.collector.store import bodies, segments
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.log import Log

log = logging.getLogger(__name__)

HOUR_MS = 3_600_000
WINDOWS_MS = (HOUR_MS, 25 * HOUR_MS, 32 * 24 * HOUR_MS)
"""How far to either side is looked, in turn, until there are enough: most signals are read each minute, the slowest each day. A proof looks as far back."""
_SPAN = "FROM segment WHERE terminal = ? AND kind = 3 AND t1 >= ? AND t0 <= ?"


def around(db: Db, terminal: str, component: str, signal: str, at: int, count: int) -> StoredReadings:
    """Up to `count` readings until `at` (UTC ns, corrected time), and up to as many after it, oldest first."""
    middle, before, after, retired = at // MS, [], [], False
    for window in WINDOWS_MS:
        span = (terminal, middle - window, middle + window)
        retired = db.execute(f"SELECT 1 {_SPAN} AND retired_n IS NOT NULL LIMIT 1", span).fetchone() is not None
        found = sorted(_readings(db, span, component, signal), key=attrgetter("at", "n"))
        before = [each for each in found if each.at <= at][-count:]
        after = list(islice((each for each in found if each.at > at), count))
        if len(before) == count:
            break
    entries = Log(db)
    return StoredReadings(tuple(_received(entries, each) for each in chain(before, after)), retired)


def between(db: Db, terminal: str, component: str, signal: str, first: int, last: int) -> tuple[list[Value], bool]:
    """All values of one signal in a span of UTC ms, oldest first, and whether some of that time is retired."""
    span = (terminal, first, last)
    retired = db.execute(f"SELECT 1 {_SPAN} AND retired_n IS NOT NULL LIMIT 1", span).fetchone() is not None
    found = sorted(_readings(db, span, component, signal), key=attrgetter("at", "n"))
    return [each.value for each in found], retired


def _readings(db: Db, span: tuple[str, int, int], component: str, signal: str) -> Iterator[StoredReading]:
    """Of a span (terminal, first and last UTC ms). received, epoch and seq are not looked up yet."""
    for n, body, correction in _batches(db, span, component, signal):
        try:
            column = stored_column(body, component, signal)
        except WireError as error:
            log.error("terminal %s: entry %d of the log cannot be read and is left out: %s", span[0], n, error)
            continue
        for one in column.readings() if column is not None else ():
            at = one.at + correction * MS
            if span[1] <= at // MS <= span[2]:
                quality, state = Quality(one.quality).name.lower(), State(one.state).name.lower()
                yield StoredReading(at, one.value, quality, state, n, correction)


def _batches(
    db: Db, span: tuple[str, int, int], component: str, signal: str
) -> Iterator[tuple[int, bytes | dict[str, Any], int]]:
    """Entry, body and correction (ms) of each batch that may hold the signal."""
    for blob, heads in db.execute(f"SELECT bodies, heads {_SPAN} AND retired_n IS NULL ORDER BY t1, id", span):
        try:
            numbers: list[int] = []
            for place, body, correction in bodies.placed(blob, component, signal):
                numbers = numbers or segments.numbers(heads)
                yield numbers[place], body, correction
        except (bodies.BodiesError, segments.SegmentError, IndexError) as error:
            log.error("terminal %s: a segment of the log is left out, it %s", span[0], error)
    for n, facts, payload in db.execute(
        "SELECT n, facts, payload FROM journal WHERE terminal = ? AND kind = 3 AND payload IS NOT NULL AND t1 >= ? AND t0 <= ? ORDER BY n",
        span,
    ):
        yield n, split_frame(frame_of(payload))[1], int(msgpack.unpackb(facts).get("correction_ms", 0))


def _received(entries: Log, reading: StoredReading) -> StoredReading:
    entry = entries.entries(reading.n, reading.n)[-1]
    facts = entry.facts_map()
    epoch = facts.get("epoch", b"")
    return replace(reading, received=entry.at, epoch=epoch.hex(), seq=int(facts.get("seq", 0)))
