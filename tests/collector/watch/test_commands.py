"""`watchdog status` by what is written down, and what `run` and `enrol` refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.collector.watch.running import Site, until
from tillwatch.collector.sections import WatchdogSection
from tillwatch.collector.watch import commands, identity, path
from tillwatch.collector.watch.commands import STALE_S, status
from tillwatch.collector.watch.delays import Sample
from tillwatch.collector.watch.memory import MEMORY, Grievance, fresh, write_down
from tillwatch.collector.watch.path import Complaint, Round, Stage

NOW = 1_790_000_000 * 10**9
S = 10**9


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WatchdogSection:
    """Of a watchdog that is enrolled; how it is, is not the matter here."""

    class Enrolled:
        def warning(self, _: object) -> str:
            return ""

    monkeypatch.setattr(commands, "load", lambda _: Enrolled())
    return WatchdogSection(state_dir=tmp_path)


def written(settings: WatchdogSection, at: int = NOW, **changes: Any) -> None:
    write_down(settings.state_dir, replace(fresh(b"12345678", NOW), **changes), at)


def test_a_round_that_went_the_whole_way_lately_is_well(settings: WatchdogSection) -> None:
    sample = Sample(NOW - S, late=False, delays={Stage.STORED: 7_000_000})
    written(settings, whole=3, whole_at=NOW - S, samples=(sample,), way=path.Path(3))
    said = status(settings, NOW)
    assert (said["ok"], said["missing"], said["whole"]) == (True, "", 3)
    assert said["figures"]["detection"] == {"p50_ms": 7.0, "p99_ms": 7.0, "most_ms": 7.0, "n": 1}


@pytest.mark.parametrize("at", [NOW - int(STALE_S * S) - 1, NOW + 1], ids=["stopped", "a clock that was set back"])
def test_a_watchdog_that_says_nothing_is_what_is_missing(settings: WatchdogSection, at: int) -> None:
    written(settings, at, whole=3, whole_at=at, way=path.Path(3))
    said = status(settings, NOW)
    assert (said["ok"], said["missing"]) == (False, "watchdog")
    assert "does not run" in said["text"]


def test_a_complaint_names_its_stage_and_since_when(settings: WatchdogSection) -> None:
    way = path.Path(4, 0, Round(4, 1), Complaint(Stage.STORED, 4))
    written(settings, whole=3, whole_at=NOW - S, way=way, grievance=Grievance("WATCH-1", NOW - 9 * S, 1, "no word"))
    said = status(settings, NOW)
    assert (said["ok"], said["missing"], said["text"]) == (False, "stored", "no word")
    assert said["since"].startswith("2026-")


def test_before_the_first_whole_round_nothing_is_proven(settings: WatchdogSection) -> None:
    assert "never run" in status(settings, NOW)["text"]
    written(settings, way=path.Path(1, 0, Round(1, 1)))
    said = status(settings, NOW)
    assert (said["ok"], said["missing"]) == (False, "broker")
    assert "no round has gone the whole way yet" in said["text"]


def test_what_cannot_be_read_is_said(settings: WatchdogSection, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings.state_dir / MEMORY).write_text("{")
    assert "not the memory of a watchdog" in status(settings, NOW)["text"]
    monkeypatch.setattr(commands, "load", identity.load)
    (settings.state_dir / MEMORY).unlink()
    assert "is not enrolled" in status(settings, NOW)["text"]


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    file = tmp_path / "collector.toml"
    file.write_text('[collector]\ndata_dir = "data"\n')

    def run(*arguments: str, section: str = "") -> subprocess.CompletedProcess[str]:
        if section:
            file.write_text(f'[collector]\ndata_dir = "data"\n[watchdog]\nstate_dir = "dog"\n{section}\n')
        command = [sys.executable, "-P", "-m", "tillwatch.collector", "watchdog", *arguments, "--config", str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


def test_what_is_missing_before_a_start_is_one_line(call: Callable[..., Any], tmp_path: Path) -> None:
    done = call("run")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "there is no [watchdog] section" in done.stderr
    done = call("run", section='secret_file = "gone"')
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "[watchdog] secret_file: " in done.stderr
    (tmp_path / "drill.secret").write_text("whsec_" + "A" * 44 + "\n")
    done = call("run", section='secret_file = "drill.secret"')
    assert done.returncode == 1
    assert "the watchdog is not enrolled; make a token" in done.stderr
    for arguments in (("enrol",), ("run", "tw1.x"), ("status", "tw1.x")):
        done = call(*arguments)
        assert (done.returncode, "takes the token" in done.stderr) == (1, True)
    done = call("enrol", "tw1.x")
    assert "not a whole enrolment token" in done.stderr
    done = call("status", "--json")
    assert (done.returncode, json.loads(done.stdout)["missing"]) == (1, "watchdog")


async def test_a_second_watchdog_on_the_same_state_does_not_start(site: Callable[..., Site]) -> None:
    one = site(every=40.0, late=20.0)
    await one.start("collector")
    one.enrol()
    await one.start("watchdog")
    done = one.call("watchdog", "run")
    assert (done.returncode, "another watchdog runs on it" in done.stderr) == (1, True)
    await one.went(1)
    done = one.call("watchdog", "status")
    assert (done.returncode, "round 1 went the whole way" in done.stdout) == (0, True)
    assert "p50" in done.stdout
    # What is damaged is not believed, and nothing of it is sent.
    one.stop("watchdog")
    (one.folder / "dog" / MEMORY).write_text("{")
    await one.start("watchdog")
    await until(lambda: one.status()["whole"] == 1, what="a round in another epoch")
    assert "a new epoch begins" in one.log("watchdog")
    assert one.rows("SELECT count(*) FROM stream") == [(2,)]
