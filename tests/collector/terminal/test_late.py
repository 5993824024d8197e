"""Readings that come too late repair the record and raise nothing: what they cover, what was broken meanwhile, over restarts and rebuilds."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import Quality, Reading, State, Value
from tillwatch.collector.intake import Message
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.records import LateSpan
from tillwatch.collector.store.folded import late_of
from tillwatch.collector.terminal.late import MAX_FAULTS, PREFIX

MINUTE = 60 * S
HOUR = 60 * MINUTE

Row = tuple[str, str, Value]
BOTH = ("deposit", "withdrawal")


def device(word: str) -> Row:
    """Level 2 after 3 minutes, over after 5: takes both functions."""
    return "atm/d dispenser", "atm.device", word


def cash(word: str) -> Row:
    """Level 2 after 5 minutes, over after 5: takes withdrawal."""
    return "atm/d dispenser", "atm.cash", word


def mains(word: str) -> Row:
    """Level 2 after 30 seconds, over after 2 minutes: takes nothing."""
    return "ups", "ups.output.source", word


GOOD = (device("online"), cash("ok"), mains("normal"))


class Line:
    """One terminal of class atm, read every minute, whose line may be cut."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.atm = Sender("atm-1")
        self.kept: list[Message] = []

    async def start(self, site: str = "") -> Line:
        await self.world.start(site)
        await self.atm.enrol(self.world.pipeline)
        await self.world.pipeline.take([self.atm.life(T0)])
        await self.live(T0 + S)
        return self

    def sealed(self, at: int, *rows: Row, quality: Quality = Quality.GOOD) -> Message:
        told: list[Reading] = [reading("agent", "monitor.interval", at, 60.0)]
        told += [reading(c, s, at, v, State.OK, quality) for c, s, v in rows]
        return self.atm.batch(told, at)

    async def live(self, at: int, *rows: Row) -> None:
        await self.world.tick(at)
        await self.world.pipeline.take([self.sealed(at, *rows)])

    def keep(self, since: int, until: int, *rows: Row) -> None:
        """Read every minute, with nobody to tell."""
        self.kept += [self.sealed(at, *rows) for at in range(since, until, MINUTE)]

    async def deliver(self, at: int, count: int | None = None) -> None:
        """The oldest of what was kept; all of it without a count."""
        await self.world.tick(at)
        taken, self.kept = self.kept[:count], self.kept[count:] if count is not None else []
        await self.world.pipeline.take([message._replace(received=at) for message in taken])

    async def restart(self) -> None:
        self.world = self.world.restart()

    def spans(self) -> list[LateSpan]:
        rows = self.world.store.conn.execute("SELECT terminal, t0, t1, body FROM late_span ORDER BY seq")
        return [late_of(*row) for row in rows]

    def told(self) -> list[tuple[float, float, str, tuple[str, ...], int]]:
        """In minutes since T0."""
        found = [((s.since - T0) / MINUTE, (s.until - T0) / MINUTE, s.reason, s.lost, s.level) for s in self.spans()]
        return [(round(a, 2), round(b, 2), *rest) for a, b, *rest in found]

    def quiet(self) -> None:
        """Only what the collector itself saw of the outage was raised."""
        rules = {rule for (rule,) in self.world.store.conn.execute("SELECT rule FROM alarm")}
        assert rules <= {"terminal.silent"}
        told = "SELECT DISTINCT rule FROM incident_alarm"
        assert {rule for (rule,) in self.world.store.conn.execute(told)} <= {"terminal.silent"}

    def rebuilt(self) -> None:
        target = self.world.path.with_name("again.db")
        target.unlink(missing_ok=True)
        rebuild(self.world.path, target)
        with closing(World(target).store) as again:
            assert tables(again.conn) == tables(self.world.store.conn)

    def forgotten(self) -> None:
        assert self.world.pipeline.fold.late.of == {}
        kept = {detector for (detector,) in self.world.store.conn.execute("SELECT detector FROM detector")}
        assert not [each for each in kept if each.startswith(PREFIX)]


@pytest.fixture
async def line(world: World) -> Line:
    return await Line(world).start()


async def back(line: Line, minutes: int = 300, step: int = 40) -> None:
    """The line is mended after so many minutes: all of it, the newest as live batches, and then life goes on."""
    at = T0 + minutes * MINUTE
    while line.kept:
        await line.deliver(at, step)
        at += S
    await line.live(at + MINUTE)


async def test_a_backlog_of_five_hours_covers_the_outage_and_raises_nothing(line: Line):
    line.keep(T0 + MINUTE, T0 + 300 * MINUTE)
    await back(line)
    assert line.told() == [(0.02, 300.12, "", (), 0)]
    line.quiet()
    line.rebuilt()
    line.forgotten()


async def test_a_fault_inside_has_its_stretch_from_its_first_reading_to_the_first_good_one(line: Line):
    line.keep(T0 + MINUTE, T0 + 60 * MINUTE, *GOOD)
    line.keep(T0 + 60 * MINUTE, T0 + 90 * MINUTE, device("hardwareError"), *GOOD[1:])
    line.keep(T0 + 90 * MINUTE, T0 + 300 * MINUTE, *GOOD)
    await back(line)
    assert line.told() == [
        (0.02, 60, "", (), 0),
        (60, 90, "atm.device", BOTH, 2),
        (90, 300.12, "", (), 0),
    ]
    assert [each.party for each in line.spans()] == ["", "hardware", ""]
    line.quiet()
    line.rebuilt()
    line.forgotten()


async def test_what_does_not_last_is_no_fault_and_a_short_good_one_does_not_end_it(line: Line):
    line.keep(T0 + MINUTE, T0 + 60 * MINUTE, *GOOD)
    line.keep(T0 + 60 * MINUTE, T0 + 62 * MINUTE, device("hardwareError"))
    line.keep(T0 + 62 * MINUTE, T0 + 100 * MINUTE, device("online"))
    line.keep(T0 + 100 * MINUTE, T0 + 110 * MINUTE, device("hardwareError"))
    line.keep(T0 + 110 * MINUTE, T0 + 113 * MINUTE, device("online"))
    line.keep(T0 + 113 * MINUTE, T0 + 120 * MINUTE, device("hardwareError"))
    line.keep(T0 + 120 * MINUTE, T0 + 300 * MINUTE, device("online"))
    await back(line)
    assert line.told() == [
        (0.02, 100, "", (), 0),
        (100, 120, "atm.device", BOTH, 2),
        (120, 300.12, "", (), 0),
    ]


async def test_a_change_that_is_told_once_has_lasted_until_the_next_one(line: Line):
    """A signal that is sent on change only: time alone confirms, as it does live."""
    line.keep(T0 + MINUTE, T0 + 60 * MINUTE)
    line.keep(T0 + 60 * MINUTE, T0 + 61 * MINUTE, device("hardwareError"))
    line.keep(T0 + 61 * MINUTE, T0 + 80 * MINUTE)
    line.keep(T0 + 80 * MINUTE, T0 + 81 * MINUTE, device("online"))
    line.keep(T0 + 81 * MINUTE, T0 + 100 * MINUTE)
    await back(line, 120)
    assert [(a, b) for a, b, reason, *_ in line.told() if reason == "atm.device"] == [(60, 80)]


async def test_of_several_faults_the_gravest_is_the_reason_and_each_takes_its_functions(line: Line):
    line.keep(T0 + MINUTE, T0 + 60 * MINUTE, *GOOD)
    line.keep(T0 + 60 * MINUTE, T0 + 80 * MINUTE, device("online"), cash("stop"), mains("normal"))
    line.keep(T0 + 80 * MINUTE, T0 + 100 * MINUTE, device("hardwareError"), cash("stop"), mains("normal"))
    line.keep(T0 + 100 * MINUTE, T0 + 120 * MINUTE, device("online"), cash("ok"), mains("battery"))
    line.keep(T0 + 120 * MINUTE, T0 + 200 * MINUTE, *GOOD)
    await back(line, 220)
    told = line.told()
    assert [each[2:4] for each in told] == [
        ("", ()), ("atm.cash", ("withdrawal",)), ("atm.device", BOTH), ("ups.on-battery", ()), ("", ()),
    ]  # fmt: skip
    assert [each[0] for each in told] == [0.02, 60, 80, 100, 120]
    line.quiet()


async def test_what_was_broken_before_the_gap_is_broken_until_a_reading_says_otherwise(line: Line):
    for i in range(6):
        await line.live(T0 + i * MINUTE + 2 * S, device("hardwareError"))
    assert line.world.store.conn.execute("SELECT rule FROM alarm WHERE condition = 'active'").fetchall() == [
        ("atm.device",)
    ]
    line.keep(T0 + 6 * MINUTE, T0 + 60 * MINUTE)
    line.keep(T0 + 60 * MINUTE, T0 + 120 * MINUTE, device("online"))
    await back(line, 130)
    assert [each[:4] for each in line.told()] == [
        (5.03, 60, "atm.device", BOTH),
        (60, 119, "", ()),
        # The live rule sees it end with the first live reading.
    ]
    line.rebuilt()


async def test_what_began_just_before_the_gap_goes_on_in_it(line: Line):
    await line.live(T0 + 50 * S, device("hardwareError"))
    line.keep(T0 + MINUTE, T0 + 20 * MINUTE, device("hardwareError"))
    line.keep(T0 + 20 * MINUTE, T0 + 60 * MINUTE, device("online"))
    await back(line, 90)
    assert [each[:3] for each in line.told()] == [(0.83, 20, "atm.device"), (20, 59, "")]


async def test_a_hole_inside_stays_a_hole_and_confirms_nothing(line: Line):
    line.keep(T0 + MINUTE, T0 + 60 * MINUTE, *GOOD)
    line.keep(T0 + 60 * MINUTE, T0 + 62 * MINUTE, device("hardwareError"))
    line.keep(T0 + 100 * MINUTE, T0 + 200 * MINUTE, *GOOD)
    line.keep(T0 + 202 * MINUTE, T0 + 220 * MINUTE, *GOOD)  # three intervals are none
    await back(line, 300)
    assert line.told() == [(0.02, 61, "", (), 0), (100, 219, "", (), 0)]
    line.rebuilt()


async def test_a_hole_confirms_nothing_where_the_signal_is_not_told_again(line: Line):
    line.keep(T0 + MINUTE, T0 + 60 * MINUTE, *GOOD)
    line.keep(T0 + 60 * MINUTE, T0 + 62 * MINUTE, device("hardwareError"))
    line.keep(T0 + 100 * MINUTE, T0 + 120 * MINUTE)
    line.keep(T0 + 120 * MINUTE, T0 + 200 * MINUTE, *GOOD)
    await back(line, 300)
    assert line.told() == [(0.02, 61, "", (), 0), (100, 199, "", (), 0)]


async def test_a_hole_within_one_batch_is_one_too(line: Line):
    at = T0 + 50 * MINUTE
    told = [reading("agent", "agent.uptime", at + m * MINUTE, 1.0) for m in (0, 1, 2, 30, 31, 32)]
    line.kept.append(line.atm.batch(told, at + 32 * MINUTE))
    await back(line, 200)
    assert [each[:2] for each in line.told()] == [(50, 52), (80, 82)]


async def test_a_device_that_cannot_be_read_is_not_seen(line: Line):
    """What a function needs of it is unknown and not healthy."""
    await line.live(T0 + 2 * S, *GOOD)
    line.keep(T0 + MINUTE, T0 + 60 * MINUTE, *GOOD)
    line.keep(T0 + 60 * MINUTE, T0 + 90 * MINUTE, ("atm", "monitor.source", "failed"))
    line.keep(T0 + 90 * MINUTE, T0 + 120 * MINUTE, ("atm", "monitor.source", "ok"), *GOOD)
    line.keep(T0 + 120 * MINUTE, T0 + 140 * MINUTE, ("ups", "monitor.source", "failed"))  # no function needs it
    await back(line, 200)
    assert line.told() == [(0.03, 60, "", (), 0), (90, 139, "", (), 0)]


async def test_it_is_told_as_well_where_nothing_live_follows(line: Line):
    line.keep(T0 + MINUTE, T0 + 60 * MINUTE, *GOOD)
    await line.deliver(T0 + 120 * MINUTE)
    assert line.spans() == []
    await line.world.tick(T0 + 151 * MINUTE)
    assert [each[:2] for each in line.told()] == [(0.02, 59)]
    # The rest of it comes another day, and what was broken goes on.
    line.keep(T0 + 60 * MINUTE, T0 + 70 * MINUTE, device("hardwareError"))
    await line.deliver(T0 + 400 * MINUTE)
    await line.live(T0 + 401 * MINUTE)
    assert [each[:3] for each in line.told()] == [(0.02, 59, ""), (59, 60, ""), (60, 69, "atm.device")]
    line.rebuilt()
    line.forgotten()


async def test_an_outage_of_the_collector_is_covered_and_kept_and_a_jump_of_the_clock_is_no_outage(line: Line):
    line.keep(T0 + MINUTE, T0 + 300 * MINUTE, *GOOD)
    await line.restart()
    line.world.now = T0 + 300 * MINUTE
    await line.world.start()
    await back(line)
    assert [each[:3] for each in line.told()] == [(0.02, 300.12, "")]
    outages = line.world.store.conn.execute("SELECT since, until FROM outage").fetchall()
    assert [(since <= T0 + MINUTE, until) for since, until in outages] == [(True, T0 + 300 * MINUTE)]
    line.quiet()
    line.rebuilt()


async def test_a_short_absence_of_the_collector_is_covered_as_well(line: Line):
    """What waited for minutes only is no history: it judges as if it came in time, and fills that time all the same."""
    await line.live(T0 + MINUTE, *GOOD)
    await line.restart()
    line.keep(T0 + 2 * MINUTE, T0 + 9 * MINUTE, *GOOD)
    line.world.now = T0 + 9 * MINUTE
    await line.world.start()
    await line.deliver(T0 + 9 * MINUTE + S)
    await line.live(T0 + 10 * MINUTE, *GOOD)
    assert line.told() == [(1.0, 9.02, "", (), 0)]
    line.forgotten()
    line.rebuilt()


async def test_a_restart_between_any_two_batches_gives_the_same_rows(worlds: Callable[[str], World]):
    told = []
    for name, restarts in (("one", ()), ("two", (1, 2, 3)), ("three", (2, 5))):
        line = await Line(worlds(name)).start()
        await line.live(T0 + 30 * S, mains("battery"))
        line.keep(T0 + MINUTE, T0 + 60 * MINUTE, device("online"), mains("battery"))
        line.keep(T0 + 60 * MINUTE, T0 + 90 * MINUTE, device("hardwareError"), cash("stop"))
        line.keep(T0 + 120 * MINUTE, T0 + 200 * MINUTE, *GOOD)
        for i in range(8):
            if i in restarts:
                await line.restart()  # killed, and in the file again before anything else happens
            await line.deliver(T0 + 300 * MINUTE + i * S, 21 + i)
        await line.live(T0 + 302 * MINUTE)
        told.append(line.told())
        line.forgotten()
        line.rebuilt()
        line.world.store.close()
    assert told[0] == told[1] == told[2]
    assert {each[2] for each in told[0]} == {"", "atm.cash", "ups.on-battery"}


async def test_a_device_that_flaps_makes_a_bounded_number_of_rows(line: Line):
    """Intrusion holds for nothing: each reading is one of its own."""
    at = T0 + 20 * MINUTE
    rows = [reading("k", "env.door", at + i * S, "forced" if i % 2 else "closed") for i in range(1900)]
    line.kept.append(line.atm.batch(rows, at + 1900 * S))
    await back(line, 300)
    spans = line.spans()
    assert 0 < len(spans) <= 2 * MAX_FAULTS + 2
    assert all(a.until == b.since for a, b in pairwise(spans))


steps = st.lists(
    st.tuples(
        st.integers(1, 12),  # minutes of it
        st.sampled_from([GOOD, (device("hardwareError"),), (cash("stop"), mains("battery")), (), None]),
    ),
    min_size=1,
    max_size=12,
)


@given(steps, st.sets(st.integers(0, 12), max_size=4), st.integers(3, 30))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_backlog_is_told_once_in_order_and_a_restart_and_a_rebuild_agree(
    parts: Sequence[tuple[int, tuple[Row, ...] | None]], restarts: set[int], step: int
):
    async def run(folder: Path, restarts: set[int]) -> list[LateSpan]:
        line = await Line(World(folder / "c.db")).start()
        at = T0 + MINUTE
        for minutes, rows in parts:
            if rows is not None:  # None: the agent stood still
                line.keep(at, at + minutes * MINUTE, *rows)
            at += minutes * MINUTE
        now = T0 + 300 * MINUTE
        for i in range(13):
            if i in restarts:
                await line.restart()
            await line.deliver(now + i * S, step)
        await line.deliver(now + 13 * S, 1000)
        await line.live(now + MINUTE)
        line.quiet()
        line.rebuilt()
        line.forgotten()
        spans = line.spans()
        line.world.store.close()
        return spans

    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        spans = asyncio.run(run(Path(one), set()))
        assert asyncio.run(run(Path(other), restarts)) == spans
    assert all(span.since < span.until for span in spans)
    assert all(a.until <= b.since for a, b in pairwise(spans))
    minutes = sum(span.until - span.since for span in spans) // MINUTE
    assert minutes <= sum(length for length, _ in parts) + 1 + 3 * sum(rows is None for _, rows in parts)
