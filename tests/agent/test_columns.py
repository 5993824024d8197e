"""Readings to columns and back: nothing changes on the way, and no body that lies becomes readings."""

from __future__ import annotations

import copy
import math
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.agent import columns
from tillwatch.agent.columns import (
    LATEST_MS,
    MAX_DEVICES,
    MAX_NAME,
    MAX_READINGS,
    MAX_SPAN_MS,
    MAX_TEXT,
    ColumnsError,
    from_body,
    to_body,
)
from tillwatch.agent.model import MS, Quality, Reading, State

BASE = 1_790_000_000_000
INT_MIN, INT_MAX = -(2**63), 2**64 - 1


def there_and_back(items: list[Reading]) -> list[Reading]:
    return [reading for column in from_body(to_body(items), len(items)) for reading in column.readings()]


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(2**49, 2**53), st.integers(0, 9)).map(lambda t: t[0] / 10 ** t[1]), min_size=2, max_size=6
    )
)
def test_no_float_changes_where_a_decimal_step_is_as_wide_as_the_float_is_exact(values: list[float]) -> None:
    items = [Reading("a", "b", (BASE + i) * MS, v) for i, v in enumerate(values)]
    assert [r.value for r in there_and_back(items)] == values


def test_a_whole_float_stays_a_float_and_an_int_an_int() -> None:
    items = [Reading("ups", "ups.input.voltage", BASE * MS, 230.0), Reading("ups", "ups.alarms", BASE * MS, 0)]
    got = there_and_back(items)
    assert [(type(r.value), r.value) for r in got] == [(float, 230.0), (int, 0)]


def test_times_that_repeat_and_run_backwards_keep_their_order() -> None:
    at = [0, 0, 5_000, 1, 5_000, 0]
    items = [Reading("a", "b", (BASE + t) * MS, i) for i, t in enumerate(at)]
    assert there_and_back(items) == items


def test_columns_with_the_same_ticks_share_them() -> None:
    items = [Reading("a", s, (BASE + t) * MS, t) for s in ("x", "y", "z") for t in (0, 10, 20)]
    items += [Reading("a", "w", (BASE + t) * MS, t) for t in (0, 11)]
    body = to_body(items)
    assert body["t"] == [[0, 10, 10], [0, 11]]
    assert there_and_back(items) == items


# What to_body refuses.


def one(**changes: Any) -> list[Reading]:
    return [Reading(**{"component": "a", "signal": "b", "at": BASE * MS, "value": 1} | changes)]


def refused(items: list[Reading], says: str) -> None:
    with pytest.raises(ColumnsError, match=says):
        to_body(items)


def test_the_number_of_readings_is_bounded() -> None:
    items = one() * MAX_READINGS
    assert len(there_and_back(items)) == MAX_READINGS
    refused(items + one(), str(MAX_READINGS))
    refused([], "not 0")


def test_the_number_of_devices_is_bounded() -> None:
    items = [r for i in range(MAX_DEVICES) for part in ("x", "y") for r in one(component=f"d{i}/{part}")]
    assert there_and_back(items) == items
    refused(items + one(component="other"), str(MAX_DEVICES))


@pytest.mark.parametrize("what", ["component", "signal"])
def test_names_are_bounded_and_printable(what: str) -> None:
    items = one(**{what: "n" * MAX_NAME})
    assert there_and_back(items) == items
    for bad in ("n" * (MAX_NAME + 1), "", "a\nb", "a\x00", "\ud800"):
        refused(one(**{what: bad}), what)


def test_text_is_bounded_in_bytes() -> None:
    items = one(value="é" * (MAX_TEXT // 2))
    assert there_and_back(items) == items
    refused(one(value="é" * (MAX_TEXT // 2) + "a"), "512")
    mixed = one(value="é" * (MAX_TEXT // 2)) + one()
    assert there_and_back(mixed) == mixed
    refused(one(value="a" * (MAX_TEXT + 1)) + one(), "512")


def test_integers_are_bounded_by_64_bits() -> None:
    for value in (INT_MIN, INT_MAX):
        assert there_and_back(one(value=value)) == one(value=value)
    for value in (INT_MIN - 1, INT_MAX + 1):
        refused(one(value=value), "64 bits")


def test_the_span_is_bounded() -> None:
    items = one() + one(at=(BASE + MAX_SPAN_MS) * MS)
    assert there_and_back(items) == items
    refused(one() + one(at=(BASE + MAX_SPAN_MS + 1) * MS), "span")


def test_times_lie_between_1970_and_2262() -> None:
    latest = (LATEST_MS - MAX_SPAN_MS - 1) * MS
    for at in (0, latest):
        assert there_and_back(one(at=at)) == one(at=at)
    refused(one(at=-1), "1970")
    refused(one(at=latest + MS), "1970|2262")


@pytest.mark.parametrize("value", [True, b"x", [1], 1 + 0j])
def test_a_value_of_another_type_is_refused_where_it_is_sealed_not_where_it_is_opened(value: Any) -> None:
    refused(one(value=value) + one(), f"a b: .*{type(value).__name__}")


# What from_body refuses: one lie in an otherwise good body.


def good() -> tuple[dict[str, Any], int]:
    items = [Reading("ups", "ups.input.voltage", (BASE + t) * MS, 230 + t / 1e5, state=State.OK) for t in (0, 10, 20)]
    items += [Reading("ups", "ups.output.source", (BASE + t) * MS, "normal", state=State.OK) for t in (0, 10, 20)]
    items += [Reading("ups/x", "ups.alarms", (BASE + 5) * MS, 3), Reading("ups/x", "ups.alarms", (BASE + 6) * MS, 9)]
    items += [Reading("ups/y", "ups.alarms", (BASE + t) * MS, v) for t, v in ((5, None), (6, 1.5))]
    items += [
        Reading("ups/y", "ups.alarm.all", BASE * MS, "a", Quality.STALE),
        Reading("ups/y", "ups.alarm.all", BASE * MS, "b"),
    ]
    return to_body(items), len(items)


VOLTS, SOURCE, ALARMS, RAW = 0, 1, 2, 3


def put(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def lie(body: dict[str, Any]) -> None:
        at: Any = body
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = to

    return lie


def add(*path: Any, item: Any) -> Callable[[dict[str, Any]], None]:
    def lie(body: dict[str, Any]) -> None:
        at: Any = body
        for step in path:
            at = at[step]
        at.append(item)

    return lie


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda body: body.__delitem__(key)


LIES: dict[str, Callable[[dict[str, Any]], None]] = {
    "no base": without("b"),
    "no ticks": without("t"),
    "no components": without("c"),
    "no signals": without("s"),
    "no columns": without("k"),
    "no texts": without("x"),
    "base is a float": put("b", to=float(BASE)),
    "base is true": put("b", to=True),
    "base is negative": put("b", to=-1),
    "base is too late": put("b", to=LATEST_MS),
    "base is text": put("b", to="now"),
    "components are a map": put("c", to={"ups": 1}),
    "components are text": put("c", to="ups"),
    "a component is a number": put("c", 0, to=7),
    "a component is bytes": put("c", 0, to=b"ups"),
    "a component is a list": put("c", 0, to=["ups"]),
    "a component is nothing": put("c", 0, to=""),
    "a component is too long": put("c", 0, to="n" * (MAX_NAME + 1)),
    "a component does not print": put("c", 0, to="a\x1b[2J"),
    "a component stands twice": put("c", 1, to="ups"),
    "a signal stands twice": put("s", 1, to="ups.input.voltage"),
    "a signal does not print": put("s", 0, to="a\n"),
    "texts are a map": put("x", to={"normal": 1}),
    "a text is a number": put("x", 0, to=5),
    "a text is nothing": put("x", 0, to=None),
    "a text is too long": put("x", 0, to="t" * (MAX_TEXT + 1)),
    "more components than readings": put("c", to=["ups", "ups/x", "ups/y", *(f"d{i}" for i in range(20))]),
    "more signals than readings": lambda body: body["s"].extend(f"s{i}" for i in range(20)),
    "more texts than readings": lambda body: body["x"].extend(f"t{i}" for i in range(20)),
    "ticks are a map": put("t", to={"a": 1}),
    "a tick pattern is empty": put("t", 0, to=[]),
    "a tick pattern is bytes": put("t", 0, to=bytes(3)),
    "a tick pattern is a number": put("t", 0, to=3),
    "a tick is a float": put("t", 0, 1, to=10.0),
    "a tick is true": put("t", 0, 1, to=True),
    "a tick is nothing": put("t", 0, 1, to=None),
    "a tick lies before the base": put("t", 0, 0, to=-1),
    "a tick lies past the span": put("t", 0, 1, to=MAX_SPAN_MS + 1),
    "a tick goes back before the base": put("t", 0, 1, to=-1),
    "a tick is huge": put("t", 0, 1, to=2**64 - 1),
    "more ticks than readings": add("t", item=[0] * 50),
    "columns are a map": put("k", to={"a": 1}),
    "a column is a map": put("k", 0, to={"a": 1}),
    "a column is bytes": put("k", 0, to=bytes((0, 0, 0, 0, 1, 1, 1))),
    "a column is text": put("k", 0, to="0000111"),
    "a column is a number": put("k", 0, to=0),
    "a column is empty": put("k", 0, to=[]),
    "a column has no values": put("k", 0, to=[0, 0, 0, 0]),
    "component index out of range": put("k", 0, 0, to=3),
    "component index negative": put("k", 0, 0, to=-1),
    "component index a float": put("k", 0, 0, to=0.0),
    "component index false": put("k", 0, 0, to=False),
    "component index nothing": put("k", 0, 0, to=None),
    "signal index out of range": put("k", 0, 1, to=4),
    "signal index negative": put("k", 0, 1, to=-1),
    "signal index huge": put("k", 0, 1, to=2**64 - 1),
    "signal index false": put("k", 0, 1, to=False),
    "signal index false in a raw column": put("k", RAW, 1, to=False),
    "tick index out of range": put("k", 0, 2, to=9),
    "tick index negative": put("k", 0, 2, to=-1),
    "tick index false": put("k", 0, 2, to=False),
    "format negative": put("k", 0, 3, to=-1),
    "format huge": put("k", 0, 3, to=2**63),
    "format a float": put("k", ALARMS, 3, to=0.0),
    "format false": put("k", ALARMS, 3, to=False),
    "format unknown": put("k", 0, 3, to=10),
    "format 13": put("k", 0, 3, to=13),
    "state unknown": put("k", 0, 3, to=5 | 5 << 6),
    "a column stands twice": put("k", VOLTS, 1, to=1),
    "one value too few": lambda body: body["k"][0].pop(),
    "one value too many": add("k", 0, item=1),
    "one column too few": lambda body: body["k"].pop(),
    "one column too many": add("k", item=[2, 0, 1, 0, 1, 1]),
    "a float among integers": put("k", ALARMS, 4, to=1.0),
    "a float among decimals": put("k", VOLTS, 5, to=0.1),
    "true among integers": put("k", ALARMS, 4, to=True),
    "nothing among integers": put("k", ALARMS, 5, to=None),
    "text among integers": put("k", ALARMS, 5, to="1"),
    "an integer past 64 bits by steps": put("k", ALARMS, slice(4, 6), to=[2**64 - 1, 1]),
    "an integer below 64 bits by steps": put("k", ALARMS, slice(4, 6), to=[-(2**63), -1]),
    "a decimal past 64 bits by steps": put("k", VOLTS, slice(4, 7), to=[2**64 - 1, 1, 0]),
    "a text index out of range": put("k", SOURCE, 4, to=99),
    "a text index negative": put("k", SOURCE, 4, to=-1),
    "a text index a float": put("k", SOURCE, 4, to=0.0),
    "not-a-number": put("k", RAW, 4, to=math.nan),
    "infinity": put("k", RAW, 4, to=-math.inf),
    "raw bytes": put("k", RAW, 4, to=b"x"),
    "raw true": put("k", RAW, 4, to=True),
    "a raw list": put("k", RAW, 4, to=[1]),
    "a raw map": put("k", RAW, 4, to={"a": 1}),
    "raw text too long": put("k", RAW, 4, to="t" * (MAX_TEXT + 1)),
    "a raw integer past 64 bits": put("k", RAW, 4, to=2**64),
    "exceptions are a map": put("e", to={"a": 1}),
    "an exception is bytes": put("e", 0, to=bytes(3)),
    "an exception is a map": put("e", 0, to={"a": 1}),
    "an exception is short": put("e", 0, to=[0, 0]),
    "an exception is long": put("e", 0, to=[0, 0, 0, 0]),
    "an exception of no column": put("e", 0, to=[99, 0, 0]),
    "an exception of a negative column": put("e", 0, to=[-1, 0, 0]),
    "an exception of no reading": put("e", 0, to=[0, 3, 0]),
    "an exception of a negative reading": put("e", 0, to=[0, -1, 0]),
    "an exception of half a reading": put("e", 0, to=[0, 0.5, 0]),
    "an exception of column false": put("e", 0, to=[False, 0, 0]),
    "an exception of reading true": put("e", 0, to=[0, True, 0]),
    "an exception with unknown state": put("e", 0, to=[0, 0, 5 << 2]),
    "an exception with negative flags": put("e", 0, to=[0, 0, -1]),
    "an exception with flags true": put("e", 0, to=[0, 0, True]),
    "an exception stands twice": add("e", item=[4, 1, 5]),
}


def test_the_body_that_the_lies_start_from_is_good() -> None:
    body, n = good()
    assert sum(len(c.values) for c in from_body(body, n)) == n
    assert body["e"] == [[4, 1, 0]]
    assert body["k"][RAW][4:] == [None, 1.5]


@pytest.mark.parametrize("name", LIES)
def test_a_body_that_lies_is_refused(name: str) -> None:
    body, n = good()
    LIES[name](body)
    with pytest.raises(ColumnsError):
        from_body(body, n)


@pytest.mark.parametrize("body", [None, [], "x", b"", 1, {}, {"b": BASE}, [["b", BASE]]])
def test_what_is_no_body_is_refused(body: object) -> None:
    with pytest.raises(ColumnsError):
        from_body(body, 1)


@pytest.mark.parametrize("wrong", [-1, 0, 1, 2, MAX_READINGS])
def test_a_count_that_is_not_the_headers_is_refused(wrong: int) -> None:
    body, n = good()
    for other in (n - 1, n + 1, wrong):
        with pytest.raises(ColumnsError):
            from_body(body, other)


def test_a_body_is_read_and_not_changed() -> None:
    body, n = good()
    before = copy.deepcopy(body)
    first = from_body(body, n)
    assert body == before
    assert from_body(body, n) == first


def test_members_that_are_not_known_are_ignored() -> None:
    body, n = good()
    assert from_body(body | {"z": [1, {"y": None}], "later": 5}, n) == from_body(body, n)


def test_ticks_that_no_column_uses_cost_no_memory() -> None:
    body, n = good()
    body["t"] += [[0] * MAX_READINGS for _ in range(200)]
    tracemalloc.start()
    try:
        with pytest.raises(ColumnsError):
            from_body(body, n)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_the_devices_of_a_body_are_bounded() -> None:
    def body(devices: int) -> dict[str, Any]:
        return {
            "b": BASE,
            "t": [[0]],
            "c": [f"d{i}/x" for i in range(devices)],
            "s": ["a"],
            "k": [[i, 0, 0, 0, 1] for i in range(devices)],
        }

    assert len(from_body(body(MAX_DEVICES), MAX_DEVICES)) == MAX_DEVICES
    with pytest.raises(ColumnsError, match="devices"):
        from_body(body(MAX_DEVICES + 1), MAX_DEVICES + 1)


def test_the_memory_of_checked_names_is_bounded_and_lets_nothing_through() -> None:
    for i in range(3 * columns.MAX_CHECKED // 100):
        names = [f"n{i}.{j}" for j in range(100)]
        body = {"b": BASE, "t": [[0]], "c": ["d"], "s": names, "k": [[0, j, 0, 0, 1] for j in range(100)]}
        assert [c.signal for c in from_body(body, 100)] == names
        body["s"] = [*names[:-1], f"n{i}\n"]
        with pytest.raises(ColumnsError, match="signal"):
            from_body(body, 100)
    assert 0 < len(columns._checked) <= columns.MAX_CHECKED


def test_an_error_says_which_column() -> None:
    body, n = good()
    body["k"][SOURCE][0] = 77
    with pytest.raises(ColumnsError, match="column 1"):
        from_body(body, n)
