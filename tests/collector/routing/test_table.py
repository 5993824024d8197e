"""The table is read whole, and what cannot be used is refused with file, line, table and mend."""

from __future__ import annotations

from datetime import date

import pytest

from tests.collector.routing.site import TICKETS, table
from tillwatch.collector.routing.matching import Contract, Match
from tillwatch.collector.routing.sections import RouteError
from tillwatch.collector.routing.table import Fallback, Notify, Route, RouteTable, parse_routes


def test_all_that_a_table_may_hold() -> None:
    found = table()
    assert [each.name for each in found.routes] == ["机房核心", "under contract", "at night", "rest"]
    assert found.routes[0] == Route("机房核心", Match(levels=(1,), globs=(("class", ("server",)),)), "desk", "核心系统")
    assert found.routes[2].match == Match(not_hours="business", nobody_on=("section head",))
    assert found.notify[0] == Notify("短信", Match(), (), ("sms",), ("sms-gateway",))
    assert found.notify[1] == Notify("heads", Match(levels=(1, 2)), ("section*",), (), ("heads-group", "mail"))
    assert found.fallback == Fallback((1, 2), ("section head", "duty engineer"), ("sms", "phone"), ("sms-gateway",))
    assert found.contracts == {
        "北方维保": Contract(
            "北方维保", "北方机具", "NM-118", "+86 10 5550 0199",
            ((("class", ("atm",)), ("component", ("atm*", "cardreader*"))),),
            date(2026, 1, 1).toordinal(), date(2026, 12, 31).toordinal(),
        )
    }  # fmt: skip
    assert found.catches_all


def test_an_empty_table_is_one_without_rows() -> None:
    assert table("") == RouteTable(TICKETS, source="routes.toml")
    assert not table("").catches_all


def test_one_table_covers_as_a_list_of_one_does() -> None:
    one = table('[contract.a]\nvendor = "V"\ncovers = { class = "atm" }')
    assert one.contracts == table('[contract.a]\nvendor = "V"\n[[contract.a.covers]]\nclass = "atm"').contracts


def test_rows_for_calls_need_no_name() -> None:
    row = '[[notify]]\nthrough = "sms"\n'
    assert [each.name for each in table(row * 2).notify] == ["number 1", "number 2"]


REST = '[[route]]\nname = "rest"\nticket = "desk"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[route]\n", "routes.toml, line 1: not TOML: "),
        ("[[routes]]\n", "routes.toml, line 1: unknown table 'routes'; did you mean 'route'?"),
        ("[fallbak]\n", "routes.toml, line 1: unknown table 'fallbak'; did you mean 'fallback'?"),
        ("[route]\n", "routes.toml, line 1: [[route]] is a list of tables; write [[route]] before each"),
        ("route = [1]\n", "routes.toml: [[route]] number 1, is a table; write"),
        (REST + 'qeue = "a"\n', "routes.toml, line 4: [[route]] number 1, unknown key 'qeue'; did you mean 'queue'?"),
        (REST + 'zone = "a"\n', "routes.toml, line 4: [[route]] number 1, unknown key 'zone'; known here: name, from, to, level,"),
        (REST + "level = 4\n", "routes.toml, line 4: [[route]] number 1, level = '4': write 1, 2 or 3"),
        (REST + 'level = "1"\n', "routes.toml, line 4: [[route]] number 1, level = '1': write 1, 2 or 3"),
        (REST + "level = []\n", "routes.toml, line 4: [[route]] number 1, level = '[]': write 1, 2 or 3"),
        (REST + "level = true\n", "routes.toml, line 4: [[route]] number 1, level = 'True': write 1, 2 or 3"),
        (REST + "branch = []\n", "routes.toml, line 4: [[route]] number 1, branch = '[]': an empty list matches nothing"),
        (REST + "branch = 7\n", "routes.toml, line 4: [[route]] number 1, branch = '7': write a text or a list of texts"),
        (REST + 'scope = "town"\n', "routes.toml, line 4: [[route]] number 1, scope = 'town': 'town' is no scope; write one or more of terminal"),
        (REST + "from = 2026-10-02\nto = 2026-10-01\n", "routes.toml, line 5: [[route]] number 1, to = '2026-10-01': it must not lie before from"),
        (REST + "from = 2026-10-02T10:00:00\n", "routes.toml, line 4: [[route]] number 1, from = '2026-10-02 10:00:00': write a date such as"),
        (REST + 'from = "2026-10-02"\n', "routes.toml, line 4: [[route]] number 1, from = '2026-10-02': write a date such as"),
        (REST + 'contract = "a*"\n', "routes.toml, line 4: [[route]] number 1, contract = 'a*': there is no [contract.NAME] that fits 'a*'; write that table"),
        (REST + 'contract = "a"\n[contract.b]\nvendor = "V"\n', "there is no [contract.NAME] that fits 'a'; known are b"),
        (REST + 'hours = "x"\nnot_hours = "x"\n', "routes.toml, line 5: [[route]] number 1, not_hours = 'x': nothing is both within and outside"),
        (REST + 'on_duty = "x"\nnobody_on = ["x", "y"]\n', "routes.toml, line 5: [[route]] number 1, nobody_on = "),
        (REST + "\n" + REST, "routes.toml, line 6: [[route]] number 2, name = 'rest': another row has this name already"),
        ('[[route]]\nname = "x"\n', "routes.toml, line 1: [[route]] number 1, ticket: write a text, in quotes"),
        ('[[route]]\nticket = "desk"\n', "routes.toml, line 1: [[route]] number 1, name: write a text, in quotes"),
        ("[[notify]]\n", "routes.toml, line 1: [[notify]] number 1, through: name at least one [channels.NAME]"),
        ('[[notify]]\nthrough = "a"\nchannel = "fax"\n', "routes.toml, line 3: [[notify]] number 1, channel = 'fax': write one or more of phone, sms, mail"),
        ('[fallback]\nrole = "x"\nthrough = "a"\n', "routes.toml, line 1: [fallback] channel: write a text or a list of texts"),
        ('[fallback]\nrole = "x"\nchannel = "sms"\n', "routes.toml, line 1: [fallback] through: name at least one"),
        ('[contract.a]\nnumber = "1"\n', "routes.toml, line 1: [contract.a] vendor: write a text, in quotes"),
        ('[contract.a]\nvendor = "V"\n[[contract.a.covers]]\nlevel = 1\n', "routes.toml, line 4: [[contract.a.covers]] number 1, unknown key 'level'"),
        ('[contract.a]\nvendor = "V"\n[[contract.a.covers]]\n', "routes.toml, line 3: [[contract.a.covers]] number 1, is empty; write one or more of class"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(text: str, said: str) -> None:
    with pytest.raises(RouteError) as caught:
        parse_routes(text, "routes.toml", TICKETS)
    assert said in str(caught.value)
