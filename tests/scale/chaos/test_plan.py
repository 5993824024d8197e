"""That a plan can be seen again, and leaves nothing out."""

from __future__ import annotations

import pytest

from tests.scale.chaos.plan import SERVER, Kind, plan


@pytest.mark.parametrize("seed", [0, 7, 2**31])
def test_a_seed_gives_one_plan_with_every_kind_of_fault(seed: int) -> None:
    steps = plan(seed, 30)
    assert steps == plan(seed, 30)
    faults = [fault for step in steps for fault in step.faults]
    assert len(faults) == 30
    assert {fault.kind for fault in faults} == set(Kind)


def test_another_seed_gives_another_plan() -> None:
    assert plan(1, 30) != plan(2, 30)


def test_no_two_faults_of_a_step_strike_one_part() -> None:
    for seed in range(50):
        for step in plan(seed, 20):
            struck = [
                next(part for part in ("collector", "opener", "broker", "PostgreSQL", "sink") if part in fault.kind)
                for fault in step.faults
            ]
            struck = ["collector" if part == "opener" else part for part in struck]
            assert len(set(struck)) == len(struck)


def test_the_server_is_struck_last_of_those_that_are_struck_together() -> None:
    pairs = [step.faults for seed in range(50) for step in plan(seed, 30) if len(step.faults) == 2]
    assert any(second.kind.startswith(SERVER) for _, second in pairs)
    assert not any(first.kind.startswith(SERVER) for first, _ in pairs)
