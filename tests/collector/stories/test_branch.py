"""One cause, one incident, one ticket: a switch, a line, a power cut, and what was broken by itself beneath them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.collector.sending import S
from tests.collector.stories.stage import HOUR, MINUTE, PATIENT, Player, Stage
from tillwatch.agent.model import State
from tillwatch.collector.alarm.alarms import CHILD
from tillwatch.collector.incident.incidents import CONSEQUENCE, DROPPED, RESOLVED, RESTORED, ROOT, SYMPTOM
from tillwatch.collector.tickets.message import Op

SILENT, WAN = "terminal.silent", "net.wan"
BRANCH, REGION, FLEET = "branch.unreachable", "region.unreachable", "fleet.unreachable"


def branch(stage: Stage, terminals: int, name: str = "hill", region: str = "north") -> list[Player]:
    return [stage.terminal(f"{name}-{i:02d}", name, region) for i in range(terminals)]


def server(stage: Stage, name: str = "hill", region: str = "north") -> Player:
    """It reads switch and UPS of its branch, and has a mobile line of its own to say so."""
    return stage.terminal(f"server-{name}", name, region, "server")


def line(at: Player, *, up: bool) -> None:
    at.says("switch", "net.wan.state", "up" if up else "failed", State.OK if up else State.CRIT)


def lost(stage: Stage, players: list[Player]) -> None:
    """One after the other, a second apart."""
    for player in players:
        player.lost()
        stage.wait(S)


def back(stage: Stage, players: list[Player]) -> None:
    for player in players:
        player.back()
        stage.wait(S)


ORDERS: dict[str, Callable[[Stage, Player, list[Player]], None]] = {
    "first": lambda stage, root, rest: (line(root, up=False), stage.wait(20 * S), lost(stage, rest)),
    "in the middle": lambda stage, root, rest: (
        lost(stage, rest[:20]), line(root, up=False), stage.wait(11 * S), lost(stage, rest[20:])
    ),
    "last": lambda stage, root, rest: (lost(stage, rest), line(root, up=False), stage.wait(11 * S)),
}  # fmt: skip


@pytest.fixture
def seen_soon(staged: Callable[..., Stage]) -> Stage:
    """A site whose switch is believed at once."""
    return staged(rules=PATIENT + '[[rule]]\nid = "net.wan"\nfor = "10s"\nhold = "60s"\n')


@pytest.mark.parametrize("order", ORDERS)
def test_a_switch_is_off_and_says_so(seen_soon: Stage, order: str) -> None:
    """Whatever is seen first: one incident of the switch, the forty terminals are its symptoms, and one ticket says so."""
    stage = seen_soon
    root, atms = server(stage), branch(stage, 40)
    ORDERS[order](stage, root, atms)
    stage.wait(10 * MINUTE)
    (told,) = stage.tickets()
    switch = stage.incident(WAN)
    assert told == switch.corr_id
    assert stage.members(told, ROOT) == {"server-hill"}
    assert stage.members(told, SYMPTOM) == {atm.name for atm in atms}
    assert stage.ops(told).count(Op.OPEN) == 1
    assert all(stage.alarm(SILENT, atm.name).mask(CHILD) for atm in atms)
    assert stage.told[-1].affected_count == 41, "the ticket lists everybody whom it concerns"
    assert {each.state for each in stage.incidents() if each.corr_id != told} <= {DROPPED}
    # The line is there again, one terminal is not: it was broken all the time, and gets its own ticket after the settle time.
    line(root, up=True)
    back(stage, atms[1:])
    stage.wait(2 * MINUTE)
    assert stage.incident(WAN).state == RESTORED
    assert stage.tickets() == {told}
    stage.wait(10 * MINUTE + 90 * S)
    own = stage.incident(SILENT, atms[0].name)
    assert stage.tickets() == {told, own.corr_id}
    assert own.announced
    assert stage.alarm(SILENT, atms[0].name).mask(CHILD) is None
    stage.restart()
    stage.rebuilt()


def test_a_switch_is_off_and_nothing_says_so(stage: Stage) -> None:
    """Forty terminals of a branch fall silent within a minute: that is one cause, whoever was seen first."""
    atms = branch(stage, 40)
    lost(stage, atms)
    stage.wait(10 * MINUTE)
    (told,) = stage.tickets()
    inferred = stage.incident(BRANCH)
    assert (told, inferred.scope, inferred.branch, inferred.level) == (inferred.corr_id, "branch", "hill", 1)
    assert stage.members(told, SYMPTOM) == {atm.name for atm in atms}
    assert stage.ops(told).count(Op.OPEN) == 1
    back(stage, atms[:-1])
    stage.wait(MINUTE)
    assert stage.incident(BRANCH).state == RESTORED
    assert stage.ops(told)[-1] is Op.RESOLVE
    stage.wait(9 * MINUTE)
    assert stage.tickets() == {told}, "what is left is given its time"
    stage.wait(3 * MINUTE)
    assert stage.incident(SILENT, atms[-1].name).announced
    assert len(stage.tickets()) == 2


def test_a_branch_falls_silent_without_a_will(staged: Callable[..., Stage]) -> None:
    """The broker went with the line: each is missed at its own time, minutes apart, and all were heard last within one."""
    stage = staged(rules="")
    atms = branch(stage, 12)
    for _ in range(3):
        for atm in atms:
            stage.wait(5 * S)
            atm.says("agent", "monitor.interval", 60)
    stage.wait(15 * MINUTE)
    assert stage.tickets() == {stage.incident(BRANCH).corr_id}
    assert stage.members(stage.incident(BRANCH).corr_id, SYMPTOM) == {atm.name for atm in atms}
    stage.restart()
    stage.rebuilt()


def test_the_switch_is_known_after_the_branch_was_told(seen_soon: Stage) -> None:
    """What was told stays: the former ticket says what explains it, and no terminal gets one."""
    stage = seen_soon
    root, atms = server(stage), branch(stage, 10)
    lost(stage, atms)
    stage.wait(5 * MINUTE)
    (first,) = stage.tickets()
    line(root, up=False)
    stage.wait(5 * MINUTE)
    switch = stage.incident(WAN)
    assert stage.tickets() == {first, switch.corr_id}
    assert stage.incident(BRANCH).parent == switch.corr_id
    assert any(each.incident == first and "Explained by" in each.note for each in stage.told)
    line(root, up=True)
    back(stage, atms)
    stage.wait(HOUR)
    assert {each.state for each in stage.incidents() if each.announced} == {RESTORED}
    assert [stage.ops(each)[-1] for each in sorted(stage.tickets())] == [Op.RESOLVE, Op.RESOLVE]
    stage.restart()
    stage.rebuilt()


def test_a_second_fault_beneath_the_switch_is_not_hidden(seen_soon: Stage) -> None:
    """A jam on a terminal that still speaks is no symptom of the line."""
    stage = seen_soon
    root, atms = server(stage), branch(stage, 10)
    line(root, up=False)
    stage.wait(20 * S)
    lost(stage, atms[1:])
    atms[0].disk(99)
    stage.wait(HOUR)
    assert stage.tickets() == {stage.incident(WAN).corr_id, stage.incident("disk.full", "hill-00").corr_id}
    stage.restart()
    stage.rebuilt()


def test_two_of_ten_are_two_faults(stage: Stage) -> None:
    atms = branch(stage, 10)
    lost(stage, atms[:2])
    stage.wait(10 * MINUTE)
    assert stage.tickets() == {stage.incident(SILENT, atm.name).corr_id for atm in atms[:2]}


def test_three_branches_of_a_region(stage: Stage) -> None:
    """One line above them: one incident of the region. The branches of another region speak on."""
    gone = [branch(stage, 4, name) for name in ("hill", "lake", "moor")]
    others = [branch(stage, 4, f"port-{i}", "south") for i in range(4)]
    for atms in gone:
        lost(stage, atms)
    stage.wait(10 * MINUTE)
    region = stage.incident(REGION)
    assert stage.tickets() == {region.corr_id}
    assert stage.members(region.corr_id, SYMPTOM) == {atm.name for atms in gone for atm in atms}
    assert region.region == "north"
    # Two of them are back: what is left is a branch, and then one terminal.
    back(stage, [*gone[0], *gone[1]])
    stage.wait(13 * MINUTE)
    own = stage.incident(BRANCH)
    assert (own.branch, own.announced) == ("moor", True)
    assert stage.tickets() == {region.corr_id, own.corr_id}
    assert all(stage.fold.fleet.terminals[atm.name].connection == "online" for atms in others for atm in atms)


def test_everybody_is_lost(stage: Stage) -> None:
    """It is not they."""
    fleet = [branch(stage, 4, f"b{i}", f"r{i % 2}") for i in range(6)]
    everybody = [atm for atms in fleet for atm in atms]
    lost(stage, everybody)
    stage.wait(10 * MINUTE)
    fleet_wide = stage.incident(FLEET)
    assert stage.tickets() == {fleet_wide.corr_id}
    assert stage.members(fleet_wide.corr_id, SYMPTOM) == {atm.name for atm in everybody}
    assert {each.cause for each in stage.fold.standing.states.values()} == {"monitoring"}
    back(stage, everybody)
    stage.wait(HOUR)
    assert stage.incident(FLEET).state == RESTORED
    assert stage.tickets() == {fleet_wide.corr_id}


def test_a_power_cut_with_a_ups(stage: Stage) -> None:
    """On battery, battery low, silence: one incident that grows worse, and its end."""
    atm = stage.terminal("atm-1")
    branch(stage, 5, "hill")
    atm.says("ups", "ups.output.source", "battery")
    stage.wait(10 * MINUTE)
    power = stage.incident("ups.on-battery")
    assert stage.tickets() == {power.corr_id}
    for charge in (60, 45, 18):
        atm.says("ups", "ups.battery.charge", charge)
        stage.wait(5 * MINUTE)
    assert stage.members(power.corr_id, CONSEQUENCE) == {"atm-1"}
    assert stage.incident("ups.on-battery").level == 1
    atm.lost()
    stage.wait(10 * MINUTE)
    assert stage.tickets() == {power.corr_id}
    assert stage.members(power.corr_id, SYMPTOM) == {"atm-1"}
    assert stage.fold.standing.states["atm-1"].cause == "power"
    atm.back(restarted=True)
    atm.says("ups", "ups.output.source", "normal")
    atm.says("ups", "ups.battery.charge", 60)
    stage.wait(20 * MINUTE)
    assert stage.incident("ups.on-battery").state == RESTORED
    assert stage.tickets() == {power.corr_id}
    stage.act("resolve", incident=power.corr_id, verdict="true_fault")
    assert stage.incident("ups.on-battery").state == RESOLVED


def test_the_ups_of_the_server_explains_its_branch(stage: Stage) -> None:
    """Mains fail, the terminals go one by one as batteries are empty, within hours: one incident."""
    root, atms = server(stage), branch(stage, 6)
    root.says("ups", "ups.output.source", "battery")
    stage.wait(5 * MINUTE)
    for atm in atms:
        atm.lost()
        stage.wait(20 * MINUTE)
    power = stage.incident("ups.on-battery")
    assert stage.tickets() == {power.corr_id}
    assert stage.members(power.corr_id, SYMPTOM) == {atm.name for atm in atms}


def test_the_mains_of_a_branch(stage: Stage) -> None:
    """Each ATM has a UPS of its own. That all of them lose the mains at once is one power cut."""
    atms = branch(stage, 6)
    for atm in atms:
        atm.says("ups", "ups.output.source", "normal")
    stage.wait(MINUTE)
    for atm in atms:
        atm.says("ups", "ups.output.source", "battery")
        stage.wait(S)
    stage.wait(10 * MINUTE)
    mains = stage.incident("branch.mains")
    assert stage.tickets() == {mains.corr_id}
    lost(stage, atms)
    stage.wait(10 * MINUTE)
    assert stage.tickets() == {mains.corr_id}
    for atm in atms:
        atm.back()
        atm.says("ups", "ups.output.source", "normal")
    stage.wait(HOUR)
    assert stage.incident("branch.mains").state == RESTORED
    assert stage.tickets() == {mains.corr_id}
