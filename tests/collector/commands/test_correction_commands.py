"""A drill goes the way of a fault and is marked as one; a correction stands, signed, beside what was recorded."""

from __future__ import annotations

import getpass
from contextlib import closing
from datetime import datetime

import pytest

from tests.collector.desk import Desk
from tests.collector.sending import S
from tillwatch.agent.wire import VerifyKey
from tillwatch.collector.proof.verify import verify_log
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import open_db
from tillwatch.collector.trust.authority import open_authority

DRILL = ("drill", "atm-1", "--rule", "ups.on-battery", "--component", "ups")


def test_a_drill_is_an_alarm_an_incident_and_a_ticket_all_marked(desk: Desk) -> None:
    made = desk.json(*DRILL, "--minutes", "20", "--level", "1")
    alarm = desk.alarm(made["alarm"])
    assert (alarm.drill, alarm.level, alarm.component, alarm.incident) == (True, 1, "drill/ups", made["incident"])
    desk.wait(90)
    incident = next(view for view in desk.incidents() if view.id == made["incident"])
    assert (incident.drill, incident.state) == (True, "open")
    assert "(drill)" in next(row for row in desk.done("incidents").splitlines() if incident.id in row)
    why = desk.json("why", str(made["alarm"]))
    drill = next(line for line in why["lines"] if line["key"] == "why.drill")
    assert drill["values"]["by"] == getpass.getuser()
    assert "is that very drill already" in desk.refused(*DRILL)
    desk.wait(20 * 60)
    assert desk.alarm(made["alarm"]).condition == "normal", "it ends by itself"


def test_a_drill_can_be_ended_and_resolved_as_one(desk: Desk) -> None:
    made = desk.json(*DRILL, "--level", "2")
    desk.wait(90)
    desk.done("acknowledge", made["incident"])
    assert "is over" in desk.done(*DRILL, "--end")
    assert "no drill of ups.on-battery runs on atm-1" in desk.refused(*DRILL, "--end")
    assert f"tillwatch-collector resolve {made['incident']} --verdict drill" in desk.done("incident", made["incident"])
    desk.done("resolve", made["incident"], "--verdict", "drill")
    assert next(view for view in desk.incidents(living=False) if view.drill).verdict == "drill"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("atm-1", "--rule", "ups.batery-low"), 1, "no rule is called ups.batery-low; did you mean ups.battery-low"),
        (("atm-2", "--rule", "ups.on-battery"), 1, "no terminal is called atm-2"),
        (("atm-1", "--rule", "ups.on-battery", "--minutes", "0"), 2, "--minutes takes 1 to 1440"),
    ],
)
def test_a_drill_that_cannot_be_is_refused(desk: Desk, words: tuple[str, ...], status: int, said: str) -> None:
    assert said in desk.refused("drill", *words, status=status)


def test_a_terminal_that_is_out_of_service_is_no_place_for_a_drill(desk: Desk) -> None:
    desk.done("life-cycle", "atm-1", "spare", "--reason", "in the store room")
    assert "atm-1 is spare: nobody would come for it" in desk.refused(*DRILL)


def test_a_correction_is_signed_and_stands_beside_the_record(desk: Desk) -> None:
    words = (
        "correct",
        "atm-1",
        "--from",
        "2026-01-05T09:00+08:00",
        "--to",
        "2026-01-05T11:00+08:00",
        "--reason",
        "move",
    )
    made = desk.json(*words, "--counts-as", "planned", "--party", "branch")
    assert (made["counts_as"], made["reason"], made["party"], made["by"]) == (
        "planned",
        "move",
        "branch",
        getpass.getuser(),
    )
    assert datetime.fromisoformat(made["since"]) == datetime.fromisoformat("2026-01-05T09:00+08:00")
    with closing(SqliteReader(desk.path)) as reader:
        (kept,) = reader.corrections("atm-1")
    assert kept.until - kept.since == 2 * 3600 * S
    own = VerifyKey(open_authority(desk.path.parent / "authority").ack_key.public)
    db = open_db(desk.path)
    assert verify_log(db, None, own=own).ok
    facts = next(detail for action, _, detail in desk.acts() if action == "correct")
    assert len(facts["signature"]) == 128
    assert (facts["from"], facts["to"]) == ("2026-01-05T01:00:00.000+00:00", "2026-01-05T03:00:00.000+00:00")
    row = next(row for row in desk.done("audit").splitlines() if " correct " in row)
    assert "counts_as=planned reason=move party=branch signature=made" in row
    assert desk.call("verify", "--log")[0] == 0
    db.close()
    code, out, error = desk.call(*words, "--counts-as", "up")
    assert code == 0
    assert "corrected to planned (move), this one counts now" in error
    assert "counts as up" in out
    with closing(SqliteReader(desk.path)) as reader:
        assert [one.counts_as for one in reader.corrections("atm-1")] == ["planned", "up"], "nothing is taken away"


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("2026-01-05T09:00", "2026-01-05T09:00", "--to: the end lies after the beginning"),
        ("2026-01-05", "+1h", "nothing is corrected that has not been yet"),
        ("yesterday", "now", "'yesterday' is no time"),
    ],
)
def test_a_correction_that_cannot_be_meant_is_refused(desk: Desk, since: str, until: str, said: str) -> None:
    error = desk.refused(
        "correct", "atm-1", "--from", since, "--to", until, "--counts-as", "up", "--reason", "x", status=2
    )
    assert said in error
