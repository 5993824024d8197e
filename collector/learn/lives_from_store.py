"""Lives of the parts of a kind out of a collector's own store, and the daily means of what they measured. The log says what happened; the hourly roll-ups hold the
readings, also those whose sealed batches were retired. One life is read at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgpack
import numpy as np

from tillwatch.collector.learn.from_store import PastError
from tillwatch.collector.learn.histories import History
from tillwatch.collector.learn.part_lives import ENDED, SERIAL, Life, PartLives, Place
from tillwatch.collector.predict.feed import Feed, Surroundings
from tillwatch.collector.predict.finding import kind_of
from tillwatch.collector.predict.past import HOUR_NS, Past, Progress
from tillwatch.collector.predict.settings import DAY_NS, Tables
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.log import Fault
from tillwatch.device_profiles.catalogue import kept_catalogue
from tillwatch.device_profiles.model import Kind

MAX_SIGNALS = 40
"""Of a kind of part, those that most of its parts tell: a model makes seven features of each, and some dozen lives cannot tell more of them apart."""
TOLD_BY = 0.5
"""The share of the parts that tell a signal, from which it is learnt from: what fewer tell parts makes from makes, not old from new."""
MAX_CELLS = 10_000_000
"""Daily values that are taught at once, 80 MB: a thousand lives of three years with nine signals. Of more lives the latest are taken."""
DAY_HOURS = DAY_NS // HOUR_NS
_ROWS = "SELECT hour, signals FROM rollup WHERE terminal = ? AND component = ? AND hour >= ? AND hour < ? ORDER BY hour"


@dataclass(frozen=True, slots=True)
class Found:
    """signals: what the histories have in their columns; unused: how many others the parts measure; faults: what does not fit in the log."""

    lives: tuple[Life, ...]
    signals: tuple[str, ...]
    unused: int
    faults: Sequence[Fault]

    def of(self, state: str) -> list[Life]:
        return [life for life in self.lives if life.state == state]


@dataclass(frozen=True, slots=True)
class Taught:
    """Whole lives; silent: those that told nothing; left_out: those that the bound on values kept out."""

    histories: tuple[History, ...]
    silent: int
    left_out: int


def find(
    db: Db,
    tables: Tables,
    kind: str,
    until: int,
    signals: Iterable[str] = (),
    progress: Progress = lambda _at, _share: None,
) -> Found:
    """db: in one consistent state; kind: a pattern of kinds of parts; until: UTC ns; signals: to learn from, those that most parts tell where there are none. Raises
    PastError where there is no such part, or it tells nothing in numbers.
    """
    told = _told_by(db, kind)
    if not told:
        raise PastError(
            f"the store knows no part of the kind {kind}; tillwatch-collector show TERMINAL lists what there is"
        )
    chosen, unused = _chosen(told, tables, kind, tuple(signals))
    dates = frozenset(life.replaced for life in tables.lives.by_id.values() if life.replaced)
    words = dates | {SERIAL}
    lives = PartLives(frozenset(told), dates)
    past = Past(db, lambda _, signal: signal in words, frames=False)
    for terminal, component, speaks in _speaking(db, words):
        if not speaks:
            past.hours.leave(terminal, component)
    known = Surroundings()
    feed = Feed(lives, known, db, past.fault)
    known.events.open(db)
    for logged, columns in past.walk(until, progress):
        feed.events(logged.entry.at)
        feed.entry(logged)
        if columns:
            lives.read(logged.entry.terminal, columns, logged.entry.at)
    feed.events(until)
    known.events.shut()
    return Found(tuple(lives.lives(_first(db, told, until), until)), chosen, unused, past.told.faults)


def _series(db: Db) -> Iterable[tuple[str, str, frozenset[str]]]:
    from tillwatch.collector.terminal.fleet import Component  # noqa: PLC0415 - the fold's own

    for terminal, name, state in db.execute("SELECT terminal, name, state FROM component ORDER BY terminal, name"):
        yield terminal, name, frozenset(Component.unpack(name, state).series)


def _told_by(db: Db, kind: str) -> dict[Place, frozenset[str]]:
    return {
        (terminal, name): series
        for terminal, name, series in _series(db)
        if fnmatchcase(kind_of(name).lower(), kind.lower())
    }


def _speaking(db: Db, words: frozenset[str]) -> Iterable[tuple[str, str, bool]]:
    return ((terminal, name, bool(words & series)) for terminal, name, series in _series(db))


def _chosen(
    told: Mapping[Place, frozenset[str]], tables: Tables, kind: str, asked: tuple[str, ...]
) -> tuple[tuple[str, ...], int]:
    """The signals that are learnt from, and how many of the parts' own are not."""
    known = kept_catalogue().signals
    count = Counter(
        signal
        for series in told.values()
        for signal in series
        if signal in known and known[signal].kind in {Kind.GAUGE, Kind.COUNTER}
    )
    if strange := [each for each in asked if each not in count]:
        there = ", ".join(sorted(count)) or "nothing"
        raise PastError(f"--signal {strange[0]}: no part of this kind measures it; they measure {there}")
    if len(asked) > MAX_SIGNALS:
        raise PastError(f"--signal: {len(asked)} of them; it takes {MAX_SIGNALS} at most")
    if asked:
        return tuple(dict.fromkeys(asked)), 0
    watched = [each for each in count if each in tables.gauges | tables.counters]
    if not watched:
        raise PastError(f"parts of the kind {kind} tell words only; how long they last is learnt from what is measured")
    # Where makes differ so much that they share nothing, what most tell is still what there is.
    least = min(TOLD_BY * len(told), max(count[each] for each in watched))
    often = sorted((each for each in watched if count[each] >= least), key=lambda each: (-count[each], each))
    return tuple(often[:MAX_SIGNALS]), len(watched) - len(often[:MAX_SIGNALS])


def _first(db: Db, known: Iterable[Place], until: int) -> dict[Place, int]:
    """Since when each part is seen, those that are by then. What was there on the first day was there when the terminal was enrolled."""
    enrolled = {terminal: int(at or 0) for terminal, at in db.execute("SELECT id, enrolled_at FROM terminal")}
    found = {}
    for terminal, component in known:
        row = db.execute(
            "SELECT min(hour) FROM rollup WHERE terminal = ? AND component = ?", (terminal, component)
        ).fetchone()
        if row[0] is None:
            continue
        at = int(row[0]) * HOUR_NS
        since = enrolled.get(terminal, 0)
        first = since if 0 <= at - since < DAY_NS else at
        if first < until:
            found[terminal, component] = first
    return found


def teaching(db: Db, found: Found, most: int = MAX_CELLS, progress: Progress = lambda _at, _share: None) -> Taught:
    """The histories of the lives that ended, of no more than `most` values."""
    ended = sorted(found.of(ENDED), key=lambda life: (-life.until, life.name))
    histories: list[History] = []
    cells = silent = 0
    for done, life in enumerate(ended):
        progress(life.until, done / len(ended))
        history = history_of(db, life, found.signals)
        if history is None:
            silent += 1
            continue
        cells += history.values.size
        if cells > most and histories:
            return Taught(tuple(histories), silent, len(ended) - done)
        histories.append(history)
    return Taught(tuple(histories), silent, 0)


def history_of(db: Db, life: Life, signals: tuple[str, ...]) -> History | None:
    """Daily means over the age in days; the last row stands at the end of the life, silent where nothing was told on that day. None where the part told nothing.
    Hours that lie partly outside of the life are left out: after a fault a part says something else.
    """
    column = {signal: place for place, signal in enumerate(signals)}
    days: dict[int, list[list[float]]] = {}
    first, end = -(-life.begun // HOUR_NS), life.until // HOUR_NS
    for hour, packed in db.execute(_ROWS, (life.terminal, life.component, first, end)):
        for signal, row in msgpack.unpackb(packed).items():
            place = column.get(signal)
            if place is None or not row[0] or not isinstance(row[1], int | float):
                continue
            day = days.setdefault(hour // DAY_HOURS, [[0.0, 0.0] for _ in signals])
            day[place][0] += row[0]
            day[place][1] += row[1]
    if not days:
        return None
    ends = [min((day + 1) * DAY_NS, life.until) for day in days]
    sums = np.array(list(days.values()), np.float64)
    values = np.full(sums.shape[:2], np.nan)
    np.divide(sums[:, :, 1], sums[:, :, 0], out=values, where=sums[:, :, 0] > 0)
    if ends[-1] < life.until:
        ends.append(life.until)
        values = np.vstack([values, np.full(len(signals), np.nan)])
    age = (np.array(ends, np.int64) - life.begun) / DAY_NS
    return History(life.name, age, values)
