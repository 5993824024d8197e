"""The log of the collector's programs: one line an event, on standard error. The journal puts the time on and reads the level from `<N>` (sd-daemon(3));
elsewhere both stand in the line.
"""

from __future__ import annotations

import logging
import os
import sys

_LINE = "%(levelname)s %(name)s: %(message)s"
_PRIORITIES = ((logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"), (logging.NOTSET, "<7>"))


def to_stderr(level: int | str = logging.INFO) -> None:
    """Once, by the program that begins. level: as logging names it."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Journal(_LINE) if _to_journal() else logging.Formatter(f"%(asctime)s {_LINE}"))
    logging.basicConfig(level=level, handlers=[handler])


def _to_journal() -> bool:
    """Whether stderr is the stream that systemd names in $JOURNAL_STREAM (device and inode), as systemd.exec(5) says to check."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Journal(logging.Formatter):
    """Each line of a traceback has its priority: without one it would be informational."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = next(prefix for level, prefix in _PRIORITIES if record.levelno >= level)
        return prefix + super().format(record).replace("\n", f"\n{prefix}")
