"""What people say of causes: split, and the rules do not put it together again; merge, and one ticket goes on. Told as stories; what holds in any order
of events is in stories/test_model.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.collector.stories.stage import HOUR, MINUTE, PATIENT, Stage
from tillwatch.agent.model import State
from tillwatch.collector.alarm.alarms import CHILD, FLAPPING
from tillwatch.collector.incident.incidents import (
    ACKNOWLEDGED,
    CLOSED,
    CONSEQUENCE,
    IN_REPAIR,
    OPEN,
    RESTORED,
    ROOT,
    SYMPTOM,
    Incident,
    split_off,
    take_in,
)
from tillwatch.collector.tickets.message import Op, TicketState

RULES = PATIENT + "".join(
    f'[[rule]]\nid = "{name}"\nfor = "0s"\nhold = "0s"\n' for name in ("disk.full", "net.wan", "ups.on-battery")
)
DISK, OTHER = "host/disk:/", "host/disk:/var"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path, rules=RULES)
    for name in ("atm-1", "atm-2"):
        stage.terminal(name)
    stage.terminal("atm-9", branch="lake")
    yield stage
    stage.restart()
    stage.rebuilt()
    stage.store.close()


def full(stage: Stage, terminal: str = "atm-1", component: str = DISK, percent: float = 99) -> str:
    stage.players[terminal].says(component, "host.disk.percent", percent)
    stage.wait(MINUTE)
    return stage.alarm("disk.full", terminal, component).incident


def of(stage: Stage, corr_id: str) -> Incident:
    return next(each for each in stage.incidents() if each.corr_id == corr_id)


def members(stage: Stage, corr_id: str) -> dict[tuple[str, str], str]:
    """(terminal, component) -> role, of what belongs to it now."""
    return {(each.terminal, each.component): each.role for each in stage.fold.book.members.get(corr_id, {}).values()}


def wishes(stage: Stage, corr_id: str) -> list[TicketState | None]:
    return [each.wish for each in stage.told if each.incident == corr_id]


# Merge.


def test_two_incidents_become_one_ticket(stage: Stage) -> None:
    first, second = full(stage), full(stage, component=OTHER)
    begun = of(stage, first).opened_at
    assert first != second
    stage.wait(HOUR)
    stage.act("merge", incident=first, into=second, note="one controller")
    gone, kept = of(stage, first), of(stage, second)
    assert (gone.state, gone.parent, kept.state, kept.took) == (CLOSED, second, OPEN, (first,))
    assert kept.opened_at == kept.response_from == begun, "both clocks run from the earlier beginning"
    assert members(stage, second) == {("atm-1", DISK): ROOT, ("atm-1", OTHER): ROOT}
    assert wishes(stage, first)[-1] is TicketState.DUPLICATE
    assert stage.ops(first)[-1] is Op.RESOLVE
    assert f"li.wei merged it into {second}, which goes on" in [e for e in stage.told if e.incident == first][-1].note
    assert f"li.wei merged {first} into it" in [e for e in stage.told if e.incident == second][-1].note
    assert stage.told[-1].note.endswith("one controller")
    stage.players["atm-1"].says(OTHER, "host.disk.percent", 10)
    stage.wait(MINUTE)
    assert of(stage, second).state == OPEN, "one half of the cause is still there"
    stage.players["atm-1"].says(DISK, "host.disk.percent", 10)
    assert of(stage, second).restored_at > 0


def test_the_ticket_of_the_one_that_went_in_opens_nothing(stage: Stage) -> None:
    """Its echo is no act of a person, and who opens it again is told where it goes on."""
    first, second = full(stage), full(stage, component=OTHER)
    stage.delivered(first, "open")
    stage.act("merge", incident=first, into=second)
    stage.delivered(first, "duplicate")
    with stage.quiet():
        stage.ticket(first, "duplicate")
        stage.ticket(first, "open")
    assert of(stage, first).state == CLOSED
    assert "stays closed" in str(stage.log(first)[-1].detail["text"])


def test_another_terminal_of_the_branch_is_explained_until_the_cause_is_over(stage: Stage) -> None:
    first, second = full(stage, "atm-2"), full(stage)
    stage.act("merge", incident=first, into=second)
    alarm = stage.alarm("disk.full", "atm-2", DISK)
    mask = alarm.mask(CHILD)
    assert members(stage, second)["atm-2", DISK] == SYMPTOM
    assert mask is not None
    assert mask.ref == second
    stage.players["atm-1"].disk(10)
    stage.wait(11 * MINUTE)
    own = stage.alarm("disk.full", "atm-2", DISK).incident
    assert own not in (first, second), "what is told of it now is no more of the ticket that was closed"
    assert of(stage, own).state == OPEN
    assert stage.told[-1].incident == own
    assert stage.told[-1].seq == 1


def flapping(stage: Stage, *components: str, terminal: str = "atm-2", turns: int = 8) -> None:
    """The disks come and go together; an even number of turns leaves them well."""
    for i in range(turns):
        for each in components:
            stage.players[terminal].says(each, "host.disk.percent", 10 if i % 2 else 99)
        stage.wait(MINUTE)


def test_a_symptom_that_flaps_leaves_when_it_is_well_and_is_one_again_when_it_is_back(stage: Stage) -> None:
    """Whatever flaps on the terminal that the incident is about."""
    flapping(stage, DISK, terminal="atm-1", turns=9)
    flapping(stage, DISK, turns=9)
    first, second = (stage.alarm("disk.full", name, DISK).incident for name in ("atm-2", "atm-1"))
    stage.act("merge", incident=first, into=second)
    for _ in range(3):
        stage.players["atm-2"].disk(10)
        alarm = stage.alarm("disk.full", "atm-2", DISK)
        assert alarm.mask(FLAPPING) is not None
        assert alarm.mask(CHILD) is None
        assert members(stage, second) == {("atm-1", DISK): ROOT}
        stage.wait(MINUTE)
        stage.players["atm-2"].disk(99)
        assert stage.alarm("disk.full", "atm-2", DISK).mask(CHILD) is not None
        assert members(stage, second) == {("atm-1", DISK): ROOT, ("atm-2", DISK): SYMPTOM}
        stage.wait(MINUTE)
    stage.restart()
    assert members(stage, second)["atm-2", DISK] == SYMPTOM


def test_what_flaps_and_is_well_as_it_is_merged_is_a_symptom_from_its_next_turn(stage: Stage) -> None:
    second = full(stage)
    flapping(stage, DISK)
    stage.act("merge", incident=stage.alarm("disk.full", "atm-2", DISK).incident, into=second)
    assert members(stage, second) == {("atm-1", DISK): ROOT}
    assert not of(stage, second).intermittent, "what it is about is there all the time"
    stage.players["atm-2"].disk(99)
    assert members(stage, second)["atm-2", DISK] == SYMPTOM
    stage.players["atm-2"].disk(10)
    stage.wait(5 * HOUR)
    assert stage.alarm("disk.full", "atm-2", DISK).masks == ()


def test_two_that_flap_in_one_incident_end_it_once_both_are_calm(stage: Stage) -> None:
    first, second = full(stage, "atm-2"), full(stage, "atm-2", OTHER)
    stage.act("merge", incident=second, into=first)
    flapping(stage, DISK, OTHER)
    flapping(stage, OTHER)
    assert of(stage, first).intermittent
    stage.wait(5 * HOUR)
    assert members(stage, first) == {}
    assert (of(stage, first).intermittent, of(stage, first).state) == (False, RESTORED)
    assert stage.kinds(first).count("steady") == 1


@pytest.mark.parametrize("terminal", ["atm-1", "atm-2"])
def test_what_was_over_as_it_was_merged_comes_back_to_what_goes_on(stage: Stage, terminal: str) -> None:
    first, second = full(stage), full(stage, component=OTHER)
    last = full(stage, terminal, "host/disk:/log")
    stage.act("merge", incident=second, into=first)
    stage.players["atm-1"].says(OTHER, "host.disk.percent", 10)
    stage.act("merge", incident=first, into=last)
    stage.wait(10 * MINUTE)
    assert full(stage, component=OTHER) == last
    assert of(stage, first).state == CLOSED
    role = ROOT if terminal == "atm-1" else SYMPTOM
    assert members(stage, last)["atm-1", OTHER] == role
    assert (stage.alarm("disk.full", "atm-1", OTHER).mask(CHILD) is not None) == (role == SYMPTOM)


def test_what_was_merged_is_told_anew_after_a_long_shelf(stage: Stage) -> None:
    """The cause is over, the one that was merged forgotten: its ticket is a duplicate all the same, and what is told now no more of that."""
    first, second = full(stage, "atm-2"), full(stage)
    stage.act("merge", incident=first, into=second)
    number = stage.alarm("disk.full", "atm-2", DISK).id
    stage.act("shelve", terminal="atm-2", alarm=number, until=stage.now + 20 * HOUR, reason="known", second="chen")
    stage.players["atm-1"].disk(10)
    stage.wait(19 * HOUR)
    assert first not in stage.fold.book.incidents
    stage.wait(2 * HOUR)
    own = stage.alarm("disk.full", "atm-2", DISK).incident
    assert own not in (first, second)
    assert (stage.ops(own)[0], of(stage, own).state) == (Op.OPEN, OPEN)
    assert of(stage, first).state == CLOSED


def test_what_is_told_and_let_go_at_the_same_moment_is_told_once(stage: Stage) -> None:
    """Both fell due while the collector was away."""
    for name in ("atm-1", "atm-2"):
        stage.players[name].lost()
        stage.wait(5 * MINUTE)
    first, second = (stage.alarm("terminal.silent", name).incident for name in ("atm-2", "atm-1"))
    stage.act("merge", incident=first, into=second)
    stage.wait(10 * MINUTE)
    for name in ("atm-1", "atm-2"):
        stage.players[name].back(restarted=True)
    assert of(stage, second).release_at > of(stage, second).tell_at > 0
    stage.restart(away=6 * HOUR)
    numbers = [each.seq for each in stage.told if each.incident == second]
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_shelved_symptom_is_one_until_it_is_let_go(stage: Stage) -> None:
    """A window ends above it while what explains it is over, and not yet for long enough."""
    first, second = full(stage, "atm-2"), full(stage)
    stage.act("merge", incident=first, into=second)
    number = stage.alarm("disk.full", "atm-2", DISK).id
    stage.act("shelve", terminal="atm-2", alarm=number, until=stage.now + HOUR, reason="known", second="chen")
    span = {"from": stage.now, "to": stage.now + HOUR}
    stage.act("window", id="w", scope="atm-2", reason="x", approved_by="chen", change_ref="C", **span)
    stage.players["atm-1"].disk(10)
    stage.act("window-cancel", id="w")
    assert members(stage, second) == {("atm-2", DISK): SYMPTOM}
    stage.wait(11 * MINUTE)
    assert stage.alarm("disk.full", "atm-2", DISK).mask(CHILD) is None


def test_who_had_taken_the_graver_one_on_has_taken_on_both(stage: Stage) -> None:
    mild, grave = full(stage, percent=93), full(stage, component=OTHER)
    stage.act("assign", incident=mild, to="chen")
    stage.act("acknowledge", incident=grave)
    taken = of(stage, grave).responded_at
    stage.act("merge", incident=grave, into=mild)
    both = of(stage, mild)
    assert (both.level, both.state, both.owner, both.responded_at) == (2, ACKNOWLEDGED, "chen", taken)
    assert "level" in stage.kinds(mild)


def test_who_had_taken_on_a_mild_one_has_not_taken_on_a_grave_one(stage: Stage) -> None:
    mild, grave = full(stage, percent=93), full(stage, component=OTHER)
    stage.act("acknowledge", incident=mild)
    stage.act("merge", incident=grave, into=mild)
    both = of(stage, mild)
    assert (both.level, both.state, both.responded_at) == (2, OPEN, 0)
    assert both.response_from > both.opened_at


@pytest.mark.parametrize("way", ["elsewhere", "itself", "settled", "forgotten"])
def test_what_is_no_one_cause_is_not_put_together(stage: Stage, way: str) -> None:
    first = full(stage)
    second = {"elsewhere": lambda: full(stage, "atm-9"), "itself": lambda: first}.get(
        way, lambda: full(stage, "atm-2")
    )()
    if way == "settled":
        stage.players["atm-2"].disk(10)
        stage.act("resolve", incident=second, verdict="true_fault")
    if way == "forgotten":
        second = "HWM-nothing-1"
    with stage.quiet():
        stage.act("merge", incident=first, into=second)
    assert of(stage, first).state == OPEN


# Split.


def outage(stage: Stage) -> tuple[str, str]:
    """A branch without its line, and a terminal in it that cannot reach its host: one incident, which explains the other."""
    stage.terminal("server-hill", kind="server").says("switch", "net.wan.state", "failed", State.CRIT)
    stage.wait(MINUTE)
    stage.players["atm-2"].lost()
    stage.wait(5 * MINUTE)
    wan = stage.alarm("net.wan", "server-hill", "switch").incident
    return wan, stage.alarm("terminal.silent", "atm-2").incident


def test_a_part_gets_an_incident_of_its_own(stage: Stage) -> None:
    first, second = full(stage), full(stage, component=OTHER)
    stage.act("merge", incident=second, into=first)
    stage.wait(HOUR)
    alarm = stage.alarm("disk.full", "atm-1", OTHER)
    stage.act("split", incident=first, alarms=[alarm.id], note="another disk")
    own = stage.alarm("disk.full", "atm-1", OTHER).incident
    assert own not in (first, second)
    apart, left = of(stage, own), of(stage, first)
    assert (apart.state, apart.apart, left.apart) == (OPEN, (first,), (own,))
    assert apart.opened_at < stage.now - 50 * MINUTE, "the fault is as old as it was"
    assert apart.response_from == apart.announced_at, "nobody has been asked for it by itself"
    assert members(stage, first) == {("atm-1", DISK): ROOT}
    assert stage.ops(own) == [Op.OPEN]
    assert [each.note.partition(":")[0] for each in stage.told[-2:]] == [
        f"li.wei split off {own}", f"li.wei split it off {first}",
    ]  # fmt: skip


def test_what_was_split_stays_apart_whatever_the_rules_say(stage: Stage) -> None:
    """The line still explains silence in its branch, of everybody else."""
    wan, alike = outage(stage)
    assert wan == alike
    lost = stage.alarm("terminal.silent", "atm-2")
    stage.act("split", incident=wan, alarms=[lost.id])
    own = stage.alarm("terminal.silent", "atm-2").incident
    assert own != wan
    assert stage.alarm("terminal.silent", "atm-2").mask(CHILD) is None
    stage.players["server-hill"].says("switch", "net.wan.state", "degraded", State.WARN)
    stage.players["server-hill"].says("switch", "net.wan.state", "failed", State.CRIT)
    stage.wait(HOUR)
    stage.players["atm-2"].back()
    stage.players["atm-2"].lost()
    stage.wait(HOUR)
    stage.restart()
    assert stage.alarm("terminal.silent", "atm-2").incident == own
    assert of(stage, own).parent == ""
    assert stage.alarm("terminal.silent", "atm-2").mask(CHILD) is None


def test_several_are_one_incident_with_one_ticket(stage: Stage) -> None:
    first = full(stage)
    for component in (OTHER, "host/disk:/log"):
        stage.act("merge", incident=full(stage, component=component), into=first)
    numbers = [stage.alarm("disk.full", "atm-1", each).id for each in (OTHER, "host/disk:/log")]
    stage.act("split", incident=first, alarms=numbers)
    own = stage.alarm("disk.full", "atm-1", OTHER).incident
    assert members(stage, own) == {("atm-1", OTHER): ROOT, ("atm-1", "host/disk:/log"): ROOT}
    stage.act("merge", incident=own, into=first)
    assert set(members(stage, first)) == {("atm-1", each) for each in (DISK, OTHER, "host/disk:/log")}
    assert own not in of(stage, first).apart, "who puts it together again has said so"


def test_what_it_is_about_cannot_be_taken_out_of_it(stage: Stage) -> None:
    first = full(stage)
    alarm = stage.alarm("disk.full", "atm-1", DISK)
    with stage.quiet():
        stage.act("split", incident=first, alarms=[alarm.id])
        stage.act("split", incident=first, alarms=[alarm.id, 4711])
    assert members(stage, first) == {("atm-1", DISK): ROOT}


def test_a_consequence_is_told_apart_from_its_cause(stage: Stage) -> None:
    stage.players["atm-1"].says("atm/CashDispenser", "atm.device", "hardwareError", State.CRIT)
    stage.wait(MINUTE)
    stage.players["atm-1"].says("atm/CashDispenser dispenser", "atm.cash", "stop", State.CRIT)
    stage.wait(5 * MINUTE)
    first = stage.alarm("atm.device", "atm-1", "atm/CashDispenser").incident
    follows = next(each for each in stage.alarms() if each.rule != "atm.device")
    assert members(stage, first)["atm-1", follows.component] == CONSEQUENCE
    stage.act("split", incident=first, alarms=[follows.id])
    own = stage.alarm(*follows.key).incident
    assert members(stage, own) == {("atm-1", follows.component): ROOT}
    assert of(stage, own).fault == follows.rule
    stage.players["atm-1"].says(follows.component, "atm.cash", "ok", State.OK)
    stage.wait(20 * MINUTE)
    assert of(stage, own).restored_at > 0
    stage.players["atm-1"].says(follows.component, "atm.cash", "stop", State.CRIT)
    stage.wait(5 * MINUTE)
    assert stage.alarm(*follows.key).incident == own, "back where people had put it"


# The pure parts.

times = st.integers(1, 1000)


@st.composite
def standing(draw: st.DrawFn, name: str) -> Incident:
    opened = draw(times)
    begun = split_off(
        Incident(name, "atm-1", "hill", draw(st.integers(1, 3)), OPEN, opened, 0, 0, fault="disk.full"), opened
    )
    responded = draw(st.integers(opened, 2000)) if draw(st.booleans()) else 0
    state = draw(st.sampled_from((ACKNOWLEDGED, IN_REPAIR))) if responded else OPEN
    since = draw(st.integers(opened, 2000))
    held = ((since, draw(st.sampled_from((0, since + 5))), "parts"),) if draw(st.booleans()) else ()
    steps = tuple(sorted(draw(st.sets(st.sampled_from(("response/0", "response/1", "repair/0"))))))
    return Incident(**{**{name: getattr(begun, name) for name in begun.__slots__}, "responded_at": responded, "state": state,
                       "repair_at": responded if state == IN_REPAIR else 0, "owner": "chen" if responded else "", "held": held, "steps": steps})  # fmt: skip


@given(one=standing("HWM-1"), other=standing("HWM-2"))
def test_the_clocks_of_both_are_those_of_one(one: Incident, other: Incident) -> None:
    level = min(one.level, other.level)
    both = take_in(one, other, level)
    assert both.level == level
    assert both.opened_at == min(one.opened_at, other.opened_at)
    grave = [each for each in (one, other) if each.level == level]
    assert both.response_from == min(each.response_from for each in grave)
    answers = [each.responded_at for each in grave if each.responded_at]
    assert both.responded_at == min(answers, default=0)
    assert (both.state in (ACKNOWLEDGED, IN_REPAIR)) == bool(both.responded_at) == bool(answers)
    assert (both.state == IN_REPAIR) == (both.repair_at > 0)
    assert not both.responded_at or both.owner
    ends = [until for _, until, _ in both.held]
    assert all(ends[:-1]), "two holds at a time"
    assert all(a[1] <= b[0] for a, b in zip(both.held, both.held[1:], strict=False))
    assert both.on_hold == one.on_hold
    assert len(set(both.steps)) == len(both.steps)


def test_nothing_of_it_is_lost_when_it_is_kept(stage: Stage) -> None:
    first, second = full(stage), full(stage, component=OTHER)
    stage.act("merge", incident=first, into=second)
    kept = of(stage, second)
    assert Incident.of_row(kept.row()) == kept
