"""Runs a program of the line as it is, but for its clock and a few of its constants: UTC is the machine's plus what a file of eight bytes
says, so that whoever writes the file sets the clock, also of a process that runs. The clocks that nobody sets stay as they are, and so
does the one by which OpenSSL judges certificates.

    launch.py CLOCK [MODULE:NAME=NUMBER | MODULE:datetime=clock ...] PROGRAM [ARGUMENT ...]
"""

from __future__ import annotations

import datetime as dt
import importlib
import mmap
import runpy
import struct
import sys
import time
from pathlib import Path
from typing import Self

OFF = struct.Struct("=q")
"""What the file holds: nanoseconds."""


class Datetime(dt.datetime):
    """For a module that imports the class itself, which no one can change in its place: now() by the time module."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Self:
        return cls.fromtimestamp(time.time(), tz)


def set_clock(file: Path) -> None:
    """From now on UTC is what the file says."""
    with file.open("rb") as opened:
        said = mmap.mmap(opened.fileno(), OFF.size, access=mmap.ACCESS_READ)
    real_ns = time.time_ns

    def time_ns() -> int:
        return real_ns() + int(OFF.unpack_from(said)[0])

    time.time_ns, time.time = time_ns, lambda: time_ns() / 1e9


def main() -> None:
    _, clock, *arguments = sys.argv
    set_clock(Path(clock))
    while ":" in arguments[0]:
        name, _, value = arguments.pop(0).partition("=")
        module, _, constant = name.partition(":")
        imported = importlib.import_module(module)
        assert hasattr(imported, constant), name
        setattr(imported, constant, Datetime if value == "clock" else int(value))
    program, *sys.argv[1:] = arguments
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
