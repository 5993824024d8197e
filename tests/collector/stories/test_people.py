"""What people say of alarms, incidents and terminals, and what the readings say against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.collector.sending import S
from tests.collector.stories.stage import DAY, HOUR, MINUTE, PATIENT, Stage
from tillwatch.collector.alarm.alarms import ACK_NS
from tillwatch.collector.incident.incidents import ACKNOWLEDGED, CLOSED, IN_REPAIR, OPEN, RESOLVED, RESTORED
from tillwatch.collector.incident.service_clocks import MAX_HELD, clocks_of, hours_of
from tillwatch.collector.tickets.message import Op

RULES = PATIENT + '[[rule]]\nid = "disk.full"\nfor = "0s"\nhold = "0s"\n'
DISK = ("disk.full", "atm-1", "host/disk:/")


@pytest.fixture
def stage(staged: Callable[..., Stage]) -> Iterator[Stage]:
    stage = staged(rules=RULES)
    stage.terminal("atm-1")
    yield stage
    stage.restart()
    stage.rebuilt()


def test_a_fault_that_grows_worse_needs_another_answer(stage: Stage) -> None:
    """Who took on a disk that fills up has not taken on one that is full: the response clock begins anew."""
    atm = stage.players["atm-1"]
    atm.disk(93)
    stage.wait(MINUTE)
    stage.act("acknowledge", terminal="atm-1", alarm=1)
    assert stage.incident("disk.full").state == ACKNOWLEDGED
    stage.wait(20 * MINUTE)
    atm.disk(99)
    incident = stage.incident("disk.full")
    assert (incident.state, incident.responded_at, incident.response_from) == (OPEN, 0, incident.told_at)
    assert stage.alarm(*DISK).isa_state == "UNACK"
    assert ("duty engineer", "duty engineer", "phone") in stage.told[-1].told
    stage.act("acknowledge", terminal="atm-1", alarm=1)
    before = stage.told[-1]
    atm.disk(93)
    stage.wait(MINUTE)
    assert stage.incident("disk.full").state == ACKNOWLEDGED, "a fault that eases is still his"
    assert all("Told" not in each.note for each in stage.told[stage.told.index(before) + 1 :])


def test_an_acknowledgement_lasts_as_long_as_the_fault(stage: Stage) -> None:
    """And no longer than it may where nobody works on it."""
    atm = stage.players["atm-1"]
    atm.disk(99)
    stage.act("acknowledge", terminal="atm-1", alarm=1)
    stage.wait(30 * MINUTE)
    assert stage.alarm(*DISK).acked_by == "li.wei"
    atm.disk(10)
    assert stage.alarm(*DISK).acked_by == ""
    stage.wait(MINUTE)
    atm.disk(99)
    assert stage.alarm(*DISK).isa_state == "UNACK"
    stage.act("acknowledge", terminal="atm-1", alarm=1)
    stage.wait(ACK_NS[2] + S)
    assert stage.alarm(*DISK).isa_state == "UNACK", "an hour is long enough to have begun"


def test_an_acknowledgement_that_is_worked_on_does_not_expire(stage: Stage) -> None:
    stage.players["atm-1"].disk(99)
    stage.act("acknowledge", terminal="atm-1", alarm=1)
    stage.act("in-repair", incident=stage.incident("disk.full").corr_id)
    stage.wait(3 * ACK_NS[2])
    assert stage.alarm(*DISK).acked_by == "li.wei"
    assert stage.incident("disk.full").state == IN_REPAIR


def test_another_fault_on_the_same_terminal_gets_through(stage: Stage) -> None:
    atm = stage.players["atm-1"]
    atm.disk(99)
    stage.act("acknowledge", terminal="atm-1", alarm=1)
    stage.wait(MINUTE)
    atm.says("host/disk:/log", "host.disk.percent", 99)
    stage.wait(MINUTE)
    assert len(stage.tickets()) == 2
    assert stage.told[-1].op is Op.OPEN
    assert stage.told[-1].component == "host/disk:/log"


def test_what_is_retired_raises_nothing(stage: Stage) -> None:
    """Its alarms end with it. Taken into service again, what is still broken is told."""
    atm = stage.players["atm-1"]
    atm.disk(99)
    stage.wait(MINUTE)
    (told,) = stage.tickets()
    stage.act("life-cycle", terminal="atm-1", state="repair", reason="in the workshop")
    assert stage.alarm(*DISK).condition == "normal"
    assert stage.ops(told)[-1] is Op.RESOLVE
    with stage.quiet():
        stage.wait(HOUR)
        atm.says("ups", "ups.output.source", "battery")
        atm.disk(98)
        stage.wait(HOUR)
        atm.lost()
        stage.wait(DAY)
    assert stage.fold.standing.states["atm-1"].state == "repair"
    stage.restart()
    with stage.quiet():
        atm.back()
        stage.wait(HOUR)
    stage.act("life-cycle", terminal="atm-1", state="in_service", reason="mended")
    stage.wait(10 * MINUTE)
    assert {each.component for each in stage.told if each.op is Op.OPEN and each.at > stage.now - HOUR} == {"host/disk:/", "ups"}  # fmt: skip


def test_what_was_never_commissioned_is_not_missed(stage: Stage) -> None:
    stage.act("life-cycle", terminal="atm-1", state="spare", reason="in store")
    with stage.quiet():
        stage.players["atm-1"].lost()
        stage.wait(30 * DAY)


def test_resolved_while_it_lasts(stage: Stage) -> None:
    """The readings know better: it is open again at once, and the ticket says why."""
    stage.players["atm-1"].disk(99)
    stage.wait(MINUTE)
    incident = stage.incident("disk.full")
    stage.act("resolve", incident=incident.corr_id, verdict="part_changed", part="disk", actor="chen")
    after = stage.incident("disk.full")
    assert (after.state, after.reopened) == (OPEN, 1)
    assert stage.told[-1].op is Op.OPEN
    assert "chen resolved it, but the fault is still there" in stage.told[-1].note
    assert stage.kinds(incident.corr_id)[-4:-1] == ["resolved", "verdict", "reopened"]


def test_it_is_resolved_closed_and_back(stage: Stage) -> None:
    """Within the time of verification it is the same ticket, which counts as reopened; after it another one."""
    atm = stage.players["atm-1"]
    atm.disk(99)
    stage.wait(MINUTE)
    first = stage.incident("disk.full").corr_id
    atm.disk(10)
    stage.wait(MINUTE)
    stage.act("resolve", incident=first, verdict="true_fault")
    stage.act("close", incident=first)
    stage.wait(2 * HOUR)
    stage.restart()
    atm.disk(99)
    stage.wait(MINUTE)
    again = stage.incident("disk.full")
    assert (again.corr_id, again.state, again.reopened) == (first, OPEN, 1)
    assert stage.ops(first).count(Op.OPEN) == 2
    atm.disk(10)
    stage.act("resolve", incident=first, verdict="true_fault")
    stage.wait(4 * HOUR + S)
    assert stage.incident("disk.full").state == CLOSED, "nothing came of it for long enough"
    stage.wait(4 * HOUR + S)
    atm.disk(99)
    stage.wait(MINUTE)
    assert len(stage.tickets()) == 2
    assert stage.incident("disk.full").state == OPEN


def test_what_is_back_goes_on_where_it_stood(stage: Stage) -> None:
    """The disk is well for three hours, and full again: nobody is called for the time in which nothing was broken."""
    atm = stage.players["atm-1"]
    atm.disk(99)
    stage.wait(11 * MINUTE)
    assert stage.told[-1].told[0][0] == "backup engineer"
    atm.disk(10)
    with stage.quiet():
        stage.wait(3 * HOUR)
    atm.disk(99)
    assert stage.incident("disk.full").state == OPEN
    with stage.quiet():
        stage.wait(8 * MINUTE)
    stage.wait(MINUTE + S)
    assert stage.told[-1].told[0][0] == "section head", "the 20th minute of the fault"
    assert stage.incident("disk.full").missed == ()


def test_what_is_back_all_day_long_keeps_so_many_pauses(stage: Stage) -> None:
    """And its clock shows the time in which it was broken."""
    atm, times = stage.players["atm-1"], MAX_HELD + 10
    for _ in range(times):
        atm.disk(99)
        stage.wait(10 * MINUTE)
        atm.disk(10)
        stage.wait(10 * MINUTE)
    (incident,) = stage.incidents()
    assert len(incident.held) == MAX_HELD
    policy = stage.fold.book.policy
    spent = clocks_of(policy, incident)[1].spent(hours_of(policy, incident, "atm"), stage.now)
    assert abs(spent.net - times * 10 * MINUTE) < times * S, "entries that meet in time come one nanosecond apart"


def test_nobody_confirms_that_it_is_over(stage: Stage) -> None:
    atm = stage.players["atm-1"]
    atm.disk(99)
    stage.wait(MINUTE)
    atm.disk(10)
    with stage.quiet():
        stage.wait(6 * DAY)
    assert stage.incident("disk.full").state == RESTORED
    stage.act("hold", incident=stage.incident("disk.full").corr_id, reason="customer")
    assert stage.incident("disk.full").on_hold == "", "what is over waits for nobody"
    stage.wait(2 * DAY)
    assert stage.incident("disk.full").state == CLOSED


def test_a_small_fault_settles_itself(stage: Stage) -> None:
    """Level 3: it is resolved by its readings, and closed when it stays away."""
    atm = stage.players["atm-1"]
    atm.disk(93)
    stage.wait(MINUTE)
    atm.disk(10)
    assert stage.incident("disk.full").state == RESOLVED
    stage.wait(5 * HOUR)
    assert stage.incident("disk.full").state == CLOSED


def test_a_hold_stops_the_repair_and_not_the_response(stage: Stage) -> None:
    stage.players["atm-1"].disk(99)
    stage.wait(MINUTE)
    incident = stage.incident("disk.full").corr_id
    stage.act("hold", incident=incident, reason="parts")
    stage.wait(10 * MINUTE)
    assert stage.told[-1].told[0][0] == "backup engineer"
    stage.act("acknowledge", incident=incident)
    stage.act("hold", incident=incident, reason="access")
    with stage.quiet():
        stage.wait(2 * DAY)
    stage.act("resume", incident=incident)
    assert stage.incident("disk.full").held == (
        (stage.incident("disk.full").held[0][0], stage.incident("disk.full").held[0][1], "parts"),
    )
    stage.wait(4 * HOUR)
    assert stage.incident("disk.full").missed == ("repair",)


def test_acts_on_what_is_not_there_change_nothing(stage: Stage) -> None:
    with stage.quiet():
        for act in ("acknowledge", "hold", "resume", "assign", "in-repair", "resolve", "close", "note"):
            stage.act(act, incident="HWM-00000000000000000000-1", reason="parts", to="chen", text="x")
        for act in ("acknowledge", "shelve", "unshelve"):
            stage.act(act, terminal="atm-1", alarm=99, until=stage.now + HOUR, reason="x")
        stage.act("window-cancel", id="none")
        stage.act("life-cycle", terminal="nobody", state="retired", reason="x")
        stage.act("life-cycle", terminal="atm-1", state="nonsense", reason="x")
        stage.act("drill", terminal="atm-1", rule="none", minutes=5)
    assert stage.alarms() == []
