"""The body of a batch: readings to columns and back. One column for each (component, signal), times shared, numbers as a decimal
exponent, a first value and integer steps; what does not fit is an exception with its raw value. Plain lists in, plain lists out:
bytes are wire.py's. Layout and sizes: 300 raw bytes for 60 readings where rows of objects take 3,679.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from math import isfinite
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

MAX_CHECKED = 4_096
"""Names that are remembered as checked: the catalogue and the parts of many devices. At most 96 characters each, some 1.5 MB at worst."""

_INTEGERS, _MAX_DECIMALS, _RAW, _TEXT = 0, 9, 14, 15
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_STEP_MAX = 2**63 - 1
_EXACT = 2**53
_SCALES = tuple(10.0**e for e in range(_MAX_DECIMALS + 1))
_INTS, _LISTS = {int}, {list}
_TYPES = frozenset({int, float, str, type(None)})
_FORMATS = {
    fmt | quality << 4 | state << 6: (fmt, quality, state)
    for fmt in (*range(_MAX_DECIMALS + 1), _RAW, _TEXT)
    for quality in Quality
    for state in State
}
_FLAGS = {quality | state << 2: (quality, state) for quality in Quality for state in State}
_checked: set[str] = set()
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
        usual, odd = (self.quality, self.state), self.odd or {}
        for i, (at, value) in enumerate(zip(self.at, self.values, strict=True)):
            quality, state = odd.get(i, usual)
            yield Reading(self.component, self.signal, at * MS, value, quality, state)


def check_name(name: object, what: str) -> str:
    """Names of components and signals: 1 to MAX_NAME printable characters."""
    if type(name) is not str or not 0 < len(name) <= MAX_NAME or not name.isprintable():
        shown = repr(name[:MAX_NAME]) if type(name) is str else f"of type {type(name).__name__}"
        msg = f"{what} {shown} is not a name of 1 to {MAX_NAME} printable characters"
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


def _decimal_column(values: list[Any]) -> tuple[int, list[int]] | None:
    """Decimals and scaled integers of a column of numbers; None where they would not give back exactly these numbers."""
    decimals = 1
    for v in values:
        needed = _decimals(v) if type(v) is float else 1
        if needed < 0:
            return None
        decimals = max(decimals, needed)
    scale = _SCALES[decimals]
    if max(map(abs, values)) * scale >= _EXACT:
        return None
    numbers = [round(v * scale) for v in values]
    return (decimals, numbers) if [n / scale for n in numbers] == values else None


def _check_value(reading: Reading) -> None:
    value = reading.value
    if type(value) not in _TYPES:
        msg = f"{reading.component} {reading.signal}: a value of type {type(value).__name__}"
    elif isinstance(value, str) and len(value.encode("utf-8", "surrogatepass")) > MAX_TEXT:
        msg = f"{reading.component} {reading.signal}: text of more than {MAX_TEXT} bytes"
    elif isinstance(value, int) and not _INT_MIN <= value <= _INT_MAX:
        msg = f"{reading.component} {reading.signal}: {value} does not fit 64 bits"
    else:
        return
    raise ColumnsError(msg)


class _Table:
    """Names in order of first use, with their index."""

    def __init__(self) -> None:
        self.index: dict[str, int] = {}

    def add(self, name: str) -> int:
        return self.index.setdefault(name, len(self.index))

    def names(self) -> list[str]:
        return list(self.index)


def _encode(values: list[Any], texts: _Table) -> tuple[int, list[Any]]:
    """The format of a column, and its first number and steps; the values themselves where they are raw."""
    types = set(map(type, values))
    if types == _INTS:
        fmt, numbers = _INTEGERS, values
    elif types == {str}:
        fmt, numbers = _TEXT, [texts.add(v) for v in values]
    elif types <= {int, float} and (column := _decimal_column(values)):
        fmt, numbers = column
    else:
        return _RAW, values
    steps = [b - a for a, b in pairwise(numbers)]
    return (_RAW, values) if any(abs(d) > _STEP_MAX for d in steps) else (fmt, [numbers[0], *steps])


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
        fmt, numbers = _encode([r.value for r in group], texts)
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


def from_body(body: object, n: int) -> list[Column]:
    """The columns of a body that was received. Every index, length, type and bound is checked; n is the header's count of readings."""
    if type(body) is not dict:
        msg = "the body is not a map"
        raise ColumnsError(msg)
    base = body.get("b")
    if type(base) is not int or not 0 <= base < LATEST_MS - MAX_SPAN_MS:
        msg = "the base time is not a time"
        raise ColumnsError(msg)
    components, signals = _names(body, "c", "component"), _names(body, "s", "signal")
    if len(components) > MAX_DEVICES and len({device_of(c) for c in components}) > MAX_DEVICES:
        msg = f"more than {MAX_DEVICES} devices"
        raise ColumnsError(msg)
    texts = _list(body, "x")
    if max(len(components), len(signals), len(texts)) > n:
        msg = "more names or texts than readings"
        raise ColumnsError(msg)
    for text in texts:
        _check_text(text, "a text value")
    ticks = _ticks(_list(body, "t"), base, n)
    rows = _list(body, "k")
    # Bools, floats, bytes and maps would pass for indexes. One look at the types of the whole body is the cheapest; where it finds
    # more than integers, each column is looked at.
    if set(map(type, rows)) != _LISTS:
        msg = "a column is not a list"
        raise ColumnsError(msg)
    plain = set(map(type, chain.from_iterable(rows))) == _INTS
    nc, ns, nt = len(components), len(signals), len(ticks)
    columns: list[Column] = []
    seen: set[tuple[int, int]] = set()
    left = n
    for row in rows:
        if not plain and set(map(type, row[:4])) != _INTS:
            msg = f"column {len(columns)} does not begin with four integers"
            raise ColumnsError(msg)
        if len(row) < 5:
            msg = f"column {len(columns)} is empty"
            raise ColumnsError(msg)
        ci, si, ti, flags, *values = row
        if not (0 <= ci < nc and 0 <= si < ns and 0 <= ti < nt and flags in _FORMATS):
            msg = f"column {len(columns)}: component {ci}, signal {si}, ticks {ti} or format {flags} is not known"
            raise ColumnsError(msg)
        at = ticks[ti]
        if len(values) != len(at):
            msg = f"column {len(columns)}: {len(values)} values for {len(at)} ticks"
            raise ColumnsError(msg)
        left -= len(at)
        if left < 0:
            break
        seen.add((ci, si))
        fmt, quality, state = _FORMATS[flags]
        if fmt == _RAW:
            _check_raw(values, len(columns))
        else:
            if not plain and set(map(type, values)) != _INTS:
                msg = f"column {len(columns)}: steps are not integers"
                raise ColumnsError(msg)
            values = list(accumulate(values))
            least, most = (0, len(texts) - 1) if fmt == _TEXT else (_INT_MIN, _INT_MAX)
            if min(values) < least or max(values) > most:
                msg = f"column {len(columns)}: a value outside {least} to {most}"
                raise ColumnsError(msg)
            if fmt == _TEXT:
                values = [texts[i] for i in values]
            elif fmt != _INTEGERS:
                scale = _SCALES[fmt]
                values = [v / scale for v in values]
        columns.append(Column(components[ci], signals[si], at, values, quality, state, fmt <= _MAX_DECIMALS))
    if left:
        msg = f"the columns do not hold the {n} readings of the header"
        raise ColumnsError(msg)
    if len(seen) != len(columns):
        msg = "two columns are of the same signal"
        raise ColumnsError(msg)
    for row in _list(body, "e"):
        _except(row, columns)
    return columns


def one_column(body: Any, component: str, signal: str) -> Column | None:
    """The column of one signal, of a body that from_body has taken before: nothing is checked again but what makes it unreadable."""
    try:
        ci, si = body["c"].index(component), body["s"].index(signal)
    except ValueError:
        return None
    position = next((i for i, row in enumerate(body["k"]) if row[1] == si and row[0] == ci), -1)
    if position < 0:
        return None
    row = body["k"][position]
    fmt, quality, state = _FORMATS[row[3]]
    values = row[4:]
    if fmt != _RAW:
        values = list(accumulate(values))
        if fmt == _TEXT:
            values = [body["x"][i] for i in values]
        elif fmt != _INTEGERS:
            scale = _SCALES[fmt]
            values = [v / scale for v in values]
    at = list(accumulate(body["t"][row[2]], initial=body["b"]))[1:]
    column = Column(component, signal, at, values, quality, state, fmt <= _MAX_DECIMALS)
    odd = {i: _FLAGS[flags] for k, i, flags in body.get("e", ()) if k == position}
    if odd:
        column.odd = odd
    return column


def _list(body: dict[str, Any], key: str) -> list[Any]:
    value = body.get(key, [])
    if type(value) is not list:
        msg = f"{key} is not a list"
        raise ColumnsError(msg)
    return value


def _names(body: dict[str, Any], key: str, what: str) -> list[str]:
    names = _list(body, key)
    try:
        distinct = set(names)
    except TypeError:
        distinct = set()
    if not distinct <= _checked:
        for name in names:
            check_name(name, what)
        if len(_checked) + len(distinct) > MAX_CHECKED:
            _checked.clear()
        _checked.update(distinct)
    if len(distinct) != len(names):
        msg = f"a {what} stands twice, or is no text"
        raise ColumnsError(msg)
    return names


def _check_text(text: object, where: str) -> None:
    if type(text) is not str or len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT:
        msg = f"{where} is not text of at most {MAX_TEXT} bytes"
        raise ColumnsError(msg)


def _ticks(patterns: list[Any], base: int, n: int) -> list[list[int]]:
    """UTC ms of each pattern. Every pattern is some column's, so together they have at most n ticks."""
    ticks: list[list[int]] = []
    for steps in patterns:
        if type(steps) is not list or set(map(type, steps)) != _INTS:
            msg = f"tick pattern {len(ticks)} is not a list of integers"
            raise ColumnsError(msg)
        n -= len(steps)
        if n < 0:
            msg = "more ticks than readings"
            raise ColumnsError(msg)
        at = list(accumulate(steps, initial=base))[1:]
        if min(at) < base or max(at) - base > MAX_SPAN_MS:
            msg = f"tick pattern {len(ticks)} leaves the batch's span"
            raise ColumnsError(msg)
        ticks.append(at)
    return ticks


def _check_raw(values: list[Any], at: int) -> None:
    for value in values:
        if type(value) is str:
            _check_text(value, f"column {at}: a value")
        elif type(value) is float:
            if not isfinite(value):
                msg = f"column {at}: {value} is not a reading"
                raise ColumnsError(msg)
        elif value is not None and (type(value) is not int or not _INT_MIN <= value <= _INT_MAX):
            msg = f"column {at}: a value of type {type(value).__name__}, or past 64 bits"
            raise ColumnsError(msg)


def _except(row: Any, columns: list[Column]) -> None:
    if type(row) is not list or len(row) != 3 or set(map(type, row)) != _INTS:
        msg = "an exception is not a list of three integers"
        raise ColumnsError(msg)
    ci, i, flags = row
    if not (0 <= ci < len(columns) and 0 <= i < len(columns[ci].at) and flags in _FLAGS):
        msg = f"an exception of column {ci}, reading {i}, flags {flags}, which are not there"
        raise ColumnsError(msg)
    column = columns[ci]
    if column.odd is None:
        column.odd = {}
    if i in column.odd:
        msg = f"column {ci}: reading {i} has two exceptions"
        raise ColumnsError(msg)
    column.odd[i] = _FLAGS[flags]
