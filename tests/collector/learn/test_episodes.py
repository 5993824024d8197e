"""What counts as one alarm, and the threshold that a budget of them leaves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.learn.budget import NEVER
from tillwatch.collector.learn.episodes import EPISODES, Telling, Told, by_episodes
from tillwatch.collector.learn.panel import DAY_NS, Features, Panel, labels

TELLING = Telling(stays=0.5, silent=3, grace=2, rest_hit=4, rest_false=8)
HORIZON = 10
FAILS = 40
"""A day on which the unit of `one` fails."""


def panel_of(units: int, days: int, failed_unit: list[int], failed_day: list[int]) -> Panel:
    unit, at = np.repeat(np.arange(units), days), np.tile(np.arange(days), units) * DAY_NS
    failed, _ = labels(
        unit,
        at,
        failed_unit=np.array(failed_unit, np.int64),
        failed_at=np.array(failed_day, np.int64) * DAY_NS + DAY_NS // 2,
        horizon=HORIZON * DAY_NS,
        seen_until=1_000 * DAY_NS,
    )
    table = Features((), np.zeros((len(unit), 0), np.float32), (), {})
    return Panel(unit, at, table, failed, HORIZON * DAY_NS, DAY_NS)


def one(**high: float) -> np.ndarray:
    """Scores of 80 days: 0 but where they are said, as d12=0.9."""
    score = np.zeros(80)
    for day, value in high.items():
        score[int(day[1:])] = value
    return score


def begun(score: np.ndarray, *, fails: bool = True) -> list[tuple[int, bool]]:
    panel = panel_of(1, 80, [0] if fails else [], [FAILS] if fails else [])
    found = Told(score, panel, TELLING).at_threshold(0.8)
    return list(zip((panel.at[found.first] // DAY_NS).tolist(), found.hit.tolist(), strict=True))


def test_what_stays_above_half_of_the_threshold_is_one_episode_with_gaps_of_three_days() -> None:
    assert begun(one(d5=0.9, d7=0.9, d8=0.5, d11=0.9), fails=False) == [(5, False)]
    assert begun(one(d5=0.9, d6=0.5, d10=0.9), fails=False) == [(5, False), (10, False)], "four days are an end"
    assert begun(one(d5=0.79), fails=False) == []


def test_after_a_false_one_it_rests_and_after_a_true_one_for_less() -> None:
    always = np.full(80, 0.9)
    each = HORIZON + 2 + 8
    assert begun(always, fails=False) == [(day, False) for day in range(0, 80, each)]
    # Begun on day 20, false on 32, at rest until 40; of the failure on day 40 there is nothing to be told any more on that day's look but its last.
    assert begun(one(d31=0.9, d42=0.9, d45=0.9)) == [(31, True), (45, False)], "known on day 41, at rest until 45"


def test_a_failure_is_told_of_once_and_only_from_within_its_horizon() -> None:
    panel = panel_of(1, 80, [0], [FAILS])
    found = Told(one(d29=0.9, d35=0.9, d40=0.9), panel, TELLING).at_threshold(0.8)
    assert found.hit.tolist() == [False, True, True]
    assert (found.hits, found.false) == (1, 1)


def test_two_failures_of_one_unit_are_two() -> None:
    told = Told(np.zeros(160), panel_of(2, 80, [0, 0, 1], [15, 60, 60]), TELLING)
    assert told.failures == 3
    assert len(told.first_of_failures()) == 3


SCORES = st.lists(st.integers(0, 12).map(lambda n: n / 12), min_size=30, max_size=30)
FLEETS = st.tuples(
    st.lists(SCORES, min_size=1, max_size=5), st.lists(st.tuples(st.integers(0, 4), st.integers(0, 40)), max_size=6)
)


def made(fleet: tuple[list[list[float]], list[tuple[int, int]]]) -> tuple[np.ndarray, Panel]:
    scores, failed = fleet
    fails = [(unit, day) for unit, day in failed if unit < len(scores)]
    return np.array(scores).ravel(), panel_of(len(scores), 30, [u for u, _ in fails], [d for _, d in fails])


def counted(score: np.ndarray, panel: Panel, limit: float) -> list[int]:
    """One unit after the other, day by day, as the rule says it."""
    found = []
    for unit in np.unique(panel.unit):
        mine = np.flatnonzero(panel.unit == unit)
        stands_until = above = rests_from = rests_to = -1_000
        for row in mine[np.argsort(panel.at[mine])].tolist():
            day = int(panel.at[row] // DAY_NS)
            standing = day < stands_until and day - above <= TELLING.silent
            if score[row] >= limit * TELLING.stays:
                above = day
            if standing or score[row] < limit or rests_from <= day < rests_to:
                if not standing:
                    stands_until = -1_000
                continue
            above = day
            ahead = [int(panel.at[r] // DAY_NS) for r in mine if r >= row and panel.failed[r]]
            last = next((d for d in ahead if d + 1 not in ahead), day)
            judged = min(last + 1, day + HORIZON) if panel.failed[row] else day + HORIZON + 2
            rested = judged + (4 if panel.failed[row] else 8)
            if day >= rests_to:
                rests_from = judged
            rests_to, stands_until = max(rests_to, rested), judged
            found.append(row)
    return found


@given(FLEETS, st.integers(1, 12).map(lambda n: n / 12))
def test_all_units_at_once_are_each_day_by_day(
    fleet: tuple[list[list[float]], list[tuple[int, int]]], limit: float
) -> None:
    score, panel = made(fleet)
    assert Told(score, panel, TELLING).at_threshold(limit).first.tolist() == counted(score, panel, limit)


@given(FLEETS, st.floats(0, 60), st.floats(0, 60))
def test_the_budget_holds_and_more_of_it_never_means_fewer_hits(
    fleet: tuple[list[list[float]], list[tuple[int, int]]], budget: float, more: float
) -> None:
    score, panel = made(fleet)
    told = Told(score, panel, TELLING)
    hits = []
    for each in (budget, budget + more):
        found = by_episodes(score, panel, TELLING, budget=each)
        episodes = told.at_threshold(found.value)
        assert episodes.false + np.sqrt(episodes.false) <= each * told.years
        assert found.counted == EPISODES
        if found.value < NEVER:
            assert found.false_alarms == pytest.approx(episodes.false / told.years)
            assert found.recall == pytest.approx(episodes.hits / told.failures)
            assert found.precision == pytest.approx(np.mean(episodes.hit))
        hits.append(episodes.hits)
    assert hits[0] <= hits[1]


def test_a_unit_above_the_threshold_for_long_costs_one_and_not_thirty() -> None:
    """What rows cannot pay for, episodes can."""
    score = np.concatenate([np.full(30, 0.9), np.zeros(30 * 99)])
    panel = panel_of(100, 30, [0], [29])
    found = by_episodes(score, panel, TELLING, budget=0.5)
    assert found.recall == 1.0
    assert found.false_alarms <= 0.5


def test_where_nothing_is_told_or_nothing_failed() -> None:
    score, nothing = np.linspace(0, 1, 30), panel_of(1, 30, [], [])
    never = by_episodes(score, nothing, TELLING, budget=100.0)
    assert never.value == NEVER
    assert np.isnan(never.recall)
    assert by_episodes(np.zeros(0), nothing.rows(np.zeros(30, bool)), TELLING, budget=1.0).value == NEVER
    assert by_episodes(score, panel_of(1, 30, [0], [3]), TELLING, budget=0.0).recall == 0.0
    with pytest.raises(ValueError, match="0 or more"):
        by_episodes(score, nothing, TELLING, budget=-1.0)
