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
