"""What is kept for a time ages with the time that the collector has lived through, and with no other."""

from __future__ import annotations

from pathlib import Path

from tests.collector.conftest import COLLECTOR_KEY, UNITS, World
from tests.collector.packed import filled, keep_house
from tests.collector.sending import T0, S
from tillwatch.collector.clock import HOLD_NS, SteadyClock
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.proof.rebuild import rebuild
from tillwatch.collector.sections import RetentionSection
from tillwatch.collector.store import retention
from tillwatch.collector.store.sqlite import SqliteStore

DAY = 86_400 * S
WEEK = RetentionSection(keep=7 * 86_400.0)


def retired(world: World) -> int:
    (count,) = world.store.conn.execute("SELECT count(*) FROM segment WHERE retired_n IS NOT NULL").fetchone()
    return int(count)


async def test_a_clock_that_was_set_years_ahead_retires_nothing(world: World) -> None:
    await filled(world, 1200, "atm-1")
    await keep_house(world)
    right = world.now
    again = world.restart()
    again.now = right + 700 * DAY
    await again.start()
    await keep_house(again, WEEK)
    assert retired(again) == 0
    again.now += 3600 * S
    back = again.restart()
    back.now = right + DAY
    await back.start()
    await keep_house(back, WEEK)
    assert retired(back) == 0
    await back.tick(right + 9 * DAY)
    await keep_house(back, WEEK)
    assert retired(back) > 0, "days in which it ran count"


async def test_what_was_not_lived_through_is_in_the_journal(world: World) -> None:
    """A file made anew out of it keeps as long."""
    await filled(world, 20, "atm-1")
    again = world.restart()
    again.now += 30 * DAY
    await again.start()
    copy = world.path.with_name("again.db")
    rebuild(world.path, copy)
    made = SqliteStore(copy)
    try:
        cut = retention.cut_off(made.conn, 7 * 86_400.0)
        assert cut == retention.cut_off(again.store.conn, 7 * 86_400.0)
        assert abs(cut - (again.now - 37 * DAY)) < DAY
    finally:
        made.close()


async def test_a_night_off_is_a_night(world: World) -> None:
    await filled(world, 20, "atm-1")
    again = world.restart()
    again.now += DAY // 3
    await again.start()
    assert retention.cut_off(again.store.conn, 7 * 86_400.0) == again.now - 7 * DAY


async def test_a_clock_that_is_about_to_be_believed_retires_nothing_either(tmp_path: Path) -> None:
    """It was set years ahead while the collector ran, and has stayed there: whoever asks before the journal has heard of it gets the old time."""
    off = 0
    world = World(tmp_path / "collector.db")
    await filled(world, 1200, "atm-1")
    await keep_house(world)
    world = world.restart()
    real = world.now
    clock = SteadyClock(lambda: real + off, lambda: real)
    world.pipeline = Pipeline(world.store, COLLECTOR_KEY, UNITS, steady=clock)
    await world.start()
    off = 700 * DAY
    await world.pipeline.take([])
    real += HOLD_NS + S
    await world.pipeline.take([])
    await keep_house(world, WEEK)
    assert retired(world) == 0
    await world.pipeline.take_opened([])
    assert world.store.meta_int("advanced_to") > T0 + 700 * DAY, "now it is believed"
    await keep_house(world, WEEK)
    assert retired(world) == 0
    world.store.close()
