from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.learn import features as f
from tillwatch.collector.learn.panel import Features

VIEW = f.View(windows=(1, 3), lags=(1, 2), half_lives=(1, 4), rises=True, day=10)
HAPPENED = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100), st.integers(0, 1)), max_size=25)
READ = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 100), st.one_of(st.just(float("nan")), st.integers(-5, 50).map(float))),
    max_size=25,
    unique_by=lambda row: row[:2],
)
ASKED = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100)), min_size=1, max_size=10)


def past(
    events: list[tuple[int, int, int]], parts: list[tuple[int, int, int]], read: list[tuple[int, int, float]]
) -> f.Past:
    def happenings(rows: list[tuple[int, int, int]], kinds: tuple[str, ...]) -> f.Happenings:
        table = np.array(rows, np.int64).reshape(-1, 3)
        return f.Happenings(table[:, 0], table[:, 1], table[:, 2], kinds)

    telemetry = f.Telemetry(
        np.array([row[0] for row in read], np.int64),
        np.array([row[1] for row in read], np.int64),
        np.array([row[2] for row in read], np.float32).reshape(-1, 1),
        ("wear",),
    )
    facts = f.Facts(born=[-50, np.nan, 0], words={"model": ["A", "", "B"]}, numbers={"size": [1, 2, 4]})
    return f.Past(happenings(events, ("jam", "cut")), happenings(parts, ("belt", "head")), telemetry, facts)


def column(table: Features, name: str) -> list[float]:
    return table.values[:, table.names.index(name)].tolist()


@given(HAPPENED, HAPPENED, READ, ASKED, st.integers(0, 100), st.randoms(use_true_random=False))
def test_nothing_that_happens_later_changes_a_row(
    events: list[tuple[int, int, int]],
    parts: list[tuple[int, int, int]],
    read: list[tuple[int, int, float]],
    asked: list[tuple[int, int]],
    moment: int,
    chance: random.Random,
) -> None:
    """Exactly, and in any order of what is on record."""
    asked = [(unit, min(at, moment)) for unit, at in asked]
    unit, at = (np.array(column, np.int64) for column in zip(*asked, strict=True))
    everything = [list(rows) for rows in (events, parts, read)]
    for rows in everything:
        chance.shuffle(rows)
    whole = f.features(past(*everything), unit, at, VIEW)
    cut = [[row for row in rows if row[1] <= moment] for rows in (events, parts, read)]
    known = f.features(past(*cut), unit, at, VIEW)
    assert whole.names == known.names
    np.testing.assert_array_equal(whole.values, known.values)


def test_what_a_row_says() -> None:
    events = [(0, 10, 0), (0, 15, 0), (0, 15, 1), (1, 14, 0)]
    parts = [(0, 5, 0)]
    read = [(0, 0, 4.0), (0, 10, 6.0), (0, 20, 5.0), (0, 25, 9.0)]
    table = f.features(past(events, parts, read), np.array([0, 1, 2]), np.array([20, 20, 20]), VIEW)
    assert column(table, "jam count 1 d") == [1, 1, 0]  # (10, 20]: what is just as old as the window is out
    assert column(table, "jam count 3 d") == [2, 1, 0]
    np.testing.assert_allclose(column(table, "jam days since"), [0.5, 0.6, np.nan], rtol=1e-6)
    np.testing.assert_allclose(column(table, "belt age"), [1.5, np.nan, np.nan])
    np.testing.assert_allclose(column(table, "wear now"), [5, np.nan, np.nan])
    np.testing.assert_allclose(column(table, "wear change 1 d"), [-1, np.nan, np.nan])
    np.testing.assert_allclose(column(table, "wear change 2 d"), [1, np.nan, np.nan])
    assert column(table, "wear rises 3 d") == [1, 0, 0]
    # A half life of one day, readings a day apart: weights 1/4, 1/2, 1.
    np.testing.assert_allclose(column(table, "wear mean 1 d")[0], (4 * 0.25 + 6 * 0.5 + 5) / 1.75, rtol=1e-6)
    np.testing.assert_allclose(column(table, "age"), [7, np.nan, 2])
    np.testing.assert_allclose(column(table, "model"), [0, np.nan, 1])
    assert table.words == {"model": ("A", "B")}
    assert column(table, "size") == [1, 2, 4]


@given(READ)
def test_a_moving_mean_is_the_weighted_mean_of_what_was_read(read: list[tuple[int, int, float]]) -> None:
    unit, at = np.array([0, 1, 2]), np.array([100, 100, 100])
    found = column(f.features(past([], [], read), unit, at, VIEW), "wear mean 4 d")
    for index in range(3):
        mine = [(t, v) for u, t, v in read if u == index and not np.isnan(v)]
        weights = [0.5 ** ((max(t for t, _ in mine) - t) / 40) for t, _ in mine]
        by_hand = np.average([v for _, v in mine], weights=weights) if mine else np.nan
        np.testing.assert_allclose(found[index], by_hand, rtol=1e-5, atol=1e-5)


def test_kinds_that_grow_by_themselves_are_refused() -> None:
    kinds = tuple(f"code {n}" for n in range(f.MAX_COLUMNS))
    none = np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="fewer kinds"):
        f.features(f.Past(events=f.Happenings(none, none, none, kinds)), np.array([0]), np.array([0]))
