from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.figures import load as module
from tillwatch.collector.figures.load import HOUR_NS, MINUTE_NS, STEP_NS, Shelf, Standing, Turn, load

DAY = 24 * HOUR_NS


def turn(at, kind="raised", level=2, rule="r", **fields):
    return Turn(at, kind, rule, "t", "c", level, **fields)


def test_rates_mix_floods_and_peaks():
    turns = [turn(i * MINUTE_NS // 2, level=3) for i in range(10)]  # ten in five minutes
    turns += [turn(HOUR_NS + i, level=1, kind="recurred") for i in range(9)]
    turns += [turn(HOUR_NS + STEP_NS), turn(HOUR_NS + STEP_NS, muted=True), turn(HOUR_NS + STEP_NS, drill=True)]
    it = load(turns, [], [], 0, 10 * HOUR_NS)
    assert (it.alarms, it.muted) == (20, 1)
    assert it.per_operator_hour == 2
    assert (it.floods.part, it.floods.base) == (1, 60)
    assert (it.peak_step, it.peak_hour) == (10, 10)
    assert it.mix == {1: 0.45, 2: 0.05, 3: 0.5}
    two = load(turns, [], [], 0, 10 * HOUR_NS, operators=2)
    assert (two.per_operator_hour, two.floods.part) == (1, 0)


def test_the_ten_noisiest_sources_and_their_share():
    turns = [turn(i, rule=f"r{i % 13:02}") for i in range(26)] + [turn(99, rule="r07"), turn(99, "cleared", rule="r01")]
    it = load(turns, [], [], 0, DAY)
    assert [(each.rule, each.n) for each in it.top][:3] == [("r07", 3), ("r00", 2), ("r01", 2)]
    assert len(it.top) == 10
    assert it.top_share == 21 / 27


def test_what_turns_five_times_within_half_an_hour_chatters():
    def turns(gap):
        return [turn(i * gap, "raised" if i % 2 == 0 else "cleared") for i in range(6)]

    assert [each.n for each in load(turns(7 * MINUTE_NS), [], [], 0, DAY).chattering] == [6]
    assert load(turns(8 * MINUTE_NS), [], [], 0, DAY).chattering == ()
    assert load(turns(7 * MINUTE_NS), [], [], 0, DAY, chatter=(5, 20 * MINUTE_NS)).chattering == ()


def test_standing_is_what_had_lasted_a_day_within_the_period():
    end = 10 * DAY
    episodes = [
        Standing("last", "t", "c", 2, 9 * DAY - 1, 0),
        Standing("young", "t", "c", 2, 9 * DAY, 0),
        Standing("old", "t", "c", 2, -5 * DAY, DAY),
        Standing("before", "t", "c", 2, -5 * DAY, 0 - 1),
        Standing("short", "t", "c", 2, DAY, 2 * DAY),
        Standing("drill", "t", "c", 2, 0, 0, drill=True),
        Standing("later", "t", "c", 2, 9 * DAY, 30 * DAY),
    ]
    assert [each.rule for each in load([], episodes, [], 0, end).standing] == ["old", "last"]


def test_lists_are_bounded_and_say_what_they_left_out(monkeypatch):
    monkeypatch.setattr(module, "MAX_LISTED", 3)
    shelves = [Shelf("r", "t", str(i), i, i + 5, "ann", "noise") for i in range(5)]
    it = load([], [], shelves, 0, DAY)
    assert len(it.shelved) == 3
    assert it.left_out == {"shelved": 2}


def test_an_empty_period_has_no_rates():
    plain = json.loads(json.dumps(load([], [], [], 5, 5).plain()))
    assert plain["per_operator_hour"] is None
    assert plain["floods"]["share"] is None
    assert plain["mix"] == {"1": None, "2": None, "3": None}
    assert plain["top_share"] is None


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 300))
def test_steps_are_counted_from_the_beginning_of_the_period(minutes, length):
    start = 7 * MINUTE_NS
    it = load([turn(start + at * MINUTE_NS) for at in sorted(minutes)], [], [], start, start + length * MINUTE_NS)
    inside = [at for at in minutes if at < length]
    steps = [sum(step <= at < step + 10 for at in inside) for step in range(0, length, 10)]
    assert it.alarms == len(inside)
    assert (it.floods.part, it.floods.base) == (sum(n >= 10 for n in steps), len(steps))
    assert it.peak_step == max(steps)
