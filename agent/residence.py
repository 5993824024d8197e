"""Gives back what a start alone has touched. Loading the libraries and the first TLS handshake map many of their pages that are never looked at again, and
the kernel maps the sixteen around each as well; they stay resident for months. Pages of a file that nobody has written to are let go here: what is needed
again comes back from the page cache, 64 KiB at a time, and no memory of the agent's own is touched. Linux; elsewhere nothing happens.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

EVERY_S = 3_600.0
"""Seconds between two times: the hourly class of readings and a new connection map what the next hour does not need. It takes some 5 ms."""
SETTLED = 3
"""Sealings before the first time: all that is done again and again has been done by then."""
_DONTNEED = 4
"""MADV_DONTNEED, asm-generic/mman-common.h."""


class Residence:
    """`sealed` after each sealing, with seconds of a clock that only goes forward; no timer of its own wakes the machine for it."""

    def __init__(self) -> None:
        self._sealings = 0
        self._last = 0.0

    def sealed(self, now: float) -> bool:
        """Whether pages were let go."""
        self._sealings += 1
        if self._sealings < SETTLED or (self._sealings > SETTLED and now - self._last < EVERY_S):
            return False
        self._last = now
        let_go()
        return True


def let_go() -> int:
    """How many mappings were let go of."""
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - as clock.py: Linux only; it is resident there for the state of the clock

        try:
            with open("/proc/self/smaps", encoding="utf-8", errors="replace") as file:
                found = list(untouched(file.read()))
        except OSError:  # a kernel without it
            return 0
        advise = ctypes.CDLL(None).madvise
        advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        # One that is locked in memory stays there: nothing is lost by that.
        return sum(advise(begin, end - begin, _DONTNEED) == 0 for begin, end in found)
    else:  # noqa: RET505 - so that the type checker sees each platform's branch
        return 0


def untouched(smaps: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each mapping that is of a file, private, not writable, and of which no page was ever written to: relocated tables are read-only by
    now and still differ from the file. smaps: proc(5).
    """
    begin = end = 0
    of_file = False
    for line in smaps.splitlines():
        head, *rest = line.split()
        if head == "Anonymous:":
            if of_file and rest[0] == "0":
                yield begin, end
        elif not head.endswith(":"):
            begin, end = (int(address, 16) for address in head.split("-"))
            of_file = len(rest) > 4 and rest[0][1] == "-" and rest[0][3] == "p" and rest[4].startswith("/")
