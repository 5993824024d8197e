"""When lives of parts begin, end, are cut off or go on."""

from __future__ import annotations

import pytest

from tillwatch.agent.model import MS, Quality, State
from tillwatch.agent.wire import Column
from tillwatch.collector.learn import part_lives
from tillwatch.collector.learn.from_store import PastError
from tillwatch.collector.learn.part_lives import SERIAL, PartLives
from tillwatch.collector.predict.finding import Happened
from tillwatch.collector.predict.settings import DAY_NS

READER, DISK = ("atm-1", "atm/CardReader"), ("atm-1", "host/disk:1")
DATED = "ups.battery.replaced"
FIRST, NOW = 100 * DAY_NS, 400 * DAY_NS


def heard() -> PartLives:
    return PartLives(frozenset({READER, DISK}), frozenset({DATED}))


def told(lives: PartLives, part: tuple[str, str] = READER) -> list[tuple[str, float, float]]:
    """(state, begun, until) of each life, in days."""
    return [(life.state, life.begun / DAY_NS, life.until / DAY_NS) for life in lives.lives({part: FIRST}, NOW)]


def alarm(lives: PartLives, day: float, what: str = "raised", value: str = "", party: str = "hardware") -> None:
    lives.happened(Happened(int(day * DAY_NS), what, *READER, "atm.device", value, party=party))


def word(lives: PartLives, day: float, component: str, signal: str, value: str) -> None:
    at = int(day * DAY_NS)
    lives.read("atm-1", [Column(component, signal, [at // MS], [value], Quality.GOOD, State.NONE, False)], at)


def test_a_part_that_never_failed_still_runs() -> None:
    assert told(heard()) == [("running", 100, 400)]


def test_an_alarm_of_hardware_is_the_end_and_a_new_part_a_new_life() -> None:
    lives = heard()
    alarm(lives, 200)
    alarm(lives, 201)
    assert told(lives) == [("ended", 100, 200), ("broken", 200, 400)], (
        "mended is not new, and the second fault no second end"
    )
    alarm(lives, 203, "verdict", "part_changed")
    assert told(lives) == [("ended", 100, 200), ("running", 203, 400)]
    assert [life.name for life in lives.lives({READER: FIRST}, NOW)] == [
        "atm-1 atm/CardReader",
        "atm-1 atm/CardReader #2",
    ]


@pytest.mark.parametrize("verdict", ["false_alarm", "no_fault_found"])
def test_a_fault_that_a_technician_did_not_find_is_no_end(verdict: str) -> None:
    lives = heard()
    alarm(lives, 200)
    alarm(lives, 203, "verdict", verdict)
    assert told(lives) == [("running", 100, 400)]


def test_an_empty_supply_is_no_end() -> None:
    lives = heard()
    alarm(lives, 200, party="supplies")
    assert told(lives) == [("running", 100, 400)]


def test_a_part_that_was_replaced_without_a_fault_was_cut_off() -> None:
    lives = heard()
    word(lives, 150, DISK[1], SERIAL, "A")
    word(lives, 200, DISK[1], SERIAL, "A")
    word(lives, 250, DISK[1], SERIAL, "B")
    assert told(lives, DISK) == [("cut off", 100, 250), ("running", 250, 400)]


def test_another_device_has_other_parts_where_they_have_no_number_of_their_own() -> None:
    lives = heard()
    word(lives, 150, DISK[1], SERIAL, "D")
    for component, day, serial in (("host", 150, "A"), ("host", 250, "B"), ("atm", 150, "A"), ("atm", 260, "B")):
        word(lives, day, component, SERIAL, serial)
    assert told(lives, DISK) == [("running", 100, 400)], "the disk moved into the new machine"
    assert told(lives) == [("cut off", 100, 260), ("running", 260, 400)]


def test_one_visit_that_shows_itself_twice_is_one_new_life() -> None:
    lives = heard()
    word(lives, 150, READER[1], SERIAL, "A")
    alarm(lives, 200)
    word(lives, 202, READER[1], SERIAL, "B")
    alarm(lives, 205, "verdict", "part_changed")
    assert told(lives) == [("ended", 100, 200), ("running", 202, 400)]


def test_what_failed_on_the_day_of_replacement_was_the_old_part() -> None:
    start = 18_262 * DAY_NS  # 2020-01-01
    lives = heard()
    word(lives, 18_200, READER[1], DATED, "2019-05-01")
    alarm(lives, 18_262.4)
    word(lives, 18_265, READER[1], DATED, "2020-01-01")
    found = lives.lives({READER: start - 10 * DAY_NS}, start + 50 * DAY_NS)
    assert [(life.state, life.days) for life in found] == [("ended", pytest.approx(10.4)), ("running", 49)]


def test_parts_of_a_terminal_out_of_service_do_not_run() -> None:
    lives = heard()
    lives.happened(Happened(300 * DAY_NS, "life_cycle", "atm-1", value="retired"))
    assert told(lives) == [("cut off", 100, 400)]
    lives.happened(Happened(310 * DAY_NS, "life_cycle", "atm-1", value="in_service"))
    assert told(lives) == [("running", 100, 400)]


def test_alarms_of_other_parts_cost_nothing_and_too_many_of_these_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_lives, "MAX_FAILURES", 2)
    lives = heard()
    for day in range(110, 120):
        lives.happened(Happened(day * DAY_NS, "raised", "atm-1", "printer", "printer.stopped", party="hardware"))
    alarm(lives, 120)
    alarm(lives, 121)
    with pytest.raises(PastError, match="more than 2 alarms of these parts"):
        alarm(lives, 122)
