"""The one door through which every text goes that a source gives, before it is buffered: what has the shape of a card number does not pass. How many
did not is counted over the life of the state directory, with where the last one stood, and never what it was.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from tillwatch.agent import clock
from tillwatch.agent.card_numbers import MIN_PAN, found_in, without
from tillwatch.agent.identity import IdentityError, write_private
from tillwatch.agent.wire import MAX_TEXT

FILE = "card-numbers"
KEPT_EVERY_S = 3_600.0
"""Between two writings of the count: a device that repeats itself must not wear out the flash."""
MAX_CLEAN, SHORT = 256, 128
"""Texts, and characters of each, that are remembered as clean: most say the same at every poll. Some 50 KiB at worst."""
LOOKED_AT = MAX_TEXT + 64
"""Characters of a text; behind them it is cut off anyway, and a card number with its blanks that begins before is seen whole."""


@dataclass(frozen=True, slots=True)
class Removals:
    """removed: card numbers so far. at: UTC seconds of the last. where: its component and signal."""

    removed: int = 0
    at: int = 0
    where: str = ""


def removals(state_dir: Path) -> Removals:
    """What is kept; nothing where there is no file or it is none of ours."""
    try:
        removed, at, where = (state_dir / FILE).read_text("utf-8").rstrip("\n").split(" ", 2)
        return Removals(int(removed), int(at), where)
    except (OSError, ValueError):
        return Removals()


class TextDoor:
    """state_dir: where the count is kept; None keeps it in memory."""

    def __init__(self, state_dir: Path | None = None) -> None:
        self._state_dir = state_dir
        self._now = removals(state_dir) if state_dir is not None else Removals()
        self._kept = self._now.removed
        self._kept_at: float | None = None
        self._clean: set[tuple[str, str]] = set()

    @property
    def removed(self) -> int:
        return self._now.removed

    def text(self, component: str, signal: str, text: str) -> str:
        """What may pass of it, at most some LOOKED_AT characters."""
        if len(text) < MIN_PAN or (signal, text) in self._clean:
            return text
        clean, n = without(text[:LOOKED_AT], signal)
        if n:
            self._count(n, f"{component} {signal}")
        elif len(text) <= SHORT:
            if len(self._clean) >= MAX_CLEAN:
                self._clean.clear()
            self._clean.add((signal, text))
        return clean

    def name_passes(self, name: str) -> bool:
        """Whether a component or signal that a device named may be called so."""
        if not found_in(name):
            return True
        self._count(1, "a name that a device gave to one of its parts")
        return False

    def keep(self, *, last: bool = False) -> None:
        """Write the count down where it has changed. last: now, whenever that was done before."""
        due = self._kept_at is None or time.monotonic() - self._kept_at >= KEPT_EVERY_S
        if self._state_dir is None or self._now.removed == self._kept or not (due or last):
            return
        said = self._now
        # A disk that takes nothing is told of by the spool; the count goes on in memory.
        with contextlib.suppress(OSError, IdentityError):
            write_private(self._state_dir / FILE, f"{said.removed} {said.at} {said.where}\n".encode())
            self._kept, self._kept_at = said.removed, time.monotonic()

    def _count(self, n: int, where: str) -> None:
        self._now = Removals(self._now.removed + n, clock.now() // 1_000_000_000, without(where)[0])
