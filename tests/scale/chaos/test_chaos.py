"""Kill, stop, cut off and restart anything of the large installation at any moment: every reading is stored once, in order, and everybody is told once."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from pathlib import Path

import pytest

from tests.scale.chaos.ending import ended
from tests.scale.chaos.faults import NEW_HOLDER, struck
from tests.scale.chaos.installation import Installation, installed
from tests.scale.chaos.plan import Step, plan, together

SEED, FAULTS = "TILLWATCH_CHAOS_SEED", "TILLWATCH_CHAOS_FAULTS"
COUNT = 30
TERMINALS = 40
LATER_S = 1.0
"""Between two faults of a step: the second one strikes what the first one has begun."""


@pytest.mark.long
@pytest.mark.timeout(2 * 3600)
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
def test_nothing_is_lost_doubled_or_told_twice(tmp_path: Path) -> None:
    """TILLWATCH_CHAOS_SEED takes the seed of a run that failed, TILLWATCH_CHAOS_FAULTS another number of faults."""
    seed = int(os.environ.get(SEED) or secrets.randbits(32))
    count = int(os.environ.get(FAULTS) or COUNT)
    print(f"chaos: {count} faults; to see them again: {SEED}={seed}", flush=True)
    with installed(tmp_path, TERMINALS) as line:
        for step in plan(seed, count):
            _strike(line, step)
        line.tell("the faults are over")
        line.figures.facts |= {"seed": seed}
        ended(line)


def _strike(line: Installation, step: Step) -> None:
    if step.flowing:
        line.steady(time.time())
    began = time.time()
    with contextlib.ExitStack() as stack:
        for fault in step.faults:
            line.tell(f"strikes: {fault}")
            stack.enter_context(struck(line, fault))
            time.sleep(LATER_S)
        time.sleep(max(fault.hold_s for fault in step.faults))
    if step.flowing or any(fault.kind in NEW_HOLDER for fault in step.faults):
        line.recovered(" + ".join(fault.kind.name for fault in step.faults), began, time.time())
    else:
        line.tell(f"in the middle of the recovery from: {together(step.faults)}")
