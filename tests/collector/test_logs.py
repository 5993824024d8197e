"""What a collector's program writes to standard error, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging
from tillwatch.collector.logs import to_stderr
to_stderr()
log = logging.getLogger("a.place")
log.debug("too small")
log.info("begun")
try:
    raise OSError("full")
except OSError:
    log.exception("not written")
"""


def written(path: Path, **environment: str) -> list[str]:
    with path.open("wb") as log:
        status = os.fstat(log.fileno())
        named = {name: value.format(status=status) for name, value in environment.items()}
        subprocess.run([sys.executable, "-c", PROGRAM], stderr=log, env={**os.environ, **named}, check=True)
    return path.read_text().splitlines()


def test_the_journal_gets_the_priority_of_every_line_and_no_clock(tmp_path: Path) -> None:
    lines = written(tmp_path / "log", JOURNAL_STREAM="{status.st_dev}:{status.st_ino}")
    assert lines[0] == "<6>INFO a.place: begun"
    assert lines[1] == "<3>ERROR a.place: not written"
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines[1:])


def test_elsewhere_each_event_has_its_time(tmp_path: Path) -> None:
    """Also under a journal whose stream was redirected: the variable is inherited."""
    lines = written(tmp_path / "log", JOURNAL_STREAM="1:1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:,]+ INFO a\.place: begun", lines[0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:,]+ ERROR a\.place: not written", lines[1])
