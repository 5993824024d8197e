"""What a benchmark gives: figures with their spread, the machine they hold for, the file and the table."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

METHOD = "value is the median of the runs, spread their greatest minus their least; figures of CPU are processor time, not wall time"


class BenchError(Exception):
    """The benchmark cannot go on, or what it measured was not the work that it means. The text says what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure that an area gives in each run. note: how it is taken, and what it can be compared with."""

    name: str
    unit: str
    note: str


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    value: float
    unit: str
    spread: float
    note: str


def summarise(metrics: Sequence[Metric], runs: Sequence[Mapping[str, float]]) -> list[Result]:
    """One result for each metric. A ratio is the median of the ratios of each run, never a ratio of medians."""
    return [
        Result(
            metric.name,
            _short(median(run[metric.name] for run in runs)),
            metric.unit,
            _short(max(run[metric.name] for run in runs) - min(run[metric.name] for run in runs)),
            f"{metric.note}; {len(runs)} run{'s' if len(runs) != 1 else ''}",
        )
        for metric in metrics
    ]


def _short(value: float) -> float:
    """Four digits: more of them would be noise."""
    return float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """What the figures depend on. Nothing in it names the machine."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory_kb = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal:"))
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kb / 1024**2, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text("utf-8").splitlines()


def write(path: Path, on: Mapping[str, Any], results: Sequence[Result]) -> None:
    """Replaces the file whole."""
    content = {"machine": on, "method": METHOD, "results": [asdict(result) for result in results]}
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    beside.replace(path)


def table(results: Sequence[Result]) -> str:
    rows = [("name", "value", "spread", "unit"), *((r.name, f"{r.value:g}", f"{r.spread:g}", r.unit) for r in results)]
    wide = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(f"{n:<{wide[0]}}  {v:>{wide[1]}}  {s:>{wide[2]}}  {u}" for n, v, s, u in rows)
