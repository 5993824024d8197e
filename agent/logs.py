"""The agent's log: one line an event, on standard error."""

from __future__ import annotations

import logging
import os
import sys

from tillwatch.agent.card_numbers import without


def to_stderr(*, verbose: bool) -> None:
    """One line an event. The journal puts the time on and reads the level from `<N>`; elsewhere both are in the line."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JournalFormatter() if _to_journal() else Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _to_journal() -> bool:
    """Whether stderr is the stream that systemd names in $JOURNAL_STREAM (device and inode), as systemd.exec(5) says to check."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):  # a Windows service has no stderr
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


class Formatter(logging.Formatter):
    """A line may repeat what a device said: what has the shape of a card number does not get into it, traceback and all."""

    def format(self, record: logging.LogRecord) -> str:
        return without(super().format(record))[0]


class _JournalFormatter(Formatter):
    _LEVELS = ((logging.ERROR, "<3>"), (logging.WARNING, "<4>"), (logging.INFO, "<6>"), (logging.NOTSET, "<7>"))

    def format(self, record: logging.LogRecord) -> str:
        prefix = next(prefix for level, prefix in self._LEVELS if record.levelno >= level)
        return prefix + super().format(record).replace("\n", f"\n{prefix}")
