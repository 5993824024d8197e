"""The exporter against a real VictoriaMetrics: whatever is killed, stopped or asked for twice, the store holds what terminals read, once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.packed import keep_house
from tests.collector.sending import T0, S, Sender, reading
from tests.collector.series.written import Sent, all_written, exporter, lived, more, readings, shown
from tests.collector.watch.running import until
from tests.scale.servers.victoriametrics import VictoriaMetrics
from tillwatch.agent.model import MS
from tillwatch.collector.sections import RetentionSection
from tillwatch.collector.series import exporter as module
from tillwatch.collector.series import victoriametrics
from tillwatch.collector.series.__main__ import again
from tillwatch.collector.series.kept import KeptFile, Standing
from tillwatch.collector.series.settings import SinkSettings

HOUR = 3600 * S


def written_again(world: World, victoria: VictoriaMetrics, first: int) -> Standing:
    settings = SinkSettings(kind="victoriametrics", url=victoria.url)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(victoriametrics.VictoriaMetrics, "settles_s", 0.0)
        return again(world.path, "x", settings, lambda _: first, threading.Event(), lambda *_: None)


async def another_second(life: str) -> None:
    """A VictoriaMetrics tells its start in whole seconds: the next one must not have the same."""
    await until(lambda: str(int(time.time())) not in life)


async def test_everything_arrives_with_its_values_and_times_and_written_twice_it_is_there_once(
    world: World, victoria: VictoriaMetrics
) -> None:
    _, sent = await lived(world, 40, "atm-1", "atm-2")
    for _ in range(2):
        one = exporter(world.path, victoria.url, kept=False)
        all_written(one, world.pipeline.journal.n)
        assert victoria.exported() == shown(sent)
    assert one.standing.points > len(sent.readings) * 0.8
    assert one.standing.texts == 80
    assert one.standing.refused == 0


async def test_packed_late_and_corrected_readings_arrive_as_they_are_in_the_log(
    world: World, victoria: VictoriaMetrics
) -> None:
    (atm, other), sent = await lived(world, 400, "atm-1", "atm-2")
    await keep_house(world)
    # A terminal whose clock is an hour ahead, and a batch of another one that waited for a day.
    world.now += 60 * S
    said = [reading("ups", "ups.input.voltage", world.now + HOUR, 226.5)]
    await world.pipeline.take([atm.batch(said, world.now, clock_off=HOUR)])
    sent.readings.append(("atm-1", reading("ups", "ups.input.voltage", world.now, 226.5)))
    said = [reading("ups", "ups.input.voltage", world.now + S, 227.5)]
    late = other.batch(said, world.now + S, received=world.now + 24 * HOUR)
    sent.readings.append(("atm-2", said[0]))
    world.now += 24 * HOUR
    await world.pipeline.take([late])
    one = exporter(world.path, victoria.url, points=5_000)
    all_written(one, world.pipeline.journal.n)
    assert victoria.exported() == shown(sent)


async def test_what_was_retired_is_told_and_the_rest_arrives(
    world: World, victoria: VictoriaMetrics, caplog: pytest.LogCaptureFixture
) -> None:
    _, sent = await lived(world, 600, "atm-1")
    await keep_house(world)
    await world.tick(T0 + 8 * 24 * HOUR)
    await keep_house(world, RetentionSection(keep=7 * 86_400.0))
    one = exporter(world.path, victoria.url, points=5_000)
    all_written(one, world.pipeline.journal.n)
    gone = one.standing.retired
    assert gone > 0
    assert "have been retired" in caplog.text
    left = Sent(readings=sent.readings[gone * 7 :])
    assert victoria.exported() == shown(left)


async def test_two_readings_of_one_millisecond_stay_two(world: World, victoria: VictoriaMetrics) -> None:
    await world.start()
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    said = [reading("ups", "ups.input.voltage", T0 + ms * MS, 230.0 + i) for i, ms in enumerate((0, 0, 1, 5, 5))]
    await world.pipeline.take([atm.batch(said, T0)])
    one = exporter(world.path, victoria.url)
    all_written(one, world.pipeline.journal.n)
    (found,) = victoria.exported().values()
    begin = T0 // MS
    assert found == {begin: [230.0], begin + 1: [232.0], begin + 2: [231.0], begin + 5: [233.0], begin + 6: [234.0]}
    assert one.standing.moved == 2
    # Of two batches, a store of whole milliseconds cannot keep both: that is counted.
    await world.pipeline.take([atm.batch([reading("ups", "ups.input.voltage", T0, 250.0)], T0 + S)])
    all_written(one, world.pipeline.journal.n)
    assert one.standing.backwards == 1


async def test_a_terminal_is_written_under_the_place_that_it_had(world: World, victoria: VictoriaMetrics) -> None:
    (atm,), sent = await lived(world, 3, "atm-1")
    await atm.enrol(world.pipeline, "Zhōngshān Lù, 8", "south")
    moved = Sent("Zhōngshān Lù, 8", "south")
    await more(world, [atm], moved, 3, first=3)
    one = exporter(world.path, victoria.url)
    all_written(one, world.pipeline.journal.n)
    assert victoria.exported() == shown(sent) | shown(moved)
    # Begun behind both enrolments, or between them, it is the same.
    for first in (world.pipeline.journal.n, world.pipeline.journal.n - 4):
        written_again(world, victoria, first)
    assert victoria.exported() == shown(sent) | shown(moved)


async def test_it_goes_on_where_it_stood_and_what_was_not_settled_is_written_again(
    world: World, victoria: VictoriaMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victoriametrics.VictoriaMetrics, "settles_s", 0.2)
    senders, sent = await lived(world, 20, "atm-1")
    one = exporter(world.path, victoria.url)
    all_written(one, world.pipeline.journal.n)
    assert one.standing.position.n < world.pipeline.journal.n
    await until(lambda: one.turn() and one.standing.position.n == world.pipeline.journal.n, what="what it keeps")
    one.end()
    stands = KeptFile(world.path, "test").load()
    assert stands is not None
    assert (stands.position.n, stands.process) == (world.pipeline.journal.n, 0)
    await more(world, senders, sent, 20, first=20)
    two = exporter(world.path, victoria.url)
    before = two.standing.points
    all_written(two, world.pipeline.journal.n)
    assert 0 < two.standing.points - before < 20 * 8
    assert victoria.exported() == shown(sent)


async def test_a_sink_that_was_killed_gets_again_what_it_had_taken_and_forgotten(
    world: World, victoria: VictoriaMetrics
) -> None:
    senders, sent = await lived(world, 30, "atm-1", "atm-2")
    one = exporter(world.path, victoria.url)
    all_written(one, world.pipeline.journal.n)
    # At once: it has answered, and nothing of it is on its disk.
    life = one._life
    victoria.kill()
    await more(world, senders, sent, 5, first=30)
    assert one.turn() > 0
    assert "does not answer" in one.standing.trouble
    await another_second(life)
    victoria.start()
    all_written(one, world.pipeline.journal.n)
    assert one.standing.rewound == 1
    assert one.standing.trouble == ""
    assert victoria.exported() == shown(sent)


async def test_a_sink_that_was_killed_while_nothing_was_written_is_noticed(
    world: World, victoria: VictoriaMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victoriametrics.VictoriaMetrics, "settles_s", 0.5)
    _, sent = await lived(world, 30, "atm-1")
    one = exporter(world.path, victoria.url)
    all_written(one, world.pipeline.journal.n)
    life = one._life
    victoria.kill()
    await another_second(life)
    victoria.start()
    await until(lambda: one.turn() and one.standing.rewound == 1 and one.standing.position.n == world.pipeline.journal.n, what="what it keeps")  # fmt: skip
    assert victoria.exported() == shown(sent)


async def test_a_stopped_sink_is_waited_for_with_nothing_held_and_goes_on(
    world: World, victoria: VictoriaMetrics
) -> None:
    senders, sent = await lived(world, 10, "atm-1")
    one = exporter(world.path, victoria.url, timeout=0.3)
    all_written(one, world.pipeline.journal.n)
    victoria.signal(signal.SIGSTOP)
    try:
        await more(world, senders, sent, 10, first=10)
        wait = one.turn()
        assert wait >= 0.5
        assert "does not answer" in one.standing.trouble
        # No snapshot of the store is left: all of its write-ahead log can be taken in.
        busy, *_ = world.store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert busy == 0
    finally:
        victoria.signal(signal.SIGCONT)
    all_written(one, world.pipeline.journal.n)
    assert victoria.exported() == shown(sent)


@pytest.mark.parametrize("packed", [False, True])
async def test_written_again_from_any_point_it_is_the_same(
    world: World, victoria: VictoriaMetrics, packed: bool
) -> None:
    _, sent = await lived(world, 400 if packed else 30, "atm-1")
    if packed:
        await keep_house(world)
    head = world.pipeline.journal.n
    all_written(exporter(world.path, victoria.url, points=5_000), head)
    assert victoria.exported() == shown(sent)
    for first in (1, 2, head // 2, head):
        assert written_again(world, victoria, first).position.n == head
    assert victoria.exported() == shown(sent)
    assert KeptFile(world.path, "x").load() is None


async def test_a_log_that_went_on_otherwise_is_noticed_told_and_written_from_where_they_part(
    world: World,
    victoria: VictoriaMetrics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(victoriametrics.VictoriaMetrics, "settles_s", 0.0)
    monkeypatch.setattr("tillwatch.collector.series.kept.MARKS_EVERY", 5)
    senders, sent = await lived(world, 20, "atm-1")
    common = world.pipeline.journal.n
    copy = tmp_path / "backup.db"
    world.store.conn.execute(f"VACUUM INTO '{copy}'")
    one = exporter(world.path, victoria.url, points=30)
    all_written(one, common)
    await more(world, senders, sent, 12, first=20)
    all_written(one, world.pipeline.journal.n)
    one.end()
    # The backup takes its place, and the terminal goes on with other batches.
    lost = world.pipeline.journal.n
    world.store.close()
    for name in ("collector.db-wal", "collector.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(copy, world.path)
    other = World(world.path)
    other.now = T0 + 2 * HOUR
    await other.start()
    later = Sender("atm-1", epoch=2)
    for i in range(20):
        other.now += 10 * S
        said = readings(random.Random(i), other.now)
        sent.readings += [("atm-1", each) for each in said]
        await other.pipeline.take([later.batch(said, other.now)])
    assert other.pipeline.journal.n > lost
    two = exporter(world.path, victoria.url, points=30)
    all_written(two, other.pipeline.journal.n)
    assert f"its entry {lost} is not the one that was written" in two.standing.note
    assert "gone on otherwise" in caplog.text
    assert victoria.exported() == shown(sent)
    other.store.close()


async def test_a_position_beyond_the_end_of_the_log_is_noticed_too(
    world: World, victoria: VictoriaMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(victoriametrics.VictoriaMetrics, "settles_s", 0.0)
    _, sent = await lived(world, 5, "atm-1")
    file = KeptFile(world.path, "test")
    file.save(Standing(position=module.Mark(10_000, b"x" * 32, 1)), settled=True)
    one = exporter(world.path, victoria.url)
    all_written(one, world.pipeline.journal.n)
    assert "its entry 10000" in one.standing.note
    assert victoria.exported() == shown(sent)


@pytest.mark.long
async def test_killed_in_the_middle_again_and_again_nothing_is_lost_and_nothing_is_twice(
    world: World, victoria: VictoriaMetrics
) -> None:
    _, sent = await lived(world, 150, "atm-1", "atm-2")
    head = world.pipeline.journal.n
    program = (sys.executable, "-P", "-m", "tests.collector.series.killed_exporter", str(world.path), victoria.url)
    found = os.pathsep.join((str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")))
    lives, places = 0, [0]
    while places[-1] < head:
        with subprocess.Popen(
            program, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": found}
        ) as process:
            assert process.stdout is not None
            for _ in range(2 + lives % 4):
                if not process.stdout.readline().startswith("at"):
                    break
            process.send_signal(signal.SIGKILL)
        lives += 1
        stands = KeptFile(world.path, "test").load()
        places.append(stands.position.n if stands is not None else 0)
        assert lives < 60, places
    assert lives > 3
    assert places == sorted(places)
    assert victoria.exported() == shown(sent)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_sink_that_is_killed_again_and_again_while_it_is_written_to_has_everything(
    world: World, victoria: VictoriaMetrics
) -> None:
    senders, sent = await lived(world, 20, "atm-1", "atm-2")
    one = exporter(world.path, victoria.url, points=60)
    chance = random.Random(3)
    for fall in range(5):
        for part in range(chance.randrange(2, 6)):
            await more(world, senders, sent, 6, seed=100 * fall + part, first=20 + 60 * fall + 6 * part)
            all_written(one, world.pipeline.journal.n)
            time.sleep(chance.random() * 1.5)  # the server's own flushing is what it falls into
        life = one._life
        victoria.kill()
        await another_second(life)
        victoria.start()
    await until(lambda: one.turn() and one.standing.position.n == world.pipeline.journal.n, 120, what="what it keeps")
    assert one.standing.rewound > 0
    assert victoria.exported() == shown(sent)
