"""A fault that comes and goes a thousand times is one incident, and few messages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.collector.sending import S
from tests.collector.stories.stage import HOUR, MINUTE, PATIENT, Player, Stage
from tillwatch.agent.model import State
from tillwatch.collector.alarm.alarms import FLAPPING
from tillwatch.collector.incident.incidents import RESOLVED, RESTORED
from tillwatch.collector.tickets.message import Op

RULES = PATIENT + '[[rule]]\nid = "{}"\nfor = "0s"\nhold = "0s"\n'
FLAPS = 1000


@pytest.fixture
def nervous(staged: Callable[..., Stage]) -> Stage:
    """A site without any patience: each turn is one."""
    return staged(rules=RULES.format("disk.full") + '[[rule]]\nid = "atm.jam"\nfor = "0s"\nhold = "0s"\n')


def jam(atm: Player, *, on: bool) -> None:
    atm.says("atm/CDM1", "atm.media", "jammed" if on else "notPresent", State.CRIT if on else State.OK)


def flap(stage: Stage, turn: Callable[[bool], None], every: int) -> None:
    for i in range(FLAPS):
        if i % 250 == 120:
            stage.restart()
        turn(True)
        stage.wait(every // 2)
        turn(False)
        stage.wait(every // 2)


def test_a_thousand_flaps_are_one_incident(nervous: Stage) -> None:
    stage = nervous
    atm = stage.terminal("atm-1")
    flap(stage, lambda on: jam(atm, on=on), 20 * S)
    (told,) = stage.tickets()
    (incident,) = stage.incidents()
    assert incident.intermittent
    assert incident.state == "open"
    assert stage.alarm("atm.jam", "atm-1", "atm/CDM1").mask(FLAPPING)
    said = [each for each in stage.told if "Intermittent" in each.note or each.op is not Op.UPDATE]
    assert len(said) <= 6, "a few turns, and that it is intermittent"
    # Calm: it is over like any other.
    stage.wait(2 * HOUR)
    assert stage.incident("atm.jam").state == RESTORED
    assert stage.ops(told)[-1] is Op.RESOLVE
    stage.restart()
    stage.rebuilt()


def test_slow_flaps_are_one_incident_too(nervous: Stage) -> None:
    """Every two hours: too slow to be called intermittent. It is the same fault, which is back each time."""
    stage = nervous
    atm = stage.terminal("atm-1")
    for _ in range(30):
        jam(atm, on=True)
        stage.wait(HOUR)
        jam(atm, on=False)
        stage.wait(HOUR)
    assert len(stage.tickets()) == 1
    assert stage.incident("atm.jam").state == RESTORED
    stage.restart()
    stage.rebuilt()


def test_it_stays_broken_after_all(nervous: Stage) -> None:
    """Intermittent, and then for good: it is steady, and open."""
    stage = nervous
    atm = stage.terminal("atm-1")
    for i in range(20):
        jam(atm, on=i % 2 == 0)
        stage.wait(MINUTE)
    jam(atm, on=True)
    stage.wait(3 * HOUR)
    incident = stage.incident("atm.jam")
    assert (incident.state, incident.intermittent) == ("open", False)
    assert stage.alarm("atm.jam", "atm-1", "atm/CDM1").open
    stage.restart()
    stage.rebuilt()


def test_it_flaps_before_anybody_was_told(staged: Callable[..., Stage]) -> None:
    """Each turn is over within the time that it is given to settle. Somebody hears of it all the same, once."""
    stage = staged(rules=RULES.format("ups.on-battery"))
    atm = stage.terminal("atm-1")
    for i in range(200):
        atm.says("ups", "ups.output.source", "battery" if i % 2 == 0 else "normal")
        stage.wait(20 * S)
    (incident,) = [each for each in stage.incidents() if each.announced]
    assert incident.intermittent
    assert stage.ops(incident.corr_id).count(Op.OPEN) == 1
    stage.wait(2 * HOUR)
    assert stage.incident("ups.on-battery").state == RESTORED
    stage.restart()
    stage.rebuilt()


def test_a_flapping_fault_that_a_person_resolves(nervous: Stage) -> None:
    stage = nervous
    atm = stage.terminal("atm-1")
    for i in range(13):
        jam(atm, on=i % 2 == 0)
        stage.wait(MINUTE)
    jam(atm, on=False)
    stage.wait(MINUTE)
    incident = stage.incident("atm.jam")
    assert incident.intermittent
    stage.act("resolve", incident=incident.corr_id, verdict="part_changed", part="feeder")
    assert stage.incident("atm.jam").state == RESOLVED
    stage.wait(2 * HOUR)
    assert stage.incident("atm.jam").state == RESOLVED
    assert len(stage.tickets()) == 1
    stage.restart()
    stage.rebuilt()


def test_a_flapping_fault_that_a_person_resolves_is_back_behind_a_shelf(nervous: Stage) -> None:
    """No part of what is settled while nobody is to be told of it; it goes on there when the shelf ends."""
    stage = nervous
    atm = stage.terminal("atm-1")
    for i in range(12):
        jam(atm, on=i % 2 == 0)
        stage.wait(MINUTE)
    incident = stage.incident("atm.jam")
    stage.act("resolve", incident=incident.corr_id, verdict="part_changed", part="feeder")
    stage.act("shelve", terminal="atm-1", alarm=1, until=stage.now + 20 * MINUTE, reason="known")
    with stage.quiet():
        jam(atm, on=True)
        stage.wait(19 * MINUTE)
    assert stage.fold.book.of(incident.corr_id) == []
    assert stage.incident("atm.jam").state == RESOLVED
    stage.wait(2 * MINUTE)
    assert [each.terminal for each in stage.fold.book.of(incident.corr_id)] == ["atm-1"]
    assert stage.incident("atm.jam").state == "open"
    stage.restart()
    stage.rebuilt()


@pytest.mark.parametrize("mask", ["shelf", "window"])
def test_a_mask_ends_while_what_flaps_rests(nervous: Stage, mask: str) -> None:
    """Somebody is told of it again from then on, though it is well at that very moment."""
    stage = nervous
    atm = stage.terminal("atm-1")
    for i in range(12):
        jam(atm, on=i % 2 == 0)
        stage.wait(MINUTE)
    incident = stage.incident("atm.jam")
    assert incident.intermittent
    if mask == "shelf":
        stage.act("shelve", terminal="atm-1", alarm=1, until=stage.now + 20 * MINUTE, reason="known")
    else:
        span = {"from": stage.now, "to": stage.now + 20 * MINUTE}
        stage.act("window", id="w", scope="atm-1", reason="x", approved_by="chen", change_ref="C", **span)
    with stage.quiet():
        stage.wait(19 * MINUTE)
    stage.wait(12 * MINUTE)
    told = stage.told[-1]
    assert told.incident == incident.corr_id
    assert told.told, "the steps that fell due"
    stage.restart()
    stage.rebuilt()


def test_it_flaps_behind_a_mask(nervous: Stage) -> None:
    """It was over before the planned work began. What comes and goes during that is told when it is over, once."""
    stage = nervous
    atm = stage.terminal("atm-1")
    jam(atm, on=True)
    stage.wait(MINUTE)
    jam(atm, on=False)
    span = {"from": stage.now, "to": stage.now + 20 * MINUTE}
    stage.act("window", id="w", scope="atm-1", reason="x", approved_by="chen", change_ref="C", **span)
    with stage.quiet():
        for i in range(15):
            stage.wait(MINUTE)
            jam(atm, on=i % 2 == 0)
    stage.wait(10 * MINUTE)
    incident = stage.incident("atm.jam")
    assert (incident.state, incident.intermittent) == ("open", True)
    assert stage.ops(incident.corr_id)[-1] is Op.OPEN
    stage.wait(15 * MINUTE)
    assert stage.told[-1].told, "and its escalation goes on"
    stage.restart()
    stage.rebuilt()


def test_it_rests_unseen_until_its_incident_is_forgotten(nervous: Stage) -> None:
    """The terminal fell silent while it flapped, and a person resolved it: nobody is part of what is not there any more."""
    stage = nervous
    atm = stage.terminal("atm-1")
    for i in range(12):
        jam(atm, on=i % 2 == 0)
        stage.wait(MINUTE)
    atm.lost()
    stage.act("resolve", incident=stage.incident("atm.jam").corr_id, verdict="true_fault")
    stage.wait(24 * HOUR)
    stage.restart()
    atm.back(restarted=True)
    jam(atm, on=True)
    stage.wait(MINUTE)
    assert stage.incident("atm.jam").state == "open"
    stage.restart()
    stage.rebuilt()
