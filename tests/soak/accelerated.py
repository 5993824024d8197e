"""Runs a program as it is, on a clock that goes faster: both of the terminal's clocks, the loop's waiting and every sleep. What the program does takes the
processor time that it takes; only the waiting between is shorter. UTC can be set while it runs, and the program may execute itself anew.

    accelerated.py CLOCK PROGRAM [ARGUMENT ...]
"""

from __future__ import annotations

import mmap
import os
import runpy
import selectors
import struct
import sys
import time
from pathlib import Path
from typing import Any

_SAID = struct.Struct("=qqqd")
"""What the file holds: ns by which UTC is wrong, the machine's monotonic ns and UTC ns at the begin, the factor."""
_RESIDENT = "TILLWATCH_AGENT_PREPARED"
"""prepared.HANDED_OVER, by its name: what the agent does before it stays resident takes the time that it takes, and has time limits of its own."""
_MONOTONIC_NS, _SLEEP = time.monotonic_ns, time.sleep


class Clock:
    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._said = mmap.mmap(opened.fileno(), _SAID.size)
        _, self._began, self._utc, self.factor = _SAID.unpack_from(self._said)

    @classmethod
    def begin(cls, file: Path, factor: float) -> Clock:
        """From now on, in the processes that are started with the file."""
        file.write_bytes(_SAID.pack(0, _MONOTONIC_NS(), time.time_ns(), factor))
        return cls(file)

    def set(self, off_ns: int) -> None:
        struct.pack_into("=q", self._said, 0, off_ns)

    def monotonic_ns(self) -> int:
        return self._began + int((_MONOTONIC_NS() - self._began) * self.factor)

    def right_ns(self) -> int:
        """UTC as it is right, at this pace."""
        return self._utc + self.monotonic_ns() - self._began

    def time_ns(self) -> int:
        """UTC as the program sees it."""
        return self.right_ns() + int(struct.unpack_from("=q", self._said)[0])

    def rule(self) -> None:
        """This process lives by it from now on."""
        clock_gettime_ns, select = time.clock_gettime_ns, selectors.DefaultSelector.select

        def gettime_ns(which: int) -> int:
            return self.monotonic_ns() if which == time.CLOCK_BOOTTIME else clock_gettime_ns(which)

        def wait(selector: selectors.DefaultSelector, timeout: float | None = None) -> Any:
            return select(selector, timeout / self.factor if timeout else timeout)

        time.clock_gettime_ns = gettime_ns
        time.monotonic_ns, time.monotonic = self.monotonic_ns, lambda: self.monotonic_ns() / 1e9
        time.time_ns, time.time = self.time_ns, lambda: self.time_ns() / 1e9
        time.sleep = lambda seconds: _SLEEP(seconds / self.factor)
        selectors.DefaultSelector.select = wait  # type: ignore[method-assign]


def main() -> None:
    _, file, program, *sys.argv[1:] = sys.argv
    if _RESIDENT in os.environ:
        Clock(Path(file)).rule()
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
