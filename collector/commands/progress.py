"""How far a long command is, on standard error: one line that is written over where somebody looks, else a line now and then."""

from __future__ import annotations

import sys
import time

EVERY_S = 10.0
"""Between two lines in a log file."""
REFRESH_S = 0.2


class Progress:
    """Say it with `at(what, share)`; `end` leaves the line."""

    def __init__(self) -> None:
        self._begun = self._said = time.monotonic()
        self._there = sys.stderr.isatty()
        self._width = 0

    def at(self, what: str, share: float) -> None:
        """share: 0 to 1."""
        now = time.monotonic()
        if now - self._said < (REFRESH_S if self._there else EVERY_S):
            return
        self._said = now
        text = f"{share:4.0%}  {what}, {now - self._begun:.0f} s"
        if self._there:
            print(f"\r{text.ljust(self._width)}", end="", file=sys.stderr, flush=True)
            self._width = len(text)
        else:
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._there and self._width:
            print(f"\r{' ' * self._width}\r", end="", file=sys.stderr, flush=True)
