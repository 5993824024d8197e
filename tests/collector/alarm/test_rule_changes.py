"""A rule with other limits as TOML: what is written is read back as the very change, and nothing else of the rule moves."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.alarm.rule_changes import (
    CHANGED,
    OWN,
    SHIPPED,
    Changes,
    Origin,
    fragment,
    limits_of,
    origins,
    switched_off,
)
from tillwatch.collector.alarm.rules import parse_rules

BASE = parse_rules()
OWN_RULE = """
[[rule]]
id = "own.rule"
signal = "host.disk.percent"
above = [{ limit = 50, level = 3 }]
text = "x"
cause = "x"
consequence = "x"
action = "x"
owner = "x"
review = "2027-01-01"
[[rule]]
id = "disk.full"
hold = "7m"
text = "Disk is full here"
[[rule]]
id = "ups.on-battery"
owner = "duty engineer"
[[rule]]
id = "atm.paper"
off = "watched by the landlord"
"""


def test_a_rule_is_shipped_changed_or_the_banks_own() -> None:
    found = origins(parse_rules(OWN_RULE))
    assert found["own.rule"] == Origin(OWN)
    assert found["disk.full"] == Origin(CHANGED, ("hold", "text"))
    assert found["ups.on-battery"] == Origin(SHIPPED), "what is said again is no change"
    assert found["env.fire"] == Origin(SHIPPED)
    assert "atm.paper" not in found


def test_what_the_bank_does_without_is_told_with_its_reason() -> None:
    (off,) = switched_off(parse_rules(OWN_RULE))
    assert (off.id, off.why) == ("atm.paper", "watched by the landlord")
    assert off.text
    assert switched_off(BASE) == []


limits = st.lists(st.floats(-1e6, 1e6, allow_nan=False).map(lambda x: round(x, 3)), min_size=1, max_size=3, unique=True)
lengths = st.one_of(st.integers(0, 10**6).map(float), st.integers(1, 999).map(lambda ms: ms / 1000))


@given(
    st.booleans(),
    limits,
    st.one_of(st.none(), st.floats(0, 1000).map(lambda x: round(x, 4))),
    st.one_of(st.none(), lengths),
    st.one_of(st.none(), lengths),
)
def test_what_is_written_is_read_back(above: bool, steps: list[float], deadband: float | None, for_s: float | None, hold_s: float | None) -> None:  # fmt: skip
    laid = sorted(steps, reverse=not above)
    given = [(limit, 3 - k) for k, limit in enumerate(laid)]
    changes = Changes(above=given if above else None, below=None if above else given, deadband=deadband, for_s=for_s, hold_s=hold_s)  # fmt: skip
    before = BASE.by_id["disk.full"]
    after = parse_rules(fragment("disk.full", changes)).by_id["disk.full"]
    name = "above" if above else "below"
    assert [(limit, level) for side, limit, level in limits_of(after) if side == name] == given
    assert after.limits.deadband == (before.limits.deadband if deadband is None else pytest.approx(deadband))
    assert after.limits.for_ns == (before.limits.for_ns if for_s is None else round(for_s * 1e9))
    assert after.limits.hold_ns == (before.limits.hold_ns if hold_s is None else round(hold_s * 1e9))
    assert dataclasses.replace(after, limits=before.limits) == before


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.integers(1, 3), min_size=1, max_size=5))
def test_no_word_leaves_its_quotes(words: dict[str, int]) -> None:
    after = parse_rules(fragment("ups.on-battery", Changes(words=words))).by_id["ups.on-battery"]
    assert after.limits.words == words


def test_no_change_is_no_change() -> None:
    assert not Changes().any
    assert Changes(deadband=0.0).any
    assert fragment("disk.full", Changes(for_s=90)) == '[[rule]]\nid = "disk.full"\nfor = "90s"\n'
    assert fragment("disk.full", Changes(hold_s=7200, above=[(90, 3)])).splitlines()[2:] == [
        "above = [{ limit = 90, level = 3 }]",
        'hold = "2h"',
    ]
