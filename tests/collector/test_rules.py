from __future__ import annotations

import pytest

from tillwatch.collector.rules import BUILT_IN, RulesError, duration, parse_rules, shipped_text
from tillwatch.device_profiles.catalogue import load_catalogue

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


def test_the_shipped_table_names_signals_and_words_of_the_catalogue():
    known = load_catalogue().signals
    for rule in parse_rules().by_id.values():
        if rule.signal:
            signal = known[rule.signal]
            assert set(rule.limits.words or ()) <= {word for word, _ in signal.states}, rule.id
            assert bool(rule.limits.words) == (signal.kind.value == "state"), rule.id
        else:
            assert rule.id in BUILT_IN


def test_a_site_changes_a_rule_key_by_key_and_adds_its_own():
    rules = parse_rules('[fold]\nreopen = "5m"\n[[rule]]\nid = "disk.full"\nfor = "1s"\n' + RULE)
    assert rules.reopen_ns == 300 * 10**9
    assert rules.by_id["disk.full"].limits.for_ns == 10**9
    assert rules.by_id["disk.full"].limits.above == parse_rules().by_id["disk.full"].limits.above
    assert [r.id for r in rules.by_signal["host.cpu.percent"]] == ["x"]


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
