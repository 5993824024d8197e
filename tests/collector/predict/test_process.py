"""The predictions beside a running collector, as processes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.collector.conftest import World
from tests.collector.packed import filled
from tests.collector.predict.test_follower import all_read, following, held
from tests.collector.predict.threshold_engine import ThresholdEngine, make
from tests.collector.stories.foreseen import found
from tests.collector.test_service import Line
from tests.collector.watch.running import until
from tests.variants import long_after
from tillwatch.collector import child
from tillwatch.collector.config import ConfigError, parse_config
from tillwatch.collector.predict import __main__ as predictions
from tillwatch.collector.predict import checkpoint as checkpoint_module
from tillwatch.collector.predict import process
from tillwatch.collector.predict.__main__ import tables_of
from tillwatch.collector.predict.check import examine_predictions
from tillwatch.collector.predict.checkpoint import Checkpoint, Status, beside, read_status
from tillwatch.collector.predict.follower import Make
from tillwatch.collector.store import requests
from tillwatch.collector.store.sqlite import open_db


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    one = Line(tmp_path)
    yield one
    for each in one.running.values():
        each.kill()
        each.wait()


def status(line: Line) -> Status:
    return read_status(line.config.database) or Status()


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.long
async def test_it_begins_and_ends_with_the_collector_and_neither_needs_the_other(line: Line) -> None:
    await line.start()
    line.enrol("one")
    line.run("one")
    await line.stores()
    first = await until(lambda: status(line).process, what="the first word of the predictions")
    await until(lambda: status(line).series > 0, what="series")
    if sys.platform == "linux":
        nice = Path(f"/proc/{first}/stat").read_text().rsplit(")", 1)[1].split()[16]
        assert int(nice) >= 10
    # What the engine would say is left at the same door.
    with closing(open_db(line.config.database)) as db:
        n = status(line).position
        said = found("till-1", "host", time.time_ns())
        requests.ask(
            db, {"action": "findings", "actor": "predictions", "position": n, "part": 0, "findings": [said.facts()]}
        )
    await until(lambda: line.rows("SELECT id FROM finding WHERE status = 'open'") == [(said.id,)], what="the finding")
    assert line.rows("SELECT condition FROM alarm WHERE rule = 'predicted.wear'") == [("active",)]
    done = line.collector("doctor")
    assert "predictions: at entry" in done.stdout
    # Killed, it comes again; the collector has gone on.
    os.kill(first, signal.SIGKILL)
    await line.stores()
    again = await until(lambda: (other := status(line).process) not in (0, first) and other, what="the next one")
    assert "the predictions have ended by themselves (-9)" in line.log("collector")
    # An engine that knows nothing of it ends it, once it has read as far.
    await until(lambda: line.rows("SELECT outcome FROM finding") == [("unknown",)], what="what nobody holds any more")
    line.stop("collector")
    assert not alive(again)
    assert status(line).process == 0
    line.verified()
    # Killed with all that is in it, the collector leaves nobody behind.
    await line.start()
    third = await until(lambda: (other := status(line).process) not in (0, again) and other, what="the third one")
    line.stop("collector", signal.SIGKILL)
    await until(lambda: not alive(third), what="the end of what was left over")
    assert "Traceback" not in line.log("collector")


async def test_without_numpy_the_collector_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "find_spec", lambda _: None)
    running = asyncio.create_task(process.PredictionsProcess(parse_config("", Path("c.toml"))).run())
    await until(lambda: caplog.records)
    assert not running.done()
    assert [each.message for each in caplog.records] == [
        "no predictions: numpy is not installed (pip install 'tillwatch[collector]'); the collector runs without them"
    ]
    running.cancel()


async def test_what_cannot_run_is_begun_again_later_and_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "AGAIN_S", (0.01, 0.02))
    config = parse_config(f'[collector]\ndata_dir = "{tmp_path}/none"\n', tmp_path / "c.toml")
    with caplog.at_level(logging.ERROR):
        running = asyncio.create_task(process.PredictionsProcess(config).run())
        await until(lambda: len(caplog.records) == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert all("begun again in" in each.message for each in caplog.records)


async def test_switched_off_nothing_stays_open(world: World) -> None:
    await filled(world, 100, "atm-1", "atm-2")
    with following(world) as follower:
        await all_read(world, follower)
    assert held(world)
    await process.switched_off(world.pipeline)
    assert held(world) == []
    assert not any(each.open for each in world.pipeline.fold.book.alarms.values() if each.rule.startswith("predicted."))
    before = world.pipeline.journal.n
    await process.switched_off(world.pipeline)
    assert world.pipeline.journal.n == before
    world.store.close()


def test_two_at_once_are_refused(line: Line) -> None:
    database = line.config.database
    database.parent.mkdir(parents=True)
    open_db(database).close()
    command = (sys.executable, "-P", "-m", "tillwatch.collector", "predict", "--config", str(line.file))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as one:
        assert one.stderr is not None
        assert "go on from entry 0" in one.stderr.readline()
        holder = beside(database).with_name(beside(database).name + ".lock").read_text().strip()
        assert holder == str(one.pid)
        one.send_signal(signal.SIGTERM)
        assert one.wait(20) == 0
    assert read_status(database) == Status(looked_at=(read_status(database) or Status()).looked_at)


async def test_other_models_are_gone_by_from_where_it_stands(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "SAVE_S", 0.0)
    monkeypatch.setattr(predictions, "POLL_S", 0.01)
    await filled(world, 20, "atm-1")
    ended, models, states = threading.Event(), ["old"], []

    def anew() -> Make:
        def begin(state: Mapping[str, Any] | None) -> ThresholdEngine:
            states.append((models[0], state is not None))
            return make(state)

        return begin

    running = asyncio.create_task(asyncio.to_thread(predictions.follow, world.path, anew, ended, lambda: models[0]))
    try:
        await until(lambda: (read_status(world.path) or Status()).position == world.pipeline.journal.n)
        models[0] = "new"
        await until(lambda: len(states) == 2)
    finally:
        ended.set()
        await running
    assert states == [("old", False), ("new", True)]
    world.store.close()


async def test_what_it_keeps_cannot_be_used_for_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits for it, as for the store, and goes on from it."""
    monkeypatch.setattr(checkpoint_module, "BUSY_S", 0.01)
    monkeypatch.setattr(predictions, "RETRY_S", 0.01)
    monkeypatch.setattr(predictions, "POLL_S", 0.01)
    await filled(world, 20, "atm-1")
    with following(world) as follower:
        await all_read(world, follower)
        follower.save()
    states = []

    def begin(state: Mapping[str, Any] | None) -> ThresholdEngine:
        states.append(state is not None)
        return make(state)

    ended = threading.Event()
    with closing(sqlite3.connect(beside(world.path), isolation_level=None)) as held_by:
        held_by.execute("PRAGMA locking_mode=EXCLUSIVE")
        held_by.execute("BEGIN EXCLUSIVE")
        running = asyncio.create_task(asyncio.to_thread(predictions.follow, world.path, lambda: begin, ended))
        await until(lambda: "database is locked" in caplog.text)
    try:
        await until(lambda: bool(states))
    finally:
        ended.set()
        await running
    assert states == [True]
    assert not list(world.path.parent.glob("*.aside*"))
    world.store.close()


def test_without_a_store_it_says_what_to_do(line: Line) -> None:
    line.config.database.parent.mkdir(parents=True)
    done = line.collector("predict")
    assert done.returncode == 1
    assert "has the collector been started once" in done.stderr


@pytest.mark.parametrize(
    ("table", "said"),
    long_after(
        1,
        [
            ("[horizon]\nlook = 3\n", "look"),
            ("[nonsense]\n", "nonsense"),
            ("[horizon\n", "site predictions"),
        ],
    ),
)
def test_a_table_that_cannot_be_used_is_named(line: Line, table: str, said: str) -> None:
    own = line.folder / "own.toml"
    own.write_text(table)
    line.file.write_text(line.file.read_text() + '[predictions]\nfile = "own.toml"\n')
    for command in ("run", "predict"):
        done = line.collector(command)
        assert done.returncode == 2
        assert str(own) in done.stderr
        assert said in done.stderr
    assert "they will not start with it" in line.collector("doctor").stdout


def test_a_budget_is_shared_as_in_the_table(tmp_path: Path) -> None:
    shipped = tables_of(parse_config("", tmp_path / "c.toml"))
    own = tables_of(parse_config("[predictions]\nbudget = 0.7\n", tmp_path / "c.toml"))
    assert own.anomaly_budget + own.failure_budget == pytest.approx(0.7)
    assert own.anomaly_budget / own.failure_budget == pytest.approx(shipped.anomaly_budget / shipped.failure_budget)
    for wrong in ("budget = 0", 'budget = "1"', "budget = 99", "models = 3"):
        with pytest.raises(ConfigError, match="line 2"):
            parse_config(f"[predictions]\n{wrong}\n", tmp_path / "c.toml")


def test_the_doctor_says_how_far(tmp_path: Path) -> None:
    text = f'[collector]\ndata_dir = "{tmp_path}"\n'
    config = parse_config(text, tmp_path / "c.toml")
    now, hour = 10**18, 3600 * 10**9

    def seen(**how: int) -> tuple[str, str]:
        with closing(Checkpoint(beside(config.database))) as checkpoint:
            checkpoint.tell(Status(**{"process": 1, "looked_at": now, "at": now, **how}))
        ((_, state, said), *more) = examine_predictions(config, now)
        return state, said + "".join(each[2] for each in more)

    assert [each[1] for each in examine_predictions(config, now)] == ["ok"]
    assert seen(position=9, head=9)[0] == "ok"
    assert seen(position=1, head=9, at=now - 2 * hour)[0] == "warn"
    assert seen(position=1, head=9, looked_at=now - hour)[0] == "fail"
    assert seen(position=1, head=9, process=0) == ("ok", "not running; at entry 1 of 9, 0 series")
    with closing(Checkpoint(beside(config.database))) as checkpoint:
        checkpoint.tell(Status(9, now, 9, now, 3, {"series": 5}, 1))
    assert [each[1] for each in examine_predictions(config, now)] == ["ok", "warn"]
    off = parse_config(text + "[predictions]\nenabled = false\n", tmp_path / "c.toml")
    assert [each[2] for each in examine_predictions(off, now)] == ["switched off: enabled = false in [predictions]"]


def test_a_store_of_another_schema_is_refused(line: Line) -> None:
    database = line.config.database
    database.parent.mkdir(parents=True)
    open_db(database).close()
    with closing(sqlite3.connect(database)) as db:
        db.execute("PRAGMA user_version = 5")
    done = line.collector("predict")
    assert done.returncode == 1
    assert "schema 5" in done.stderr
