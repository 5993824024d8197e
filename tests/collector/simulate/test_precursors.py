"""What parts show before they fail is told in signals that there are, stays below the limits of the shipped rules, and comes from physical precursors of modes that there are."""

from __future__ import annotations

from random import Random

import pytest

from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.detect.limits import level_of
from tillwatch.collector.simulate import modes
from tillwatch.collector.simulate.fleet import PARTS, week_of
from tillwatch.collector.simulate.precursors import AGEING, COUNTER, GAUGE, HARMLESS, PRECURSORS, SIGNS, SUPPLY
from tillwatch.collector.simulate.times import DAY, HOUR, S
from tillwatch.collector.simulate.traces import GaugeTrace
from tillwatch.device_profiles.catalogue import load_catalogue
from tillwatch.device_profiles.model import Kind

SIGNALS = load_catalogue().signals
MODES = {mode.name: mode for mode in modes.PART_MODES}
BY_KEY = {(kind, sign.component, sign.signal): sign for sign in SIGNS for kind in sign.kinds}


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: f"{sign.component} {sign.signal} {'+'.join(sign.kinds)}")
def test_a_sign_is_a_number_of_the_catalogue_and_of_its_kind(sign):
    known = SIGNALS[sign.signal]
    assert known.kind is (Kind.COUNTER if sign.form == COUNTER else Kind.GAUGE)
    assert sign.form in {GAUGE, COUNTER, SUPPLY, AGEING}
    assert 24 % sign.every == 0
    assert 0 < sign.share <= 1


def test_a_terminal_has_each_sign_once():
    keys = [(kind, sign.component, sign.signal) for sign in SIGNS for kind in sign.kinds]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("precursor", PRECURSORS, ids=lambda each: each.mode)
def test_a_precursor_is_of_a_mode_and_of_signs_that_its_terminals_have(precursor):
    mode = MODES[precursor.mode]
    assert 0 < precursor.share <= 1
    assert precursor.shown
    for kind in mode.kinds:
        for component, signal in precursor.shown:
            form = BY_KEY[kind, component, signal].form
            assert (form in {SUPPLY, AGEING}) == ((component, signal) == precursor.ends)
    assert precursor.lasts.least * S >= 4 * HOUR


@pytest.mark.parametrize("kind", HARMLESS, ids=lambda each: each.name)
def test_what_is_harmless_moves_less_than_what_announces_a_fault(kind):
    for rise in kind.rises:
        for terminal in kind.kinds:
            assert BY_KEY[terminal, rise.component, rise.signal].form in {GAUGE, COUNTER}
        same = [
            other
            for each in PRECURSORS
            for other in each.rises
            if (other.component, other.signal) == (rise.component, rise.signal)
        ]
        assert all(rise.times < other.times or abs(rise.by) < abs(other.by or other.to) for other in same)


@pytest.mark.parametrize("sign", [sign for sign in SIGNS if sign.form == GAUGE], ids=lambda sign: sign.signal)
def test_no_shipped_rule_tells_of_a_part_that_is_only_going_bad(sign):
    rules = parse_rules("")
    for kind in sign.kinds:
        part = next((p for p in PARTS[kind] if (p.component, p.signal) == (sign.component, sign.signal)), None)
        week = week_of(part, Random(1)) if part is not None and part.gauge else None
        trace = GaugeTrace.make(sign, Random(1), week)
        for precursor in PRECURSORS:
            for rise in precursor.rises:
                if (rise.component, rise.signal) == (sign.component, sign.signal):
                    trace.rise(rise, 0, 30 * DAY)
        for value in trace.read(range(0, 365 * 24, sign.every)):
            for rule in rules.by_signal.get(sign.signal, ()):
                if rule.component is None or rule.component.match(sign.component):
                    assert level_of(rule.limits, 0, value, 0) == 0
