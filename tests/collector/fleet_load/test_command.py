"""The command as a person runs it: against a mosquitto and a collector that run as processes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.processes import python
from tests.benchmarks.rig import Rig
from tests.collector.watch.running import until
from tillwatch.collector.__main__ import main


def command(rig: Rig, *arguments: object) -> subprocess.CompletedProcess[str]:
    run = [sys.executable, "-P", "-m", "tillwatch.collector", "simulate-fleet", "--config", str(rig.file)]
    return subprocess.run([*run, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=100)


def enrolled(folder: Path, terminals: int, *, tls: bool = False) -> Rig:
    rig = Rig(folder, tls=tls)
    done = command(rig, "--enrol", "--terminals", terminals)
    assert done.returncode == 0, done.stderr
    return rig


def said(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (("--terminals", "0"), "--terminals is 1 to"),
        (("--interval", "0"), "--interval is 0.01 to"),
        (("--faults", "2"), "--faults is 0 to 1"),
        (("--readings", "0"), "--readings is 1 to"),
        (("--processes", "101"), "--processes is 1 to 64"),
        (("--connections", "101"), "--connections is 0 to 100"),
        (("--terminals", "5000", "--connections", "4", "--tls", "no"), "at most 1,000 terminals"),
        (("--connections", "4", "--tls", "yes"), "leave --connections out"),
        (("--broker", "here", "--tls", "no"), "--broker is HOST:PORT"),
        (("--tls", "no"), "name the collector's data directory"),
        (("--verify", "none"), "No such file"),
    ],
)
def test_a_wrong_word_has_one_clear_answer(
    arguments: tuple[str, ...], wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "collector.toml"
    file.write_text('[collector]\ndata_dir = "data"\n')
    assert main(["simulate-fleet", "--config", str(file), *arguments]) in (1, 2)
    assert wrong in capsys.readouterr().err


def test_real_terminals_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rig = Rig(tmp_path, tls=False)
    rig.enrol({"till-0001": bytes(range(32))})
    assert main(["simulate-fleet", "--config", str(rig.file), "--enrol"]) == 1
    assert "knows the terminal till-0001, which is not simulated" in capsys.readouterr().err


def test_what_a_fleet_sends_is_kept_as_it_was_sent(tmp_path: Path) -> None:
    rig = enrolled(tmp_path, 30)
    ledger = tmp_path / "ledger"
    with rig.broker(), rig.collector():
        done = command(
            rig, "--terminals", 30, "--interval", 0.5, "--for", 2, "--processes", 2, "--ahead", 1, "--check", "--ledger", ledger, "--json"
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        found = said(done)
        assert found["sent"] == found["acknowledged"] == 120
        assert found["unacknowledged"] == 0
        assert found["failed"] == {}
        assert found["kept"]["kept"] == 120
        assert found["kept"]["as_sent"] is True
        assert 0 < found["ack_ms"]["p50"] <= found["ack_ms"]["p99"] <= found["ack_ms"]["max"]
        # They said `offline` in the end, as agents do.
        assert rig.ask("SELECT count(*) FROM alarm WHERE rule <> 'terminal.silent'") == 0
        again = command(rig, "--enrol", "--terminals", 30)
        assert again.returncode == 1
        assert "another collector" in again.stderr
        strangers = command(rig, "--terminals", 30, "--seed", "other", "--for", 60, "--json")
        assert strangers.returncode == 1
        assert set(said(strangers)["failed"]) == {"the collector answers enrol"}
    assert command(rig, "--verify", ledger).returncode == 0


@pytest.mark.long
def test_over_tls_each_terminal_has_a_connection_and_its_faults_are_alarms(tmp_path: Path) -> None:
    rig = enrolled(tmp_path, 20, tls=True)
    with rig.broker(), rig.collector():
        done = command(rig, "--terminals", 20, "--interval", 1, "--for", 4, "--faults", 1, "--check", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert said(done)["acknowledged"] == 80


@pytest.mark.long
@pytest.mark.timeout(200)
def test_nothing_is_lost_while_the_collector_is_killed_and_started_again(tmp_path: Path) -> None:
    rig = enrolled(tmp_path, 40)
    with rig.broker():
        arguments = (
            "--terminals",
            "40",
            "--interval",
            "1",
            "--for",
            "12",
            "--check",
            "--json",
            "--config",
            str(rig.file),
        )
        with python("load", "tillwatch.collector", "simulate-fleet", *arguments, folder=tmp_path) as load:
            for _ in range(2):
                with rig.collector() as collector:
                    before = kept(rig)
                    collector.wait_for(lambda before=before: kept(rig) > before + 100, "a hundred more batches")
                    collector.kill()
            with rig.collector():
                found = json.loads(load.hear_all())
    assert found["acknowledged"] == found["sent"] == 480
    assert found["resent"] > 0
    assert found["kept"]["as_sent"] is True
    assert found["kept"]["kept"] == 480


@pytest.mark.long
async def test_a_ctrl_c_ends_it_in_order_with_all_that_was_sent_acknowledged(tmp_path: Path) -> None:
    rig = enrolled(tmp_path, 20)
    run = [sys.executable, "-P", "-m", "tillwatch.collector", "simulate-fleet", "--config", str(rig.file)]
    with rig.broker(), rig.collector():
        child = subprocess.Popen(
            [*run, "--terminals", "20", "--interval", "0.5", "--check", "--json"], stdout=subprocess.PIPE, text=True
        )
        try:
            await until(lambda: kept(rig) > 100)
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=60)
        finally:
            child.kill()
            child.wait()
    assert child.returncode == 0, out
    found = json.loads(out)
    assert found["acknowledged"] == found["sent"] == found["kept"]["kept"] > 100


def kept(rig: Rig) -> int:
    return rig.ask("SELECT count(*) FROM journal WHERE kind = 3")
