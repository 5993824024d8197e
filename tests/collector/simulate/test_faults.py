"""What befalls the bank is drawn from the seed and from nothing else."""

from __future__ import annotations

import pytest

from tillwatch.collector.simulate.faults import draw
from tillwatch.collector.simulate.fleet import make_bank
from tillwatch.collector.simulate.modes import OUT_MODES, PART_MODES
from tillwatch.collector.simulate.times import DAY

BANK = make_bank(120)


def test_the_same_seed_draws_the_same_year_and_another_one_another():
    one, same, other = (draw(BANK, 0, 60 * DAY, seed, 1.0) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_it_is_in_order_and_within_the_year():
    times = [at for at, *_ in draw(BANK, 0, 30 * DAY, 1, 3.0)]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 30 * DAY


@pytest.mark.parametrize("pace", [1.0, 4.0])
def test_everything_happens_about_as_often_as_its_rate_says(pace):
    blows = draw(BANK, 0, 365 * DAY, 1, pace)
    worse = 4.3 / 3  # the mean of how much worse than the average a terminal is
    for mode in (*PART_MODES, *OUT_MODES):
        found = sum(what is mode for _, what, _ in blows)
        if mode in OUT_MODES and mode.of != "terminal":
            places = {"branch": len(BANK.branches), "region": len(BANK.regions), "centre": 1}[mode.of]
            expected = mode.per_year * places * pace
        else:
            expected = mode.per_year * sum(unit.kind in mode.kinds for unit in BANK.units) * pace * worse
        assert abs(found - expected) < 5 * expected**0.5 + 0.15 * expected
