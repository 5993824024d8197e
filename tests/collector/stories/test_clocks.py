"""Escalation on recorded time: over restarts, nights, holidays, make-up days and both changes of the clocks no step is skipped and none is doubled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.collector.sending import S
from tests.collector.stories.stage import DAY, HOUR, MINUTE, PATIENT, Stage

RULES = PATIENT + '[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'
STEPS = ["duty engineer", "backup engineer", "section head", "department manager"]


def at(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * S


def roles(stage: Stage) -> list[str]:
    """Who was told, in order, as the incident's own log has it."""
    (incident,) = stage.incidents()
    return [role for each in stage.log(incident.corr_id) if each.kind == "escalated" for role in each.detail["roles"]]


@pytest.mark.parametrize("minutes", [7, 10, 13, 30, 90])
def test_restarts_during_an_escalation(staged: Callable[..., Stage], minutes: int) -> None:
    """Each step once, whenever the collector is killed."""
    stage = staged(rules=RULES)
    stage.terminal("atm-1").disk(99)
    for _ in range(5 * 60 // minutes):
        stage.wait(minutes * MINUTE)
        stage.restart()
    stage.wait_until(stage.incident("disk.full").opened_at + 5 * HOUR)
    assert roles(stage) == [*STEPS, "section head", "department manager"]
    assert stage.incident("disk.full").missed == ("response", "repair")
    stage.rebuilt()


def test_steps_that_were_missed_come_together(staged: Callable[..., Stage]) -> None:
    """The collector was away for an hour: one message for all that fell due, and not one for each."""
    stage = staged(rules=RULES)
    stage.terminal("atm-1").disk(99)
    stage.wait(5 * MINUTE)
    before = len(stage.told)
    stage.restart(away=HOUR)
    stage.wait(S)
    (message,) = stage.told[before:]
    assert {role for role, _, _ in message.told} == {"backup engineer, section head, department manager"}
    assert message.at >= stage.now - 2 * S, "told now, and not at a time that is over"
    assert roles(stage) == STEPS
    stage.rebuilt()


def test_a_restart_before_it_is_told(staged: Callable[..., Stage]) -> None:
    """The time to settle goes on where it stood, and it is told once."""
    stage = staged()
    stage.terminal("atm-1").says("ups", "ups.output.source", "battery")
    for _ in range(12):
        stage.wait(10 * S)
        stage.restart()
    assert len(stage.tickets()) == 1
    incident = stage.incident("ups.on-battery")
    assert incident.announced_at - incident.opened_at == MINUTE
    stage.rebuilt()


SERVICE = """
[site]
time_zone = "{zone}"
[calendar.opening]
hours = "08:30-17:30"
[calendar.business]
hours = {{ mon-fri = "09:00-17:30" }}
holidays = ["CN"]
[holidays.CN]
days = ["2026-10-01", "2026-10-02", "2026-10-05", "2026-10-06", "2026-10-07"]
working_days = ["2026-09-27", "2026-10-10"]
[target.2]
hours = "{hours}"
response = "1h"
repair = "4h"
remind = "0s"
step = [
    {{ clock = "response", after = "0m", role = "duty engineer", channels = ["sms"] }},
    {{ clock = "response", after = "100%", role = "section head", channels = ["sms"] }},
    {{ clock = "repair", after = "100%", role = "department manager", channels = ["sms"] }},
]
"""
SHANGHAI, BERLIN = "Asia/Shanghai", "Europe/Berlin"


@pytest.mark.parametrize(
    ("zone", "hours", "found", "response", "repair"),
    [
        pytest.param(
            SHANGHAI, "business", "2026-09-22 16:30", "2026-09-22 17:30", "2026-09-23 12:00", id="over a night"
        ),
        pytest.param(
            SHANGHAI, "business", "2026-09-22 21:00", "2026-09-23 10:00", "2026-09-23 13:00", id="found at night"
        ),
        pytest.param(
            SHANGHAI, "business", "2026-09-26 12:00", "2026-09-27 10:00", "2026-09-27 13:00", id="a make-up Sunday"
        ),
        pytest.param(
            SHANGHAI, "business", "2026-09-30 17:00", "2026-10-08 09:30", "2026-10-08 12:30", id="over a golden week"
        ),
        pytest.param(
            SHANGHAI, "business", "2026-10-09 17:00", "2026-10-10 09:30", "2026-10-10 12:30", id="a make-up Saturday"
        ),
        pytest.param(
            BERLIN, "opening", "2026-10-24 16:30", "2026-10-24 17:30", "2026-10-25 11:30", id="clocks go back"
        ),
        pytest.param(
            BERLIN, "opening", "2027-03-27 16:30", "2027-03-27 17:30", "2027-03-28 11:30", id="clocks go forth"
        ),
        pytest.param(
            BERLIN, "always", "2026-10-25 00:30", "2026-10-25 01:30", "2026-10-25 03:30", id="within 25 hours"
        ),
        pytest.param(
            BERLIN, "always", "2027-03-28 00:30", "2027-03-28 01:30", "2027-03-28 05:30", id="within 23 hours"
        ),
    ],
)
def test_the_hours_of_the_branch(
    staged: Callable[..., Stage], zone: str, hours: str, found: str, response: str, repair: str
) -> None:
    """Times by the clocks of the branch. Restarted every day and a half: due times follow from the incident alone."""
    stage = staged(rules=RULES, policy=SERVICE.format(zone=zone, hours=hours))
    stage.wait_until(at(found, zone) - HOUR)
    atm = stage.terminal("atm-1")
    stage.wait(HOUR)
    atm.disk(99)
    end = stage.now + 12 * DAY
    while stage.now < end:
        stage.wait(36 * HOUR)
        stage.restart()
    log = {
        each.detail["roles"][0]: each.at for each in stage.log(stage.incidents()[0].corr_id) if each.kind == "escalated"
    }
    assert roles(stage) == ["duty engineer", "section head", "department manager"]
    assert abs(log["section head"] - at(response, zone)) < S
    assert abs(log["department manager"] - at(repair, zone)) < S
    stage.rebuilt()


ROSTER = """
[person.li]
name = "Li Wei"
phone = "1"
[person.chen]
name = "Chen"
sms = "2"
[[shift]]
role = "duty engineer"
people = ["li"]
hours = "06:00-18:00"
[[shift]]
role = "backup engineer"
people = ["chen"]
hours = "00:00-24:00"
"""


def test_nobody_is_on_duty(staged: Callable[..., Stage]) -> None:
    """The next step at once; the log says whom nobody stood in for."""
    stage = staged(rules=RULES, policy=ROSTER)
    stage.wait_until(at("2026-09-22 23:00", SHANGHAI))
    stage.terminal("atm-1").disk(99)
    stage.wait(S)
    assert {person for _, person, _ in stage.told[-1].told} == {"Chen"}
    (escalated,) = [each for each in stage.log(stage.incidents()[0].corr_id) if each.kind == "escalated"]
    assert escalated.detail["nobody"] == ["duty engineer"]
    stage.restart()
    stage.rebuilt()


def test_all_that_comes_of_it_is_due_at_once(staged: Callable[..., Stage]) -> None:
    """The collector was away for a week, and what a branch's line explained was about to be let go: it is released, settled and forgotten together."""
    stage = staged(rules=PATIENT + '[[rule]]\nid = "ups.on-battery"\nfor = "0s"\nhold = "0s"\n')
    server, atm = stage.terminal("server-hill", kind="server"), stage.terminal("atm-1")
    server.says("ups", "ups.output.source", "battery")
    atm.lost()
    stage.wait(5 * MINUTE)
    server.says("ups", "ups.output.source", "normal")
    stage.act("resolve", incident=stage.incident("ups.on-battery").corr_id, verdict="true_fault")
    stage.act("close", incident=stage.incident("ups.on-battery").corr_id)
    stage.restart(away=7 * DAY)
    stage.wait(5 * MINUTE)
    assert stage.incident("terminal.silent").announced
    stage.rebuilt()
