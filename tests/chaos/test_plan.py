from __future__ import annotations

import pytest

from tests.chaos.plan import BROKER, COLLECTOR, Kind, plan

AGENTS = ["till-1", "till-2", "till-3"]


def test_a_seed_is_a_plan() -> None:
    assert plan(7, 50, AGENTS) == plan(7, 50, AGENTS)
    assert plan(7, 50, AGENTS) != plan(8, 50, AGENTS)


@pytest.mark.parametrize("seed", range(20))
def test_every_plan_has_every_kind_and_kills_everybody_under_load(seed: int) -> None:
    steps = plan(seed, 14, AGENTS)
    faults = [fault for step in steps for fault in step.faults]
    assert len(faults) == 14
    assert {fault.kind for fault in faults} == set(Kind)
    killed = {fault.target for step in steps if step.under_load for fault in step.faults if fault.kind is Kind.KILL}
    assert killed >= {COLLECTOR, BROKER}
    assert killed & set(AGENTS)
    for step in steps:
        touched = [part for fault in step.faults for part in fault.touches]
        assert len(touched) == len(set(touched)), "two faults at once never strike one part"
