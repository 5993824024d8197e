"""The sinks beside a running collector, as processes, and the command by hand."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.series.written import lived, shown
from tests.collector.test_service import Line
from tests.collector.watch.running import until
from tests.scale.servers.victoriametrics import VictoriaMetrics
from tillwatch.collector import child
from tillwatch.collector.__main__ import main
from tillwatch.collector.config import parse_config
from tillwatch.collector.series import process, victoriametrics
from tillwatch.collector.series.check import examine_sinks
from tillwatch.collector.series.kept import KeptFile, Standing, read_all


@pytest.fixture
def line(tmp_path: Path, victoria: VictoriaMetrics) -> Iterator[Line]:
    one = Line(tmp_path)
    with one.file.open("a") as file:
        file.write(f'[sinks.analysts]\nkind = "victoriametrics"\nurl = "{victoria.url}"\n')
    yield one
    for each in one.running.values():
        each.kill()
        each.wait()


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def standing(line: Line) -> Standing:
    return read_all(line.config.database).get("analysts", Standing())


@pytest.mark.long
async def test_it_begins_and_ends_with_the_collector_and_intake_does_not_notice_a_sink_that_stands_still(
    line: Line, victoria: VictoriaMetrics
) -> None:
    await line.start()
    line.enrol("one")
    line.run("one")
    await line.stores()
    first = await until(lambda: standing(line).process, what="the exporter's first word")
    await until(lambda: standing(line).points > 0, what="points")
    done = line.collector("doctor")
    assert "sink analysts: it answers" in done.stdout
    assert "sink analysts: at entry" in done.stdout
    victoria.signal(signal.SIGSTOP)
    try:
        await until(lambda: "does not answer" in standing(line).trouble, what="the trouble")
        for _ in range(3):
            await line.stores()
    finally:
        victoria.signal(signal.SIGCONT)
    await until(lambda: not standing(line).trouble and not standing(line).behind, what="that it goes on")
    # Killed, it comes again; killed with all that is in it, the collector leaves nobody behind.
    os.kill(first, signal.SIGKILL)
    again = await until(lambda: (other := standing(line).process) not in (0, first) and other, what="the next one")
    assert "the sinks have ended by themselves (-9)" in line.log("collector")
    line.stop("collector")
    assert not alive(again)
    assert standing(line).process == 0
    await line.start()
    third = await until(lambda: (other := standing(line).process) not in (0, again) and other, what="the third one")
    line.stop("collector", signal.SIGKILL)
    await until(lambda: not alive(third), what="the end of what was left over")
    assert "Traceback" not in line.log("collector")
    assert victoria.exported('{__name__="till_host_cpu_percent_value"}')


async def test_without_its_library_the_collector_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "find_spec", lambda _: None)
    running = asyncio.create_task(process.SinksProcess(parse_config("", Path("c.toml"))).run())
    await until(lambda: caplog.records)
    assert not running.done()
    assert [each.getMessage() for each in caplog.records] == [
        "nothing is written to sinks: influxdb-client is not installed (pip install 'tillwatch[large]'); the collector runs without them"
    ]
    running.cancel()


async def test_what_cannot_run_is_begun_again_later_and_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "AGAIN_S", (0.01, 0.02))
    config = parse_config(f'[collector]\ndata_dir = "{tmp_path}/none"\n', tmp_path / "c.toml")
    with caplog.at_level(logging.ERROR):
        running = asyncio.create_task(process.SinksProcess(config).run())
        await until(lambda: len(caplog.records) == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert all("begun again in" in each.getMessage() for each in caplog.records)


async def test_by_hand_a_sink_gets_everything_again_from_an_entry_or_a_time(
    world: World, shared_victoria: VictoriaMetrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.setattr(victoriametrics.VictoriaMetrics, "settles_s", 0.0)
    monkeypatch.setattr("tillwatch.collector.series.__main__.told_to_end", threading.Event)
    monkeypatch.setattr("tillwatch.collector.series.__main__.lower", lambda: None)
    _, sent = await lived(world, 20, "by-hand")
    world.store.close()
    file = tmp_path / "c.toml"
    file.write_text(f'[collector]\ndata_dir = "{tmp_path}"\n[sinks.victoriametrics]\nurl = "{shared_victoria.url}"\n')

    def run(*arguments: str) -> int:
        return main(["export", "--config", str(file), *arguments])

    def arrived() -> object:
        return shared_victoria.exported('{terminal="by-hand"}')

    # A point of time of receipt, given with its offset; the second half only.
    assert run("--from", "2026-09-21T14:15:00+00:00") == 0
    half = arrived()
    assert half != shown(sent)
    assert half
    assert run("--from", "1") == 0
    assert arrived() == shown(sent)
    assert "entries up to 23 are written to victoriametrics" in capsys.readouterr().out
    for wrong, status, text in (
        (("--from", "900"), 1, "there is no entry 900: the log has 1 to 23"),
        (("--from", "2030-01-01"), 1, "there is no entry 24"),
        (("--from", "yesterday"), 2, "is no day or time"),
        (("--from", "1", "--sink", "other"), 2, "write --sink with one of: victoriametrics"),
        (("--sink", "victoriametrics"), 2, "--sink belongs to --from"),
    ):
        assert run(*wrong) == status
        assert text in capsys.readouterr().err


def test_the_doctor_says_how_a_sink_is(tmp_path: Path, shared_victoria: VictoriaMetrics) -> None:
    config = parse_config(
        f'[collector]\ndata_dir = "{tmp_path}"\n[sinks.one]\nkind = "victoriametrics"\nurl = "{shared_victoria.url}"\n', tmp_path / "c.toml"
    )  # fmt: skip
    now = 10**18
    assert list(examine_sinks(config, now)) == [
        ("sink one", "ok", "it answers"),
        ("sink one", "ok", "nothing was written yet; it begins with the collector"),
    ]
    file = KeptFile(config.database, "one")

    def said(**more: object) -> tuple[str, str]:
        file.save(Standing(**({"process": 1, "looked_at": now} | more)), settled=False)  # type: ignore[arg-type]
        _, (_, state, text), *_ = examine_sinks(config, now)
        return state, text

    assert said() == ("ok", "at entry 0 of 0, 0 points written")
    assert said(process=0)[0] == "ok"
    assert said(trouble="no room")[0] == "fail"
    assert said(looked_at=now - 601 * 10**9)[0] == "fail"
    assert said(head=5)[0] == "warn"
    file.save(Standing(note="something", note_at=now), settled=False)
    assert ("sink one", "warn", "something") in list(examine_sinks(config, now))
    gone = parse_config('[sinks.victoriametrics]\nurl = "http://127.0.0.1:1"\n', tmp_path / "c.toml")
    assert next(iter(examine_sinks(gone, now)))[1] == "fail"


def test_another_deduplication_is_told(tmp_path: Path) -> None:
    server = VictoriaMetrics(tmp_path / "victoria", dedup="1m")
    server.start()
    try:
        config = parse_config(f'[sinks.victoriametrics]\nurl = "{server.url}"\n', tmp_path / "c.toml")
        (first, *_) = examine_sinks(config, 1)
        assert first[1] == "warn"
        assert "with anything but 1ms" in first[2]
    finally:
        server.kill()
