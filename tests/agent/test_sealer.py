import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from tests.agent.conftest import Terminal
from tillwatch.agent import clock, identity
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.model import MS, Clock, Quality, State
from tillwatch.agent.sealer import Sealer
from tillwatch.agent.settings import SpoolConfig
from tillwatch.agent.spool import Spool
from tillwatch.agent.thinning import Taken, Thinner
from tillwatch.agent.wire import VerifyKey, open_batch


class Registry:
    def __init__(self, terminal):
        self.public = VerifyKey(terminal.who.key.public)

    def knows(self, _):
        return True

    def key(self, *_):
        return self.public


@pytest.fixture
def parts(terminal):
    spool = Spool(
        terminal.state_dir / identity.SPOOL, terminal.who.terminal, terminal.who.key.public, SpoolConfig(8 << 20)
    )
    buffer = Buffer()
    sealed = []
    before = []
    sealer = Sealer(
        terminal.who,
        spool,
        buffer,
        interval=lambda: 0.2,
        before=before.append,
        sealed=lambda: sealed.append(spool.next_seq),
    )
    buffer.on_ripe = sealer.wake
    yield sealer, spool, buffer, sealed, before
    spool.close()


def opened(terminal, spool, seq):
    return open_batch(f"tw/1/{terminal.who.terminal}/batch", spool.read(seq), Registry(terminal))


def taken(value, up=None, signal="n", component="dev"):
    return Taken(component, signal, clock.uptime_ns() if up is None else up, value, Quality.GOOD, State.NONE)


def test_time_of_day_comes_with_the_seal(parts, terminal):
    sealer, spool, buffer, *_ = parts
    up = clock.uptime_ns() - 5_000_000_000
    buffer.add([taken(1, up), taken(2, up, "m")])
    before = time.time_ns()
    assert sealer.one()
    readings = opened(terminal, spool, 1).readings()
    assert len({reading.at for reading in readings}) == 1
    assert readings[0].at % MS == 0
    assert before - 5_001_000_000 <= readings[0].at <= time.time_ns() - 5_000_000_000


def test_chain_and_header(parts, terminal):
    sealer, spool, buffer, *_ = parts
    buffer.lost = 4
    for value in range(3):
        buffer.add([taken(value)])
        sealer.one()
    batches = [opened(terminal, spool, seq) for seq in (1, 2, 3)]
    assert [batch.header.prev for batch in batches[1:]] == [batch.digest for batch in batches[:-1]]
    assert [batch.header.lost for batch in batches] == [4, 4, 4]
    assert (spool.lost, buffer.lost) == (4, 0)
    assert batches[0].header.boot == clock.boot_id()


def test_what_cannot_be_stored_waits_in_order(parts, terminal, tmp_path):
    sealer, spool, buffer, *_ = parts
    spool.file, right = tmp_path / "not there" / "spool.db", spool.file
    buffer.add([taken(1), taken(2)])
    sealer.flush()
    buffer.add([taken(3)])
    assert len(buffer) == 3
    spool.file = right
    sealer.flush()
    assert [reading.value for reading in opened(terminal, spool, 1).readings()] == [1, 2, 3]


def test_one_bad_reading_takes_no_other_with_it(parts, terminal, caplog):
    sealer, spool, buffer, *_ = parts
    buffer.add([taken(1), taken(2, signal="bad\nname"), taken(3), taken(4)])
    sealer.flush()
    values = [reading.value for seq in range(1, spool.next_seq) for reading in opened(terminal, spool, seq).readings()]
    assert values == [1, 3, 4]
    assert spool.lost + buffer.lost == 1
    assert caplog.text.count("cannot be sealed") == 1


async def test_seals_at_each_interval_and_when_a_batch_is_full(parts, until):
    sealer, spool, buffer, sealed, before = parts
    task = asyncio.create_task(sealer.run())
    buffer.add([taken(1)])
    await until(lambda: spool.batches == 1)
    await until(lambda: before)
    sealer._interval = lambda: 3600.0
    await until(lambda: before[-1] == 3600.0)
    count = spool.batches
    buffer.add([taken(i) for i in range(2500)])
    await until(lambda: spool.batches == count + 1)
    assert len(buffer) == 500
    assert sealed
    task.cancel()


async def test_trouble_is_told_once_and_ends(parts, until, caplog, tmp_path):
    sealer, spool, buffer, _, before = parts
    spool.file, right = tmp_path / "not there" / "spool.db", spool.file
    sealer._interval = lambda: 0.1
    task = asyncio.create_task(sealer.run())
    buffer.add([taken(1)])
    await until(lambda: len(before) >= 4)
    assert caplog.text.count("waits in memory") == 1
    assert sealer.trouble.text
    spool.file = right
    await until(lambda: spool.is_open and spool.batches == 1)
    await until(lambda: not sealer.trouble.text)
    task.cancel()


async def test_former_batches_keep_when_and_where_they_were_read(parts, terminal, until):
    sealer, spool, buffer, *_ = parts
    buffer.add([taken(1)])
    sealer.one()
    old = opened(terminal, spool, 1)
    spool.begin_epoch("of a test")
    buffer.add([taken(2)])
    task = asyncio.create_task(sealer.run())
    sealer.wake()
    await until(lambda: spool.batches == 2 and not spool.former)
    task.cancel()
    first, second = opened(terminal, spool, 1), opened(terminal, spool, 2)
    assert first.readings() == old.readings()
    assert (first.header.sent, first.header.up, first.header.boot) == (old.header.sent, old.header.up, old.header.boot)
    assert first.header.epoch != old.header.epoch
    assert second.header.prev == first.digest


YEAR = 365 * 86_400 * 10**9


def test_an_unsynchronised_clock_marks_what_it_stamps(parts, terminal, monkeypatch):
    sealer, spool, buffer, *_ = parts
    monkeypatch.setattr(clock, "source", lambda: Clock("unsync", 16_000))
    buffer.add([taken(1), Taken("dev", "m", clock.uptime_ns(), None, Quality.ERROR, State.NONE)])
    sealer.one()
    sealer._reference.heard(time.time_ns())
    buffer.add([taken(2)])
    sealer.one()
    first, second = opened(terminal, spool, 1), opened(terminal, spool, 2)
    assert [r.quality for r in first.readings()] == [Quality.CLOCK_SUSPECT, Quality.ERROR]
    assert (first.header.clock.src, first.header.clock.err_ms) == ("unsync", 16_000)
    assert [r.quality for r in second.readings()] == [Quality.GOOD]


@given(st.lists(st.tuples(st.integers(0, 4_000), st.integers(-80, 80)), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_clocks_that_jump_by_years_lose_nothing(steps):
    """The clock is set between readings and between seals, back behind 1970 and forth behind 2100: every reading is sealed, in its order, and
    what was not sealed yet gets the time of the clock that seals it.
    """
    with tempfile.TemporaryDirectory() as folder:
        terminal = Terminal(Path(folder), 1)
        spool = Spool(Path(folder) / "spool.db", terminal.who.terminal, terminal.who.key.public, SpoolConfig(8 << 20))
        buffer = Buffer()
        sealer = Sealer(terminal.who, spool, buffer, interval=lambda: 1.0, before=lambda _: None, sealed=lambda: None)
        up, utc = 10**12, 1_790_000_000 * 10**9
        with pytest.MonkeyPatch.context() as patch:
            for number, (seconds, years) in enumerate(steps):
                up += seconds * 10**9
                utc = max(utc + seconds * 10**9 + years * YEAR, 0) % (240 * YEAR)
                patch.setattr(clock, "uptime_ns", lambda up=up: up)
                patch.setattr("tillwatch.agent.sealer.time.time_ns", lambda utc=utc: utc)
                buffer.add([taken(number, up)])
                if number % 3 == 2:
                    sealer.flush()
                spool.expire()
            sealer.flush()
            batches = [opened(terminal, spool, seq) for seq in range(1, spool.next_seq)]
        spool.close()
        assert [reading.value for batch in batches for reading in batch.readings()] == list(range(len(steps)))
        assert all(reading.at >= 0 for batch in batches for reading in batch.readings())
        ups = [batch.header.up for batch in batches]
        assert ups == sorted(ups)


def test_what_the_spool_has_no_room_for_is_thinned_and_counted(terminal):
    spool = Spool(
        terminal.state_dir / identity.SPOOL, terminal.who.terminal, terminal.who.key.public, SpoolConfig(60_000)
    )
    buffer = Buffer({"pages"})
    sealer = Sealer(
        terminal.who,
        spool,
        buffer,
        interval=lambda: 1.0,
        before=lambda _: None,
        sealed=lambda: None,
        thinner=Thinner({"pages"}),
    )
    made, up = 0, clock.uptime_ns()
    for minute in range(150):
        at = up + minute * 10**9
        buffer.add(
            [taken(minute, at, "pages"), taken(minute, at, "n"), Taken("dev", "s", at, "jam", Quality.GOOD, State.CRIT)]
        )
        made += 3
        sealer.flush()
    kept = [r for seq in range(spool.floor, spool.next_seq) for r in opened(terminal, spool, seq).readings()]
    assert spool.size <= 60_000
    assert len(kept) + spool.lost + buffer.lost == made
    count = Counter(reading.signal for reading in kept)
    assert count["s"] == 150 > count["n"]
    assert count["n"] > count["pages"] > 0
    spool.close()
