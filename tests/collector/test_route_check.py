"""What the doctor says of the table of routes, with what is enrolled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.collector.desk import Desk
from tests.collector.sending import T0
from tests.collector.test_routes import DESK
from tillwatch.collector.config import Config, load_config
from tillwatch.collector.route_check import counted, examine_routes, examined

REST = '[[route]]\nname = "rest"\nticket = "desk"\n'


@pytest.fixture
def site(desk: Desk) -> Desk:
    """With one terminal, atm-1 of the branch Harbour."""
    desk.file.write_text(desk.file.read_text() + DESK.format("desk") + '[tickets]\nroutes = "routes.toml"\n', "utf-8")
    return desk


def config(site: Desk, routes: str) -> Config:
    (site.file.parent / "routes.toml").write_text(routes, "utf-8")
    return load_config(site.file)


def said(site: Desk, routes: str) -> list[tuple[str, str, str]]:
    return list(examine_routes(config(site, routes), T0))


def test_a_table_that_is_in_order(site: Desk) -> None:
    assert said(site, REST) == [
        ("routes", "ok", f"{site.file.parent / 'routes.toml'}: rows for tickets: 1, for calls: 0; contracts: 0")
    ]


def test_a_table_with_which_the_collector_does_not_start(site: Desk) -> None:
    ((_, state, text),) = said(site, REST.replace('"desk"', '"dask"'))
    assert (state, text) == (
        "fail",
        '[[route]] "rest" ticket: there is no [tickets.dask]; did you mean "desk"?; the collector will not start with it',
    )
    ((_, state, text),) = said(site, "[[rote]]\n")
    assert state == "fail"
    assert text.endswith("did you mean 'route'?; the collector will not start with it")


def test_what_is_hardly_meant_so_is_a_warning_and_what_may_be_meant_so_is_none(site: Desk) -> None:
    ((_, state, text),) = said(site, REST + REST.replace("rest", "again"))
    assert (state, text.partition(",")[0]) == ("warn", '[[route]] "again": it never decides')
    assert [
        state
        for _, state, _ in said(site, REST.replace("ticket", 'branch = "Hill"\nticket') + REST.replace("rest", "all"))
    ] == ["ok"]


def test_places_are_those_of_the_terminals(site: Desk) -> None:
    text = '[[route]]\nname = "x"\nbranch = ["Harbour", "Hill"]\nregion = "North"\nterminal = "atm-*"\nclass = "vault"\nticket = "desk"\n'
    _, remarks = examined(config(site, text + REST), T0)
    assert [(each.state, each.text) for each in remarks] == [
        ("note", '[[route]] "x" branch: no terminal has one that fits "Hill"'),
        ("note", '[[route]] "x" class: no terminal has one that fits "vault"'),
    ]


def test_without_a_ticket_system_incidents_wait() -> None:
    ((subject, state, text),) = examine_routes(Config(), T0)
    assert (subject, state) == ("routes", "warn")
    assert text.startswith("no ticket system is configured")


def test_what_a_table_holds_in_words(site: Desk) -> None:
    table, _ = examined(config(site, ""), T0)
    assert counted(table) == "every incident goes to desk"


def test_the_doctor_looks_at_it(site: Desk, tmp_path: Path) -> None:
    (tmp_path / "routes.toml").write_text("[[rote]]\n", "utf-8")
    _, out, _ = site.call("doctor", "--json")
    found = [each for each in json.loads(out) if each["subject"] == "routes"]
    assert [each["state"] for each in found] == ["fail"]
