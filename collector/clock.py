"""The collector's own clock. It goes with the machine's UTC, but a jump is believed only when it has lasted: until then time goes on at the
pace of the clock that nobody sets. So a wrong time server that is put right within minutes leaves no trace, and a jump that stays is told to
the journal, which masks it as if the collector had been down, instead of finding the whole fleet silent at once.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

log = logging.getLogger(__name__)

JUMP_NS = 60 * 10**9
"""Smaller steps are followed at once: no deadline is shorter, and a terminal's clock is suspect from the same distance on."""
HOLD_NS = 600 * 10**9
"""How long a jump must last: a person who sets a clock wrong sees it, and a time client that errs has asked again."""


def _steady() -> int:
    # Goes on while the machine sleeps, so that waking up is no jump.
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic_ns()


class SteadyClock:
    """wall: UTC ns as the machine says; steady: ns that only go forward."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = _steady) -> None:
        self._wall, self._steady = wall, steady
        self._ahead = 0
        """By which the believed time is ahead of the machine's."""
        self._base = wall() - steady()
        self._doubted_since: int | None = None
        self._doubted = 0
        self._believed: int | None = None
        """The base that is to be taken over, once its jump is taken: until then nobody is told a time that the journal knows nothing of."""

    def now(self) -> int:
        """The believed time, UTC ns."""
        wall, steady = self._wall(), self._steady()
        base = wall - steady
        if abs(base - self._base) <= JUMP_NS:
            if self._doubted_since is not None:
                log.warning("the clock of this machine is back from its jump; nothing followed it")
            self._doubted_since = self._believed = None
            self._base, self._ahead = base, 0
        elif self._doubted_since is None or abs(base - self._doubted) > JUMP_NS:
            self._doubted_since, self._doubted, self._believed = steady, base, None
            log.error(
                "the clock of this machine jumped by %.0f s to %s; it is believed if it stays there for %.0f minutes",
                (base - self._base) / 1e9,
                _iso(wall),
                HOLD_NS / 60e9,
            )
        elif steady - self._doubted_since >= HOLD_NS:
            if self._believed is None:
                log.error("the clock of this machine stays at %s: it is believed from now on", _iso(wall))
            self._believed = base
        self._ahead = self._base - base
        return steady + self._base

    def ahead(self) -> int:
        """What to add, in ns, to a time that the machine's clock gave just now; 0 but while a jump is doubted."""
        self.now()
        return self._ahead

    def take_jump(self) -> int:
        """Set the believed time where the machine's clock has stayed long enough: by how many ns, forth or back; 0 for none."""
        self.now()
        if self._believed is None:
            return 0
        jumped = self._believed - self._base
        self._base, self._doubted_since, self._believed = self._believed, None, None
        return jumped


class JournalTime:
    """The time of entries: the believed time, but for a lead that it has where the clock was set back. The journal's time never does."""

    def __init__(self, steady: SteadyClock | None) -> None:
        self._steady = steady
        self.lead = 0

    def start(self, now: int, advanced_to: int) -> None:
        """Times are UTC ns. advanced_to: where the journal's time stands."""
        behind = advanced_to - now
        if behind > JUMP_NS:
            log.error(
                "the clock of this machine is %.0f s behind the journal, whose time goes on from its end", behind / 1e9
            )
            self.lead = behind

    def look(self) -> tuple[int, dict[str, int] | None]:
        """What to add to times that this machine's clock gave just now, in ns, and what is to be journaled of a jump: by how much the clock
        was set, and by how much the journal's time goes forward with it.
        """
        if self._steady is None:
            return 0, None
        jump = self._steady.take_jump()
        ahead = self._steady.ahead()
        if not jump:
            return ahead, None
        forward = max(jump - self.lead, 0)
        self.lead = max(self.lead - jump, 0)
        return ahead, {"jump": forward, "set_by": jump}


def _iso(at: int) -> str:
    try:
        return datetime.fromtimestamp(at / 1e9, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{at} ns"
