"""Suppressing is of telling, never of watching: what is over behind a mask is over, and what lasts is told when the mask is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.collector.sending import S
from tests.collector.stories.stage import HOUR, MINUTE, PATIENT, Stage
from tillwatch.agent.model import State
from tillwatch.collector.alarm.alarms import CHILD, MAINTENANCE, SHELVED
from tillwatch.collector.incident.incidents import PLANNED, RESOLVED, RESTORED, SYMPTOM
from tillwatch.collector.incident.service_clocks import clocks_of, hours_of
from tillwatch.collector.tickets.message import Op

RULES = PATIENT + '[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'
DISK = ("disk.full", "atm-1", "host/disk:/")


def window(stage: Stage, since: int, until: int, scope: str = "atm-1") -> None:
    words = {"reason": "new disk", "approved_by": "chen", "change_ref": "C-1"}
    stage.act("window", id="w-1", scope=scope, **{"from": since, "to": until}, **words)


@pytest.fixture
def stage(staged: Callable[..., Stage]) -> Any:
    stage = staged(rules=RULES)
    stage.terminal("atm-1")
    yield stage
    stage.restart()
    stage.rebuilt()


def test_a_shelved_fault_that_ends_is_resolved(stage: Stage) -> None:
    atm = stage.players["atm-1"]
    atm.disk(99)
    stage.wait(MINUTE)
    (told,) = stage.tickets()
    stage.act("shelve", terminal="atm-1", alarm=1, until=stage.now + 8 * HOUR, reason="known", second="chen")
    stage.wait(HOUR)
    atm.disk(10)
    assert stage.incident("disk.full").state == RESTORED
    assert stage.ops(told)[-1] is Op.RESOLVE
    with stage.quiet():
        stage.wait(10 * HOUR)


def test_a_shelf_ends_while_the_fault_lasts(stage: Stage) -> None:
    """What was shelved before anybody was told is told then, and who had taken it on has it no more."""
    atm = stage.players["atm-1"]
    atm.disk(99)
    atm.disk(10)
    stage.wait(MINUTE)
    stage.act("shelve", terminal="atm-1", alarm=1, until=stage.now + 2 * HOUR, reason="known", second="chen")
    stage.wait(HOUR)
    with stage.quiet():
        atm.disk(99)
        stage.wait(59 * MINUTE)
    assert stage.alarm(*DISK).mask(SHELVED)
    stage.wait(MINUTE)
    assert stage.alarm(*DISK).mask(SHELVED) is None
    assert stage.told[-1].op is Op.OPEN
    assert stage.incident("disk.full").state == "open"


def test_nobody_is_hurried_for_what_is_shelved(stage: Stage) -> None:
    """The steps that fell due meanwhile come together when the shelf ends."""
    stage.players["atm-1"].disk(99)
    stage.wait(MINUTE)
    stage.act("shelve", terminal="atm-1", alarm=1, until=stage.now + 2 * HOUR, reason="known", second="chen")
    with stage.quiet():
        stage.wait(HOUR)
    stage.restart()
    with stage.quiet():
        stage.wait(59 * MINUTE)
    stage.wait(MINUTE)
    assert {role for role, _, _ in stage.told[-1].told} >= {"backup engineer, section head, department manager"}


def test_it_is_unshelved_by_hand(stage: Stage) -> None:
    atm = stage.players["atm-1"]
    atm.disk(99)
    stage.wait(MINUTE)
    stage.act("acknowledge", terminal="atm-1", alarm=1)
    stage.act("shelve", terminal="atm-1", alarm=1, until=stage.now + 2 * HOUR, reason="known")
    stage.act("unshelve", terminal="atm-1", alarm=1)
    assert stage.alarm(*DISK).isa_state == "UNACK"


def test_a_shelf_of_a_week_is_one_of_a_day(stage: Stage) -> None:
    stage.players["atm-1"].disk(99)
    stage.act("shelve", terminal="atm-1", alarm=1, until=stage.now + 7 * 24 * HOUR, reason="known")
    stage.wait(24 * HOUR + S)
    assert stage.alarm(*DISK).mask(SHELVED) is None


def test_maintenance_begins_and_ends_during_a_fault(stage: Stage) -> None:
    """It was told; nobody is hurried while the work is planned; then the clocks go on where they stood."""
    stage.players["atm-1"].disk(99)
    stage.wait(5 * MINUTE)
    (told,) = stage.tickets()
    window(stage, stage.now + 2 * MINUTE, stage.now + 3 * HOUR)
    stage.wait(2 * MINUTE)
    assert stage.incident("disk.full").on_hold == PLANNED
    assert stage.fold.standing.states["atm-1"].state == "maintenance"
    stage.restart()
    with stage.quiet():
        stage.wait(2 * HOUR)
    stage.wait(58 * MINUTE)
    incident = stage.incident("disk.full")
    assert (incident.on_hold, incident.state) == ("", "open")
    assert stage.alarm(*DISK).mask(MAINTENANCE) is None
    assert stage.tickets() == {told}
    assert stage.ops(told).count(Op.OPEN) == 1
    policy = stage.fold.book.policy
    spent = clocks_of(policy, incident)[1].spent(hours_of(policy, incident, "atm"), stage.now)
    assert spent.gross - spent.net == 3 * HOUR - 2 * MINUTE


def test_a_fault_that_ends_during_maintenance_is_over(stage: Stage) -> None:
    atm = stage.players["atm-1"]
    atm.disk(99)
    stage.wait(5 * MINUTE)
    (told,) = stage.tickets()
    window(stage, stage.now, stage.now + 3 * HOUR)
    stage.wait(HOUR)
    atm.disk(10)
    incident = stage.incident("disk.full")
    assert (incident.state, incident.on_hold) == (RESTORED, "")
    assert stage.ops(told)[-1] is Op.RESOLVE
    with stage.quiet():
        stage.wait(5 * HOUR)


def test_what_comes_and_goes_within_maintenance_is_nobodys(stage: Stage) -> None:
    atm = stage.players["atm-1"]
    window(stage, stage.now, stage.now + HOUR)
    with stage.quiet():
        stage.wait(MINUTE)
        atm.disk(99)
        stage.wait(MINUTE)
        atm.disk(10)
        stage.wait(2 * HOUR)
    assert [each.condition for each in stage.alarms()] == ["normal"]
    assert stage.incidents() == []


def test_what_maintenance_leaves_broken_is_told_at_its_end(stage: Stage) -> None:
    atm = stage.players["atm-1"]
    window(stage, stage.now, stage.now + HOUR)
    with stage.quiet():
        stage.wait(MINUTE)
        atm.disk(99)
        stage.wait(58 * MINUTE)
    stage.wait(MINUTE)
    assert stage.told[-1].op is Op.OPEN
    assert stage.incident("disk.full").opened_at == stage.now


def test_a_window_that_is_cancelled_ends_at_once(stage: Stage) -> None:
    window(stage, stage.now, stage.now + HOUR)
    stage.wait(MINUTE)
    stage.players["atm-1"].disk(99)
    assert stage.told == []
    stage.act("window-cancel", id="w-1")
    assert stage.told[-1].op is Op.OPEN
    assert stage.fold.standing.states["atm-1"].state != "maintenance"


def test_a_window_of_one_device_hides_no_other(stage: Stage) -> None:
    atm = stage.players["atm-1"]
    window(stage, stage.now, stage.now + HOUR, "atm-1/ups*")
    stage.wait(MINUTE)
    atm.disk(99)
    atm.says("ups", "ups.output.source", "battery")
    stage.wait(10 * MINUTE)
    assert {each.terminal + each.component for each in stage.told} == {"atm-1host/disk:/"}


def test_a_symptom_that_ends_is_followed(stage: Stage) -> None:
    """A child that is over leaves, and its ticket has one terminal less; its time is its own."""
    atms = [stage.terminal(f"hill-{i}") for i in range(5)]
    for atm in atms:
        atm.lost()
        stage.wait(S)
    stage.wait(3 * MINUTE)
    (told,) = stage.tickets()
    atms[0].back()
    alarm = stage.alarm("terminal.silent", "hill-0")
    assert (alarm.condition, alarm.mask(CHILD)) == ("normal", None)
    stage.wait(6 * MINUTE)
    last = [each for each in stage.told if each.incident == told][-1]
    assert last.affected_count == 4
    assert stage.members(told, SYMPTOM) == {atm.name for atm in atms}


def test_a_symptom_that_is_back_is_one_again(stage: Stage) -> None:
    """While the line is down its terminals come and go: none of them keeps the line's incident open, nor is told by itself before that is over."""
    server, atm = stage.terminal("server-hill", kind="server"), stage.players["atm-1"]
    server.says("switch", "net.wan.state", "failed", State.CRIT)
    stage.wait(10 * MINUTE)
    wan = stage.incident("net.wan").corr_id
    for _ in range(4):
        atm.lost()
        stage.wait(5 * MINUTE)
        alarm = stage.alarm("terminal.silent", "atm-1")
        assert (alarm.incident, alarm.mask(CHILD) is not None) == (wan, True)
        atm.back()
        stage.wait(5 * MINUTE)
        assert stage.alarm("terminal.silent", "atm-1").mask(CHILD) is None
    assert stage.incident("net.wan").level == stage.alarm("net.wan", "server-hill", "switch").level
    atm.lost()
    stage.wait(5 * MINUTE)
    server.says("switch", "net.wan.state", "up", State.OK)
    stage.wait(15 * MINUTE)
    assert stage.incident("net.wan").state == RESTORED
    assert stage.tickets() == {wan}
    stage.wait(15 * MINUTE)
    own = stage.alarm("terminal.silent", "atm-1").incident
    assert stage.tickets() == {wan, own}
    assert stage.incident("net.wan").state == RESTORED


def test_what_was_explained_elsewhere_opens_nothing_there_again(stage: Stage) -> None:
    """The line has been well for an hour: a terminal that is lost now is another matter."""
    server, atm = stage.terminal("server-hill", kind="server"), stage.players["atm-1"]
    server.says("switch", "net.wan.state", "failed", State.CRIT)
    stage.wait(10 * MINUTE)
    atm.lost()
    stage.wait(5 * MINUTE)
    atm.back()
    server.says("switch", "net.wan.state", "up", State.OK)
    stage.wait(HOUR)
    wan = stage.incident("net.wan")
    assert wan.state == RESTORED
    atm.lost()
    stage.wait(HOUR)
    assert stage.incident("net.wan") == wan
    assert stage.alarm("terminal.silent", "atm-1").incident not in ("", wan.corr_id)


def test_a_drill_is_one_to_the_end(stage: Stage) -> None:
    stage.act("drill", terminal="atm-1", rule="atm.jam", component="CDM1", minutes=10, level=2)
    stage.wait(MINUTE)
    assert stage.told
    assert all(each.drill for each in stage.told)
    assert stage.fold.standing.states["atm-1"].state == "in_service", "it is of no effect on any figure"
    stage.restart()
    stage.wait(HOUR)
    incident = stage.incident("atm.jam")
    assert (incident.drill, incident.state) == (True, RESTORED)
    stage.act("resolve", incident=incident.corr_id, verdict="drill")
    assert stage.incident("atm.jam").state == RESOLVED


def test_tampering_is_never_over_by_itself(stage: Stage) -> None:
    """The skimmer is gone. That does not say what it did."""
    atm = stage.players["atm-1"]
    atm.says("atm/IDC1", "atm.antifraud", "deviceDetected", State.CRIT)
    stage.wait(HOUR)
    atm.says("atm/IDC1", "atm.antifraud", "ok", State.OK)
    stage.wait(30 * 24 * HOUR)
    incident = stage.incident("atm.fraud")
    assert (incident.tamper, incident.state) == (True, "open")
    assert Op.RESOLVE not in stage.ops(incident.corr_id)
    stage.act("resolve", incident=incident.corr_id, verdict="true_fault", note="skimmer given to the police")
    assert stage.alarm("atm.fraud", "atm-1", "atm/IDC1").condition == "normal", "who resolves it has looked"
    assert stage.incident("atm.fraud").state == RESOLVED
    assert stage.ops(incident.corr_id)[-1] is Op.RESOLVE


def test_tampering_that_was_seen_waits_for_a_person(stage: Stage) -> None:
    atm = stage.players["atm-1"]
    atm.says("atm/IDC1", "atm.antifraud", "deviceDetected", State.CRIT)
    stage.wait(HOUR)
    incident = stage.incident("atm.fraud")
    stage.act("resolve", incident=incident.corr_id, verdict="false_alarm")
    assert stage.incident("atm.fraud").state == "open", "it is still there"
    atm.says("atm/IDC1", "atm.antifraud", "ok", State.OK)
    stage.act("acknowledge", terminal="atm-1", alarm=1, note="seen on the video")
    stage.wait(30 * 24 * HOUR)
    assert stage.incident("atm.fraud").state == "acknowledged"
    assert stage.alarm("atm.fraud", "atm-1", "atm/IDC1").condition == "normal"
    stage.act("resolve", incident=incident.corr_id, verdict="true_fault", note="skimmer given to the police")
    assert stage.ops(incident.corr_id)[-1] is Op.RESOLVE
    assert stage.incident("atm.fraud").state == RESOLVED
