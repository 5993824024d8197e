"""Kill, stop and cut anything at any moment: every reading made is stored once, in order, and what is stored can be proved."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from tests.chaos import oracle, plan, rig

SHORT_FAULTS, LONG_FAULTS = 14, 500
SEED, FAULTS = "TILLWATCH_CHAOS_SEED", "TILLWATCH_CHAOS_FAULTS"


@pytest.mark.timeout(900)
async def test_nothing_is_lost_doubled_or_mixed_up(tmp_path: Path) -> None:
    await _chaos(tmp_path, SHORT_FAULTS, agents=3)


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
async def test_nothing_is_lost_doubled_or_mixed_up_for_long(tmp_path: Path) -> None:
    """TILLWATCH_CHAOS_FAULTS changes the number of faults."""
    await _chaos(tmp_path, int(os.environ.get(FAULTS, LONG_FAULTS)), agents=4)


async def _chaos(folder: Path, faults: int, *, agents: int) -> None:
    """One seed, one plan: TILLWATCH_CHAOS_SEED takes the seed of a run that failed."""
    seed = int(os.environ.get(SEED) or secrets.randbits(32))
    print(f"chaos: {faults} faults; to see them again: {SEED}={seed}")
    async with rig.running(folder, agents) as line:
        for step in plan.plan(seed, faults, [agent.name for agent in line.agents]):
            await line.strike(step)
        line.tell("the faults are over")
        await line.drain()
        line.tell("every backlog is stored")
        await line.end()
        line.tell("ended")
        account = {(agent.name, device.name): device.runs for agent in line.agents for device in agent.devices}
        found = oracle.findings(line.database, account, oracle.Bounds.of(rig.SEAL_S, rig.POLL_S))
        found += [f"{part.name}:\n{text}" for part in line.parts.values() for text in _tracebacks(part.log)]
        for agent in line.agents:
            spooled = agent.spool()
            if spooled.lost or spooled.parked or spooled.waiting != spooled.next_seq - 1 - spooled.acked:
                found.append(f"{agent.name}: the spool is left with {spooled}")
        print(*line.story, sep="\n")
        print(f"{line.struck} faults, {sum(len(run.answers) for runs in account.values() for run in runs)} readings")
        assert not found, "\n".join([f"seed {seed}", *found[:40], line.report()])
        assert line.struck >= faults


def _tracebacks(log: Path) -> list[str]:
    """Nothing that strikes from outside may look like a fault of the program."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return ["\n".join(lines[max(at - 3, 0) : at + 30]) for at, line in enumerate(lines) if line.startswith("Traceback")]
