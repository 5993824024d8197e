"""The body of a batch: readings to columns and back. One column for each (component, signal), times shared, numbers as a decimal
exponent, a first value and integer steps; what does not fit is an exception with its raw value. Plain lists in, plain lists out:
bytes are wire.py's. Layout and sizes: 300 raw bytes for 60 readings where rows of objects take 3,679.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from tillwatch.agent.model import MS, Quality, Reading, State, Value, device_of

MAX_READINGS = 2_000
"""Readings in a batch: bounds what one message can make the collector do (delivery.md 6.9)."""
MAX_DEVICES = 200
"""Distinct devices in a batch."""
MAX_NAME = 96
"""Characters in the name of a component or a signal."""
MAX_TEXT = 512
"""UTF-8 bytes of a text value."""
MAX_SPAN_MS = 3_600_000
"""Newest minus oldest reading of a batch: the history looks for a reading in batches whose newest is at most this much later."""

_RAW, _TEXT = 14, 15
_MAX_DECIMALS = 9
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_STEP_MAX = 2**63 - 1
_EXACT = 2**53
_SCALES = tuple(10.0**e for e in range(_MAX_DECIMALS + 1))
_INTS = {int}
_QUALITIES = tuple(Quality)
_STATES = tuple(State)
LATEST_MS = (2**63 - 1) // MS
"""UTC ns must fit 63 bits: times end in the year 2262."""


class ColumnsError(ValueError):
    """The readings do not fit a batch, or the body is not one. The text names the column."""


@dataclass(slots=True)
class Column:
    """One signal of one component in a batch. at: UTC ms, shared between columns, never changed; odd: position -> other quality and state;
    numeric: all values are numbers.
    """

    component: str
    signal: str
    at: list[int]
    values: list[Value]
    quality: Quality
    state: State
    numeric: bool
    odd: dict[int, tuple[Quality, State]] | None = None

    def readings(self) -> Iterator[Reading]:
        for i, (at, value) in enumerate(zip(self.at, self.values, strict=True)):
            quality, state = (self.odd or {}).get(i, (self.quality, self.state))
            yield Reading(self.component, self.signal, at * MS, value, quality, state)


def check_name(name: object, what: str) -> str:
    """Names of components and signals: 1 to MAX_NAME printable characters."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        msg = f"{what} {str(name)[:MAX_NAME]!r} is not a name of 1 to {MAX_NAME} printable characters"
        raise ColumnsError(msg)
    return name


def _decimals(value: float) -> int:
    """The fewest decimals (1 to 9) that give exactly this float back, or -1."""
    for e in range(1, _MAX_DECIMALS + 1):
        scaled = value * _SCALES[e]
        if abs(scaled) >= _EXACT:
            return -1
        if round(scaled) / _SCALES[e] == value:
            return e
    return -1


def _format(values: Sequence[Value]) -> int:
    """The column format: 0 integers, 1 to 9 decimals, raw or text."""
    if all(type(v) is int for v in values):
        return 0
    if all(type(v) is str for v in values):
        return _TEXT
    decimals = 1
    for v in values:
        if type(v) is float:
            needed = _decimals(v)
            if needed < 0:
                return _RAW
            decimals = max(decimals, needed)
        elif type(v) is not int:
            return _RAW
    fits = all(abs(v) * _SCALES[decimals] < _EXACT for v in values if not isinstance(v, str | None))
    return decimals if fits else _RAW


def _check_value(reading: Reading) -> None:
    value = reading.value
    if isinstance(value, str):
        if len(value.encode("utf-8", "surrogatepass")) > MAX_TEXT:
            msg = f"{reading.component} {reading.signal}: text of more than {MAX_TEXT} bytes"
            raise ColumnsError(msg)
    elif isinstance(value, int) and not _INT_MIN <= value <= _INT_MAX:
        msg = f"{reading.component} {reading.signal}: {value} does not fit 64 bits"
        raise ColumnsError(msg)


class _Table:
    """Names in order of first use, with their index."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}

    def add(self, name: str) -> int:
        return self.index.setdefault(name, len(self.index))

    def names(self) -> list[str]:
        return list(self.index)


def to_body(readings: Sequence[Reading]) -> dict[str, Any]:
    """The body map of a batch. Readings keep their order within a column; the columns come in order of first use."""
    if not 0 < len(readings) <= MAX_READINGS:
        msg = f"a batch holds 1 to {MAX_READINGS} readings, not {len(readings)}"
        raise ColumnsError(msg)
    groups: dict[tuple[str, str], list[Reading]] = {}
    for reading in readings:
        _check_value(reading)
        groups.setdefault((reading.component, reading.signal), []).append(reading)
    if len({device_of(component) for component, _ in groups}) > MAX_DEVICES:
        msg = f"more than {MAX_DEVICES} devices in a batch"
        raise ColumnsError(msg)
    base = min(r.at for r in readings) // MS
    if not 0 <= base < LATEST_MS - MAX_SPAN_MS or max(r.at for r in readings) // MS - base > MAX_SPAN_MS:
        msg = f"the readings of a batch span more than {MAX_SPAN_MS} ms, or lie before 1970"
        raise ColumnsError(msg)
    components, signals, texts = _Table(), _Table(), _Table()
    ticks: dict[tuple[int, ...], int] = {}
    columns: list[list[Any]] = []
    exceptions: list[list[Any]] = []
    for (component, signal), group in groups.items():
        offsets = [r.at // MS - base for r in group]
        steps = (offsets[0], *(b - a for a, b in pairwise(offsets)))
        tick = ticks.setdefault(steps, len(ticks))
        values = [r.value for r in group]
        fmt = _format(values)
        numbers: list[Any]
        if fmt == _TEXT:
            numbers = [texts.add(str(v)) for v in values]
        elif fmt in (0, _RAW):
            numbers = values
        else:
            numbers = [round(v * _SCALES[fmt]) for v in values]  # type: ignore[operator]
        if fmt != _RAW:
            deltas = [b - a for a, b in pairwise(numbers)]
            if any(abs(d) > _STEP_MAX for d in deltas):
                fmt, numbers = _RAW, values
            else:
                numbers = [numbers[0], *deltas]
        quality, state = group[0].quality, group[0].state
        for i, r in enumerate(group):
            if (r.quality, r.state) != (quality, state):
                exceptions.append([len(columns), i, r.quality | r.state << 2])
        columns.append(
            [
                components.add(check_name(component, "component")),
                signals.add(check_name(signal, "signal")),
                tick,
                fmt | quality << 4 | state << 6,
                *numbers,
            ]
        )
    body: dict[str, Any] = {
        "b": base,
        "t": [list(t) for t in ticks],
        "c": components.names(),
        "s": signals.names(),
        "k": columns,
    }
    if texts.index:
        body["x"] = texts.names()
    if exceptions:
        body["e"] = exceptions
    return body


def _list(body: dict[str, Any], key: str) -> list[Any]:
    value = body.get(key, [])
    if type(value) is not list:
        msg = f"{key} is not a list"
        raise ColumnsError(msg)
    return value


def from_body(body: object, n: int) -> list[Column]:
    """The columns of a body that was received. Every index, length, type and bound is checked; n is the header's count of readings."""
    if type(body) is not dict:
        msg = "the body is not a map"
        raise ColumnsError(msg)
    try:
        return _from_body(body, n)
    except (TypeError, IndexError, KeyError, OverflowError, ValueError) as error:
        if isinstance(error, ColumnsError):
            raise
        msg = f"malformed body: {error}"
        raise ColumnsError(msg) from None


def _from_body(body: dict[str, Any], n: int) -> list[Column]:
    base = body["b"]
    if type(base) is not int or not 0 <= base < LATEST_MS - MAX_SPAN_MS:
        msg = "the base time is not a time"
        raise ColumnsError(msg)
    components = [check_name(name, "component") for name in _list(body, "c")]
    signals = [check_name(name, "signal") for name in _list(body, "s")]
    if len({device_of(c) for c in components}) > MAX_DEVICES:
        msg = f"more than {MAX_DEVICES} devices"
        raise ColumnsError(msg)
    texts = _list(body, "x")
    for text in texts:
        if type(text) is not str or len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT:
            msg = f"a text value is not text of at most {MAX_TEXT} bytes"
            raise ColumnsError(msg)
    ticks: list[list[int]] = []
    for steps in _list(body, "t"):
        if not steps or set(map(type, steps)) != _INTS:
            msg = "ticks are not integers"
            raise ColumnsError(msg)
        at = list(accumulate(steps[1:], initial=base + steps[0]))
        if min(at) < base or max(at) - base > MAX_SPAN_MS:
            msg = "a tick lies outside the batch's span"
            raise ColumnsError(msg)
        ticks.append(at)
    columns: list[Column] = []
    seen: set[tuple[int, int]] = set()
    left = n
    for row in _list(body, "k"):
        ci, si, ti, fmt = row[0], row[1], row[2], row[3]
        if type(fmt) is not int or fmt < 0 or min(ci, si, ti) < 0:
            msg = f"column {len(columns)}: a negative index"
            raise ColumnsError(msg)
        if (ci, si) in seen:
            msg = f"column {len(columns)}: {components[ci]} {signals[si]} stands twice"
            raise ColumnsError(msg)
        seen.add((ci, si))
        at = ticks[ti]
        if len(row) != len(at) + 4:
            msg = f"column {len(columns)}: {len(row) - 4} values for {len(at)} ticks"
            raise ColumnsError(msg)
        left -= len(at)
        if left < 0:
            break
        values = _values(fmt & 15, row[4:], texts, len(columns))
        columns.append(Column(components[ci], signals[si], at, values, _QUALITIES[fmt >> 4 & 3], _STATES[fmt >> 6], fmt & 15 <= _MAX_DECIMALS))
    if left:
        msg = f"the columns do not hold the {n} readings of the header"
        raise ColumnsError(msg)
    for row in _list(body, "e"):
        ci, i, flags = row[0], row[1], row[2]
        if min(ci, i, flags) < 0 or i >= len(columns[ci].at):
            msg = "an exception points outside its column"
            raise ColumnsError(msg)
        column = columns[ci]
        column.odd = column.odd or {}
        column.odd[i] = (_QUALITIES[flags & 3], _STATES[flags >> 2])
    return columns


def _values(fmt: int, row: list[Any], texts: list[str], at: int) -> list[Value]:
    if fmt == _RAW:
        for value in row:
            if type(value) is str:
                if len(value.encode("utf-8", "surrogatepass")) > MAX_TEXT:
                    msg = f"column {at}: text of more than {MAX_TEXT} bytes"
                    raise ColumnsError(msg)
            elif type(value) is float:
                if value - value != 0:  # infinity and not-a-number
                    msg = f"column {at}: {value} is not a reading"
                    raise ColumnsError(msg)
            elif value is not None and type(value) is not int:
                msg = f"column {at}: a value of type {type(value).__name__}"
                raise ColumnsError(msg)
        return row
    if set(map(type, row)) != _INTS:
        msg = f"column {at}: steps are not integers"
        raise ColumnsError(msg)
    numbers: list[Any] = list(accumulate(row))
    if min(numbers) < _INT_MIN or max(numbers) > _INT_MAX:
        msg = f"column {at}: a value does not fit 64 bits"
        raise ColumnsError(msg)
    if fmt == 0:
        return numbers
    if fmt == _TEXT:
        if min(numbers) < 0:
            msg = f"column {at}: a negative text index"
            raise ColumnsError(msg)
        return [texts[i] for i in numbers]
    if fmt > _MAX_DECIMALS:
        msg = f"column {at}: unknown format {fmt}"
        raise ColumnsError(msg)
    scale = _SCALES[fmt]
    return [v / scale for v in numbers]
