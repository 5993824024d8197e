"""The table of routes is read from the file that the configuration names, and refused where an incident could not find its way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.collector.routing.site import POLICY, ROUTES
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.config import Config, ConfigError, parse_config
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.routes import checked_routes, known_of, read_routes
from tillwatch.collector.routing.check import Remark
from tillwatch.collector.routing.table import MAX_ROUTES, RouteTable

DESK = '[tickets.{}]\nkind = "webhook"\nurl = "https://desk.bank.example/hook"\nsecret_env = "S"\n'
RULES = parse_rules()


def config(folder: Path, *desks: str, routes: str | None = None) -> Config:
    """Written down, so that errors name files."""
    text = "".join(DESK.format(each) for each in desks)
    if routes is not None:
        (folder / "routes.toml").write_text(routes, "utf-8")
        text = '[tickets]\nroutes = "routes.toml"\n' + text
    (folder / "collector.toml").write_text(text, "utf-8")
    return parse_config(text, folder / "collector.toml")


def test_without_a_file_everything_goes_to_the_one_ticket_system(tmp_path: Path) -> None:
    assert checked_routes(config(tmp_path, "desk"), parse_policy(), RULES) == (RouteTable(("desk",)), ())
    assert checked_routes(config(tmp_path), parse_policy(), RULES) == (RouteTable(), ())


def test_several_ticket_systems_need_a_table(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_routes(config(tmp_path, "desk", "night"), parse_policy(), RULES)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'collector.toml'}: there are 2 ticket systems (desk, night) and no [[route]]")
    assert 'name = "rest", ticket = "desk"' in said
    assert 'routes = "routes.toml" in [tickets]' in said


def test_a_table_is_read_with_the_ticket_systems_in_their_order(tmp_path: Path) -> None:
    text = ROUTES.split("[[notify]]")[0] + '[contract."北方维保"]\nvendor = "北方机具"\n'
    table, remarks = checked_routes(config(tmp_path, "night", "desk", routes=text), parse_policy(POLICY), RULES)
    assert (table.tickets, len(table.routes), table.source) == (("night", "desk"), 4, str(tmp_path / "routes.toml"))
    assert remarks == ()


def test_what_is_not_grave_is_handed_on(tmp_path: Path) -> None:
    text = '[[route]]\nname = "x"\nlevel = 1\nticket = "desk"\n'
    _, remarks = checked_routes(config(tmp_path, "desk", routes=text), parse_policy(), RULES)
    assert [(each.state, each.text.partition(":")[0]) for each in remarks] == [
        ("warn", "no row takes whatever is left")
    ]
    assert isinstance(remarks[0], Remark)


@pytest.mark.parametrize(
    ("routes", "said"),
    [
        ('[[route]]\nname = "x"\nticket = "dask"\n', 'routes.toml: [[route]] "x" ticket: there is no [tickets.dask]; did you mean "desk"?'),
        ("[[rout]]\n", "routes.toml, line 1: unknown table 'rout'; did you mean 'route'?"),
        ("#" * (MAX_ROUTES + 1), "routes.toml: this is no table of routes, it is larger than 1 MiB"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used(tmp_path: Path, routes: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checked_routes(config(tmp_path, "desk", routes=routes), parse_policy(), RULES)
    assert str(caught.value).startswith(f"{tmp_path / said}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[tickets\] routes: cannot read .*none.toml: No such file or directory"):
        read_routes(config(tmp_path, "desk"), tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"# one\n# two \xff\n")
    with pytest.raises(ConfigError, match=r"odd.toml, line 2: a byte that is not UTF-8"):
        read_routes(config(tmp_path, "desk"), tmp_path / "odd.toml")


def test_places_are_unknown_without_a_store(tmp_path: Path) -> None:
    assert known_of(config(tmp_path, "desk"), parse_policy(), RULES, enrolled=True).places == {}
