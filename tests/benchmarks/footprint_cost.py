"""What a running program costs its machine, from /proc alone: nothing is attached to it, and looking costs the one who looks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

LOOKS = 12
"""Looks at processes, threads and memory over a window; a figure is their median."""
MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Memory in MiB, of all processes together; what is spent is for one minute of the window."""

    processes: float
    threads: float
    rss_mib: float
    pss_mib: float
    anon_mib: float
    cpu_s_per_min: float
    wakeups_per_min: float
    written_kib_per_min: float


@dataclass(frozen=True, slots=True)
class _Standing:
    processes: int
    threads: int
    rss: int
    pss: int
    anon: int


@dataclass(frozen=True, slots=True)
class _Spent:
    at: float
    cpu_s: dict[int, float]
    switches: dict[int, int]
    written: dict[int, int]


class Watch:
    """One program with all its descendants, over one window: `begin`, several `look`, `end`.

    Processes and threads that end within the window count with what they had taken at its begin, which for the short-lived is nothing: the processor
    time of a thread is its process' own and stays, its wake-ups go with it.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._standing: list[_Standing] = []
        self._begun = self._spent()

    def begin(self) -> None:
        self._standing = []
        self._begun = self._spent()

    def look(self) -> None:
        pids = list(family(self._pid))
        sums = [_memory(pid) for pid in pids]
        threads = sum(_field(pid, "status", "Threads:") for pid in pids)
        rss, pss, anon = (sum(each[n] for each in sums) for n in range(3))
        self._standing.append(_Standing(len(pids), threads, rss, pss, anon))

    def end(self) -> Cost:
        self.look()
        now, before = self._spent(), self._begun
        minutes = (now.at - before.at) / MINUTE
        standing = self._standing
        return Cost(
            median(each.processes for each in standing),
            median(each.threads for each in standing),
            median(each.rss for each in standing) / 1024,
            median(each.pss for each in standing) / 1024,
            median(each.anon for each in standing) / 1024,
            _more(before.cpu_s, now.cpu_s) / minutes,
            _more(before.switches, now.switches) / minutes,
            _more(before.written, now.written) / 1024 / minutes,
        )

    def _spent(self) -> _Spent:
        pids = list(family(self._pid))
        # The clock that clock_getcpuclockid(3) names for a pid: to the nanosecond, threads that ended included.
        cpu = {pid: time.clock_gettime_ns((~pid << 3) | 2) / 1e9 for pid in pids}
        switches = dict(each for pid in pids for each in _switches(pid))
        return _Spent(time.monotonic(), cpu, switches, {pid: _field(pid, "io", "write_bytes:") for pid in pids})


def _more(before: dict[int, float] | dict[int, int], now: dict[int, float] | dict[int, int]) -> float:
    return sum(value - before.get(each, 0) for each, value in now.items())


def family(pid: int) -> Iterator[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            children.setdefault(int(path.read_text("ascii", "replace").rpartition(")")[2].split()[1]), []).append(
                int(path.parent.name)
            )
    waiting = [pid]
    while waiting:
        yield (each := waiting.pop())
        waiting += children.get(each, [])


def _switches(pid: int) -> Iterator[tuple[int, int]]:
    for path in Path(f"/proc/{pid}/task").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), _number(path.read_text("ascii", "replace"), "voluntary_ctxt_switches:")


def _memory(pid: int) -> tuple[int, int, int]:
    """Resident, proportional and anonymous KiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii", "replace")
    return _number(text, "Rss:"), _number(text, "Pss:"), _number(text, "Anonymous:")


def _field(pid: int, file: str, name: str) -> int:
    return _number(Path(f"/proc/{pid}/{file}").read_text("ascii", "replace"), name)


def _number(text: str, name: str) -> int:
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(name)), 0)
