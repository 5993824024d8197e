"""The collector's clock and those of its terminals, set by years in both directions."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import closing
from pathlib import Path

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collector.conftest import COLLECTOR_KEY, UNITS, World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import MS, Quality
from tillwatch.collector.alarm.rules import parse_rules, shipped_text
from tillwatch.collector.clock import HOLD_NS, JUMP_NS, SteadyClock
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore

DAY = 86_400 * S
YEAR = 365 * DAY


class Machine:
    """A machine whose clock the test sets; real: the time that nobody sees."""

    def __init__(self) -> None:
        self.real = 10**12
        self.off = T0 - 10**12
        self.clock = SteadyClock(lambda: self.real + self.off, lambda: self.real)

    def go(self, seconds: float, step: float = 30.0) -> list[int]:
        """Let time pass, the clock looked at every step as the pipeline does."""
        seen = []
        end = self.real + round(seconds * S)
        while self.real < end:
            self.real = min(self.real + round(step * S), end)
            seen.append(self.clock.now())
        return seen


def test_small_steps_are_followed_at_once() -> None:
    machine = Machine()
    machine.off += 50 * S
    assert machine.clock.now() == machine.real + machine.off
    machine.off -= 70 * S // 2
    assert machine.clock.now() == machine.real + machine.off
    assert machine.clock.take_jump() == 0


@pytest.mark.parametrize("years", [10, -10])
def test_a_jump_that_does_not_last_leaves_no_trace(years: int) -> None:
    machine = Machine()
    before = machine.clock.now()
    machine.off += years * YEAR
    seen = machine.go(HOLD_NS / 1e9 - 1)
    assert seen[-1] - before == HOLD_NS - S
    assert machine.clock.ahead() == -years * YEAR
    machine.off -= years * YEAR
    assert machine.clock.now() == machine.real + machine.off
    assert (machine.clock.ahead(), machine.clock.take_jump()) == (0, 0)


@pytest.mark.parametrize("years", [10, -10])
def test_a_jump_that_lasts_is_believed_and_told_once(years: int) -> None:
    machine = Machine()
    machine.off += years * YEAR
    first = machine.clock.now()
    machine.go(HOLD_NS / 1e9 + 60)
    assert machine.clock.now() - first == HOLD_NS + 60 * S, "nobody is told a time that the journal knows nothing of"
    assert machine.clock.take_jump() == years * YEAR
    assert machine.clock.now() == machine.real + machine.off
    assert (machine.clock.take_jump(), machine.clock.ahead()) == (0, 0)


def test_a_clock_that_jumps_about_is_doubted_until_it_stays() -> None:
    machine = Machine()
    first = machine.clock.now()
    for k in range(40):
        machine.off += (YEAR, -3 * YEAR)[k % 2]
        machine.go(300, 300)
    assert machine.clock.now() - first == 40 * 300 * S


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(-10 * YEAR, 10 * YEAR)), max_size=20))
def test_between_told_jumps_it_goes_at_the_pace_of_time(steps: list[tuple[int, int]]) -> None:
    machine = Machine()
    last = machine.clock.now()
    for looks, set_by in steps:
        machine.off += set_by
        for _ in range(looks):
            (now,) = machine.go(100, 100)
            assert abs(now - last - 100 * S) <= JUMP_NS
            last = now + machine.clock.take_jump()
    machine.go(3 * HOLD_NS / 1e9)
    machine.clock.take_jump()
    assert machine.clock.now() == machine.real + machine.off, "in the end it is the machine's"


class Site:
    """A collector on a machine of its own, and one terminal that keeps good time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.machine = Machine()
        self.true = T0
        self._start = self.machine.real
        self.store = SqliteStore(path)
        self.pipeline = Pipeline(self.store, COLLECTOR_KEY, UNITS, steady=self.machine.clock)
        self.atm = Sender("atm-1")
        self.count = 0

    @property
    def now(self) -> int:
        """The terminal's own, right time."""
        return T0 + self.machine.real - self._start

    async def start(self) -> None:
        await self.pipeline.start(shipped_text(), "")
        await self.atm.enrol(self.pipeline)
        await self.hear(self.atm.life(self.now))

    async def hear(self, message=None) -> None:
        ahead = await self.pipeline._follow_clock()
        received = self.machine.real + self.machine.off
        replies = await self.pipeline.take([message._replace(received=received + ahead)] if message else [])
        if (reply := replies.get("atm-1")) is not None and reply.want:
            assert reply.want == 1, "below the floor: the terminal tells where it stands"
            await self.hear(self.atm.life(self.now, floor=self.atm.seq + 1))

    async def minute(self, *, silent: bool = False) -> None:
        for _ in range(12):
            self.machine.real += 5 * S
            await self.hear()
        if not silent:
            self.count += 1
            value = reading("ups", "ups.input.voltage", self.now // MS * MS, self.count % 100)
            await self.hear(self.atm.batch([value], self.now))

    async def restart(self) -> None:
        self.store.close()
        self.store = SqliteStore(self.path)
        self.machine.clock = SteadyClock(lambda: self.machine.real + self.machine.off, lambda: self.machine.real)
        self.pipeline = Pipeline(self.store, COLLECTOR_KEY, UNITS, steady=self.machine.clock)
        await self.pipeline.start(shipped_text(), "")

    def alarms(self) -> list[tuple[str, str]]:
        return self.store.conn.execute("SELECT rule, condition FROM alarm ORDER BY id").fetchall()

    def latest(self):
        with closing(SqliteReader(self.path)) as reader:
            (view,) = [s for c in reader.components("atm-1") for s in c.signals]
        return view

    def check(self, folder: Path) -> None:
        """Times never go back, and the same comes out of the journal again."""
        ats = [row[0] for row in self.store.conn.execute("SELECT at FROM journal ORDER BY n")]
        assert ats == sorted(set(ats))
        rebuild(self.path, folder / "again.db")
        with closing(SqliteStore(folder / "again.db")) as again:
            assert tables(again.conn) == tables(self.store.conn)


async def test_the_collectors_clock_ten_years_forth_and_back_raises_nothing_and_blinds_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path / "c.db")
    await site.start()
    for _ in range(5):
        await site.minute()
    site.machine.off += 10 * YEAR
    for _ in range(40):  # long enough to be believed
        await site.minute()
    # Believed wrongly: every terminal seems ten years behind. That is said, and nobody is silent.
    assert site.alarms() == [("clock.suspect", "active")]
    assert site.latest().value == 45
    site.machine.off -= 10 * YEAR
    for _ in range(40):
        await site.minute()
    assert site.alarms() == [("clock.suspect", "normal")]
    view = site.latest()
    assert (view.value, view.at, view.quality, view.corrected_by) == (85, site.now // MS * MS, "good", 0)
    # The journal's time stays ahead and goes on at the pace of time: who falls silent now is missed in minutes, not in ten years.
    for _ in range(10):
        await site.minute(silent=True)
    assert site.alarms()[-1] == ("terminal.silent", "active")
    await site.minute()
    assert site.alarms()[-1] == ("terminal.silent", "normal")
    await site.restart()
    for _ in range(5):
        await site.minute()
    assert site.alarms() == [("clock.suspect", "normal"), ("terminal.silent", "normal")]
    assert site.latest().at == site.now // MS * MS
    # The years over which the clock was set never were: only of the restart it may be said that the collector was away.
    away = site.store.conn.execute("SELECT since, until FROM outage").fetchall()
    assert all(until - since < DAY for since, until in away)
    await site.pipeline.stop()
    site.check(tmp_path)
    site.store.close()


async def test_a_collector_started_with_a_clock_ten_years_behind_goes_on(tmp_path: Path) -> None:
    site = Site(tmp_path / "c.db")
    await site.start()
    for _ in range(5):
        await site.minute()
    site.machine.off -= 10 * YEAR
    await site.restart()
    await site.hear(site.atm.life(site.now))
    for _ in range(5):
        await site.minute()
    assert site.latest().value == 10
    for _ in range(10):
        await site.minute(silent=True)
    assert ("terminal.silent", "active") in site.alarms()
    site.machine.off += 10 * YEAR
    for _ in range(30):
        await site.minute()
    assert dict(site.alarms())["terminal.silent"] == "normal"
    view = site.latest()
    assert (view.value, view.at) == (40, site.now // MS * MS)
    await site.pipeline.stop()
    site.check(tmp_path)
    site.store.close()


steps = st.lists(
    st.tuples(
        st.integers(2, 25),
        st.sampled_from(["collector", "terminal", "both", "none"]),
        st.integers(-12, 12),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@given(steps)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whoever_sets_whichever_clock_nothing_is_lost_and_the_newest_is_shown(found) -> None:
    """Both clocks are set by years, in any order, with restarts between: every batch is kept once, the newest one is what is shown, time in the
    journal never goes back and the rebuild agrees.
    """

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            site = Site(Path(folder) / "c.db")
            await site.start()
            off = 0
            for minutes, whose, years, again in found:
                if whose in ("collector", "both"):
                    site.machine.off = max(site.machine.off + years * YEAR, 0)
                if whose in ("terminal", "both"):
                    off = max(off + years * YEAR, -T0 + DAY)
                if again:
                    await site.restart()
                for _ in range(minutes):
                    for _ in range(4):
                        site.machine.real += 15 * S
                        await site.hear()
                    site.count += 1
                    at = (site.now + off) // MS * MS
                    value = reading("ups", "ups.input.voltage", at, site.count)
                    await site.hear(site.atm.batch([value], site.now, clock_off=off))
            assert site.pipeline.fold.fleet.terminals["atm-1"].streams[site.atm.epoch].mark == site.count
            assert site.latest().value == site.count
            await site.pipeline.stop()
            site.check(Path(folder))
            site.store.close()

    asyncio.run(run())


# Terminals' clocks, on a collector that keeps time.


async def told(world: World, clock_off: int, minutes: int, atm: Sender) -> None:
    for _ in range(minutes):
        world.now += 60 * S
        await world.tick(world.now)
        value = reading("ups", "ups.input.voltage", (world.now + clock_off) // MS * MS, minutes)
        await world.pipeline.take([atm.batch([value], world.now, clock_off=clock_off)])


async def opened(world: World) -> Sender:
    await world.start()
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    await world.pipeline.take([atm.life(world.now)])
    return atm


def view_of(world: World):
    with closing(SqliteReader(world.path)) as reader:
        (view,) = [s for c in reader.components("atm-1") for s in c.signals]
    return view


@pytest.mark.parametrize("off", [61 * S, -61 * S, 10 * YEAR, -10 * YEAR])
async def test_a_wrong_clock_is_an_alarm_its_readings_are_marked_and_both_times_kept(world: World, off: int) -> None:
    atm = await opened(world)
    await told(world, 0, 3, atm)
    assert (view_of(world).quality, view_of(world).corrected_by) == ("good", 0)
    await told(world, off, 1, atm)
    assert world.store.conn.execute("SELECT rule, condition, level FROM alarm").fetchall() == [
        ("clock.suspect", "active", 3)
    ]
    view = view_of(world)
    assert (view.at, view.quality, view.corrected_by) == (world.now, "clock_suspect", -off)
    await told(world, 0, 1, atm)
    view = view_of(world)
    assert (view.at, view.quality, view.corrected_by) == (world.now, "good", 0), "put right: believed at once"
    await told(world, 0, 3, atm)
    assert world.store.conn.execute("SELECT condition FROM alarm").fetchall() == [("normal",)]


async def test_a_clock_off_by_less_is_left_alone(world: World) -> None:
    atm = await opened(world)
    await told(world, 59 * S, 5, atm)
    assert world.store.conn.execute("SELECT count(*) FROM alarm").fetchall() == [(0,)]
    assert (view_of(world).at, view_of(world).corrected_by) == (world.now + 59 * S, 0)


async def test_a_backlog_from_before_the_clock_was_put_right_gets_its_time_by_uptime(world: World) -> None:
    """Sealed in 1970 for five hours, then the time server answered, then the line came: every reading has its true hour."""
    atm = await opened(world)
    off = -(world.now - DAY)
    backlog = []
    start = world.now
    for minute in range(0, 300, 10):
        at = start + minute * 60 * S
        value = reading("ups", "ups.input.voltage", (at + off) // MS * MS, minute)
        backlog.append(atm.batch([value], at, clock_off=off, received=start + 301 * 60 * S))
    world.now = start + 301 * 60 * S
    await world.pipeline.take([atm.life(world.now), *backlog])
    with closing(SqliteReader(world.path)) as reader:
        points = reader.history("atm-1", "ups", "ups.input.voltage", start - S, world.now).points
    assert [p.value for p in points] == list(range(0, 300, 10))
    assert all(abs(p.at - (start + p.value * 60 * S)) < S for p in points)
    await told(world, 0, 1, atm)
    assert view_of(world).value == 1


async def test_of_a_batch_that_reaches_into_the_future_the_newest_that_does_not_is_latest(world: World) -> None:
    atm = await opened(world)
    await told(world, 0, 2, atm)
    world.now += 60 * S
    mixed = [
        reading("ups", "ups.input.voltage", world.now, 50),
        reading("ups", "ups.input.voltage", world.now + 1800 * S, 51),
        reading("ups", "ups.output.load", world.now + 1800 * S, 99),
    ]
    await world.pipeline.take([atm.batch(mixed, world.now)])
    with closing(SqliteReader(world.path)) as reader:
        shown = {s.signal: s for c in reader.components("atm-1") for s in c.signals}
        assert shown["ups.input.voltage"].value == 50
        assert shown["ups.output.load"].at < 0 or shown["ups.output.load"].value is None
    await world.tick(world.now + 600 * S)
    assert ("ups.load",) not in world.store.conn.execute("SELECT rule FROM alarm").fetchall(), "it judges nothing"
    await told(world, 0, 1, atm)
    series = world.pipeline.fold.fleet.terminals["atm-1"].components["ups"].series["ups.input.voltage"]
    assert series.hour == world.now // (3600 * S), "the open hour is the one that is"
    with closing(SqliteReader(world.path)) as reader:
        hours = reader.history("atm-1", "ups", "ups.input.voltage", world.now - 3 * DAY, world.now + DAY).points
    assert sum(p.n for p in hours) == 5, "and nothing is lost to it"


async def test_a_quality_that_the_terminal_gave_stays(world: World) -> None:
    atm = await opened(world)
    bad = reading("ups", "ups.input.voltage", world.now + YEAR, None, quality=Quality.ERROR)
    await world.pipeline.take([atm.batch([bad], world.now, clock_off=YEAR)])
    assert view_of(world).quality == "error"


async def test_a_journal_with_a_table_of_rules_from_before_the_condition_was_known_still_folds(world: World) -> None:
    older = shipped_text().split('[[rule]]\nid = "clock.suspect"')
    table = older[0] + "[[rule]]" + older[1].split("[[rule]]", 1)[1]
    await world.pipeline.start(table, "")
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    await world.pipeline.take([atm.life(world.now)])
    await told(world, YEAR, 2, atm)
    assert world.store.conn.execute("SELECT count(*) FROM alarm").fetchall() == [(0,)]
    again = world.restart()
    assert "clock.suspect" not in again.pipeline.fold.book.rules.by_id
    await again.start()
    await told(again, YEAR, 2, atm)
    assert again.store.conn.execute("SELECT rule FROM alarm").fetchall() == [("clock.suspect",)]
    again.store.close()
    parse_rules(shipped=table, replay=True)


@pytest.mark.parametrize("away", [20 * 60 * S, 2 * 3600 * S, 30 * 3600 * S])
async def test_what_waited_for_the_collector_behind_a_new_start_keeps_its_hour(world: World, away: int) -> None:
    """The life message waited as well: its uptime is that of then, and neither the clock nor the age of what follows it is wrong."""
    atm = await opened(world)
    await told(world, 0, 3, atm)
    left = world.now
    again = world.restart()
    atm.boot, atm.boot_at = b"boot0002", left + 600 * S
    at = (left + 660 * S) // MS * MS
    life = atm.life(at)
    again.now = left + away
    batch = atm.batch([reading("ups", "ups.input.voltage", at, 7)], at, received=again.now)
    await again.start()
    await again.pipeline.take([life._replace(received=again.now), batch])
    await again.tick(again.now + 600 * S)
    assert again.store.conn.execute("SELECT rule FROM alarm WHERE rule = 'clock.suspect'").fetchall() == []
    with closing(SqliteReader(again.path)) as reader:
        points = reader.history("atm-1", "ups", "ups.input.voltage", left + S, again.now).points
    assert [(p.value, p.at) for p in points] == [(7, at)]


async def test_a_clock_that_is_years_ahead_after_a_start_makes_no_history_of_what_is_read_now(world: World) -> None:
    """No broker keeps a message for years: a life message that seems that old is of now, and it is the collector's clock that is wrong."""
    atm = await opened(world)
    await told(world, 0, 3, atm)
    left = world.now
    again = world.restart()
    ahead = 11 * 366 * 86_400 * S
    again.now = left + ahead
    at = (left + 10 * S) // MS * MS
    await again.start()
    await again.pipeline.take([atm.life(at)._replace(received=again.now)])
    again.now += 30 * S
    at += 30 * S
    await again.pipeline.take([atm.batch([reading("ups", "ups.output.source", at, "battery")], at, received=again.now)])
    facts = [
        msgpack.unpackb(row[0])
        for row in again.store.conn.execute("SELECT facts FROM journal WHERE kind = 3 ORDER BY n")
    ]
    assert not facts[-1].get("historical")
