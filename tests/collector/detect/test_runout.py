from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.detect import runout
from tillwatch.collector.detect.days_left import NEVER, NORMAL, no_scores, width
from tillwatch.collector.detect.runout import (
    DAY_NS,
    DAYS,
    EPISODES,
    FORESEEN,
    LEAST,
    Episodes,
    Stores,
    after_low,
    days_left,
    missed,
    put,
    score,
    sense,
    sudden,
    unknown,
    use,
    window,
)
from tillwatch.collector.detect.sensed import Sensed

ROW = np.array([0])


def day(stores: Stores, number: int, last: float, *, least: float | None = None, most: float | None = None) -> bool:
    """One day of one store that holds 100."""
    low, high = last if least is None else least, last if most is None else most
    return bool(put(stores, ROW, number, *(np.array([each], float) for each in (low, high, last)), 100.0)[0])


def used(stores: Stores, today: int, days: int) -> list[float]:
    return window(stores, today)[0, -days:].tolist()


def test_what_sinks_is_used_and_a_jump_is_a_refill() -> None:
    stores = unknown(1)
    assert [day(stores, 100 + n, level) for n, level in enumerate([90, 80, 65])] == [False] * 3
    assert day(stores, 103, 95, least=60, most=98)
    assert used(stores, 103, 3) == [10, 15, (65 - 60) + (98 - 95)]
    assert stores.refilled[0] == 103


def test_a_refill_to_the_level_of_the_evening_before_is_seen() -> None:
    stores = unknown(1)
    day(stores, 100, 95)
    assert day(stores, 101, 95, least=20, most=95)
    assert used(stores, 101, 1) == [75]


def test_a_day_that_only_falls_is_no_refill() -> None:
    stores = unknown(1)
    day(stores, 100, 95)
    assert not day(stores, 101, 10, least=10, most=95)
    assert used(stores, 101, 1) == [85]


def test_the_unrest_of_a_level_is_no_refill() -> None:
    stores = unknown(1)
    assert not any(day(stores, 100 + n, level) for n, level in enumerate([50, 52, 49, 51, 50]))
    assert sum(used(stores, 104, 4)) == 0


def test_days_without_a_reading_share_what_was_used() -> None:
    stores = unknown(1)
    day(stores, 100, 90)
    day(stores, 103, 60)
    assert used(stores, 103, 3) == [10, 10, 10]
    day(stores, 105, 95)  # refilled on one of two days, and nobody knows what was used before
    assert np.isnan(used(stores, 105, 2)).all()


def test_what_comes_late_changes_nothing() -> None:
    stores = unknown(1)
    day(stores, 100, 90)
    day(stores, 101, 80)
    day(stores, 100, 5)
    assert (used(stores, 101, 1), stores.level[0]) == ([10], 80)


@given(st.lists(st.tuples(st.integers(0, 14), st.booleans()), min_size=1, max_size=DAYS - 2))
def test_all_that_was_used_is_found(history: list[tuple[int, bool]]) -> None:
    """Whenever it is refilled, before the day's use."""
    stores = unknown(1)
    day(stores, 1000, 100)
    level, total = 100, 0
    for number, (amount, wanted) in enumerate(history, 1001):
        # Below 80: a refill by less than REFILL of a full store cannot be told from unrest.
        refill = level < max(80, amount) and (wanted or level < amount)
        least = level
        top = 100 if refill else level
        level = top - amount
        total += amount
        assert day(stores, number, level, least=min(least, level), most=top) == refill
    assert np.nansum(window(stores, 1000 + len(history))) == total


def weeks(pattern: list[float], count: int = DAYS) -> np.ndarray:
    return np.tile(np.array(pattern, np.float32), count // 7 + 1)[:count][None]


def test_the_weekday_pattern_decides_the_day() -> None:
    """Friday uses much and the weekend nothing: from Thursday evening on, 25 units are gone on Friday, and 35 last until Monday."""
    found = use(weeks([0, 0, 5, 5, 5, 5, 30]))  # the window ends on its seventh day: the next day is as the first
    # As by the means that lean a fifth towards the usual day.
    assert found.mean[0] == pytest.approx([1.43, 1.43, 5.43, 5.43, 5.43, 5.43, 25.43], abs=0.01)
    found = use(np.roll(weeks([0, 0, 5, 5, 5, 5, 30]), -6, axis=1))
    near, far = (days_left(np.array([level]), found, 0.0).of(0).median for level in (25.0, 35.0))
    assert near < 1
    assert far > 3


def test_what_is_always_filled_at_a_level_is_missed_below_it_or_when_it_is_late() -> None:
    stores, level, number = unknown(1), 100.0, 100
    for cycle in range(3):
        for _ in range(6):
            assert missed(stores, number)[0] == (cycle < 2 or number == 112)
            level -= 10
            day(stores, number, level)
            number += 1
        level = 100.0
    assert stores.left[0, :2].tolist() == [40, 40]
    assert stores.lasted[0, 0] == 6
    day(stores, number, 90)
    assert not missed(stores, number)[0]
    assert missed(stores, number + 7)[0]
    day(stores, number + 1, 35)
    assert missed(stores, number + 1)[0]
    day(stores, number + 2, 2)
    assert day(stores, number + 3, 100)
    assert stores.left[0, :2].tolist() == [40, 40]


def test_what_begins_to_fill_a_disk_is_reckoned_by_its_own_days() -> None:
    used_up = np.random.default_rng(2).normal(0, 0.1, (3, DAYS)).astype(np.float32)
    used_up[0, -4:] = 3
    used_up[1, -4:] = [7, 0.1, 0.1, 0.1]
    used_up[2, 20:24] = used_up[2, -4:] = 3
    before = use(used_up)
    found = sudden(used_up, np.full(3, 100.0), before)
    assert found.mean[0].tolist() == pytest.approx([3] * 7)
    assert np.array_equal(found.mean[1:], before.mean[1:])
    assert days_left(np.full(3, 30.0), found, NORMAL).median[0] == pytest.approx(10, rel=0.05)


def test_its_end_is_exact_for_what_is_used_evenly() -> None:
    left = days_left(np.array([30.0, 0.0, 1e9, np.nan]), use(np.repeat(weeks([4.0] * 7), 4, axis=0)), NORMAL)
    assert left.of(0).low == left.of(0).median == left.of(0).high == pytest.approx(7.5)
    assert left.of(1).high == 0
    assert left.of(2) == left.of(3) == NEVER, f"not within {FORESEEN} days; not known"


def test_what_is_not_used_never_ends() -> None:
    assert days_left(np.array([30.0]), use(weeks([0.0] * 7)), NORMAL).of(0) == NEVER
    assert days_left(np.array([30.0]), use(weeks([-4.0] * 7)), NORMAL).of(0) == NEVER


def test_two_weeks_must_be_known() -> None:
    days = np.full((1, DAYS), np.nan, np.float32)
    days[0, -LEAST + 1 :] = 5
    assert days_left(np.array([30.0]), use(days), NORMAL).of(0) == NEVER
    days[0, -LEAST] = 5
    assert days_left(np.array([30.0]), use(days), NORMAL).of(0).median == pytest.approx(6)


def test_one_wild_day_does_not_empty_it() -> None:
    days = weeks([4.0] * 7)
    days[0, 20] = 4000
    assert days_left(np.array([40.0]), use(days), NORMAL).of(0).median == pytest.approx(10, abs=0.5)


@pytest.mark.parametrize(
    ("shape", "wander"),
    [(0.7, 0.0), (4.0, 0.0), (4.0, 0.05)],
    ids=["uneven", "even", "a use that changes by a third in six weeks"],
)
def test_the_range_holds_the_day_as_often_as_said(shape: float, wander: float) -> None:
    rng = np.random.default_rng(5)
    series, days, now = 1500, 130, 80
    usual = rng.uniform(5, 50, (series, 1)) * np.array([1, 1, 1.2, 1, 1.6, 0.5, 0])[np.arange(days) % 7]
    usual *= np.exp(np.cumsum(wander * rng.standard_normal((series, days)), axis=1))
    drawn = rng.gamma(shape, 1 / shape, (series, days)) * usual
    found = use(drawn[:, now - DAYS + 1 : now + 1].astype(np.float32))
    pool = score(drawn[:, now - DAYS - 6 : now - 6].astype(np.float32)).astype(np.float32)
    level = found.mean.mean(axis=1) * rng.uniform(5, 20, series)
    left = days_left(level, found, width(no_scores(series), pool))
    came = (np.cumsum(drawn[:, now + 1 :], axis=1) >= level[:, None]).argmax(axis=1) + 1
    inside = (left.low <= came) & (came - 1 <= left.high)
    assert (0.82 if wander else 0.86) <= inside.mean() <= 0.985


@given(
    st.lists(st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6, width=32)), min_size=21, max_size=DAYS),
    st.floats(-10, 1e9),
)
def test_whatever_comes_the_range_is_in_order(values: list[float], level: float) -> None:
    days = np.array([values], np.float32)
    assert not (score(days) < 0).any()
    left = days_left(np.array([level]), use(days), 2.5).of(0)
    assert 0 <= left.low <= left.median <= left.high


def test_chunks_are_the_same_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = np.random.default_rng(1).uniform(1, 9, (7, DAYS)).astype(np.float32)
    level = np.linspace(10, 100, 7)
    whole = days_left(level, use(drawn), NORMAL)
    monkeypatch.setattr(runout, "CHUNK", 3)
    np.testing.assert_array_equal(days_left(level, use(drawn), NORMAL), whole)


ROLL = Sensed(("low",), ("empty",), ("unknown",))


def told(*words: tuple[float, str], state: Episodes | None = None) -> Episodes:
    found = state or Episodes()
    for at, word in words:
        found = sense(found, ROLL, round(at * DAY_NS) + DAY_NS, word)
    return found


def roll(begin: float, lasts: float) -> list[tuple[float, str]]:
    return [(begin, "present"), (begin + 1, "low"), (begin + 1 + lasts, "empty")]


def test_the_time_from_low_to_out_is_learned() -> None:
    state = told(*roll(0, 2), *roll(10, 3), *roll(20, 2.5), (30, "present"), (31, "low"))
    assert state.lengths == (2, 3, 2.5)
    left, held = after_low(state, 32 * DAY_NS)  # on day 31 of the words above, at once
    assert (left.low, left.median, left.high, held) == (2, 2.5, 3, 0.5)
    later, _ = after_low(state, round(33.75 * DAY_NS))
    assert (later.low, later.median, later.high) == (0.25, 0.75, 1.25)


def test_three_episodes_are_needed_and_it_must_be_low() -> None:
    two = told(*roll(0, 2), *roll(10, 3), (30, "present"), (31, "low"))
    assert after_low(two, 33 * DAY_NS) == (NEVER, 0.0)
    three = told(*roll(0, 2), *roll(10, 3), *roll(20, 4), (30, "present"))
    assert after_low(three, 33 * DAY_NS) == (NEVER, 0.0)


def test_a_refill_before_the_end_shows_that_it_lasts_at_least_as_long() -> None:
    state = told(*roll(0, 2), *roll(10, 3), *roll(20, 2), (30, "present"), (31, "low"), (40, "present"), (41, "low"))
    left, _ = after_low(state, 42 * DAY_NS)
    assert (state.longer, left.low, left.median, left.high) == ((9,), 2, 2, 9)


def test_words_that_say_nothing_and_a_roll_that_was_moved_begin_no_episode() -> None:
    state = told((0, "low"), (1, "unknown"), (2, "low"), (3, "empty"), (4, "low"), (5, "empty"))
    assert state.lengths == (3,)
    assert not state.since


@given(st.lists(st.sampled_from(["present", "low", "empty", "unknown", "?"]), max_size=200))
def test_episodes_stay_few_and_positive(words: list[str]) -> None:
    state = told(*enumerate(words))
    assert len(state.lengths) <= EPISODES
    assert len(state.longer) <= EPISODES
    assert all(each > 0 for each in (*state.lengths, *state.longer))
