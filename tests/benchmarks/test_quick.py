"""The benchmark's own test: every area runs with real programs and gives every figure that it names. Figures are looked at by people."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = """
    agent.cpu_percent agent.pss_mib agent.rss_mib agent.rss_system_only_mib agent.start_s agent.threads
    collector.bare_batches_per_s collector.batches_per_s collector.cpu_ratio_to_bare collector.cpu_us_per_batch
    collector.disk_bytes_per_reading collector.ratio_to_bare collector.rss_growth_mib collector.rss_mib
    footprint.agent.rss_mib footprint.agent.threads footprint.agent.wakeups_per_min footprint.agent.written_mib_per_day footprint.agent_system.rss_mib
    footprint.collectd.rss_mib_to_tillwatch footprint.netdata.cpu_s_per_min_to_tillwatch footprint.node_exporter.pss_mib footprint.zabbix_agent2.start_s
    scale.fleet.broker_us_per_batch.100000 scale.fleet.fold_kib_per_terminal scale.fleet.load_s.100000 scale.fleet.ratio_100000_to_10000
    scale.fleet.us_per_reading.100000 scale.grown.kib_per_terminal scale.grown.load_s scale.grown.ratio_100000_to_10000
    scale.grown.us_per_reading.100000 scale.large.batches_per_s.1 scale.large.broker_us_per_batch.3 scale.large.database_us_per_batch.1 scale.large.fold_us_per_batch.1
    scale.large.openers_us_per_batch.1 scale.large.ratio_3_to_1 scale.price.collector_to_consumer scale.price.whole scale.sink.lag_s
    scale.small.batches_per_s scale.small.collector_us_per_batch
    snmp.bulkwalk.v2c.cpu_us_per_poll snmp.exporter.v2c.cpu_us_per_poll snmp.exporter.v3.cpu_us_per_poll snmp.mapping.cpu_us_per_poll
    snmp.pysnmp.v2c.cpu_us_per_poll snmp.pysnmp.v2c.polls_per_s snmp.v2c.cpu_us_per_poll snmp.v2c.polls_per_s
    snmp.v2c.cpu_ratio_to_exporter snmp.v3.cpu_ratio_to_exporter
    snmp.v3.cpu_us_per_poll snmp.v3.polls_per_s wire.bytes_per_reading
"""
"""Names that are compared from release to release: one may be added, none may change or go."""


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONSAFEPATH", "NOTIFY_SOCKET")}
    command = [sys.executable, "-m", "tests.benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def short() -> Iterator[Path]:
    """Chromium makes a socket in its folder, and the path of a socket has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="tw-") as folder:
        yield Path(folder)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_every_figure_is_measured_and_nothing_is_left_behind(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(short))
    out = short / "bench.json"
    done = bench("--quick", "--out", out)
    assert done.returncode == 0, done.stderr
    written = json.loads(out.read_text("utf-8"))
    assert {"cpu", "cores", "memory_gib", "kernel", "python"} <= written["machine"].keys()
    assert os.uname().nodename not in json.dumps(written["machine"])
    found = {result["name"]: result for result in written["results"]}
    assert len(found) == len(written["results"])
    assert set(NAMES.split()) <= found.keys()
    for result in found.values():
        assert result.keys() == {"name", "value", "unit", "spread", "note"}
        assert math.isfinite(result["value"])
        assert result["spread"] >= 0
        assert result["unit"]
        assert result["note"]
    assert all(name in done.stdout for name in found)
    assert [path.name for path in short.iterdir()] == ["bench.json"]
    assert running_in(short) == []


def running_in(folder: Path) -> list[str]:
    """Command lines of processes that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if str(folder).encode() in line and path.parent.name != str(os.getpid()):
            found.append(line.decode(errors="replace"))
    return found


def test_only_what_is_asked_for_is_written(tmp_path: Path) -> None:
    out = tmp_path / "some.json"
    done = bench("--quick", "--only", "wire.b", "--out", out)
    assert done.returncode == 0, done.stderr
    names = {result["name"] for result in json.loads(out.read_text("utf-8"))["results"]}
    assert names == {"wire.bytes_per_reading", "wire.bytes_per_reading_realistic"}


@pytest.mark.parametrize("wrong", [("--only", "nothing.like.it"), ("--runs", "0")])
def test_wrong_arguments_have_one_clear_answer(wrong: tuple[str, str], tmp_path: Path) -> None:
    done = bench(*wrong, "--out", tmp_path / "none.json")
    assert done.returncode == 2
    assert "--runs is at least 1, and --only the beginning of one of: wire.bytes_per_reading" in done.stderr
    assert not (tmp_path / "none.json").exists()
