"""The last seven days of a branch, out of a real store: they are the figures of those days, and one is computed at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.collector.desk import Desk
from tillwatch.collector.figures.rollup import Scope, compute
from tillwatch.collector.figures.rows import read_log, read_policy
from tillwatch.collector.store.reading import reading
from tillwatch.collector.web.branch_week import DAYS, KEPT_NS, Weeks, week_of

DAY = 86_400 * 10**9


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    desk = Desk(tmp_path_factory.mktemp("desk"), ago=2 * DAY)
    desk.enrol("atm-1", "atm-2", branch="Harbour Road", region="South")
    desk.enrol("atm-3", branch="Airport", region="North")
    desk.wait(36 * 3600)
    return desk.path, desk.now


def test_a_week_is_the_figures_of_its_days(store: tuple[Path, int]) -> None:
    database, now = store
    week = week_of(database, "Harbour Road", now)
    assert len(week.days) == DAYS
    assert all(one.end == later.start for one, later in zip(week.days, week.days[1:], strict=False))
    assert week.days[-1].start <= now < week.days[-1].end
    db = reading(database)
    scope = Scope("branch", "Harbour Road")
    start = week.days[0].start
    whole = (
        compute(read_log(db, start, now, [scope]), read_policy(db), start, now)
        .figures[scope]
        .availability.parts["network"]
        .shares
    )
    assert sum(day.shares.scheduled for day in week.days) == whole.scheduled > 0
    assert sum(day.shares.up for day in week.days) == whole.up > 0
    db.close()


async def test_a_week_is_kept_for_some_minutes(store: tuple[Path, int]) -> None:
    database, now = store
    clock = [now]
    weeks = Weeks(database, lambda: clock[0])
    first = await weeks.of("Airport")
    assert await weeks.of("Airport") is first
    clock[0] += KEPT_NS + 1
    later = await weeks.of("Airport")
    assert first is not None
    assert later is not None
    assert later.computed_at - first.computed_at == KEPT_NS + 1
    assert await Weeks(None, lambda: now).of("Airport") is None
