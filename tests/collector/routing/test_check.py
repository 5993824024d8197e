"""What is wrong with a table that can be read: names that nothing has, rows that never come to anything, calls that go nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given

from tests.collector.routing.made import FACTS, TABLES, TIMES
from tests.collector.routing.site import CHANNELS, TICKETS, message, policy, table
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.routing.check import Known, Remark, examine
from tillwatch.collector.routing.decide import decide
from tillwatch.collector.routing.matching import RouteFacts
from tillwatch.collector.routing.table import RouteTable

KNOWN = Known(policy(), CHANNELS, ("atm.jam", "ups.on-battery"), today=date(2026, 11, 18).toordinal())
REST = '[[route]]\nname = "rest"\nticket = "desk"\n[[route]]\nname = "never"\nticket = "night"\n'
ALL_CALLS = '[[notify]]\nthrough = "mail"\n'


def said(text: str, known: Known = KNOWN, tickets: tuple[str, ...] = TICKETS) -> list[tuple[str, str]]:
    return [(each.state, each.text) for each in examine(table(text, tickets), known)]


def test_a_table_that_has_nothing_wrong() -> None:
    text = '[[route]]\nname = "night"\nhours = "service"\non_duty = "金库管理员"\nrule = "atm.*"\nticket = "night"\n'
    assert said(text + REST.split('[[route]]\nname = "never"', maxsplit=1)[0] + ALL_CALLS) == []
    assert list(examine(RouteTable(("desk",)), replace(KNOWN, channels=()))) == []
    assert list(examine(RouteTable(), replace(KNOWN, channels=()))) == []


@pytest.mark.parametrize(
    ("text", "state", "text_said"),
    [
        ('[[route]]\nname = "x"\nticket = "deks"\n', "fail", '[[route]] "x" ticket: there is no [tickets.deks]; did you mean "desk"?'),
        ('[[route]]\nname = "x"\nticket = "?"\n', "fail", '[[route]] "x" ticket: there is no [tickets.?]; write it into collector.toml, or name one that is there (known: desk, night)'),
        ('[[route]]\nname = "x"\nticket = "desk"\nhours = "busines"\n', "fail", '[[route]] "x" hours: there is no calendar "busines"; did you mean "business"?'),
        ('[[route]]\nname = "x"\nticket = "desk"\nnot_hours = "?"\n', "fail", '[[route]] "x" not_hours: there is no calendar "?"; write it into the policy, or correct the name (known: always, opening, business, service)'),
        ('[[route]]\nname = "x"\nticket = "desk"\non_duty = "金库管理"\n', "fail", '[[route]] "x" on_duty: there is no role "金库管理"; did you mean "金库管理员"?'),
        ('[[route]]\nname = "x"\nticket = "desk"\nnobody_on = ["director", "king"]\n', "fail", '[[route]] "x" nobody_on: there is no role "king"; write it into [role] of the policy, or correct the name'),
        ('[[route]]\nname = "x"\nticket = "desk"\nrule = ["atm.*", "atm.jm"]\n', "warn", '[[route]] "x" rule: "atm.jm" fits no rule; did you mean "atm.jam"?'),
        ('[[route]]\nname = "x"\nticket = "desk"\nto = 2026-11-17\n', "note", '[[route]] "x": it ended on 2026-11-17; take it out'),
        ('[[notify]]\nname = "n"\nthrough = "sms"\n', "fail", '[[notify]] "n" through: there is no [channels.sms]; write it into collector.toml'),
        ('[[notify]]\nname = "n"\nthrough = "mail"\nrole = "heads*"\n', "fail", '[[notify]] "n" role: there is no role "heads*"; '),
        ('[[notify]]\nname = "n"\nthrough = "mail"\nhours = "x"\n', "fail", '[[notify]] "n" hours: there is no calendar "x"; '),
        ('[fallback]\nrole = "king"\nchannel = "sms"\nthrough = "pager"\n', "fail", '[fallback] role: there is no role "king"; '),
        ('[fallback]\nrole = "king"\nchannel = "sms"\nthrough = "pager"\n', "fail", "[fallback] through: there is no [channels.pager]; "),
        ('[fallback]\nrole = "金库管理员"\nchannel = ["sms", "phone"]\nthrough = "mail"\n', "warn", "[fallback] channel: Chen Jun cannot be reached by sms or phone; write it into [person.chen]"),
        ('[contract.old]\nvendor = "V"\nto = 2026-11-17\n', "note", "[contract.old]: it ended on 2026-11-17; renew it, or take it out"),
        ('[contract.old]\nvendor = "V"\ncovers = { rule = "x" }\n', "warn", '[contract.old] rule: "x" fits no rule; '),
        ("", "fail", "there are 2 ticket systems (desk, night) and no [[route]] says which one gets what; write a table with a last row such as"),
        ('[[route]]\nname = "x"\nlevel = 1\nticket = "night"\n', "warn", 'no row takes whatever is left: that goes to "desk", the first of collector.toml; end with [[route]]'),
        (REST, "warn", '[[route]] "never": it never decides, since "rest" above always does; move it up, or take it out'),
        ('[[route]]\nname = "x"\nticket = "desk"\n', "note", "[tickets.night]: no row names it, so it gets nothing new"),
        ('[[notify]]\nthrough = "mail"\nchannel = "mail"\n', "warn", "no [[notify]] takes calls by phone, sms, as steps of the policy have them: "),
    ],
)  # fmt: skip
def test_what_is_wrong_and_what_to_do(text: str, state: str, text_said: str) -> None:
    assert any(each[0] == state and each[1].startswith(text_said) for each in said(text)), said(text)


def test_the_name_of_the_watchdog_is_taken() -> None:
    remarks = said(REST, tickets=("desk", "night", "drills"))
    assert ("fail", "[tickets.drills] in collector.toml: this name is the watchdog's; give it another one") in remarks


def test_a_ticket_system_and_a_channel_need_two_names() -> None:
    remarks = said(REST, replace(KNOWN, channels=("night",)))
    assert ("fail", "[tickets.night] and [channels.night] have one name; give one of them another") in remarks


def test_places_are_noted_where_terminals_are_known() -> None:
    text = '[[route]]\nname = "x"\nbranch = ["海港*", "山*"]\nclass = "bank"\nticket = "desk"\n' + REST
    assert not [each for each in said(text) if each[0] == "note"]
    known = replace(KNOWN, places={"branch": {"海港支行"}, "class": {"atm"}})
    assert [each for each in said(text, known) if each[0] == "note"] == [
        ("note", '[[route]] "x" branch: no terminal has one that fits "山*"'),
        ("note", '[[route]] "x" class: no terminal has one that fits "bank"'),
    ]


def test_without_channels_nothing_is_said_of_calls() -> None:
    assert said(REST.split('[[route]]\nname = "never"', maxsplit=1)[0], replace(KNOWN, channels=()), ("desk",)) == []


def test_the_first_ticket_system_gets_what_no_row_takes() -> None:
    text = '[[route]]\nname = "x"\nlevel = 1\nticket = "night"\n'
    assert not [each for each in said(text) if "no row names it" in each[1]]


def row(name: str, asks: str) -> str:
    return f'[[route]]\nname = "{name}"\nticket = "desk"\n{asks}\n'


@pytest.mark.parametrize(
    ("above", "below", "by"),
    [
        (["level = [1, 2]"], "level = 1", '"0" above always does'),
        (["level = 1", "level = [2, 3]"], "", '"0", "1" above always do'),
        (['scope = "terminal"', 'scope = ["branch", "region", "fleet"]'], "level = 2", '"0", "1" above always do'),
        (['branch = "海*"'], 'branch = ["海港", "海岛*"]\nhours = "business"', '"0" above always does'),
        (['hours = "business"'], 'hours = "business"\nlevel = 1', '"0" above always does'),
        (["from = 2026-10-01"], "from = 2026-10-02\nto = 2026-10-03", '"0" above always does'),
        (['on_duty = ["director", "section head"]'], 'on_duty = "director"', '"0" above always does'),
        (['nobody_on = "director"'], 'nobody_on = ["director", "section head"]', '"0" above always does'),
    ],
)
def test_a_row_that_never_decides(above: list[str], below: str, by: str) -> None:
    text = "".join(row(str(n), asks) for n, asks in enumerate(above)) + row("below", below)
    assert [each for _, each in said(text) if "never decides" in each] == [
        f'[[route]] "below": it never decides, since {by}; move it up, or take it out'
    ]


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("level = 1", ""),
        ("level = 1\nhours = 'business'", "level = 1"),
        ('branch = "海港"', 'branch = "海*"'),
        ("to = 2026-10-02", "from = 2026-10-01"),
        ("from = 2026-10-02", "from = 2026-10-01"),
        ("from = 2026-10-02", ""),
        ('on_duty = "director"', 'on_duty = ["director", "section head"]'),
        ('nobody_on = ["director", "section head"]', 'nobody_on = "director"'),
        ('component = "ups"', 'scope = "branch"'),
    ],
)
def test_a_row_that_may_decide(above: str, below: str) -> None:
    assert not [each for _, each in said(row("0", above) + row("below", below)) if "never decides" in each]


@given(TABLES, FACTS, TIMES)
def test_a_row_of_which_it_is_said_never_decides(rows: RouteTable, facts: RouteFacts, when: int) -> None:
    decided = decide(rows, facts, message(facts), when, policy()).row
    remarks = list(examine(rows, KNOWN))
    assert all(isinstance(each, Remark) for each in remarks)
    assert not any(each.text.startswith(f'[[route]] "{decided}": it never decides') for each in remarks if decided)


def test_of_a_policy_without_shifts_nobody_is_missed_in_the_fallback() -> None:
    text = '[fallback]\nrole = "director"\nchannel = "sms"\nthrough = "mail"\n' + ALL_CALLS
    bare = replace(KNOWN, policy=parse_policy())
    assert [each for each in said(text, bare) if "fallback" in each[1]] == []
