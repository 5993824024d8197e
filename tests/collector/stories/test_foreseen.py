"""What is foreseen: planned work with a ticket of its own, never a fault, and one ticket together with the fault that it foresaw."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from tests.collector.sending import S
from tests.collector.stories.foreseen import found, over
from tests.collector.stories.stage import DAY, HOUR, MINUTE, PATIENT, Stage
from tillwatch.agent.model import State
from tillwatch.collector.alarm.alarms import CHILD
from tillwatch.collector.figures.rows import read_log
from tillwatch.collector.incident.incidents import CLOSED, DROPPED, OPEN, RESOLVED, SYMPTOM
from tillwatch.collector.incident.service_clocks import clocks_of
from tillwatch.collector.predict.finding import SOON, Grade, Record
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.tickets.message import Op

RULES = PATIENT + '[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'
SETTLE = 31 * MINUTE
DISK = "host/disk:/"


@pytest.fixture
def stage(staged: Callable[..., Stage]) -> Iterator[Stage]:
    stage = staged(rules=RULES)
    stage.terminal("atm-1")
    yield stage
    stage.restart()
    stage.rebuilt()


def runout(stage: Stage, **more: object):
    return found("atm-1", DISK, stage.now, family="runout", look="host.disk.percent", **more)


def test_a_finding_becomes_planned_work_that_hurries_nobody(stage: Stage) -> None:
    state = stage.fold.standing.states["atm-1"]
    with stage.quiet():
        stage.foretell(runout(stage))
        stage.wait(20 * MINUTE)
    stage.wait(11 * MINUTE)
    incident = stage.incident("predicted.runout")
    assert (incident.state, incident.level, stage.ops(incident.corr_id)) == (OPEN, 3, [Op.OPEN])
    assert "runs out" in str(stage.alarm("predicted.runout", "atm-1", DISK).detail["value"]) or stage.told[-1]
    with stage.quiet():
        stage.wait(30 * DAY)
    assert stage.fold.standing.states["atm-1"] == state, "it changes nothing of what the terminal is worth"
    now = stage.incident("predicted.runout")
    assert (now.steps, now.missed, now.level) == ((), (), 3)
    assert {each.on_hold for each in clocks_of(stage.fold.book.policy, now)} == {True}
    with closing(SqliteReader(stage.path)) as reader:
        shown = reader.terminal("atm-1")
        assert (shown.condition, shown.level) == ("ok", 0)
        (listed,) = reader.alarms()
        assert listed.rule == "predicted.runout"
        why = reader.why(listed.id, stage.now)[1]
        assert why.told == "told"


def test_it_is_in_no_figure(stage: Stage) -> None:
    stage.foretell(runout(stage))
    stage.wait(SETTLE)
    stage.players["atm-1"].says("ups", "ups.battery.condition", "replace", State.CRIT)
    stage.wait(HOUR)
    with closing(sqlite3.connect(stage.path, isolation_level=None)) as db:
        log = read_log(db, 0, stage.now)
    assert {each.fault for each in log.incidents} & {"predicted.runout"} == set()
    assert {each.rule for each in (*log.turns, *log.episodes)} & {"predicted.runout"} == set()


def test_the_fault_that_was_foreseen_has_the_one_ticket(stage: Stage) -> None:
    stage.foretell(runout(stage))
    stage.wait(3 * DAY)
    foreseen = stage.incident("predicted.runout")
    stage.players["atm-1"].disk(99)
    stage.wait(MINUTE)
    fault, before = stage.incident("disk.full"), stage.incident("predicted.runout")
    assert (before.corr_id, before.state, before.parent) == (foreseen.corr_id, RESOLVED, fault.corr_id)
    assert stage.ops(foreseen.corr_id)[-1] is Op.RESOLVE
    assert fault.corr_id in str(
        next(each for each in stage.told if each.incident == foreseen.corr_id and each.op is Op.UPDATE)
    )
    assert (fault.state, fault.level) == (OPEN, 2)
    assert fault.occurred_at >= stage.now - 2 * MINUTE, "nobody was late for it while it was only to be expected"
    alarm = stage.alarm("predicted.runout", "atm-1", DISK)
    assert alarm.open
    assert alarm.mask(CHILD) is not None
    assert stage.members(fault.corr_id, SYMPTOM) == {"atm-1"}
    # The disk was cleared, and the prediction goes with the next look: it is never told again.
    with_ticket = stage.tickets()
    stage.players["atm-1"].disk(10)
    stage.wait(10 * MINUTE)
    stage.foretell(over(runout(stage, begun=foreseen.occurred_at), stage.now, "hit"))
    stage.wait(2 * HOUR)
    assert not stage.alarm("predicted.runout", "atm-1", DISK).open
    assert stage.tickets() == with_ticket


def test_what_still_holds_after_the_fault_stands_by_itself_again(stage: Stage) -> None:
    stage.foretell(runout(stage))
    stage.wait(SETTLE)
    first = stage.incident("predicted.runout")
    stage.players["atm-1"].disk(99)
    stage.wait(MINUTE)
    stage.players["atm-1"].disk(10)
    stage.wait(5 * HOUR)
    again = stage.incident("predicted.runout")
    assert again.corr_id != first.corr_id
    assert (again.state, again.level) == (OPEN, 3)
    assert stage.incidents()[0].corr_id == first.corr_id, "the first one is kept as it was"


def test_what_is_broken_already_needs_no_ticket_for_being_foreseen(stage: Stage) -> None:
    stage.players["atm-1"].disk(99)
    stage.wait(MINUTE)
    stage.foretell(runout(stage))
    stage.wait(DAY)
    assert stage.tickets() == {stage.incident("disk.full").corr_id}
    assert stage.alarm("predicted.runout", "atm-1", DISK).incident == stage.incident("disk.full").corr_id
    assert [each.fault for each in stage.incidents()] == ["disk.full"]


def test_a_prediction_nobody_was_told_of_is_dropped_for_the_fault(stage: Stage) -> None:
    stage.foretell(runout(stage))
    stage.players["atm-1"].disk(99)
    stage.wait(DAY)
    states = {each.fault: each.state for each in stage.incidents()}
    assert states == {"predicted.runout": DROPPED, "disk.full": OPEN}


def test_a_fault_elsewhere_leaves_it_alone(stage: Stage) -> None:
    stage.foretell(found("atm-1", "ups", stage.now))
    stage.players["atm-1"].disk(99)
    stage.wait(SETTLE)
    assert {each.fault: each.state for each in stage.incidents()} == {"predicted.wear": OPEN, "disk.full": OPEN}


def test_several_families_of_one_part_are_one_visit(stage: Stage) -> None:
    stage.foretell(found("atm-1", "ups", stage.now), found("atm-1", "ups", stage.now, family="trend"))
    stage.wait(SETTLE)
    stage.foretell(found("atm-1", "ups", stage.now, family="anomaly"))
    stage.wait(SETTLE)
    assert [each.state for each in stage.incidents()] == [OPEN]
    assert {each.rule for each in stage.alarms() if each.open} == {
        "predicted.wear",
        "predicted.trend",
        "predicted.anomaly",
    }


@pytest.mark.parametrize("way", ["command", "ticket"])
def test_a_person_has_the_last_word(stage: Stage, way: str) -> None:
    """There is no reading that says that something is still to come."""
    stage.foretell(found("atm-1", "ups", stage.now), found("atm-1", "ups", stage.now, look="ups.battery.cycles"))
    stage.wait(SETTLE)
    incident = stage.incident("predicted.wear").corr_id
    stage.delivered(incident)
    if way == "command":
        stage.act("resolve", incident=incident, verdict="part_changed", part="battery")
    else:
        stage.ticket(incident, "resolved", verdict="part_changed", part="battery")
    settled = stage.incident("predicted.wear")
    assert (settled.state, settled.verdict, settled.reopened) == (RESOLVED, "part_changed", 0)
    assert not stage.alarm("predicted.wear", "atm-1", "ups").open
    assert stage.fold.foretelling.open == {}
    with stage.quiet():
        stage.foretell(found("atm-1", "ups", stage.now, begun=settled.occurred_at))
        stage.wait(DAY)
    assert not stage.alarm("predicted.wear", "atm-1", "ups").open, "that episode is over"
    stage.wait(8 * DAY)
    assert stage.incident("predicted.wear").state == CLOSED


def test_demoted_it_stands_on_the_page_alone(stage: Stage) -> None:
    first = found("atm-1", "ups", stage.now, word=SOON)
    stage.foretell(first)
    stage.wait(SETTLE)
    stage.foretell(found("atm-1", "ups", stage.now, begun=first.begun, demoted=True))
    assert not stage.alarm("predicted.wear", "atm-1", "ups").open
    assert stage.incident("predicted.wear").state == RESOLVED
    with closing(SqliteReader(stage.path)) as reader:
        (shown,) = reader.findings("atm-1")
        assert (shown.id, shown.demoted) == (first.id, True)
    stage.wait(HOUR)
    stage.foretell(found("atm-1", "ups", stage.now, begun=first.begun))
    assert stage.alarm("predicted.wear", "atm-1", "ups").open


@pytest.mark.parametrize("end", ["revoke", "retired", "repair"])
def test_who_is_gone_has_no_future(stage: Stage, end: str) -> None:
    stage.foretell(
        found("atm-1", "ups", stage.now), grades=[Grade("atm-1", "high", 0.8, stage.now, stage.now, pace=0.5)]
    )
    assert stage.fold.foretelling.paces == {"atm-1": 0.5}
    if end == "revoke":
        stage.act("revoke", terminal="atm-1", reason="stolen")
    else:
        stage.act("life-cycle", terminal="atm-1", state=end, reason="moved")
    assert not stage.alarm("predicted.wear", "atm-1", "ups").open
    with closing(SqliteReader(stage.path)) as reader:
        risks, left = reader.at_risk(), reader.findings("atm-1")
    if end == "repair":
        assert len(risks) == len(left) == 1, "it comes back"
        stage.act("life-cycle", terminal="atm-1", state="in_service", reason="back")
        assert stage.alarm("predicted.wear", "atm-1", "ups").open
    else:
        assert (list(risks), list(left), stage.fold.foretelling.paces) == ([], [], {})
        stage.foretell(found("atm-1", "ups", stage.now + S), grades=[Grade("atm-1", "high", 0.8, stage.now, stage.now)])
        assert (stage.fold.foretelling.open, stage.fold.foretelling.paces) == ({}, {})


def test_in_a_window_it_is_followed_and_not_told(stage: Stage) -> None:
    window = {
        "id": "w1",
        "scope": "atm-1",
        "from": stage.now,
        "to": stage.now + 6 * HOUR,
        "reason": "new ups",
        "approved_by": "chen",
    }
    stage.act("window", **window)
    stage.foretell(found("atm-1", "ups", stage.now))
    with stage.quiet():
        stage.wait(5 * HOUR)
    assert stage.alarm("predicted.wear", "atm-1", "ups").open
    stage.wait(2 * HOUR)
    assert stage.incident("predicted.wear").state == OPEN


def test_the_reader_ranks_and_tells(stage: Stage) -> None:
    for name, branch in (("atm-2", "lake"), ("atm-3", "lake")):
        stage.terminal(name, branch)
    stage.foretell(
        found("atm-2", "ups", stage.now),
        grades=[Grade(name, grade, score, stage.now, stage.now) for name, grade, score in (("atm-1", "low", 0.0), ("atm-2", "medium", 0.3), ("atm-3", "high", 0.7))],
        records=[Record("wear/ups.battery.age", "ups", 7, 2, 1, 0, stage.now)],
    )  # fmt: skip
    with closing(SqliteReader(stage.path)) as reader:
        assert [(each.terminal, each.grade.grade, len(each.findings)) for each in reader.at_risk()] == [
            ("atm-3", "high", 0),
            ("atm-2", "medium", 1),
        ]
        assert [each.terminal for each in reader.at_risk(branch="hill")] == []
        assert [each.terminal for each in reader.at_risk(region="north", limit=1)] == ["atm-3"]
        (one,) = reader.findings()
        assert reader.finding(one.id) == one
        assert [each.precision for each in reader.records()] == [pytest.approx(7 / 9)]
        with pytest.raises(KeyError):
            reader.finding("nothing")


def test_a_rule_that_says_nothing_of_later_is_heard_when_it_is_back(staged: Callable[..., Stage]) -> None:
    silent = '[[rule]]\nid = "predicted.wear"\nwords = { later = 0, soon = 3, over = 0 }\n'
    stage = staged(rules=silent)
    stage.terminal("atm-1")
    stage.foretell(found("atm-1", "ups", stage.now))
    assert stage.alarms() == []
    stage.change_rules('[fold]\nsilent_least = "900d"\n')
    assert [each.open for each in stage.alarms()] == [True]
    stage.restart()
    stage.rebuilt()
