from __future__ import annotations

import pytest

from tillwatch.collector.alarm.rules import RulesError, duration, parse_rules, shipped_text, together

RULE = """[[rule]]
id = "x"
signal = "host.cpu.percent"
above = [{limit = 90, level = 3}]
text = "t"
cause = "c"
consequence = "c"
action = "a"
owner = "o"
review = "2027-01-01"
"""


def test_a_site_changes_a_rule_key_by_key_and_adds_its_own():
    rules = parse_rules('[fold]\nreopen = "5m"\n[[rule]]\nid = "disk.full"\nfor = "1s"\n' + RULE)
    assert rules.reopen_ns == 300 * 10**9
    assert rules.by_id["disk.full"].limits.for_ns == 10**9
    assert rules.by_id["disk.full"].limits.above == parse_rules().by_id["disk.full"].limits.above
    assert [r.id for r in rules.by_signal["host.cpu.percent"]] == ["x"]


def test_a_site_does_without_a_rule_and_says_why():
    rules = parse_rules('[[rule]]\nid = "disk.full"\noff = "the landlord watches it"\n')
    assert "disk.full" not in rules.by_id
    assert "host.disk.percent" not in rules.by_signal


def test_a_rule_of_several_signals_is_found_by_each_of_them():
    rules = parse_rules()
    assert rules.by_id["ups.on-battery"] in rules.by_signal["ups.output.source"]
    assert rules.by_id["ups.on-battery"] in rules.by_signal["ups.mains"]
    assert rules.by_id["ups.on-battery"].signal == "ups.output.source"


@pytest.mark.parametrize(
    ("pattern", "component", "meant"),
    [
        ('"switch/net:uplink*"', "switch/net:uplink 1", True),
        ('"switch/net:uplink*"', "switch/net:port 1", False),
        ('["a/*", "b"]', "b", True),
        ('["*", "!*/memory:spare"]', "router/memory:main", True),
        ('["*", "!*/memory:spare"]', "router/memory:spare", False),
        ('"!b"', "a", True),
        ('"!b"', "b", False),
    ],
)
def test_a_rule_is_about_the_components_that_its_patterns_name(pattern, component, meant):
    where = parse_rules(RULE + f"component = {pattern}\n").by_id["x"].component
    assert bool(where.match(component)) is meant


def test_a_table_of_an_older_version_is_read_in_a_replay():
    older = """
[fold]
silent_after = 3.0
silent_least = "90s"
default_interval = "60s"
reopen = "30m"
"""
    rules = parse_rules("[[typo]]\n", shipped=older + RULE, replay=True)
    assert rules.by_id["x"].signals == ("host.cpu.percent",)
    assert rules.no_alarm == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[rule]\n", "site rules"),
        ("[[rule]]\nfor = '1s'\n", "without an id"),
        (RULE.replace("action", "akshun"), "unknown key 'akshun'"),
        (RULE.replace('action = "a"', 'action = " "'), "no alarm"),
        (RULE.replace("level = 3", "level = 4"), "must get graver"),
        (
            RULE.replace("[{limit = 90, level = 3}]", "[{limit = 90, level = 2}, {limit = 97, level = 3}]"),
            "must get graver",
        ),
        (RULE.replace("[{limit = 90, level = 3}]", "90"), "is a list such as"),
        (RULE.replace('signal = "host.cpu.percent"\n', ""), "needs a signal"),
        (RULE + "for = '10'\n", 'write "90s"'),
        (RULE.replace('"host.cpu.percent"', '["host.cpu.percent", "host.memory.percent"]'), "are of one signal"),
        (RULE.replace('"host.cpu.percent"', "[3]"), "signal is a name of the catalogue"),
        (RULE + "latched = 'yes'\n", "latched is true or false"),
        (RULE + "component = 3\n", "component is a pattern"),
        (RULE + "off = true\n", "off is the reason"),
        ("[[rule]]\nid = 'clock.suspect'\noff = 'no clock'\n", "not for the collector's own rules"),
        (RULE + "judged = { warn = 0 }\n", "a level is 1"),
        (RULE.replace("above = [{limit = 90, level = 3}]", "words = { busy = 0 }"), "a level is 1"),
        ("[[rules]]\nid = 'x'\n", "unknown table 'rules'"),
        ("[fold]\nsilent = 3\n", "unknown key 'silent'"),
    ],
)
def test_a_wrong_table_is_told_with_rule_and_mend(text, said):
    with pytest.raises(RulesError, match=said):
        parse_rules(text)


def test_the_rules_of_the_collector_itself_must_be_there():
    with pytest.raises(RulesError, match=r"terminal\.silent"):
        parse_rules(
            shipped=shipped_text()
            .replace('id = "terminal.silent"', 'id = "terminal.quiet"')
            .replace("words = { offline = 2, silent = 2 }", 'signal = "ups.mains"\nwords = { failed = 2 }')
        )


@pytest.mark.parametrize(
    ("text", "ns"), [("250ms", 250_000_000), ("1.5s", 1_500_000_000), ("2h", 7200 * 10**9), ("1d", 86400 * 10**9)]
)
def test_durations(text, ns):
    assert duration(text, "here") == ns


@pytest.mark.parametrize(
    ("one", "other", "nearest"),
    [
        ("atm/Printer1 paper:upper", "atm/Printer1 paper:upper", "component"),
        ("atm/Printer1 paper:upper", "atm/Printer1", "unit"),
        ("atm/Printer1", "atm/CardReader", "device"),
        ("ups/low battery", "ups/input:1", "device"),
        ("ups", "ups/input:1", "device"),
        ("ups", "ups2", "terminal"),
        ("host/disk:/", "drives/drive:7", "terminal"),
    ],
)
def test_how_near_two_components_lie(one, other, nearest):
    near = [within for within in ("component", "unit", "device", "terminal") if together(within, one, other)]
    assert near[0] == nearest
    assert near == [within for within in ("component", "unit", "device", "terminal") if together(within, other, one)]
    assert near[-1] == "terminal"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('axis = "health"', "axis is one of fitness, supply, security"),
        ('party = "nobody"', "party is one of hardware"),
        ('within = "room"', "within is one of component, unit, device, terminal"),
        ('follows = "disk.fool"', "follows names 'disk.fool', which is no rule"),
        ('symptom_of = ["weather"]', "symptom_of is of power, network, host"),
        ('common = "rain"', "common is one of reach, mains"),
        ('settle = "soon"', "settle: 'soon' is not a duration"),
    ],
)
def test_a_relation_that_is_none_is_told_with_its_rule(line, said):
    with pytest.raises(RulesError, match=f"disk.full.*{said}"):
        parse_rules(f'[[rule]]\nid = "disk.full"\n{line}\n')
