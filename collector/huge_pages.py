"""Huge pages under what is loaded. A batch touches hundreds of small objects that lie all over a fold of a gigabyte, and what the processor's table of pages
does not hold costs a walk through page tables that its caches do not hold either.

MADV_COLLAPSE (madvise(2), Linux 6.1 and later) copies memory into huge pages at once, whatever `/sys/kernel/mm/transparent_hugepage/enabled` says. With
MADV_HUGEPAGE it would wait for khugepaged, which looks at 16 MiB in ten seconds. What is taken later is as the system gives it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import sys
from pathlib import Path
from typing import NamedTuple

_COLLAPSE = 25
"""MADV_COLLAPSE of the kernel's mman-common.h, which module mmap does not know."""
_SIZE = Path("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size")
"""Bytes of one; not there where the kernel has none."""
_TAKEN = re.compile(
    r"^(\w+)-(\w+) rw-p \w+ \S+ 0 *(?:\[heap\])?\n(?:.*\n)*?Rss: +(\d+) kB\n(?:.*\n)*?AnonHugePages: +(\d+) kB$",
    re.MULTILINE,
)
"""In /proc/self/smaps: private, writable, of no file."""


class Stretch(NamedTuple):
    """Of memory that was taken from the system: first address and the one behind the last, bytes that are there, and of those in huge pages."""

    first: int
    end: int
    resident: int
    huge: int


def collapse() -> None:
    """Copy what this process has loaded into huge pages, without the interpreter's lock. Raises OSError where the system cannot do it."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    size = int(_SIZE.read_text())
    advise = ctypes.CDLL(None, use_errno=True).madvise
    advise.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)
    if advise(0, 0, _COLLAPSE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    for each in taken():
        start, end = -(-each.first // size) * size, each.end // size * size
        # What is mostly empty would only be filled up.
        if start < end and each.resident * 2 > each.end - each.first:
            # It fails where some of it has to stay as it is; what counts is what is there afterwards.
            advise(start, end - start, _COLLAPSE)


def taken() -> list[Stretch]:
    """What malloc has of the system. Linux only."""
    found = _TAKEN.findall(Path("/proc/self/smaps").read_text())
    return [Stretch(int(first, 16), int(end, 16), int(rss) * 1024, int(huge) * 1024) for first, end, rss, huge in found]
