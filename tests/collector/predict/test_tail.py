"""Where the highest of a day lies: the chance that is asked for is the chance that comes."""

from __future__ import annotations

import numpy as np
import pytest

from tillwatch.collector.predict.tail import BINS, ENOUGH, LEAST, MAX_GROUPS, STEP, USUAL, First, Tail

FIRST = First(4.6, 1.0)


def fed(draw, days: int = 60, parts: int = 400, seed: int = 1) -> Tail:
    rng, tail = np.random.default_rng(seed), Tail()
    group = tail.group("series", "ups", FIRST)
    for _ in range(days):
        tail.fade()
        tail.add(np.full(parts, group), draw(rng, parts).astype(np.float32))
    tail.fit()
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


def test_few_faults_that_nobody_told_of_do_not_raise_the_bar():
    def with_faults(rng: np.random.Generator, many: int) -> np.ndarray:
        return np.where(rng.random(many) < 1 / 4_000, 60.0, gumbel(rng, many))

    one = np.zeros(1, np.intp)
    clean, ill = (fed(draw).threshold(one, np.array([1e-4]))[0] for draw in (gumbel, with_faults))
    assert ill < 60
    assert ill < clean * 2


def test_what_is_harmless_and_comes_twice_a_year_is_not_passed_by_chance():
    """The tail begins where those lie, not where the usual days end."""

    def with_jumps(rng: np.random.Generator, many: int) -> np.ndarray:
        return np.where(rng.random(many) < 2 / 365, 15 + rng.gumbel(0, 0.5, many), gumbel(rng, many) / 2)

    tail = fed(with_jumps)
    assert tail.level[0] > 14
    assert rate(tail, with_jumps, 3e-5) <= 3e-5
    assert tail.threshold(np.zeros(1, np.intp), np.array([3e-5]))[0] < 40


def test_before_anything_was_seen_what_is_assumed_holds_and_less_so_with_each_day():
    tail, chance = Tail(), np.array([1e-4])
    group = np.array([tail.group("series", "ups", FIRST)])
    assumed = FIRST.level + FIRST.slope * np.log(USUAL / 1e-4)
    before = []
    for count in (LEAST - 1, 3 * LEAST, ENOUGH):
        tail.seen[:] = 0
        tail.add(np.repeat(group, count), np.full(count, 1.0, np.float32))
        tail.fit()
        before.append(float(tail.threshold(group, chance)[0]))
    assert before[0] == pytest.approx(assumed, rel=1e-3)
    assert before[0] > before[1] > before[2]


def test_what_is_beyond_what_is_told_apart_is_never_passed():
    tail = fed(lambda rng, many: np.where(rng.random(many) < 0.02, 80.0, 1.0))
    assert tail.threshold(np.zeros(1, np.intp), np.array([1e-4]))[0] == np.inf
    assert tail.level[0] <= BINS * STEP


def test_groups_are_bounded():
    tail = Tail()
    groups = {tail.group("series", f"k{i}", FIRST) for i in range(MAX_GROUPS + 50)}
    assert len(groups) == MAX_GROUPS
    assert tail.group("series", f"k{MAX_GROUPS + 9}", FIRST) == 0


def test_it_is_restored_as_it_was():
    tail = fed(gumbel, days=5)
    again = Tail()
    again.restore(tail.state())
    for each in (tail, again):
        each.group("peers", "ups", FIRST)
        each.add(np.zeros(50, np.intp), np.full(50, 3.0, np.float32))
        each.fit()
    assert np.array_equal(tail.seen, again.seen)
    assert np.array_equal(tail.slope, again.slope)
    assert tail.source == again.source


def test_chances_beyond_the_tail_are_those_of_its_beginning():
    tail = fed(gumbel)
    one = np.zeros(1, np.intp)
    assert tail.threshold(one, np.array([0.5]))[0] == tail.threshold(one, tail.rate)[0]
