"""What announces a fault runs up to it, ends with its repair, and a fault that is mended before it comes does not come."""

from __future__ import annotations

from random import Random

import pytest

from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.simulate import modes
from tillwatch.collector.simulate.fleet import ATM, Unit, make_bank
from tillwatch.collector.simulate.omens import SERIAL, Omens, touches
from tillwatch.collector.simulate.precursors import CASSETTE
from tillwatch.collector.simulate.site import RULES, site_policy
from tillwatch.collector.simulate.stations import Station
from tillwatch.collector.simulate.times import DAY, HOUR
from tillwatch.collector.simulate.truth import Ledger
from tillwatch.collector.simulate.world import World
from tillwatch.collector.simulate.year import START

BANK = make_bank(60)
UNITS = [unit for unit in BANK.units if unit.kind == ATM]
MODES = {mode.name: mode for mode in modes.PART_MODES}
FAULT = START + 100 * DAY


class Told:
    """Takes what stations send: signal -> values in the order in which they were read."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str, str], list[object]] = {}

    def batch(self, _: int, opened) -> None:
        for column in opened.columns:
            key = opened.header.terminal, column.component, column.signal
            self.values.setdefault(key, []).extend(column.values)

    def life(self, at: int, life) -> None: ...


class Small:
    """A bank in which one mode befalls each ATM on day 100."""

    def __init__(self, mode: str) -> None:
        self.told, self.mode = Told(), MODES[mode]
        self.stations = {u.name: Station(u, START, {}, self.later, self.told, Random(u.name)) for u in BANK.units}
        rules, policy = parse_rules(RULES), parse_policy(site_policy())
        self.world = World(BANK, self.stations, rules, policy, Ledger(), self.later, Random(1))
        blows = [(FAULT, self.mode, unit) for unit in UNITS]
        self.omens = Omens(self.world, blows, 1, START, START + 365 * DAY)
        self.world.ended = self.omens.ended

    def later(self, at: int, step, *given: object) -> None:
        """Nothing comes by itself."""

    def announced(self) -> list[Unit]:
        seen = {omen.terminal for omen in self.world.ledger.omens}
        return [unit for unit in UNITS if unit.name in seen]

    def values(self, unit: Unit, component: str, signal: str, until: int) -> list[object]:
        self.stations[unit.name].connect(START)
        self.stations[unit.name].day(until)
        return self.told.values.get((unit.name, component, signal), [])


def test_about_the_share_that_is_written_announces_itself():
    shares = {name: len(Small(name).announced()) / len(UNITS) for name in ("memory-leaks", "card-jams", "cassette-low")}
    assert 0.7 < shares["memory-leaks"] <= 1.0
    assert 0.1 < shares["card-jams"] < 0.5
    assert 0.5 < shares["cassette-low"] < 0.9  # the rest does not tell a level


def test_a_cassette_that_will_run_low_is_low_when_it_does_and_full_after_the_filling():
    small = Small("cassette-low")
    unit = small.announced()[0]
    counts = small.values(unit, CASSETTE, "atm.unit.count", FAULT + HOUR)
    assert counts[-1] <= 220
    assert all(count >= 200 for count in counts[:-3])
    small.omens.strike(FAULT, unit, small.mode)
    omen = next(each for each in small.world.ledger.omens if each.terminal == unit.name)
    fault = small.world.ledger.faults[0]
    assert (omen.fault, omen.begins < FAULT - DAY // 2) == (fault.id, True)
    small.world.end(FAULT + 9 * HOUR, fault)
    assert omen.ended == FAULT + 9 * HOUR
    assert small.values(unit, CASSETTE, "atm.unit.count", FAULT + 14 * HOUR)[-1] > 2200


def test_a_terminal_that_has_no_level_does_not_tell_one():
    small = Small("cassette-low")
    silent = next(unit for unit in UNITS if unit not in small.announced())
    assert small.values(silent, CASSETTE, "atm.unit.count", FAULT) == []
    assert (CASSETTE, "atm.unit.count") not in small.stations[silent.name].now


def test_what_somebody_mends_before_does_not_come():
    small = Small("memory-leaks")
    unit = small.announced()[0]
    assert small.omens.found(START + DAY, unit.name, "host") is None
    assert small.omens.found(FAULT - HOUR, unit.name, "sda") is None
    omen = small.omens.found(FAULT - HOUR, unit.name, "host")
    assert omen is not None
    small.omens.prevent(FAULT - HOUR, omen)
    small.omens.strike(FAULT, unit, small.mode)
    assert small.world.ledger.faults == []
    assert (omen.prevented, omen.fault) == (True, 0)
    assert max(small.values(unit, "host", "host.memory.percent", FAULT + DAY)[-24:]) < 75


def test_what_comes_to_a_terminal_that_is_off_is_over_without_a_fault():
    small = Small("memory-leaks")
    unit = small.announced()[0]
    small.stations[unit.name].lose_power(FAULT - HOUR, 7)
    small.omens.strike(FAULT, unit, small.mode)
    omen = next(each for each in small.world.ledger.omens if each.terminal == unit.name)
    assert (omen.ended, omen.prevented, omen.fault) == (FAULT, False, 0)


def test_a_drive_that_was_replaced_has_another_serial_number_and_counts_from_zero():
    small = Small("drive-dies")
    unit = small.announced()[0]
    station = small.stations[unit.name]
    before = station.now[SERIAL]
    counted = small.values(unit, "sda", "drive.timeouts", FAULT)[-1]
    small.omens.strike(FAULT, unit, small.mode)
    small.world.end(FAULT + HOUR, small.world.ledger.faults[0])
    assert station.now[SERIAL] != before
    assert small.values(unit, "sda", "drive.timeouts", FAULT + 30 * HOUR)[-1] < counted


@pytest.mark.parametrize(
    ("component", "seen"),
    [("atm/CashDispenser unit:2", True), ("atm/CashDispenser", True), ("acceptor", False), ("", True)],
)
def test_a_look_at_one_part_shows_the_others_of_its_unit(component, seen):
    assert touches([(CASSETTE, "atm.unit.count")], component) is seen
