"""SIGKILL of the sender at any point, over and over, before a real ticket system: no incident is without its ticket, none has two, each word is there once."""

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
PROGRAM = "tests.collector.tickets.killed_desk"
POINTS = ("before POST", "in POST", "after POST", "after journal", "before commit", "after commit")
FEW, MANY = 1, 100


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoundupServer]:
    with running(tmp_path_factory.mktemp("roundup")) as server:
        yield server


def kill_and_look(tracker: RoundupServer, folder: Path, point: str, seeds: int) -> None:
    names = [f"{POINTS.index(point)}-{'s' if seeds > FEW else 'q'}{number:03}" for number in range(seeds)]
    command = [sys.executable, "-m", PROGRAM, str(folder), tracker.address, point, *names]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    done = subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60 + 10 * seeds, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) >= seeds, "most senders were to die"
    for incident in [f"HWM-{name}{number}-1" for name in names for number in (1, 2)]:
        found = tracker.tickets(incident)
        assert [each.state for each in found] == [TicketState.RESOLVED], f"{incident}: {found}"
        words = Counter(
            f"word {seq}" for note in found[0].notes for seq in range(1, 6) if f"word {seq} of {incident}" in note
        )
        assert words == {"word 2": 1, "word 3": 1, "word 4": 1, "word 5": 1}, f"{incident}: {found[0].notes}"


@pytest.mark.parametrize("point", POINTS)
def test_a_sender_that_is_killed_loses_and_doubles_nothing(tracker, tmp_path, point) -> None:
    kill_and_look(tracker, tmp_path, point, FEW)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("point", POINTS)
def test_a_hundred_seeds_at_each_point(tracker, tmp_path, point) -> None:
    kill_and_look(tracker, tmp_path, point, MANY)
