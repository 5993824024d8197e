"""Incidents are listed and opened, and every alarm answers why somebody was told of it, or why not, out of a real store."""

from __future__ import annotations

import getpass
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.collector.desk import Desk
from tillwatch.agent.model import State

ME = getpass.getuser()


def keys(desk: Desk, about: str) -> list[str]:
    """What is said of it, in order."""
    why = desk.json("why", about)
    return [why["head"]["key"].removeprefix("why."), *(line["key"].removeprefix("why.") for line in why["lines"])]


def texts(desk: Desk, about: str) -> str:
    return desk.done("why", about)


def alarm_on(desk: Desk, terminal: str, rule: str) -> str:
    return next(str(row["id"]) for row in desk.json("alarms") if (row["terminal"], row["rule"]) == (terminal, rule))


def test_the_list_has_one_row_a_cause_with_its_next_target(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 99)
    heading, row = desk.done("incidents").splitlines()
    assert heading.split()[:3] == ["INCIDENT", "LEVEL", "STATE"]
    assert row.split()[1:5] == ["2", "open", "atm-1", "host/disk:/"]
    assert "response in" in row
    (view,) = desk.json("incidents")
    assert (view["fault"], view["alarms"], view["terminals"], view["scope"]) == ("disk.full", 1, 1, "terminal")
    assert [clock["kind"] for clock in view["clocks"]] == ["response", "repair"]
    assert view["clocks"][0]["target_s"] == 1800
    assert view["clocks"][0]["due"] > view["opened_at"]
    assert view["closed_at"] is None


def test_a_list_without_any_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, capsys)
    assert desk.done("incidents") == "no open incident\n"
    assert desk.done("incidents", "--all") == "no incident\n"


def test_settled_ones_are_listed_on_demand(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    assert desk.json("incidents") == []
    assert [view["state"] for view in desk.json("incidents", "--all")] == ["resolved"]


def test_one_incident_shows_its_alarms_clocks_escalation_history_and_what_can_be_done(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 99)
    name = desk.incidents()[0].id
    said = desk.done("incident", name[:9])
    assert said.startswith(f"{name}: level 2, open\natm-1 host/disk:/: ")
    for part in (
        "What decided",
        "Who was told",
        "Deadlines",
        "Escalation",
        "History",
        "What you can do now",
        "duty engineer",
        f"tillwatch-collector acknowledge {name}",
    ):
        assert part in said, part
    found = desk.json("incident", name)
    assert [member["role"] for member in found["members"]] == ["root"]
    assert found["members"][0]["alarm"]["isa_state"] == "UNACK"
    assert [step["role"] for step in found["steps"]][:2] == ["duty engineer", "backup engineer"]
    assert found["steps"][0]["done"] is True
    assert [event["kind"] for event in found["events"]][:3] == ["opened", "joined", "announced"]
    assert found["events"][0]["lines"][0]["text"] == "Found"
    desk.done("acknowledge", name)
    assert f"tillwatch-collector acknowledge {name}" not in desk.done("incident", name)


def test_an_id_that_fits_none_or_several_is_said(desk: Desk) -> None:
    desk.say("atm-1", "env/smoke", "env.smoke", "alarm")
    assert "there is no incident HWM-ffff" in desk.refused("incident", "HWM-ffffffff")
    assert "there is no incident HWM" in desk.refused("incident", "HWM-")
    with closing(sqlite3.connect(desk.path)) as db, db:
        db.execute("UPDATE incident SET corr_id = 'HWM-aaaa' || substr(corr_id, 9)")
    assert "HWM-aaaa fits 2 incidents: " in desk.refused("incident", "HWM-aaaa")
    assert "there is no alarm 99" in desk.refused("why", "99")


def test_why_of_a_fault_that_was_told(desk: Desk) -> None:
    desk.say("atm-1", "ups", "ups.battery.charge", 12)
    number = alarm_on(desk, "atm-1", "ups.battery-low")
    assert list(dict.fromkeys(keys(desk, number))) == [
        "yes", "rule", "below", "read", "level", "since", "lasted", "clears", "root", "announced", "escalated", "no_roster", "clock_due", "next", "waits",
    ]  # fmt: skip
    said = texts(desk, number)
    assert "ups.battery.charge was 12 %, below the limit of 20 %." in said
    assert "It has to last 10 s before it counts." in said
    assert "It ends when all has been well for 10 min." in said
    assert ": told duty engineer (phone, sms); it was the turn of duty engineer." in said
    desk.done("acknowledge", number)
    after = keys(desk, number)
    assert {"responded", "taken", "clock_met"} <= set(after)
    assert after.count("clock_due") == 1, "the repair goes on"


def test_why_not_of_one_that_is_shelved(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    desk.done("shelve", "1", "--hours", "2", "--reason", "sensor")
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    said = keys(desk, "1")
    assert said[0] == "no_shelved"
    assert "shelved" in said
    assert f"Not told: {ME} shelved it until " in texts(desk, "1")
    desk.done("unshelve", "1")
    said = keys(desk, "1")
    assert (said[0], "masked_before" in said, "shelved" in said) == ("yes", True, False)


def test_why_not_of_one_in_a_maintenance_window(desk: Desk) -> None:
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 20, lasting=400)
    window = desk.json(
        "maintain", "atm-1", "--to", "+3h", "--reason", "new disk", "--approved-by", "chen", "--change", "CHG-1"
    )
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    said = keys(desk, "1")
    assert said[0] == "no_maintenance"
    assert {"maintenance", "approved", "window_until"} <= set(said)
    text = texts(desk, "1")
    assert f"Maintenance window {window['id']}, set up by {ME}: new disk" in text
    assert "Approved by chen, change CHG-1." in text


def test_why_of_what_follows_from_another_fault(desk: Desk) -> None:
    desk.say("atm-1", "atm/CDM1", "atm.media", "jammed")
    desk.say("atm-1", "atm/CDM1", "atm.device", "hardwareError")
    consequence = alarm_on(desk, "atm-1", "atm.device")
    said = desk.json("why", consequence)
    assert said["told"] == "told"
    follows = next(line for line in said["lines"] if line["key"] == "why.follows")
    assert follows["values"]["component"] == "atm/CDM1"
    assert "it follows from “" in follows["text"]


def branch_on_battery(desk: Desk) -> None:
    names = [f"atm-{n}" for n in range(2, 6)]
    desk.enrol(*names, branch="Hill")
    for name in names:
        desk.say(name, "ups", "ups.output.source", "battery", lasting=16)
    desk.wait(120)


def test_why_of_what_has_one_cause_with_others(desk: Desk) -> None:
    branch_on_battery(desk)
    wide = next(view for view in desk.incidents() if view.scope == "branch")
    said = desk.json("why", alarm_on(desk, "atm-3", "ups.on-battery"))
    assert (said["told"], said["head"]["key"]) == ("not_told", "why.with_cause")
    common = next(line for line in said["lines"] if line["key"] == "why.common")
    assert common["values"]["place"] == "Hill"
    assert common["values"]["incident"] == wide.id
    assert re.search(r"[0-9] of [0-9] within 90 s", common["text"]), "the count"
    whole = desk.json("why", wide.id)
    assert {"why.concluded", "why.members"} <= {line["key"] for line in whole["lines"]}
    members = next(line for line in whole["lines"] if line["key"] == "why.members")
    assert (members["values"]["symptoms"], members["values"]["terminals"]) == (4, 4)
    row = next(row for row in desk.done("incidents").splitlines() if wide.id in row)
    assert "Hill (4 terminals)" in row


def test_why_of_what_a_device_elsewhere_explains(desk: Desk) -> None:
    async def server(world: Any) -> None:
        from tests.collector.sending import Sender

        desk.senders["srv-1"] = sender = Sender("srv-1")
        facts = {
            "terminal": "srv-1",
            "branch": "Harbour",
            "region": "North",
            "class": "server",
            "public": sender.key.public,
        }
        await world.pipeline.operate({"action": "enrol", **facts})
        await world.pipeline.take([sender.life(world.now)])

    desk.feed(server)
    desk.say("srv-1", "ups", "ups.output.source", "none", State.CRIT, lasting=30)
    desk.feed(lambda world: world.pipeline.take([desk.senders["atm-1"].life(world.now, state="offline")]))  # type: ignore[arg-type,return-value]
    desk.wait(200)
    silent = alarm_on(desk, "atm-1", "terminal.silent")
    said = desk.json("why", silent)
    assert said["head"]["key"] == "why.with_cause"
    explained = next(line for line in said["lines"] if line["key"] == "why.explained_power")
    assert (explained["values"]["terminal"], explained["values"]["component"]) == ("srv-1", "ups")


def test_why_not_yet_while_it_may_be_part_of_something_wider(desk: Desk) -> None:
    desk.say("atm-1", "ups", "ups.output.source", "battery", lasting=16)
    number = alarm_on(desk, "atm-1", "ups.on-battery")
    assert desk.json("why", number)["told"] == "waits"
    assert keys(desk, number)[0] == "not_yet"
    desk.say("atm-1", "ups", "ups.output.source", "normal", lasting=10)
    desk.say("atm-1", "ups", "ups.output.source", "battery", lasting=16)
    desk.wait(120)
    assert keys(desk, number)[0] == "yes"


def test_why_of_what_was_over_before_anybody_had_to_be_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk(tmp_path, capsys, rules='[[rule]]\nid = "ups.on-battery"\nhold = "1s"\n')
    desk.enrol("atm-1")
    desk.say("atm-1", "ups", "ups.output.source", "battery", lasting=16)
    desk.say("atm-1", "ups", "ups.output.source", "normal", lasting=2)
    desk.wait(120)
    assert keys(desk, "1")[0] == "never"
    assert "Not told: incident" in texts(desk, "1")


def test_the_ticket_is_part_of_the_answer(desk: Desk) -> None:
    waits = next(line for line in desk.json("why", "1")["lines"] if line["key"] == "why.waits")
    assert (waits["values"]["op_key"], waits["values"]["attempts"]) == ("op.open", 0)
    assert "A message (open) has waited for the ticket system since" in waits["text"]
    name = desk.incidents()[0].id
    with closing(sqlite3.connect(desk.path)) as db, db:
        db.execute("UPDATE outbox SET state = 'done', done_at = created_at + 1000000000")
        db.execute(
            "INSERT INTO ticket_link (incident, connector, external_id, url, state) VALUES (?, 'webhook', 'INC0042', 'https://desk.example/42', 'in progress')",
            (name,),
        )
    assert keys(desk, "1")[-2:] == ["ticket", "delivered"]
    assert "Ticket INC0042: in progress" in texts(desk, "1")
    with closing(sqlite3.connect(desk.path)) as db, db:
        db.execute("UPDATE outbox SET state = 'dead', answer = '410 Gone'")
    assert "messages were given up; the last answer: 410 Gone" in texts(desk, "1")


def test_a_terminal_says_what_it_is_worth_to_its_customers(desk: Desk) -> None:
    desk.say("atm-1", "ups", "ups.battery.charge", 12)
    shown = desk.done("show", "atm-1").splitlines()
    assert shown[1].startswith("degraded since 20")
    assert shown[1].endswith("(The battery of the UPS runs empty); answers for it: power")
    assert desk.json("show", "atm-1")["state"]["reason"] == "ups.battery-low"
    desk.done("life-cycle", "atm-1", "retired", "--reason", "sold")
    assert desk.done("show", "atm-1").splitlines()[1].startswith("retired since 20")
