"""A trace runs as its sign says, and what is added to it holds from its own time on."""

from __future__ import annotations

from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from tillwatch.collector.simulate.fleet import ATM
from tillwatch.collector.simulate.precursors import AGEING, COUNTER, GAUGE, SUPPLY, Rise, Sign
from tillwatch.collector.simulate.times import DAY, HOUR
from tillwatch.collector.simulate.traces import AgeingTrace, CounterTrace, GaugeTrace, SupplyTrace, busy

YEAR_H = 365 * 24
CASH = Sign("cassette", "atm.unit.count", (ATM,), SUPPLY, 2500, every=1, digits=0, low=200, days=7, spare=(0.35, 0.55))
BOX = Sign("box", "atm.unit.count", (ATM,), SUPPLY, 0, every=1, digits=0, low=1000, days=14, spare=(0.35, 0.6))
HEAT = Sign("room", "env.temperature", (ATM,), GAUGE, 23, every=1, noise=0.3, season=1.0, ceiling=40)
FAILED = Sign("reader", "cardreader.reads.failed", (ATM,), COUNTER, 2.5)
STACKED = Sign("acceptor", "acceptor.stacked", (ATM,), COUNTER, 42, volatile=True)
WEAR = Sign("sda", "drive.wear", (ATM,), AGEING, 30, every=24, spread=25, digits=0, rate=(0.008, 0.05))


def test_more_is_done_by_day_and_on_fridays_than_by_night_and_on_sundays():
    # Thursday 1 January 1970, UTC; the bank is eight hours ahead.
    night, noon = busy(20) - busy(17), busy(6) - busy(3)
    friday, sunday = busy(24 + 9) - busy(24 + 1), busy(72 + 9) - busy(72 + 1)
    assert noon > 5 * night
    assert friday > 1.3 * sunday
    assert busy(7 * 24 + 100) == 1 + busy(100)


@example(0, [348 * HOUR, 373 * HOUR + 1])
@given(st.integers(0, 2**32), st.lists(st.integers(10 * DAY, 360 * DAY), max_size=6, unique=True))
def test_a_supply_never_runs_low_by_itself_and_is_low_when_it_is_to_be(seed, ends):
    trace = SupplyTrace.make(CASH, Random(seed), 0, sorted(ends))
    low = None
    for hour in range(YEAR_H):
        at = hour * HOUR
        value = trace.at(at)
        assert 0 <= value <= CASH.at
        if value < CASH.low and low is None:
            low = at
            assert any(-HOUR <= at - end <= 2 * HOUR for end in ends)
        if low is not None and at >= low + DAY:
            trace.renew(at)
            assert trace.at(at) > 0.9 * CASH.at
            low = None


def test_a_box_fills_up_and_not_beyond_what_fits():
    trace = SupplyTrace.make(BOX, Random(3), 0, [20 * DAY])
    values = trace.read(range(40 * 24))
    assert min(values) >= 0
    assert 1000 <= max(values) <= 1100
    assert values[19 * 24] > values[15 * 24]
    assert trace.runs_out(20 * DAY) != 0
    assert trace.runs_out(21 * DAY) == 0


def test_a_filling_holds_from_its_own_time_on_also_for_hours_that_are_asked_for_later():
    trace = SupplyTrace.make(CASH, Random(1), 0, [6 * DAY])
    before = trace.at(6 * DAY)
    trace.renew(6 * DAY + 10 * HOUR)
    late = trace.read(range(6 * 24, 6 * 24 + 15))
    assert late[0] == before
    assert late[9] <= before
    assert late[11] > 2000


def test_a_ramp_adds_nothing_before_it_begins_all_when_it_is_full_and_nothing_after_it_stopped():
    calm, other = (GaugeTrace.make(HEAT, Random(1), None) for _ in range(2))
    ramp = other.rise(Rise("room", "env.temperature", by=6), 10 * DAY, 20 * DAY)
    ramp.stop = 25 * DAY
    usual, found = calm.read(range(40 * 24)), other.read(range(40 * 24))
    added = [b - a for a, b in zip(usual, found, strict=True)]
    assert set(added[: 10 * 24]) | set(added[25 * 24 :]) == {0}
    assert abs(added[15 * 24] - 3) < 0.2
    assert all(abs(each - 6) < 0.15 for each in added[20 * 24 : 25 * 24])
    assert other.at(30 * DAY) == calm.at(30 * DAY)


def test_a_gauge_does_not_pass_its_ceiling():
    trace = GaugeTrace.make(HEAT, Random(1), None)
    trace.rise(Rise("room", "env.temperature", by=60), 0, DAY)
    assert max(trace.read(range(100))) == HEAT.ceiling


@given(st.integers(0, 2**32), st.integers(1, 24))
def test_a_counter_only_rises_about_as_fast_as_it_should_however_it_is_asked(seed, every):
    trace = CounterTrace.make(FAILED, Random(seed), 0)
    values = trace.read(range(every, YEAR_H, every))
    assert values == sorted(values)
    assert 0.8 * 2.5 * 365 < values[-1] - values[0] < 1.2 * 2.5 * 365


def test_a_counter_counts_faster_under_a_ramp_and_begins_anew_when_its_part_does():
    trace = CounterTrace.make(FAILED, Random(2), 0)
    trace.rise(Rise("reader", "cardreader.reads.failed", times=9), 50 * DAY, 51 * DAY)
    values = trace.read(range(6, 100 * 24, 6))
    before, under = values[50 * 4] - values[10 * 4], values[95 * 4] - values[55 * 4]
    assert under > 6 * before
    trace.renew(100 * DAY)
    assert trace.read([101 * 24])[0] < 60


def test_only_what_the_agent_counts_itself_begins_anew_with_it():
    kept, lost = (CounterTrace.make(sign, Random(2), 0) for sign in (FAILED, STACKED))
    for trace in (kept, lost):
        trace.read([240])
        trace.restart(241 * HOUR)
    assert kept.read([242])[0] >= kept.at(0) > 0
    assert lost.read([243])[0] < 30


def test_a_drive_wears_down_to_its_end_and_the_next_one_is_new():
    trace = AgeingTrace.make(WEAR, Random(4), 0)
    trace.until(200 * DAY, 150 * DAY, 89.4)
    days = trace.read(range(0, 200 * 24, 24))
    assert days == sorted(days)
    assert trace.at(200 * DAY) == 89
    assert days[40] == trace.at(50 * DAY) or days[40] < trace.at(60 * DAY)
    trace.renew(202 * DAY)
    assert trace.at(201 * DAY) >= 89
    assert trace.at(203 * DAY) == 0


def test_one_that_ends_early_was_well_on_its_way_when_the_year_began():
    trace = AgeingTrace.make(WEAR, Random(4), 0)
    usual = trace.at(0)
    trace.until(40 * DAY, 200 * DAY, 89.4)
    assert trace.at(0) > usual
    assert trace.at(40 * DAY) == 89
