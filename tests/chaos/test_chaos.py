"""Kill, stop and cut anything at any moment: every reading made is stored once, in order, and what is stored can be proved."""

from __future__ import annotations

import asyncio
import os
import secrets
from pathlib import Path

import pytest

from tests.chaos import oracle, parts, plan, rig

SHORT_FAULTS, LONG_FAULTS = 18, 500
SEED, FAULTS = "TILLWATCH_CHAOS_SEED", "TILLWATCH_CHAOS_FAULTS"
BROKERS = pytest.mark.parametrize("embedded", [False, True], ids=["mosquitto", "embedded"])


@pytest.mark.timeout(600)
async def test_nothing_is_lost_doubled_or_mixed_up(tmp_path: Path) -> None:
    """A line with mosquitto and one with the embedded broker, at once: each waits more than it works."""
    async with asyncio.TaskGroup() as lines:
        for embedded in (False, True):
            folder = tmp_path / ("embedded" if embedded else "mosquitto")
            folder.mkdir()
            lines.create_task(_chaos(folder, SHORT_FAULTS, agents=2, embedded=embedded))


@pytest.mark.long
@BROKERS
@pytest.mark.timeout(4 * 3600)
async def test_nothing_is_lost_doubled_or_mixed_up_for_long(tmp_path: Path, *, embedded: bool) -> None:
    """TILLWATCH_CHAOS_FAULTS changes the number of faults."""
    await _chaos(tmp_path, int(os.environ.get(FAULTS, LONG_FAULTS)), agents=4, embedded=embedded)


async def _chaos(folder: Path, faults: int, *, agents: int, embedded: bool) -> None:
    """One seed, one plan: TILLWATCH_CHAOS_SEED takes the seed of a run that failed."""
    seed = int(os.environ.get(SEED) or secrets.randbits(32))
    print(f"chaos: {faults} faults, {'embedded broker' if embedded else 'mosquitto'}; to see them again: {SEED}={seed}")
    async with rig.running(folder, agents, embedded=embedded, disks=True, seed=seed) as line:
        if not line.disks:
            print("no disk is filled: only root mounts, and not everywhere")
        for step in plan.plan(seed, faults, line.line()):
            await line.strike(step)
        line.tell("the faults are over")
        await line.drain()
        line.tell("every backlog is stored")
        await line.end()
        line.tell("ended")
        account = {(agent.name, device.name): device.runs for agent in line.agents for device in agent.devices}
        clocks = {agent.name: agent.clock.changes for agent in line.agents}
        bounds = oracle.Bounds.of(parts.SEAL_S, parts.POLL_S)
        found = oracle.findings(line.database, account, bounds, clocks)
        found += [f"{part.name}:\n{text}" for part in line.parts.values() for text in _tracebacks(part.log)]
        for agent in line.agents:
            spooled = agent.spool()
            if spooled.lost or spooled.parked or spooled.waiting != spooled.next_seq - 1 - spooled.acked:
                found.append(f"{agent.name}: the spool is left with {spooled}")
        made = sum(len(run.answers) for runs in account.values() for run in runs)
        line.tell(f"{line.struck} faults, {made} readings, {line.scrambled()}")
        assert not found, "\n".join([f"seed {seed}", *found[:40], line.report()])
        print(await line.command("verify", "--log"))
        assert line.struck >= faults


def _tracebacks(log: Path) -> list[str]:
    """Nothing that strikes from outside may look like a fault of the program."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return ["\n".join(lines[max(at - 3, 0) : at + 30]) for at, line in enumerate(lines) if line.startswith("Traceback")]
