from __future__ import annotations

import pytest

from tests.chaos.plan import BOTH, BROKER, COLLECTOR, DISK, Kind, Line, plan

AGENTS = ["till-1", "till-2", "till-3"]
LINES = [Line(AGENTS), Line(AGENTS, embedded=True), Line(AGENTS, disks=False)]


def test_a_seed_is_a_plan() -> None:
    assert plan(7, 50, LINES[0]) == plan(7, 50, LINES[0])
    assert plan(7, 50, LINES[0]) != plan(8, 50, LINES[0])


@pytest.mark.parametrize("line", LINES, ids=["mosquitto", "embedded", "no disks"])
@pytest.mark.parametrize("seed", range(20))
def test_every_plan_has_every_kind_and_kills_everybody_under_load(line: Line, seed: int) -> None:
    steps = plan(seed, 18, line)
    faults = [fault for step in steps for fault in step.faults]
    assert len(faults) == 18
    missing = (BOTH if line.embedded else ()) + (() if line.disks else DISK)
    assert {fault.kind for fault in faults} == set(Kind) - set(missing)
    killed = {fault.target for step in steps if step.under_load for fault in step.faults if fault.kind is Kind.KILL}
    assert killed >= ({COLLECTOR} if line.embedded else {COLLECTOR, BROKER})
    assert killed & set(AGENTS)
    assert {fault.target for fault in faults} <= {*AGENTS, COLLECTOR, BROKER} - ({BROKER} if line.embedded else set())
    for step in steps:
        touched = [part for fault in step.faults for part in fault.touches]
        assert len(touched) == len(set(touched)), "two faults at once never strike one part"
