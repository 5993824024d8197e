"""Alerts of other monitoring systems, as people meet them: a ticket for each, its end, its return, and what happens when they come in hundreds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.collector.sending import T0, S
from tests.collector.stories.stage import HOUR, MINUTE, PATIENT, Stage
from tillwatch.collector.alarm.rules import EXTERNAL
from tillwatch.collector.incident.alerting import MAX_OPEN
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.incident_check import _broken
from tillwatch.collector.intake.alertmanager import AlertsSettings, facts_of
from tillwatch.collector.journal import Kind
from tillwatch.collector.tickets.message import Op

SETTINGS = AlertsSettings(secret_env="PROMETHEUS_TOKEN")


def iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1e9, UTC).isoformat()


def says(
    stage: Stage, status: str = "firing", name: str = "aa11", since: int = 0, source: str = "prometheus", **labels: str
) -> None:
    """The other system sends a body, which becomes entries of the journal."""
    alert = {
        "status": status,
        "fingerprint": name,
        "labels": {"alertname": "HighLatency", "severity": "critical"} | labels,
        "annotations": {"summary": "Transactions take 9 s"},
        "startsAt": iso(since or stage.now),
        "endsAt": iso(stage.now) if status == "resolved" else "0001-01-01T00:00:00Z",
    }
    body = json.dumps({"version": "4", "alerts": [alert]}).encode()
    for facts in facts_of(source, body, SETTINGS, stage.now):
        stage.enter(Kind.OPERATOR, "", facts)


def found(stage: Stage, *states: str) -> list[Incident]:
    return [each for each in stage.incidents(*states) if each.fault == EXTERNAL]


def test_an_alert_is_an_incident_of_the_terminal_that_it_names(stage: Stage) -> None:
    stage.terminal("atm-1")
    says(stage, terminal="atm-1", component="app", since=stage.now - 5 * MINUTE)
    [incident] = found(stage)
    assert (incident.state, incident.scope, incident.terminal, incident.branch, incident.component, incident.level) == (
        "open", "terminal", "atm-1", "hill", "app", 1,
    )  # fmt: skip
    assert incident.occurred_at == T0 - 5 * MINUTE
    [message] = stage.told
    assert (message.op, message.fault, message.terminal, message.component) == (Op.OPEN, EXTERNAL, "atm-1", "app")
    assert "Transactions take 9 s" in message.what
    assert message.cause == "Transactions take 9 s"
    assert len(incident.corr_id) <= 40
    opened = stage.log(incident.corr_id)[0].detail
    assert opened["text"] == "prometheus: alertname=HighLatency component=app severity=critical terminal=atm-1"


@pytest.mark.parametrize(
    ("labels", "place"),
    [
        ({"terminal": "nobody"}, ("fleet", "", "", "")),
        ({}, ("fleet", "", "", "")),
        ({"terminal": "nobody", "branch": "hill"}, ("branch", "", "hill", "north")),
        ({"branch": "elsewhere", "region": "north"}, ("region", "", "", "north")),
        ({"terminal": "atm-1", "branch": "elsewhere"}, ("terminal", "atm-1", "hill", "north")),
    ],
)
def test_its_place_is_what_the_fleet_knows(stage: Stage, labels: dict[str, str], place: tuple[str, ...]) -> None:
    stage.terminal("atm-1")
    says(stage, **labels)
    [incident] = found(stage)
    assert (incident.scope, incident.terminal, incident.branch, incident.region) == place


def test_its_end_is_told_and_a_person_confirms_it(stage: Stage) -> None:
    says(stage)
    stage.wait(10 * MINUTE)
    says(stage, "resolved", since=T0)
    [incident] = found(stage)
    assert incident.state == "restored"
    assert abs(incident.restored_at - stage.now) < S
    assert stage.ops(incident.corr_id)[-1] is Op.RESOLVE
    stage.act("resolve", incident=incident.corr_id, verdict="true_fault")
    assert found(stage)[0].state == "resolved"


def test_a_mild_one_is_resolved_with_its_end(stage: Stage) -> None:
    says(stage, severity="info")
    says(stage, "resolved", severity="info")
    [incident] = found(stage, "resolved")
    assert incident.level == 3
    assert stage.ops(incident.corr_id) == [Op.OPEN, Op.RESOLVE]


def test_what_is_said_again_is_one_ticket_and_no_news(stage: Stage) -> None:
    says(stage)
    with stage.quiet():
        says(stage, since=T0)
    stage.restart()
    with stage.quiet():
        says(stage, since=T0)
        says(stage, "resolved", "bb22")
    assert len(found(stage)) == 1


def test_another_label_set_another_source_are_others(stage: Stage) -> None:
    """Also where all of them are about one terminal: two faults of one kind are no mistake here."""
    stage.terminal("atm-1")
    says(stage, terminal="atm-1")
    says(stage, name="bb22", terminal="atm-1")
    says(stage, source="zabbix", terminal="atm-1")
    assert len({each.corr_id for each in found(stage, "open")}) == 3
    [(name, grade, _)] = _broken([], found(stage), stage.tickets(), [])
    assert (name, grade) == ("alarms and incidents", "ok")


def test_a_return_within_the_time_to_verify_opens_the_same_one_again(stage: Stage) -> None:
    says(stage)
    stage.wait(HOUR)
    says(stage, "resolved", since=T0)
    stage.restart()
    stage.wait(HOUR)
    says(stage)
    [incident] = found(stage, "open")
    assert stage.ops(incident.corr_id)[-2:] == [Op.RESOLVE, Op.OPEN]
    assert "reopened" in stage.kinds(incident.corr_id)
    assert incident.on_hold == ""
    assert incident.held[-1][2] == "working again"


def test_a_return_after_it_is_another_ticket(stage: Stage) -> None:
    says(stage, severity="info")
    says(stage, "resolved", severity="info")
    stage.wait(5 * HOUR)
    stage.restart()
    says(stage, severity="info")
    first, second = found(stage)
    assert (first.state, second.state) == ("closed", "open")
    assert first.corr_id != second.corr_id
    says(stage, "resolved", severity="info")
    assert found(stage, "resolved")[0].corr_id == second.corr_id


def test_one_that_is_long_forgotten_comes_back_under_another_name(stage: Stage) -> None:
    for _ in range(3):
        says(stage, severity="info")
        says(stage, "resolved", severity="info")
        stage.wait(24 * HOUR)
        assert stage.fold.book.alerts == {}
    assert len({each.corr_id for each in found(stage)}) == 3


def test_who_resolves_it_while_it_fires_is_told_so_when_it_is_said_again(stage: Stage) -> None:
    says(stage)
    [incident] = found(stage)
    stage.act("resolve", incident=incident.corr_id, verdict="true_fault")
    assert found(stage)[0].state == "resolved"
    stage.wait(HOUR)
    says(stage, since=T0)
    [incident] = found(stage, "open")
    assert incident.reopened == 1
    assert stage.ops(incident.corr_id) == [Op.OPEN, Op.RESOLVE, Op.OPEN]


def test_a_graver_word_is_told(stage: Stage) -> None:
    says(stage, severity="warning")
    [incident] = found(stage)
    stage.act("acknowledge", incident=incident.corr_id)
    says(stage, severity="critical")
    [incident] = found(stage)
    assert (incident.level, incident.state) == (1, "open")
    assert stage.told[-1].level == 1


def test_an_end_from_before_it_began_is_not_its_own(stage: Stage) -> None:
    """A pair of Alertmanagers tells the end of the last episode once more, late."""
    says(stage)
    stage.now -= 30 * MINUTE
    late = iso(stage.now)
    stage.now += 30 * MINUTE
    body = {"version": "4", "alerts": [{"status": "resolved", "fingerprint": "aa11", "labels": {}, "endsAt": late}]}
    for facts in facts_of("prometheus", json.dumps(body).encode(), SETTINGS, stage.now):
        stage.enter(Kind.OPERATOR, "", facts)
    assert found(stage)[0].state == "open"


def test_nobody_answers_and_the_next_one_is_told(stage: Stage) -> None:
    says(stage)
    [incident] = found(stage)
    stage.wait(HOUR)
    assert "escalated" in stage.kinds(incident.corr_id)
    stage.act("acknowledge", incident=incident.corr_id)
    assert found(stage)[0].owner == "li.wei"


def test_a_site_may_let_them_settle(staged: Any) -> None:
    stage = staged(rules=PATIENT + f'[[rule]]\nid = "{EXTERNAL}"\nsettle = "2m"\n')
    says(stage)
    stage.wait(MINUTE)
    says(stage, "resolved")
    says(stage)
    stage.wait(MINUTE)
    says(stage, "resolved")
    assert [each.state for each in found(stage)] == ["dropped", "dropped"]
    says(stage)
    stage.wait(3 * MINUTE)
    assert stage.tickets() == {found(stage, "open")[0].corr_id}
    stage.restart()
    stage.rebuilt()


def test_a_flood_is_so_many_tickets_and_one_more(stage: Stage) -> None:
    for i in range(MAX_OPEN + 30):
        says(stage, name=f"{i:04x}", severity="info")
    says(stage, name="0000", source="zabbix", severity="info")
    names = {each.alert for each in found(stage, "open")}
    assert len(names) == MAX_OPEN + 2
    assert {"prometheus/overflow", "zabbix/0000"} <= names
    stage.restart()
    says(stage, "resolved", name="0000", severity="info")
    [beyond] = [each for each in found(stage) if each.alert == "prometheus/overflow"]
    assert beyond.state == "restored"
    # There is room for one of those that found none, when it is said again.
    says(stage, name=f"{MAX_OPEN:04x}", severity="info")
    says(stage, name=f"{MAX_OPEN + 1:04x}", severity="info")
    names = {each.alert for each in found(stage, "open")}
    assert f"prometheus/{MAX_OPEN:04x}" in names
    assert f"prometheus/{MAX_OPEN + 1:04x}" not in names
    assert "prometheus/overflow" in names


def test_a_ticket_that_is_closed_while_it_fires_is_opened_again_after_the_grace(stage: Stage) -> None:
    stage.terminal("atm-1")
    for place in ({}, {"terminal": "atm-1"}):
        says(stage, name=f"aa{len(place)}", **place)
        [incident] = found(stage, "open")
        stage.ticket(incident.corr_id, "closed", by="zhang")
        stage.wait(10 * MINUTE)
        pending = stage.fold.book.incidents[incident.corr_id]
        assert pending.living
        assert pending.claim is not None
        stage.wait(10 * MINUTE)
        back = stage.fold.book.incidents[incident.corr_id]
        assert (back.living, back.claim, back.reopened) == (True, None, 1)
        says(stage, "resolved", name=f"aa{len(place)}", since=stage.now - MINUTE)
        stage.act("resolve", incident=incident.corr_id, verdict="true_fault")


def test_its_end_within_the_grace_bears_the_ticket_out(stage: Stage) -> None:
    says(stage)
    [incident] = found(stage)
    stage.ticket(incident.corr_id, "closed", by="zhang")
    stage.wait(5 * MINUTE)
    says(stage, "resolved", since=T0)
    stage.wait(HOUR)
    [incident] = found(stage, "resolved")
    assert (incident.claim, incident.reopened) == (None, 0)


def test_an_end_that_was_cut_to_the_second_is_its_end(stage: Stage) -> None:
    says(stage, since=stage.now - S // 2)
    stage.now -= S
    says(stage, "resolved", since=T0)
    assert found(stage)[0].state == "restored"
