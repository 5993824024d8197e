"""What was taken stands in the spool's file, whatever ends the agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from tillwatch.agent.remote.judging import Past
from tillwatch.agent.remote.taken import KEPT, Taken
from tillwatch.agent.settings import SpoolConfig
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.wire import Command, Outcome


def open_spool(folder: Path) -> Spool:
    return Spool(folder / "spool.db", "atm-1", bytes(32), SpoolConfig())


def command(number: int, kind: str = "poll-now") -> Command:
    return Command("atm-1", number, kind, 0, 10**9, bytes(12), {})


def test_a_number_is_taken_once_and_outlives_the_agent(tmp_path: Path) -> None:
    taken = Taken(open_spool(tmp_path))
    assert (taken.past(), taken.unfinished(), taken.raised()) == (Past(), [], (0, 1))
    taken.take(command(5))
    # The agent is killed: nothing is closed.
    again = Taken(open_spool(tmp_path))
    assert again.unfinished() == [5]
    assert again.past() == Past(5, ("poll-now",))
    assert (again.knows(5), again.knows(4)) == (True, False)
    again.finish(5, Outcome.INTERRUPTED)
    assert again.unfinished() == []
    with pytest.raises(SpoolFullError):
        again.take(command(5))


def test_refused_ones_count_for_the_number_and_not_for_the_rate(tmp_path: Path) -> None:
    taken = Taken(open_spool(tmp_path))
    taken.refuse(command(7))
    assert taken.past() == Past(7)
    assert taken.unfinished() == []


def test_only_the_last_raised_sampling_that_began_goes_on(tmp_path: Path) -> None:
    taken = Taken(open_spool(tmp_path))
    taken.take(command(1, "raise-sampling"), until=900, factor=4)
    assert taken.raised() == (0, 1), "not before it was told"
    taken.finish(1, Outcome.DONE)
    assert taken.raised() == (900, 4)
    taken.take(command(2, "raise-sampling"), until=1000, factor=2)
    taken.finish(2, Outcome.DONE)
    assert taken.raised() == (1000, 2)


def test_it_is_bounded_and_the_highest_stays(tmp_path: Path) -> None:
    spool = open_spool(tmp_path)
    taken = Taken(spool)
    for number in range(1, KEPT + 20):
        taken.refuse(command(number))
    assert spool.book.db.execute("SELECT count(*) FROM command").fetchone() == (KEPT,)
    assert taken.past().mark == KEPT + 19
