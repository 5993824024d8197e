"""What is said of a component, in the reader's language."""

from __future__ import annotations

import pytest

from tillwatch.collector.alarm.diagnosis import load_cards
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.read import ComponentView
from tillwatch.collector.web.translation import Translation

OWN = '[[rule]]\nid = "disk.full"\ntext = "Disk is filling, call Mr Wang"\n'


@pytest.mark.parametrize(
    ("site", "reason", "english", "chinese"),
    [
        ("", "A disk fills up", "A disk fills up", "磁盘空间不足"),
        (OWN, "Disk is filling, call Mr Wang", "Disk is filling, call Mr Wang", "Disk is filling, call Mr Wang"),
        ("", "the agent cannot read it: timeout", "the agent cannot read it: timeout", "the agent cannot read it: timeout"),
        ("", "", "", ""),
    ],
    ids=["shipped", "the bank's own", "of no rule", "none"],
)  # fmt: skip
def test_the_reason_of_a_component_is_that_of_its_rule(site, reason, english, chinese):
    translation, rules = Translation(load_cards(None)), parse_rules(site)
    view = ComponentView("host/disk:/", "warn", reason, 0, 60.0, 0, ())
    assert translation.component(view, rules, "en").reason == english
    assert translation.component(view, rules, "zh").reason == chinese
