"""The shipped table against the whole catalogue, against every device of the golden readings, and against recorded drives."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.agent.counters import DATA, needs
from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.smart_map import read_report
from tillwatch.collector.alarm.rules import BUILT_IN, INFERRED, LINKS, PREDICTED, Rule, parse_rules
from tillwatch.collector.detect.limits import level_of
from tillwatch.device_profiles.catalogue import load_catalogue

SIGNALS = load_catalogue().signals
RULES = parse_rules()
GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.json"))
BAD = {"warn": State.WARN, "crit": State.CRIT}


def decided(rule: Rule, word: str, state: State) -> bool:
    """Whether the rule has a level for the word, or says that it has none."""
    return word in (rule.limits.words or ()) or int(state) in (rule.limits.judged or ())


def raised(samples: Iterable[tuple[str, str, object, State]]) -> dict[tuple[str, str], list[str]]:
    """(rule, component) -> the signals that ask for it, of readings that last."""
    told = [(component, signal, value, state) for component, signal, value, state in samples if value is not None]
    has: dict[str, set[str]] = {}
    for component, signal, _, _ in told:
        has.setdefault(component, set()).add(signal)
    found: dict[tuple[str, str], list[str]] = {}
    for component, signal, value, state in told:
        for rule in RULES.by_signal.get(signal, ()):
            if (rule.component and not rule.component.match(component)) or has[component] & set(rule.unless):
                continue
            if level_of(rule.limits, 0, value, int(state)):
                found.setdefault((rule.id, component), []).append(signal)
    return found


@pytest.mark.parametrize("name", [name for name, signal in SIGNALS.items() if signal.kind.value == "state"])
def test_whatever_a_state_tells_of_ill_has_a_rule_or_a_reason(name):
    missing = [
        word
        for word, severity in SIGNALS[name].states
        if severity in BAD
        and not any(decided(rule, word, BAD[severity]) for rule in RULES.by_signal.get(name, ()))
        and not {name, f"{name}={word}"} & set(RULES.no_alarm)
    ]
    assert not missing, f"{name}: say in a rule, or in [no_alarm], what becomes of {missing}"


def test_a_grave_word_raises_nothing_only_where_another_signal_says_the_same():
    silent = {
        f"{name}={word}"
        for name, signal in SIGNALS.items()
        if signal.kind.value == "state" and name not in RULES.no_alarm
        for word, severity in signal.states
        if severity == "crit"
        and not any(level_of(rule.limits, 0, word, int(State.CRIT)) for rule in RULES.by_signal[name])
    }
    assert silent == {
        "ups.alarm=lowBattery",  # ups.battery.status
        "ups.alarm=depletedBattery",  # ups.battery.status
        "ups.alarm=outputOverload",  # ups.output.source, ups.output.load
        "ups.alarm=shutdownImminent",  # ups.shutdown, ups.battery.charge
        "ups.input.source=none",  # ups.output.source
        "cell.sim=absent",  # cell.state; the second slot of many routers is empty
        "printer.unit=criticalAlerts",  # printer.error
        "acceptor.cashbox=removed",  # part.security
        "cardreader.fault=binFull",  # part.supply
    }


def test_the_rules_name_signals_and_words_of_the_catalogue():
    for rule in RULES.by_id.values():
        assert bool(rule.signals) == (rule.id not in BUILT_IN)
        assert {*rule.signals, *rule.unless} <= set(SIGNALS), rule.id
        if rule.signals:
            words = {word for name in rule.signals for word, _ in SIGNALS[name].states}
            assert set(rule.limits.words or ()) <= words, rule.id
        kinds = {SIGNALS[name].kind.value for name in rule.signals}
        assert not rule.limits.words or not rule.signals or "state" in kinds, rule.id
        assert not (rule.limits.above or rule.limits.below) or kinds == {"gauge"}, rule.id


def test_what_raises_nothing_is_in_the_catalogue_and_in_no_rule():
    for entry, reason in RULES.no_alarm.items():
        name, _, word = entry.partition("=")
        assert name in SIGNALS
        assert reason.strip()
        assert name not in RULES.by_signal or word, f"{entry}: a rule and a reason against it"


def test_a_word_of_two_signals_in_one_rule_means_the_same_of_both():
    """A level is given to a word whatever signal says it: no signal may be silenced by another one's word."""
    for rule in RULES.by_id.values():
        if len(rule.signals) < 2:
            continue  # such as a switch left on supervisor: well of itself, and not for long
        for word, level in (rule.limits.words or {}).items():
            severities = {
                severity for name in rule.signals for each, severity in SIGNALS[name].states if each == word
            } - {"unknown"}
            assert "ok" not in severities or not level, f"{rule.id}: {word} is well for one of its signals"


def test_what_points_at_a_person_stays_until_somebody_has_looked():
    latched = {name for rule in RULES.by_id.values() if rule.latched for name in rule.signals}
    assert {
        "env.tamper",
        "server.intrusion",
        "camera.casing",
        "part.security",
        "atm.antifraud",
        "atm.shield",
    } <= latched
    assert all(rule.owner == "security" for rule in RULES.by_id.values() if rule.latched)


NOT_LATCHED = {"delivery.fork", "env.door-open"}
"""Security, and over when it is over: only an enrolment ends a fork, and a door that was left open is closed."""


def test_whatever_tampers_is_of_the_security_axis_and_stays_until_somebody_has_looked():
    assert {rule.id for rule in RULES.by_id.values() if rule.axis == "security" and not rule.latched} == NOT_LATCHED
    assert all(rule.axis == "security" for rule in RULES.by_id.values() if rule.latched)
    assert all(rule.party == "vandalism" for rule in RULES.by_id.values() if rule.latched)


def test_the_axis_of_a_rule_is_that_of_its_signals():
    """Of a rule of one signal whose words all are of one axis; the catalogue knows nothing of most others."""
    for rule in RULES.by_id.values():
        axes = {SIGNALS[name].axis.value for name in rule.signals}
        if len(axes) == 1 and not any(SIGNALS[name].axes for name in rule.signals):
            assert axes in ({"fitness"}, {rule.axis}), rule.id


def chains(rule: Rule) -> Iterable[str]:
    seen: set[str] = set()
    ahead = [each for each in rule.follows if each != rule.id]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += [each for each in RULES.by_id[name].follows if each != name]
    return seen


@pytest.mark.parametrize("rule", RULES.by_id.values(), ids=lambda rule: rule.id)
def test_what_a_rule_follows_is_there_and_never_comes_back_to_it(rule):
    assert set(rule.follows) <= set(RULES.by_id)
    assert rule.id not in chains(rule), f"{rule.id} follows itself through {rule.follows}: which of them is the cause?"


@pytest.mark.parametrize("rule", RULES.by_id.values(), ids=lambda rule: rule.id)
def test_what_may_be_a_symptom_waits_for_its_cause_and_what_was_told_of_hardware_does_not(rule):
    waits = bool(rule.symptom_of or rule.common) or rule.id in PREDICTED  # which the next look may withdraw
    assert (rule.settle_ns > 0) == waits
    assert not waits or rule.settle_ns <= 90 * 10**9 or rule.id in PREDICTED, "later nobody would call it notified"
    assert rule.axis != "security" or not waits, "nobody waits with an attack"


def test_no_rule_of_security_is_joined_with_one_that_is_not():
    """An incident with a tampering in it is never closed by itself: a jam must not wait for that."""
    for rule in RULES.by_id.values():
        assert {RULES.by_id[name].axis == "security" for name in rule.follows} <= {rule.axis == "security"}, rule.id


@pytest.mark.parametrize("kind", LINKS)
def test_every_kind_of_dependence_has_causes_and_symptoms(kind):
    assert [rule.id for rule in RULES.by_id.values() if rule.explains == kind]
    assert kind in RULES.by_id["terminal.silent"].symptom_of
    # Of two that explain each other the one that came first would be a matter of milliseconds; the mains alone are seen by many.
    both = {rule.id for rule in RULES.by_id.values() if rule.explains == kind and kind in rule.symptom_of}
    assert both <= {"ups.on-battery", "pdu.source"}


@pytest.mark.parametrize("key", INFERRED)
def test_what_a_branch_has_in_common_is_told_by_some_rule(key):
    assert [rule.id for rule in RULES.by_id.values() if rule.common == key]
    assert RULES.by_id[INFERRED[key]].explains


def test_supplies_are_secondary_and_have_time():
    for name in (
        "gen.fuel",
        "printer.supply.level",
        "atm.paper",
        "atm.unit.supply",
        "printer.supply.state",
        "part.supply",
    ):
        for rule in RULES.by_signal[name]:
            levels = [*(rule.limits.words or {}).values(), *(rule.limits.judged or {}).values()]
            assert {*levels, *(step.level for step in rule.limits.below)} <= {0, 3}, rule.id
            assert rule.limits.for_ns >= 600 * 10**9, rule.id


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_part_of_a_recorded_device_has_one_alarm_for_one_signal(path):
    readings = json.loads(path.read_text())["readings"]
    found = raised(
        (each["component"], each["signal"], each["value"], State[(each["state"] or "none").upper()])
        for each in readings
    )
    twice = Counter((component, signal) for (_, component), signals in found.items() for signal in set(signals))
    assert not [each for each, count in twice.items() if count > 1]


def test_what_the_golden_devices_raise_names_their_faults():
    found: set[str] = set()
    for path in GOLDEN:
        readings = json.loads(path.read_text())["readings"]
        found |= {
            f"{path.stem} {rule}"
            for rule, _ in raised(
                (each["component"], each["signal"], each["value"], State[(each["state"] or "none").upper()])
                for each in readings
            )
        }
    assert {
        "dell-idrac server.array", "dell-idrac server.cooling", "cisco-cimc server.disk", "raritan-pdu2 pdu.breaker",
        "hwg-wld env.water", "axis camera.opened", "pepwave net.wan", "rfc1628 ups.on-battery", "rfc3805 printer.stopped",
    } <= found  # fmt: skip
    # A contact's own state, and what a printer says better, are not told twice; a port of a switch is no alarm.
    assert (
        not {"hwg-wld env.limit", "rfc3805 device.down", "rfc3805 printer.supply-empty", "if-mib host.link-down"}
        & found
    )


def drive(samples: Iterable[Sample]) -> list[str]:
    return [rule for rule, _ in raised((s.component, s.signal, s.value, s.state) for s in samples)]


@needs("smart")
def test_a_recorded_drive_with_real_defects_has_one_alarm_and_a_healthy_one_none():
    ill = healthy = 0
    for path in sorted((DATA / "smart").rglob("*.json")):
        try:
            report = read_report("drives", json.loads(path.read_text(encoding="utf-8", errors="replace")))
        except ValueError:
            continue  # a list of devices, or not of smartctl
        defects = [each for each in report.findings if "error log" not in each]
        assert drive(report.samples) == (["drive.ill"] if defects else []), path.name
        ill, healthy = ill + bool(defects), healthy + (not defects)
    assert ill >= 8
    assert healthy >= 100
