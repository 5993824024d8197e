"""Readings as lines of the line protocol. Pure: the same batch gives the same lines, whenever and wherever it is rendered.

A signal is a measurement, `ups.battery.charge` is `till_ups_battery_charge`; its tags are terminal, branch, region, class, component, signal and unit, and
its fields

    value      a number
    text       a word or a text
    state      what the device profile says of it, as agent.model.State has it; left out where it says nothing
    quality    as agent.model.Quality has it; left out where it is good

A reading that could not be made has no value, and a quality that says so. The time is the corrected one, whole milliseconds; the digits below are the
batch's own number, so that readings of two batches that fall on one millisecond (a clock that was set back) stay two where the store keeps
nanoseconds. Readings of one signal in one batch that fall on one millisecond are moved to the next free ones.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tillwatch.agent.model import MS, Quality, State, Value
from tillwatch.agent.wire import Column
from tillwatch.device_profiles.model import Signal

PREFIX = "till_"
"""Of every measurement: a store that others fill, too, has a `host_cpu_percent` already. What begins with `tillwatch_` is our own health."""
MAX_SERIES = 100_000
"""Whose names are remembered, of the terminals heard last: some 50 MB. Beyond, they are spelled again for each batch."""
NO_WORDS: frozenset[str] = frozenset()
BELOW_MS = MS
"""Numbers of batches that are told apart within one millisecond."""

_NAME = re.compile(r"[^A-Za-z0-9_]")
_CONTROL = (
    {code: 0x2400 + code for code in range(0x20)}
    | {0x7F: 0x2421}
    | dict.fromkeys((*range(0x80, 0xA0), 0x2028, 0x2029), 0xFFFD)
)
_TAG = str.maketrans(
    {",": r"\,", "=": r"\=", " ": r"\ ", "\\": "＼"} | {chr(code): chr(sign) for code, sign in _CONTROL.items()}
)
"""No two stores agree what a backslash before an escaped character is, and none takes one at the end: a full-width one says the same to people."""
_FIELD = str.maketrans({'"': r"\"", "\\": r"\\"} | {chr(code): chr(sign) for code, sign in _CONTROL.items()})


class Place(NamedTuple):
    """Where a terminal stands; empty where nobody said."""

    branch: str = ""
    region: str = ""
    terminal_class: str = ""


@dataclass(slots=True)
class Count:
    """points: lines that were made; moved: within a batch, to the next free millisecond; backwards: at or before the one written before of the same
    signal, so that a store of whole milliseconds may have kept one of two; texts: left out because the store keeps numbers only.
    """

    points: int = 0
    moved: int = 0
    backwards: int = 0
    texts: int = 0


def measurement(signal: str) -> str:
    return PREFIX + _NAME.sub("_", signal)


def tag(value: str) -> str:
    return value.translate(_TAG).encode("utf-8", "replace").decode()


def text_field(value: str) -> str:
    return f'"{value.translate(_FIELD).encode("utf-8", "replace").decode()}"'


@dataclass(slots=True)
class _Series:
    head: str
    words: frozenset[str]
    last: int = 0


class _Ticks(NamedTuple):
    first: int
    last: int
    times: Sequence[str]
    moved: int


class Renderer:
    """signals: of the catalogue; words: whether the store keeps text. Where it does not, a word of a state's closed list becomes a tag of a series that
    is 1, and other text is left out. Bounded by MAX_SERIES.
    """

    def __init__(self, signals: Mapping[str, Signal], *, words: bool) -> None:
        self._signals, self._words = signals, words
        self._known: OrderedDict[str, tuple[Place, dict[tuple[str, str], _Series]]] = OrderedDict()
        self._series = 0
        self.count = Count()

    def forget(self) -> None:
        """What comes next may be older than what came before."""
        self._known.clear()
        self._series = 0

    def batch(self, terminal: str, place: Place, columns: Iterable[Column], correction_ms: int, seq: int) -> list[str]:
        known = self._of(terminal, place)
        below = seq % BELOW_MS
        ticks: dict[int, _Ticks] = {}
        lines: list[str] = []
        for column in columns:
            tick = ticks.get(id(column.at))
            if tick is None:
                tick = ticks[id(column.at)] = _ticks(column.at, correction_ms, below)
            key = column.component, column.signal
            series = known.get(key)
            if series is None:
                series = known[key] = self._new(terminal, place, *key)
                self._series += 1
            self.count.moved += tick.moved
            if tick.first <= series.last:
                self.count.backwards += 1
            series.last = max(series.last, tick.last)
            if column.numeric and not column.odd:
                head, more = f"{series.head} value=", _graded(column.quality, column.state)
                lines += [f"{head}{value}{more} {at}" for value, at in zip(column.values, tick.times, strict=True)]
                continue
            odd, usual = column.odd or {}, (column.quality, column.state)
            for i, (value, at) in enumerate(zip(column.values, tick.times, strict=True)):
                lines += self._one(series, value, *odd.get(i, usual), at)
        self.count.points += len(lines)
        self._trim(terminal)
        return lines

    def _of(self, terminal: str, place: Place) -> dict[tuple[str, str], _Series]:
        known = self._known.get(terminal)
        if known is not None and known[0] == place:
            self._known.move_to_end(terminal)
            return known[1]
        if known is not None:
            self._series -= len(known[1])
            del self._known[terminal]
        series: dict[tuple[str, str], _Series] = {}
        self._known[terminal] = place, series
        return series

    def _trim(self, terminal: str) -> None:
        while self._series > MAX_SERIES and next(iter(self._known)) != terminal:
            _, (_, series) = self._known.popitem(last=False)
            self._series -= len(series)

    def _new(self, terminal: str, place: Place, component: str, signal: str) -> _Series:
        known = self._signals.get(signal)
        # In the order of their names, which spares InfluxDB the sorting.
        tags = (
            ("branch", place.branch), ("class", place.terminal_class), ("component", component), ("region", place.region),
            ("signal", signal), ("terminal", terminal), ("unit", known.unit if known is not None else ""),
        )  # fmt: skip
        said = "".join(f",{name}={tag(value)}" for name, value in tags if value)
        return _Series(
            measurement(signal) + said, frozenset(word for word, _ in known.states) if known is not None else NO_WORDS
        )

    def _one(self, series: _Series, value: Value, quality: Quality, state: State, at: str) -> list[str]:
        more = _graded(quality, state)
        if isinstance(value, str):
            if self._words:
                return [f"{series.head} text={text_field(value)}{more} {at}"]
            found = [f"{series.head},text={tag(value)} text=1 {at}"] if value in series.words else []
            self.count.texts += not found
            return [*found, f"{series.head} {more[1:]} {at}"] if more else found
        if value is None:
            return [f"{series.head} {more[1:]} {at}"] if more else []
        return [f"{series.head} value={value}{more} {at}"]


def _graded(quality: Quality, state: State) -> str:
    said = f",state={int(state)}i" if state is not State.NONE else ""
    return f"{said},quality={int(quality)}i" if quality is not Quality.GOOD else said


def _ticks(at: Sequence[int], correction_ms: int, below: int) -> _Ticks:
    apart, moved = (at, 0) if len(set(at)) == len(at) else _apart(at)
    times = [str((each + correction_ms) * MS + below) for each in apart]
    return _Ticks(min(apart) + correction_ms, max(apart) + correction_ms, times, moved)


def _apart(at: Sequence[int]) -> tuple[list[int], int]:
    """Each at a time of its own: the first one of a time keeps it, the others take the next that none has."""
    wanted, taken, found, moved = set(at), set[int](), [], 0
    for each in at:
        free = each
        while free in taken or (free != each and free in wanted):
            free += 1
        moved += free != each
        taken.add(free)
        found.append(free)
    return found, moved
