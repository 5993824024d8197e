"""The terminal's two clocks: UTC, as good as the machine keeps it, and the time since boot, which nobody sets. Readings are stamped with
the second and converted to the first when they are sealed, so that a clock which becomes right meanwhile makes them right too.
"""

from __future__ import annotations

import functools
import sys
import time
from functools import cache
from typing import Any

from tillwatch.agent.model import MS, Clock

AGREES_MS = 30_000
"""Half of what the collector calls suspect: a clock within it of the collector's signed time is as good as a synchronised one."""
DISAGREES_MS = 60_000
"""From here on the collector calls the clock suspect and corrects it."""
SUSPECT_ERR_MS = 1_000
"""An error that a graph over several terminals would show."""
REFERENCE_FOR_NS = 24 * 3_600 * 10**9
"""How long an ack vouches for the clock: a quartz of 100 ppm drifts 9 s in a day."""
STEP_NS = 10**9
"""A change of UTC minus uptime beyond this is somebody setting the clock: what was said of it before is void."""
_STA_UNSYNC = 0x0040
_PROC_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def now() -> int:
    """UTC ns on a whole millisecond."""
    return time.time_ns() // MS * MS


def uptime_ns() -> int:
    """Since boot; goes on while the machine sleeps, never back."""
    if sys.platform == "linux":
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    else:  # noqa: RET505 - so that the type checker sees each platform's branch
        return time.monotonic_ns()


def uptime_ms() -> int:
    return uptime_ns() // MS


@cache
def boot_id() -> bytes:
    """8 bytes that change with every boot: the kernel's own on Linux, elsewhere the time of boot to the minute (clocks are adjusted)."""
    try:
        with open(_PROC_BOOT_ID, encoding="ascii") as file:
            return bytes.fromhex(file.read().strip().replace("-", ""))[:8]
    except (OSError, ValueError):
        return ((time.time_ns() - uptime_ns()) // 60_000_000_000).to_bytes(8, "big", signed=True)


def source() -> Clock:
    """Who keeps the clock right: `ntp` with the kernel's own bound of the error, `unsync`, or `rtc` where nobody says (error 0: unknown)."""
    if sys.platform == "linux":
        try:
            status, max_error_us = _adjtimex()
        except (OSError, AttributeError, ImportError):
            return Clock("rtc", 0)
        return Clock("unsync" if status & _STA_UNSYNC else "ntp", min(max_error_us // 1_000, 2**31))
    else:  # noqa: RET505 - so that the type checker sees each platform's branch
        return Clock("rtc", 0)


class Reference:
    """What the collector's signed acks say of this clock: the only witness on a terminal that no time server reaches."""

    def __init__(self) -> None:
        self._off_ms: int | None = None
        self._up = 0
        self._base = 0
        self._theirs = 0
        """The collector's UTC minus this machine's uptime, in ns; 0 before the first ack of the connection."""

    def heard(self, theirs: int) -> None:
        """An ack has come. theirs: the collector's UTC ns in it; what it took on its way counts against the clock."""
        self._up = uptime_ns()
        self._base = time.time_ns() - self._up
        self._off_ms = (time.time_ns() - theirs) // MS
        # An old ack that is sent again must not set the collector's time back.
        self._theirs = max(self._theirs, theirs - self._up)

    def connected(self) -> None:
        """A new connection: where the collector's clock was set back, this is when it is learned anew."""
        self._theirs = 0

    def theirs(self) -> int | None:
        """The collector's time now, UTC ns, whatever the clock of this machine says; None before an ack on this connection has told it."""
        return self._theirs + uptime_ns() if self._theirs else None

    def off_ms(self) -> int | None:
        """How far this clock is ahead, in ms; None where nobody has said so of late."""
        up = uptime_ns()
        if up - self._up > REFERENCE_FOR_NS or abs(time.time_ns() - up - self._base) > STEP_NS:
            return None
        return self._off_ms

    def suspects(self, said: Clock) -> bool:
        """Whether readings are to be marked. said: what the machine says of its clock; a synchronised one is believed."""
        if said.src == "ntp":
            return False
        off = self.off_ms()
        if off is not None:
            return abs(off) > (AGREES_MS if said.src == "unsync" else DISAGREES_MS)
        return said.src == "unsync" and said.err_ms > SUSPECT_ERR_MS


@cache
def _timex() -> tuple[Any, Any]:
    import ctypes  # noqa: PLC0415 - Linux only, and not before it is asked for

    class Timex(ctypes.Structure):
        # The first members of struct timex; the kernel fills 208 bytes, the rest is room for them.
        _fields_ = (
            ("modes", ctypes.c_uint),
            ("offset", ctypes.c_long),
            ("freq", ctypes.c_long),
            ("maxerror", ctypes.c_long),
            ("esterror", ctypes.c_long),
            ("status", ctypes.c_int),
            ("rest", ctypes.c_byte * 256),
        )

    timex = Timex()
    return timex, functools.partial(ctypes.CDLL(None).adjtimex, ctypes.byref(timex))


def _adjtimex() -> tuple[int, int]:
    """Status bits and maximum error in us: adjtimex(2) with modes 0, which only reads and needs no right."""
    timex, call = _timex()
    if call() < 0:
        raise OSError("adjtimex")
    return timex.status, max(timex.maxerror, 0)
