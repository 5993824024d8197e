from __future__ import annotations

import pytest

from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.predict.tables import TableError
from tillwatch.collector.predict.watched import check_rules, parse_watched
from tillwatch.device_profiles.catalogue import kept_catalogue

SHIPPED = parse_watched()
RULES = parse_rules()


@pytest.mark.parametrize("each", SHIPPED.by_id.values(), ids=lambda each: each.id)
def test_every_entry_speaks_of_signals_and_words_that_there_are(each) -> None:
    signals = kept_catalogue().signals
    assert [name for name in (*each.signals, *filter(None, (each.whole,))) if name not in signals] == []
    for name in each.signals:
        assert (str(signals[name].kind) == "state") == (each.kind == "sensor")
        if each.sensed is not None:
            words = {word for word, _ in signals[name].states}
            assert {*each.sensed.low, *each.sensed.out, *each.sensed.unclear} <= words


def test_every_rule_that_is_named_has_a_limit() -> None:
    check_rules(SHIPPED, RULES)
    named = {each.rule for each in SHIPPED.by_id.values()} - {""}
    assert named <= set(RULES.by_id)


def test_a_limit_is_that_of_the_rule() -> None:
    disk = SHIPPED.by_id["disk.space"]
    assert disk.limit_at(RULES) == 97, "the gravest"
    mild = parse_watched('[[watched]]\nid = "disk.space"\nlevel = 3\n').by_id["disk.space"]
    assert mild.limit_at(RULES) == 90
    bank = parse_rules('[[rule]]\nid = "disk.full"\nabove = [{ limit = 80, level = 2 }]\n')
    assert disk.limit_at(bank) == 80
    without = parse_rules('[[rule]]\nid = "disk.full"\noff = "ours watches it"\n')
    assert disk.limit_at(without) is None
    check_rules(SHIPPED, without)


def test_a_limit_is_a_share_of_what_the_device_says() -> None:
    fills, capacity = SHIPPED.by_id["cash.fills"], SHIPPED.by_id["ups.capacity"]
    assert (fills.limit_at(RULES, 2500), capacity.limit_at(RULES, 9.0)) == (2500, pytest.approx(7.2))
    assert fills.limit_at(RULES) is None
    assert (fills.room(2300, 2500), fills.room(2600, 2500)) == (200, 0)
    assert SHIPPED.by_id["cash.empties"].room(2300, 0) == 2300


def test_components_are_chosen_by_pattern() -> None:
    assert [each.id for each in SHIPPED.of("host.memory.percent", "host/memory")] == ["host.memory"]
    assert SHIPPED.of("host.memory.percent", "router/memory:lsmpi_io") == ()
    assert {each.id for each in SHIPPED.of("atm.unit.count", "atm/CashDispenser unit:1")} == {
        "cash.empties",
        "cash.fills",
    }


def test_a_bank_changes_a_horizon_and_keeps_the_rest() -> None:
    site = '[[watched]]\nid = "ups.runtime"\nhorizon = 180\nlimit = 15\n'
    found = parse_watched(site).by_id["ups.runtime"]
    assert (found.horizon, found.limit, found.lead, found.rising) == (180, 15, 30, False)


@pytest.mark.parametrize(
    ("id_", "line", "said"),
    [
        ("ups.runtime", 'rule = "ups.load"', "limit: write either limit = a number, or rule"),
        ("ups.runtime", "lead = 100", "lead: planning takes 100 days"),
        ("ups.runtime", 'kind = "sensor"', "low: a sensor needs the words"),
        ("ups.runtime", "share = true", "share: a share needs limit, and whole"),
        ("ups.runtime", 'direction = "left"', "direction: 'left' is not known"),
        ("ups.runtime", 'of = "mode"', "of: 'mode' is not known"),
        ("disk.space", "level = 4", "level: is 1, 2 or 3"),
        ("paper.roll", 'out = ["low"]', "low: a sensor needs the words"),
    ],
)
def test_a_mistake_says_where_and_what_to_do(id_: str, line: str, said: str) -> None:
    with pytest.raises(TableError) as caught:
        parse_watched(f'[[watched]]\nid = "{id_}"\n{line}\n', "bank.toml")
    assert f"[[watched]] {id_}, {said}" in str(caught.value)


def test_a_rule_without_a_limit_of_its_direction_is_a_mistake() -> None:
    watch = parse_watched('[[watched]]\nid = "disk.space"\nrule = "ups.battery-low"\n')
    with pytest.raises(TableError, match=r"disk\.space, rule: ups\.battery-low has no limit above"):
        check_rules(watch, RULES)
