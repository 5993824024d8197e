"""SIGSTOP and SIGCONT of a sender around the end of its lease, before a real ticket system: one ticket an incident, each word once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.tickets.desks.roundup_server import RoundupServer, running
from tillwatch.collector.tickets.message import TicketState

ROOT = Path(__file__).parents[3]
PROGRAM = "tests.collector.tickets.paused_desk"


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoundupServer]:
    with running(tmp_path_factory.mktemp("roundup")) as server:
        yield server


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seeds", [5, 100])
def test_two_senders_of_which_one_was_asleep_tell_everything_once(
    tracker: RoundupServer, tmp_path: Path, seeds: int
) -> None:
    names = [f"p{seeds}-{number:03}" for number in range(seeds)]
    command = [sys.executable, "-m", PROGRAM, str(tmp_path), tracker.address, *names]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60 + 10 * seeds, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) >= seeds // 3, "the first was to be stopped at work"
    every, wrong = tracker.every(), []
    for incident in [f"HWM-{name}{number}-1" for name in names for number in (1, 2)]:
        found = every.get(incident, [])
        words = Counter(
            seq for each in found for note in each.notes for seq in range(1, 6) if f"word {seq} of {incident}" in note
        )
        if [each.state for each in found] != [TicketState.RESOLVED] or words != {2: 1, 3: 1, 4: 1, 5: 1}:
            wrong.append((incident, [(each.id, each.state, each.notes) for each in found]))
    assert wrong == []
