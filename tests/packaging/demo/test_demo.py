"""The demo is the main job: it is run as anybody runs it, and has to see every fault from reading to recovery."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "packaging" / "demo" / "demo.py"


@pytest.mark.timeout(400)
def test_the_check_sees_every_fault_to_its_end_and_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-P", str(DEMO), "--check", "--folder", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.count("  ok  ") == 8
    assert "nothing is left running" in done.stdout
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path) in _read(p)]
    assert left == []


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
