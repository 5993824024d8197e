"""The ring of days against one that remembers every reading."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.predict.buffer import Readings
from tillwatch.collector.predict.daily import DAYS, KEPT, Daily
from tillwatch.collector.predict.settings import DAY_NS

READING = st.tuples(st.integers(0, 2), st.integers(100, 100 + DAYS + 20), st.integers(0, 23), st.integers(-50, 50))


def readings(given_: list[tuple[int, int, int, int]]) -> Readings:
    ordered = sorted(given_, key=lambda each: (each[1], each[2], each[0]))
    rows = np.array([each[0] for each in ordered], np.int32)
    at = np.array([each[1] * DAY_NS + each[2] * DAY_NS // 24 for each in ordered], np.int64)
    return Readings(rows, at, np.array([float(each[3]) for each in ordered]))


@given(st.lists(st.lists(READING, min_size=1, max_size=12, unique_by=lambda each: each[:3]), min_size=1, max_size=6))
def test_each_day_has_what_was_read_on_it_however_late(batches: list[list[tuple[int, int, int, int]]]):
    daily = Daily()
    kept: dict[tuple[int, int], list[float]] = {}
    newest: dict[int, int] = {}
    for batch in batches:
        part = readings(batch)
        daily.add(part)
        # A ring forgets day by day, in the order of the readings.
        for day in sorted({at // DAY_NS for at in part.at.tolist()}):
            for row, at, value in zip(part.rows.tolist(), part.at.tolist(), part.values.tolist(), strict=True):
                if at // DAY_NS == day:
                    newest[row] = max(newest.get(row, 0), day)
                    if day > newest[row] - DAYS:
                        kept.setdefault((row, day), []).append(value)
    today = max(newest.values())
    rows = np.array(sorted(newest), np.intp)
    windows = {name: daily.window(name, rows, today) for name in KEPT}
    for place, row in enumerate(rows.tolist()):
        for column in range(DAYS):
            day = today - DAYS + 1 + column
            values = kept.get((row, day), []) if day > newest[row] - DAYS else []
            assert windows["n"][place, column] == len(values)
            if values:
                assert windows["least"][place, column] == min(values)
                assert windows["most"][place, column] == max(values)
                assert abs(windows["mean"][place, column] - np.mean(values)) < 1e-3
            else:
                assert np.isnan(windows["mean"][place, column])
            assert daily.of_day("most", rows[place : place + 1], day)[0] == windows["most"][place, column] or not values


def test_the_last_value_is_that_of_the_latest_reading_and_exact():
    daily = Daily()
    big = float(2**40 + 1)
    daily.add(Readings(np.zeros(2, np.int32), np.array([DAY_NS, DAY_NS + 5]), np.array([1.0, big])))
    assert daily.value[0] == big
    daily.add(Readings(np.zeros(1, np.int32), np.array([DAY_NS - 5]), np.array([7.0])))
    assert daily.value[0] == big
    assert daily.of_day("last", np.zeros(1, np.intp), 0)[0] == 7.0


def test_what_is_older_than_the_ring_is_counted():
    daily = Daily()
    daily.add(Readings(np.zeros(1, np.int32), np.array([200 * DAY_NS]), np.array([1.0])))
    daily.add(Readings(np.zeros(2, np.int32), np.array([100 * DAY_NS, 136 * DAY_NS]), np.array([1.0, 2.0])))
    assert daily.late == 2
