"""The simulated bank and its fault model speak the words of the catalogue, which the shipped rules judge."""

from __future__ import annotations

from random import Random

import pytest

from tillwatch.agent.model import State
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.simulate import modes
from tillwatch.collector.simulate.fleet import PARTS, SERVER, WEEK_H, make_bank, week_of
from tillwatch.collector.simulate.site import RULES, site_policy
from tillwatch.collector.simulate.stations import Station
from tillwatch.collector.simulate.truth import Ledger
from tillwatch.collector.simulate.world import World
from tillwatch.device_profiles.catalogue import load_catalogue
from tillwatch.device_profiles.model import Kind

SIGNALS = load_catalogue().signals
ALL_MODES = (*modes.PART_MODES, *modes.WORKS, modes.LEFT)


@pytest.mark.parametrize("terminals", [1, 2, 20, 99, 100, 500])
def test_a_bank_has_as_many_terminals_as_asked_for_and_a_server_in_each_branch(terminals):
    bank = make_bank(terminals)
    assert len({unit.name for unit in bank.units}) == terminals
    assert all(branch.server.kind == SERVER for branch in bank.branches)
    assert sum(len(branches) for branches in bank.regions.values()) == len(bank.branches)


def test_parts_are_of_the_catalogue():
    for parts in PARTS.values():
        assert len({(part.component, part.signal) for part in parts}) == len(parts)
        for part in parts:
            known = SIGNALS[part.signal]
            if known.kind is Kind.STATE:
                assert dict(known.states)[str(part.value)] == "ok" or part.signal == "monitor.source"
            else:
                assert not isinstance(part.value, str)


@pytest.mark.parametrize("mode", ALL_MODES, ids=lambda mode: mode.name)
def test_a_fault_is_of_parts_that_there_are_in_words_that_there_are(mode):
    for kind in mode.kinds:
        parts = {(part.component, part.signal) for part in PARTS[kind]}
        for step in mode.steps:
            assert (step.component, step.signal) in parts
            states = dict(SIGNALS[step.signal].states)
            assert not states or str(step.value) in states


@pytest.mark.parametrize("mode", ALL_MODES, ids=lambda mode: mode.name)
def test_a_shipped_rule_tells_of_every_step(mode):
    rules, policy = parse_rules(RULES), parse_policy(site_policy())
    world = World(make_bank(1), {}, rules, policy, Ledger(), lambda *_: None, Random(1))
    judged = {name: {word: State[thought.upper()] for word, thought in known.states} for name, known in SIGNALS.items()}
    unit = make_bank(1).units[0]
    station = Station(unit, 0, judged, lambda *_: None, None, Random(1))  # type: ignore[arg-type] # it sends nothing
    for kind in mode.kinds:
        for step in mode.steps:
            station.say(0, step.component, step.signal, step.value, step.state)
            value, state = station.now[step.component, step.signal]
            assert world.told_by(kind, step.component, step.signal, value, state)


def test_modes_have_names_of_their_own_and_rates():
    names = [mode.name for mode in (*ALL_MODES, *modes.OUT_MODES)]
    assert len(set(names)) == len(names)
    assert all(mode.per_year > 0 for mode in (*modes.PART_MODES, *modes.OUT_MODES))


def test_a_span_stays_within_its_bounds_and_half_of_it_below_the_median():
    span, rng = modes.Span(10, 100, 900), Random(1)
    drawn = [span.draw(rng) for _ in range(2000)]
    assert min(drawn) >= 10
    assert max(drawn) <= 900
    assert 0.4 < sum(each < 100 for each in drawn) / len(drawn) < 0.6


def test_a_gauge_repeats_its_week():
    part = next(part for part in PARTS[SERVER] if part.swing)
    week = week_of(part, Random(1))
    assert len(week) == 2 * WEEK_H
    assert week[:WEEK_H] == week[WEEK_H:]
    assert all(abs(value - part.value) <= 1.7 * part.swing for value in week)


def test_the_sites_policy_is_one_without_notes():
    policy = parse_policy(site_policy())
    assert policy.notes == ()
    assert policy.classes["pos"].service == "opening"
