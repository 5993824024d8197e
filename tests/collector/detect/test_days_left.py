from __future__ import annotations

from datetime import date
from math import inf

import numpy as np
import pytest

from tillwatch.collector.detect.days_left import (
    LEAST_SCORES,
    NEVER,
    NORMAL,
    PRIOR,
    SCORES,
    DaysLeft,
    Range,
    no_scores,
    remember,
    width,
)


@pytest.mark.parametrize(
    ("left", "silent"),
    [
        (DaysLeft(10, 15, 20), False),
        (DaysLeft(31, 35, 40), True),  # the near end lies beyond the horizon
        (DaysLeft(5, 20, 36), True),  # wider than the horizon
        (DaysLeft(5, 20, inf), True),
        (DaysLeft(0, 0, 0), False),
        (NEVER, True),
    ],
)
def test_it_speaks_when_the_near_end_is_near_and_the_range_narrow(left: DaysLeft, silent: bool) -> None:
    assert left.silent(30) is silent
    many = Range(*(np.array([each]) for each in (left.low, left.median, left.high)))
    assert bool(many.speaks(30)[0]) is not silent
    assert many.of(0) == left


def test_without_scores_the_range_is_wide() -> None:
    assert width(no_scores(2)).tolist() == [PRIOR, PRIOR]


def test_a_new_series_takes_the_scores_of_its_kind() -> None:
    pool = np.linspace(0.1, 4.0, 200, dtype=np.float32)
    assert width(no_scores(1), pool)[0] == pytest.approx(3.6, abs=0.05)


def test_all_series_of_its_kind_speak_not_the_last_ones() -> None:
    pool = np.where(np.arange(20_000) < 19_000, 5.0, 1.0).astype(np.float32)
    assert width(no_scores(1), pool)[0] == 5


def test_its_own_scores_count_as_soon_as_there_are_enough() -> None:
    scores = no_scores(2)
    for week in range(LEAST_SCORES):
        remember(scores, week, np.array([2.0 + week / 100, np.nan]))
    found = width(scores, np.full(100, 3.0, np.float32))
    assert found.tolist() == pytest.approx([2.17, 3.0])


def test_half_a_year_of_scores_is_kept() -> None:
    scores = no_scores(1)
    for week in range(2900, 2900 + 3 * SCORES):
        remember(scores, week, np.array([9.0 if week < 2900 + 2 * SCORES else 2.0]))
    assert width(scores)[0] == 2.0


def test_lucky_weeks_do_not_narrow_it_below_chance() -> None:
    assert width(np.full((1, SCORES), 0.01, np.float32))[0] == NORMAL


def test_a_new_score_lies_within_the_width_as_often_as_said() -> None:
    """Split-conformal: whatever the distribution of the scores, here a skew one."""
    drawn = np.abs(np.random.default_rng(4).lognormal(1.0, 0.6, (4000, SCORES + 1))).astype(np.float32)
    inside = drawn[:, -1] <= width(drawn[:, :SCORES])
    assert 0.88 <= inside.mean() <= 0.95


def test_days_become_dates_of_the_branch() -> None:
    today = (date(2026, 2, 27) - date(1970, 1, 1)).days
    assert DaysLeft(0, 0.5, 2).dates(today) == (date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1))
    assert NEVER.dates(today) == (None, None, None)
