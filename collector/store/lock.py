"""One writer at a time: whoever journals holds the lock beside the collector's file, the service for its life, a command for an instant. The
system gives it back when its process ends, however it ends.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

POLL_S = 0.05


class WriterLock:
    """Not held until `take` says so."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        self._descriptor = -1

    def take(self, wait_s: float = 0.0) -> bool:
        """Whether it is ours now. Raises OSError if the file cannot be made."""
        import fcntl  # noqa: PLC0415 - the module also imports where there is none

        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    os.close(descriptor)
                    return False
                time.sleep(POLL_S)
            else:
                self._descriptor = descriptor
                return True

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
