"""What is computed beside the console: once, in turn, afresh when it is old, and ended with it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest

from tests.collector.figures.stores import make_store
from tillwatch.collector.changes import Dirty
from tillwatch.collector.figures.rollup import FLEET, Scope
from tillwatch.collector.people.roles import Role, Visitor
from tillwatch.collector.people.roles import Scope as Part
from tillwatch.collector.records import Correction, StateChange
from tillwatch.collector.web import figures_jobs
from tillwatch.collector.web.figures_jobs import DAY_NS, SETTLED_NS, SETTLES_NS, FiguresJobs, NoFigures, part_of
from tillwatch.collector.web.reads import Busy

START = 20_000 * DAY_NS
END = START + 30 * DAY_NS
ALL = frozenset({FLEET})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    states = [StateChange("t", START - DAY_NS, START - DAY_NS, "in_service")]
    made = tmp_path / "collector.db"
    make_store(made, Dirty(states=states), [("t", "Harbour", "North", "atm")], known=END + DAY_NS)
    return made


class Clock:
    def __init__(self) -> None:
        self.at = time.time_ns()

    def __call__(self) -> int:
        return self.at


@pytest.fixture
async def jobs(path: Path):
    clock = Clock()
    made = FiguresJobs(path, clock)
    made.clock = clock  # type: ignore[attr-defined]
    yield made
    await made.close()


async def found(jobs: FiguresJobs, start: int = START, **more: object):
    return await jobs.find(start, END, ALL, wait_s=20, **more)  # type: ignore[arg-type]


async def test_what_is_not_kept_is_made_and_then_kept(jobs, path):
    first = await found(jobs)
    assert first.job is None
    assert first.kept.figure(FLEET)["availability"]["terminals"] == 1
    again = await jobs.find(START, END, ALL)
    assert (again.job, again.meta.at) == (None, first.meta.at)
    (file,) = (path.with_name("collector.db.figures")).iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


async def test_a_part_of_the_fleet_is_a_file_of_its_own(jobs):
    await found(jobs)
    nowhere = await jobs.find(START, END, frozenset({Scope("branch", "Lake")}), wait_s=20)
    assert nowhere.kept.figure(FLEET)["availability"]["terminals"] == 0
    assert nowhere.kept.scopes("terminal", FLEET, "name", 10, 0).total == 0


async def test_what_figures_depend_on_makes_them_stale_at_once(jobs, path):
    first = await found(jobs)
    import sqlite3

    from tillwatch.collector.store import folded

    said = Correction(5, "t", START, START + DAY_NS, "planned", "x", "branch", "ann", END)
    with sqlite3.connect(path) as db:
        for sql, rows in folded.rows(Dirty(corrections=[said])):
            db.executemany(sql, rows)
    jobs.forget()
    second = await found(jobs)
    assert second.meta.at > first.meta.at
    assert second.kept.brief(FLEET)["planned"] == DAY_NS


@pytest.mark.parametrize(("after", "life"), [(0, SETTLED_NS), (-SETTLES_NS + DAY_NS, figures_jobs.RECENT_NS)])
async def test_the_older_a_period_the_longer_its_figures_hold(jobs, after, life):
    """The clock stands so long after the end of the period that it is settled, or still moves."""
    jobs.clock.at = END + SETTLES_NS + after
    first = await found(jobs)
    jobs.clock.at = first.meta.at + life - 1
    until = jobs.clock.at - SETTLES_NS - DAY_NS if life == SETTLED_NS else jobs.clock.at - DAY_NS
    assert not jobs._old(first.meta, until)
    jobs.clock.at += 2
    assert jobs._old(first.meta, until)


async def test_old_figures_are_shown_while_newer_ones_are_made(jobs):
    first = await found(jobs)
    jobs.clock.at = first.meta.at + SETTLED_NS + 1
    again = await jobs.find(START, END, ALL)
    assert again.kept is not None
    assert again.job is not None
    await asyncio.wait_for(again.job.ended.wait(), 60)
    assert (await jobs.find(START, END, ALL)).meta.at > first.meta.at


async def test_two_who_ask_wait_for_the_same_one(jobs):
    first, second = await asyncio.gather(found(jobs), found(jobs))
    assert first.meta.at == second.meta.at


async def test_those_that_somebody_waits_for_come_before_those_of_a_trend_and_the_newest_of_these_first(jobs):
    order, go_on = [], asyncio.Event()

    async def noted(job):
        order.append(job.end - END)
        await go_on.wait()

    jobs._make = noted
    for month in range(3):
        await jobs.find(START, END + month, ALL, urgent=False)
    await asyncio.sleep(0)
    await jobs.find(START, END + 9, ALL)
    go_on.set()
    await asyncio.wait_for(jobs._runner, 60)
    assert order[1:] == [9, *(month for month in (2, 1, 0) if month != order[0])] or order == [9, 2, 1, 0]


SLEEPING = (sys.executable, "-c", "import time; time.sleep(60)")


async def running(jobs: FiguresJobs) -> None:
    """Something is being made, and goes on."""
    job = (await jobs.find(START, END, ALL)).job
    while job.state != "running":
        await asyncio.sleep(0.01)


async def test_more_than_may_wait_are_refused(path, monkeypatch):
    monkeypatch.setattr(figures_jobs, "MAX_JOBS", 2)
    jobs = FiguresJobs(path, time.time_ns, SLEEPING)
    await running(jobs)
    for month in (1, 2):
        await jobs.find(START + month, END, ALL)
    with pytest.raises(Busy):
        await jobs.find(START + 3, END, ALL)
    await jobs.close()


async def test_what_fails_says_why_and_is_tried_again_later(path, monkeypatch):
    jobs = FiguresJobs(path, time.time_ns, (sys.executable, "-c", "import sys; sys.exit('error: no room on the disk')"))
    with pytest.raises(NoFigures, match="no room on the disk"):
        await jobs.find(START, END, ALL, wait_s=20)
    with pytest.raises(NoFigures):
        await jobs.find(START, END, ALL)
    monkeypatch.setattr(figures_jobs, "FAILED_S", 0.0)
    again = await jobs.find(START, END, ALL)
    assert again.job.state in ("waiting", "running")
    await jobs.close()


async def test_what_takes_too_long_is_ended(path, monkeypatch):
    monkeypatch.setattr(figures_jobs, "LIMIT_S", 0.3)
    jobs = FiguresJobs(path, time.time_ns, SLEEPING)
    with pytest.raises(NoFigures, match="longer"):
        await jobs.find(START, END, ALL, wait_s=20)
    await jobs.close()


async def test_the_end_of_the_console_ends_what_is_being_made(path):
    jobs = FiguresJobs(path, time.time_ns, SLEEPING)
    await running(jobs)
    await asyncio.wait_for(jobs.close(), 60)
    assert jobs._runner.done()


async def test_without_a_store_there_are_none():
    with pytest.raises(NoFigures, match="--db"):
        await FiguresJobs(None, time.time_ns).find(START, END, ALL)


def test_the_files_are_bounded_and_those_asked_for_least_recently_go_first(path, monkeypatch):
    monkeypatch.setattr(figures_jobs, "MAX_FILES", 2)
    jobs = FiguresJobs(path, time.time_ns)
    folder = path.with_name("collector.db.figures")
    folder.mkdir()
    for age, name in enumerate(("a", "b", "c", "d")):
        (folder / f"{name}.db").write_bytes(b"x")
        os.utime(folder / f"{name}.db", (1_000 - age, 1_000 - age))
    jobs._tidy(folder / "d.db")
    assert sorted(file.stem for file in folder.iterdir()) == ["a", "b", "d"], "what was just made stays"


def test_the_part_that_somebody_sees():
    assert part_of(Visitor("a", Role.VIEWER)) == ALL
    own = Visitor("a", Role.VIEWER, Part(frozenset({"North"}), frozenset({"Lake"})))
    assert part_of(own) == {Scope("region", "North"), Scope("branch", "Lake")}
