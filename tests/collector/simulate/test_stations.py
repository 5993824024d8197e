"""What a terminal sends when, told by a sink that only writes down."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import pairwise
from random import Random

import pytest

from tillwatch.agent.model import AGENT, MS, Quality, State
from tillwatch.agent.wire import Life, Opened
from tillwatch.collector.simulate.fleet import ATM, READER, UPS, make_bank
from tillwatch.collector.simulate.stations import AGAIN, KEEPALIVE_S, LATE, READ_S, RETRY_S, Station
from tillwatch.collector.simulate.times import DAY, HOUR, MINUTE, S

JUDGED = {"atm.device": {"hardwareError": State.CRIT}}


class Played:
    """One station on an agenda of its own. got: (received, message)."""

    def __init__(self, kind: str = ATM, seed: int = 1) -> None:
        unit = next(unit for unit in make_bank(10).units if unit.kind == kind)
        self.got: list[tuple[int, Opened | Life]] = []
        self.heap: list[tuple[int, int, object, tuple[object, ...]]] = []
        self.now = 0
        self.station = Station(unit, 0, JUDGED, self.later, self, Random(seed))
        self.station.begin(0)
        self.got.clear()

    def later(self, at, step, *given):
        heappush(self.heap, (at, len(self.heap) + 1000 * self.now, step, given))

    def batch(self, at, opened):
        self.got.append((at, opened))

    def life(self, at, life):
        self.got.append((at, life))

    def run(self, until):
        while self.heap and self.heap[0][0] <= until:
            self.now, _, step, given = heappop(self.heap)
            step(self.now, *given)
        self.now = until

    @property
    def lives(self):
        return [(at, each.state, each.n, each.boot) for at, each in self.got if isinstance(each, Life)]

    @property
    def batches(self):
        return [(at, each) for at, each in self.got if isinstance(each, Opened)]

    def told(self, component, signal):
        return [
            (at, t * MS, value)
            for at, opened in self.batches
            for column in opened.columns
            if (column.component, column.signal) == (component, signal)
            for t, value in zip(column.at, column.values, strict=True)
        ]


def test_a_quiet_day_is_one_batch_of_hourly_gauges():
    played = Played()
    played.station.day(DAY)
    ((at, opened),) = played.batches
    assert at == DAY
    assert {len(column.values) for column in opened.columns} == {24}
    assert opened.header.n == sum(len(column.values) for column in opened.columns)


def test_a_change_is_read_soon_and_comes_behind_the_gauges_of_before():
    played = Played()
    played.station.say(5 * HOUR, READER, "atm.device", "hardwareError")
    played.run(6 * HOUR)
    ((at, opened),) = played.batches
    assert 5 * HOUR < at <= 5 * HOUR + READ_S * S
    *gauges, change = opened.columns
    assert {len(column.values) for column in gauges} == {5}
    assert (change.component, change.values, change.state) == (READER, ["hardwareError"], State.CRIT)


def test_what_is_over_before_it_is_read_is_never_told():
    played = Played()
    played.station.say(HOUR, READER, "atm.device", "hardwareError")
    played.station.usual(HOUR + 1, READER, "atm.device")
    played.run(2 * HOUR)
    assert played.got == []


def test_a_gauge_that_is_beyond_its_limit_keeps_its_hours_of_before():
    played = Played()
    played.station.say(3 * HOUR, "host", "host.memory.percent", 99.0)
    played.run(3 * HOUR + MINUTE)
    played.station.day(6 * HOUR)
    values = [value for _, _, value in played.told("host", "host.memory.percent")]
    assert len(values) == 7
    assert all(value < 80 for value in values[:3])
    assert values[3:] == [99.0] * 4


def test_a_short_cut_is_not_seen_but_for_what_comes_late():
    played = Played()
    played.station.lose_line(HOUR, 1)
    played.station.say(HOUR + S, READER, "atm.device", "offline")
    played.station.get_line(HOUR + 20 * S, 1)
    played.run(2 * HOUR)
    assert played.lives == []
    assert next(value for _, _, value in played.told(READER, "atm.device")) == "offline"


def test_a_cut_is_told_by_the_broker_and_its_readings_come_behind_it():
    played = Played()
    cut, mended = HOUR, HOUR + 50 * MINUTE
    played.station.lose_line(cut, 1)
    played.run(mended)
    played.station.get_line(mended, 1)
    played.run(mended + HOUR)
    (gone, state, n, boot), (back, again, later, same) = played.lives
    assert (state, again, later, boot) == ("offline", "online", n + 1, same)
    assert KEEPALIVE_S / 2 * S <= gone - cut <= KEEPALIVE_S * 1.5 * S
    assert 0 < back - mended < RETRY_S * S
    beats = [(at, read) for at, read, _ in played.told(AGENT, "agent.spool.batches") if read > cut]
    assert {at for at, _ in beats} == {back}
    read = [cut, *(at for _, at in beats), back]
    assert max(b - a for a, b in pairwise(read)) < 2 * MINUTE
    sealed = [opened.header.sent for at, opened in played.batches if at == back]
    assert sealed == sorted(sealed)
    assert any(back - each > LATE for each in sealed)
    assert sealed[-1] == back, "and all of it as it is now"


def test_without_power_nothing_is_read_and_the_boot_is_another():
    played = Played()
    played.station.lose_power(HOUR, 1)
    played.run(3 * HOUR)
    up = played.station.get_power(3 * HOUR, 1)
    played.run(4 * HOUR)
    (_, gone, _, old), (back, online, _, new) = played.lives
    assert (gone, online, back) == ("offline", "online", up)
    assert old != new
    assert not [read for _, read, _ in played.told(AGENT, "agent.spool.batches") if HOUR < read < up]


def test_a_quick_restart_is_taken_over_by_the_new_session():
    played = Played()
    played.station.lose_power(HOUR, 1)
    up = played.station.get_power(HOUR + S, 1)
    played.run(HOUR + 10 * MINUTE)
    assert [state for _, state, *_ in played.lives] == ["offline", "online"]
    assert played.lives[1][0] == up


@pytest.mark.parametrize("orderly", [True, False])
def test_an_agent_that_stops_in_order_says_so_with_a_number_of_its_own(orderly):
    played = Played()
    played.station.halt(HOUR, 1, orderly=orderly)
    played.run(2 * HOUR)
    played.station.resume(2 * HOUR, 1)
    (gone, state, n, boot), (_, _, later, same) = played.lives
    assert (gone, state, boot) == (HOUR, "offline", same)
    assert n == 1 + orderly
    assert later == n + 1


def test_two_reasons_for_a_loss_must_both_end():
    played = Played()
    played.station.lose_line(HOUR, 1)
    played.station.lose_line(HOUR, 2)
    played.station.get_line(2 * HOUR, 1)
    played.run(3 * HOUR)
    assert [state for _, state, *_ in played.lives] == ["offline"]
    played.station.get_line(3 * HOUR, 2)
    played.run(4 * HOUR)
    assert [state for _, state, *_ in played.lives] == ["offline", "online"]


def test_of_a_device_that_cannot_be_read_only_that_is_told_and_all_of_it_when_it_is_back():
    played = Played("server")
    played.station.say(HOUR, UPS, "monitor.source", "failed", State.UNKNOWN)
    played.station.say(HOUR, UPS, "ups.fault", "failed")
    played.run(2 * HOUR)
    told = [column for _, opened in played.batches for column in opened.columns if column.component == UPS]
    told = [column for column in told if column.at[0] * MS > HOUR]
    assert {(column.signal, column.quality) for column in told} == {("monitor.source", Quality.ERROR)}
    assert len(told) == 1 + AGAIN
    played.got.clear()
    played.station.usual(3 * HOUR, UPS, "monitor.source")
    played.run(4 * HOUR)
    now = {c.signal: c.values[-1] for _, opened in played.batches for c in opened.columns if c.component == UPS}
    assert now["ups.fault"] == "failed"
    assert now["ups.output.source"] == "normal"


def test_numbers_of_batches_have_no_hole():
    played = Played()
    for hour in range(1, 40):
        (played.station.lose_line if hour % 7 == 3 else played.station.get_line)(hour * HOUR, 1)
        played.run(hour * HOUR + 30 * MINUTE)
        played.station.say(hour * HOUR + 31 * MINUTE, READER, "atm.device", ("online", "offline")[hour % 2])
        played.run((hour + 1) * HOUR)
    numbers = [opened.header.seq for _, opened in played.batches]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
