"""`route` says which way an incident goes, row by row, and what is wrong with a table before it is in force."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgpack
import pytest

from tests.collector.conftest import World
from tests.collector.desk import Desk
from tests.collector.routing.site import POLICY, ROUTES
from tests.collector.sending import S, reading
from tests.collector.test_routes import DESK
from tillwatch.collector.routing.router import Router
from tillwatch.collector.routing.table import parse_routes

GOLDEN = Path(__file__).parent / "golden"
CHANNELS = "".join(
    f'[channels.{name}]\nkind = "webhook"\nurl = "https://out.bank.example/{name}"\nsecret_env = "S"\n'
    for name in ("sms-gateway", "mail", "heads-group")
)
SITE = '[tickets]\nroutes = "routes.toml"\n' + DESK.format("desk") + DESK.format("night") + CHANNELS
MORNING, NIGHT = "2026-11-18T10:00", "2026-11-18T22:00"
REST = '[[route]]\nname = "rest"\nticket = "desk"\n'


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """Two ticket systems, a table and a roster; the disk of a terminal of the branch 海港支行 is full: level 2, the duty engineer is called."""
    made = Desk(tmp_path, capsys, policy=POLICY)
    made.file.write_text(made.file.read_text() + SITE, "utf-8")
    table(made, ROUTES)
    made.enrol("atm-1", branch="海港支行", region="north")
    made.say("atm-1", "host/disk:/", "host.disk.percent", 99)
    return made


def table(site: Desk, text: str) -> str:
    path = site.file.parent / "routes.toml"
    path.write_text(text, "utf-8")
    return str(path)


def explained(site: Desk, *more: str) -> str:
    said = site.done("route", "--explain", site.incidents()[0].id, *more)
    return said.replace(str(site.file.parent / "routes.toml"), "routes.toml")


def settled(site: Desk, person: str = "wang", channels: tuple[str, ...] = ("phone", "sms")) -> None:
    """The last call is for this person, whatever the time of day is at which the test runs."""
    with closing(sqlite3.connect(site.path)) as db, db:
        seq = db.execute("SELECT max(seq) FROM incident_event WHERE kind IN ('escalated', 'reminded')").fetchone()[0]
        body = msgpack.packb({"roles": ["duty engineer"], "people": [[person, *channels]], "nobody": []})
        db.execute("UPDATE incident_event SET body = ?, at = 1795000000000000000 WHERE seq = ?", (body, seq))


@pytest.mark.parametrize(("name", "at"), [("route_morning", MORNING), ("route_night", NIGHT)])
def test_the_way_of_an_incident_row_by_row(site: Desk, name: str, at: str) -> None:
    settled(site)
    assert explained(site, "--at", at) == (GOLDEN / f"{name}.txt").read_text("utf-8")


def test_the_same_as_json(site: Desk) -> None:
    settled(site)
    name = site.incidents()[0].id
    found = site.json("route", "--explain", name, "--at", NIGHT)
    assert (found["incident"], found["at"][:10], found["row"]) == (name, "2026-11-18", "at night")
    assert found["ticket"] == {"connector": "night", "queue": ""}
    assert found["facts"] == {
        "level": 2, "component": "host/disk:/", "rule": "disk.full", "branch": "海港支行", "region": "north", "terminal": "atm-1",
        "terminal_class": "atm", "scope": "terminal",
    }  # fmt: skip
    assert found["told"] == [
        {"role": "duty engineer", "person": "王芳", "channel": "phone", "notify": []},
        {
            "role": "duty engineer",
            "person": "王芳",
            "channel": "sms",
            "notify": [{"connector": "sms-gateway", "channel": "sms", "contact": "+86 139 5550 0101"}],
        },
    ]
    assert [(row["kind"], row["name"], row["matched"]) for row in found["rows"]] == [
        ("route", "机房核心", False), ("route", "under contract", False), ("route", "at night", True), ("route", "rest", True),
        ("notify", "短信", True), ("notify", "heads", False),
    ]  # fmt: skip
    assert found["undelivered"] == {
        "after_s": 300.0,
        "notify": [{"connector": "sms-gateway", "channel": "sms", "contact": "+86 139 5550 0102"}],
        "why": "duty engineer: Li Na by sms",
    }


OPENED = """
[[route]]
name = "disks"
component = "host/disk*"
ticket = "desk"
queue = "磁盘"
[[notify]]
role = "duty*"
through = "sms-gateway"
"""


def test_a_ticket_stays_where_the_collector_has_opened_it(site: Desk) -> None:
    """The store asks the router inside the transaction of the incident."""

    async def fault(world: World) -> None:
        router = Router(parse_routes(OPENED, "routes.toml", ("night", "desk")), lambda: world.pipeline.fold.book.policy)
        world.store.route = router.legs
        for _ in range(2):
            told = reading("host/disk:/data", "host.disk.percent", world.now, 99)
            await world.pipeline.take([site.senders["atm-1"].batch([told], world.now)])
            await world.tick(world.now + 400 * S)

    site.feed(fault)
    name = next(each.id for each in site.incidents() if each.component == "host/disk:/data")
    with closing(sqlite3.connect(site.path)) as db:
        rows = db.execute(
            "SELECT connector, op, queue, channel, contact FROM outbox WHERE incident = ? ORDER BY seq, id", (name,)
        ).fetchall()
    assert {row[:3] for row in rows if row[1] != "notify"} == {("desk", "open", "磁盘"), ("desk", "update", "磁盘")}
    calls = {(row[0], row[3], row[4]) for row in rows if row[1] == "notify"}
    wang = {("sms-gateway", "phone", "+86 10 5550 0101"), ("sms-gateway", "sms", "+86 139 5550 0101")}
    assert calls
    assert calls <= wang | {("sms-gateway", "sms", "+86 139 5550 0102")}
    said = site.done("route", "--explain", name, "--at", NIGHT)
    assert 'Ticket: desk; it was opened in "desk" and stays there' in said
    assert 'would decide, but the ticket stays with "desk"' in said


def test_the_beginning_of_an_id_is_enough_and_the_time_is_now_unless_said(site: Desk) -> None:
    name = site.incidents()[0].id
    assert site.done("route", "--explain", name[:9]).startswith(f"{name}: level 2, rule disk.full, scope terminal\n")


def test_a_drill_goes_to_the_watchdog(site: Desk) -> None:
    site.operate(
        action="drill", terminal="atm-1", rule="ups.on-battery", component="ups", level=1, minutes=30, end=False
    )
    site.wait(120)
    drill = next(each.id for each in site.incidents() if each.drill)
    said = site.done("route", "--explain", drill)
    assert "Ticket: drills; a drill: it goes to the watchdog's receiver and nowhere else" in said
    assert "rows are not asked of drills" in said
    assert "would go: a drill calls nobody\n" in said
    assert "-> " not in said


def test_calls_that_no_row_takes_are_said_so(site: Desk) -> None:
    table(site, REST)
    settled(site)
    said = explained(site)
    assert said.count("-> no row takes it: it stands in the ticket and reaches nobody") == 2
    assert "not delivered" not in said


def test_without_a_table_it_goes_to_the_one_ticket_system(site: Desk) -> None:
    text = site.file.read_text().partition("[tickets]")[0]
    site.file.write_text(text + DESK.format("desk"), "utf-8")
    assert "Ticket: desk; there are no rows: the first ticket system of collector.toml has it" in explained(site)
    site.file.write_text(text, "utf-8")
    assert "Ticket: nowhere yet, no ticket system is configured" in explained(site)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "write either --explain INCIDENT or --check"),
        (("--explain", "x", "--check"), 2, "write either --explain INCIDENT or --check"),
        (("--check", "--at", "now"), 2, "--at belongs to --explain"),
        (("--explain", "HWM-ffff"), 1, "there is no incident HWM-ffff; tillwatch-collector incidents lists them"),
        (("--check", "none.toml"), 2, "cannot read none.toml: No such file or directory"),
    ],
)
def test_what_cannot_be_said(site: Desk, words: tuple[str, ...], status: int, said: str) -> None:
    assert said in site.refused("route", *words, status=status)


def test_a_time_that_is_none(site: Desk) -> None:
    error = site.refused("route", "--explain", site.incidents()[0].id, "--at", "noon", status=2)
    assert "--at 'noon' is no time; write 2026-11-21T22:00 (by the clocks of Asia/Shanghai)" in error


def test_explaining_by_a_table_that_cannot_be_used_names_the_mend(site: Desk) -> None:
    path = table(site, REST.replace('"desk"', '"deks"'))
    error = site.refused("route", "--explain", site.incidents()[0].id, status=2)
    assert (
        error
        == f'tillwatch-collector: {path}: [[route]] "rest" ticket: there is no [tickets.deks]; did you mean "desk"?\n'
    )


# Checking.


@pytest.fixture
def checked(site: Desk) -> Desk:
    """The file's policy is the one that ships: checking is for the next start."""
    (site.file.parent / "policy.toml").write_text(POLICY, "utf-8")
    site.file.write_text(site.file.read_text() + '[policy]\nfile = "policy.toml"\n', "utf-8")
    return site


WHOLE = (
    ROUTES.replace("to = 2026-12-31", "to = 2099-12-31")
    + '[[notify]]\nname = "calls"\nchannel = ["phone", "mail"]\nthrough = "mail"\n'
)


def test_a_table_that_is_in_order(checked: Desk) -> None:
    path = table(checked, WHOLE)
    expected = f'note  [[route]] "机房核心" class: no terminal has one that fits "server"\nok    {path}: rows for tickets: 4, for calls: 3; contracts: 1\n'
    assert checked.done("route", "--check") == expected
    assert checked.done("route", "--check", path) == expected
    found = checked.json("route", "--check")
    assert (found["file"], [each["state"] for each in found["remarks"]]) == (path, ["note"])


def test_another_file_than_the_one_in_force(checked: Desk, tmp_path: Path) -> None:
    other = tmp_path / "new.toml"
    other.write_text(REST + REST.replace("rest", "again"), "utf-8")
    code, out, error = checked.call("route", "--check", str(other))
    assert (code, error) == (1, "")
    assert (
        'warn  [[route]] "again": it never decides, since "rest" above always does; move it up, or take it out'
        in out.splitlines()
    )
    assert "\nok" not in out
    code, out, _ = checked.call("route", "--check", str(other), "--json")
    assert (code, {each["state"] for each in json.loads(out)["remarks"]}) == (1, {"warn", "note"})


def test_names_that_are_not_there_are_all_told_at_once(checked: Desk) -> None:
    table(checked, REST.replace('"desk"', '"deks"') + '[[notify]]\nrole = "king"\nthrough = "fax"\n')
    code, out, _ = checked.call("route", "--check")
    assert code == 1
    assert [line[:4] for line in out.splitlines()].count("fail") == 3


def test_a_table_that_cannot_be_read_is_a_wrong_configuration(checked: Desk) -> None:
    path = table(checked, REST + "lvel = 1\n")
    assert f"{path}, line 4: [[route]] number 1, unknown key 'lvel'; did you mean 'level'?" in checked.refused(
        "route", "--check", status=2
    )
