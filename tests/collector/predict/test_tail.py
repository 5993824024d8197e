"""Where the highest of a day lies: the chance that is asked for is the chance that comes."""

from __future__ import annotations

import numpy as np
import pytest

from tillwatch.collector.predict.tail import LEAST, MAX_GROUPS, TAIL, Tail


def fed(draw, days: int = 60, parts: int = 400, seed: int = 1) -> Tail:
    rng, tail = np.random.default_rng(seed), Tail()
    group = tail.group("series", "ups")
    for _ in range(days):
        tail.add(np.full(parts, group), draw(rng, parts).astype(np.float32))
    return tail


def rate(tail: Tail, draw, chance: float) -> float:
    threshold = tail.threshold(np.zeros(1, np.intp), np.array([chance]))[0]
    return float((draw(np.random.default_rng(99), 4_000_000) > threshold).mean())


def gumbel(rng: np.random.Generator, many: int) -> np.ndarray:
    return np.maximum(rng.gumbel(4, 1, many), 0)


def test_the_chance_that_is_asked_for_is_not_passed_and_not_missed_by_far():
    tail = fed(gumbel)
    for chance in (1e-2, 1e-3, 1e-4):
        assert 0.2 * chance < rate(tail, gumbel, chance) <= chance


def test_a_fault_a_part_in_half_a_year_does_not_raise_the_bar():
    def with_faults(rng: np.random.Generator, many: int) -> np.ndarray:
        return np.where(rng.random(many) < 1 / 180, 60.0, gumbel(rng, many))

    one = np.zeros(1, np.intp)
    clean, ill = (fed(draw).threshold(one, np.array([1e-4]))[0] for draw in (gumbel, with_faults))
    assert ill < 60
    assert ill < clean * 3


def test_a_group_with_few_days_stands_with_the_others_of_its_source():
    tail = fed(gumbel)
    rare = tail.group("series", "gen")
    chance = np.array([1e-4])
    tail.add(np.array([rare]), np.array([1.0], np.float32))
    assert tail.threshold(np.array([rare]), chance)[0] == pytest.approx(
        tail.threshold(np.array([0]), chance)[0], rel=0.05
    )
    other = tail.group("device", "ups")
    assert tail.source[other] != tail.source[rare]


def test_before_anything_was_seen_scores_are_taken_at_their_word():
    tail = Tail()
    group = tail.group("series", "ups")
    tail.add(np.full(LEAST - 1, group), np.full(LEAST - 1, 1.0, np.float32))
    threshold = float(tail.threshold(np.array([group]), np.array([1e-4]))[0])
    assert threshold == pytest.approx(np.log(96 / 1e-4), rel=1e-3)


def test_groups_are_bounded():
    tail = Tail()
    groups = {tail.group("series", f"k{i}") for i in range(MAX_GROUPS + 50)}
    assert len(groups) == MAX_GROUPS
    assert tail.group("series", "k300") == 0


def test_it_is_restored_as_it_was():
    tail = fed(gumbel, days=5)
    again = Tail()
    again.restore(tail.state())
    for each in (tail, again):
        each.group("peers", "ups")
        each.add(np.zeros(50, np.intp), np.full(50, 3.0, np.float32))
    assert np.array_equal(tail.seen, again.seen)
    assert np.array_equal(tail.slope, again.slope)
    assert tail.source == again.source


def test_chances_beyond_the_tail_are_those_of_its_beginning():
    tail = fed(gumbel, days=10)
    one = np.zeros(1, np.intp)
    assert tail.threshold(one, np.array([0.5]))[0] == tail.threshold(one, np.array([TAIL]))[0]
