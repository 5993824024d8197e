"""One data directory, one collector, however the one before ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tillwatch.collector.store.lock import RESTORING, InUseError, locked

HOLD = """
import sys
from pathlib import Path
from tillwatch.collector.store.lock import locked
with locked(Path(sys.argv[1]) / 'collector.db'):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_told_who_has_it(tmp_path):
    with locked(tmp_path / "data" / "collector.db"):
        said = rf"another collector \(process {os.getpid()}\) writes .*data.collector.db; end it"
        with pytest.raises(InUseError, match=said), locked(tmp_path / "data" / "collector.db"):
            pass
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    with locked(tmp_path / "data" / "collector.db"):
        pass


def test_a_holder_that_is_killed_holds_nothing(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-P", "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InUseError, match=f"process {holder.pid}"), locked(tmp_path / "collector.db"):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locked(tmp_path / "collector.db"):
            pass
    finally:
        holder.kill()
        holder.communicate()


def test_a_directory_that_cannot_be_had_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InUseError, match="set data_dir in"), locked(tmp_path / "file" / "collector.db"):
        pass


def test_a_restore_that_was_broken_off_must_be_ended_first(tmp_path):
    (tmp_path / RESTORING).mkdir()
    said = "a restore was broken off; run tillwatch-collector restore again"
    with pytest.raises(InUseError, match=said), locked(tmp_path / "collector.db"):
        pass
    with locked(tmp_path / "collector.db", restoring=True):
        pass
