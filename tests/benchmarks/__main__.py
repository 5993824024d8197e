"""`make bench`: what tillwatch costs on this machine, into one JSON file and a table. Linux; needs mosquitto, snmpd and snmpget, and for `footprint` the agents of others. Nothing here
passes or fails by a figure: it measures, and it stops only where what ran was not the work that is meant.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from tests.benchmarks import (
    agent,
    collector,
    console,
    delivery,
    footprint,
    proof,
    results,
    scale,
    scale_fleet,
    scale_large,
    sinks,
    snmp,
    storm,
    streaming,
    wire,
)
from tests.benchmarks.options import Options, progress
from tests.benchmarks.outside import __main__ as outside
from tests.benchmarks.results import BenchError, Result

AREAS: tuple[ModuleType, ...] = (
    wire,
    snmp,
    collector,
    delivery,
    storm,
    proof,
    sinks,
    streaming,
    console,
    agent,
    footprint,
    scale,
    scale_large,
    scale_fleet,
)
RUNS = 3


def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in outside.SETS:
        return outside.main(words)
    parser = argparse.ArgumentParser(
        prog="make bench", description="Footprint and throughput of tillwatch on this machine."
    )
    parser.add_argument(
        "--only", default="", metavar="PREFIX", help="only figures whose names begin so, for example snmp.v3"
    )
    parser.add_argument(
        "--runs", type=int, default=RUNS, metavar="N", help=f"how often each area is measured (default: {RUNS})"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one run of a handful of work each: shows that all of it runs; its figures mean nothing",
    )
    parser.add_argument("--out", type=Path, default=Path("bench.json"), metavar="FILE", help="default: bench.json")  # fmt: skip
    given = parser.parse_args(argv)
    options = Options(given.only, given.quick)
    areas = [area for area in AREAS if any(m.name.startswith(options.only) for m in area.METRICS)]
    if not areas or given.runs < 1:
        known = ", ".join(m.name for area in AREAS for m in area.METRICS)
        parser.error(f"--runs is at least 1, and --only the beginning of one of: {known}")
    # A service manager's word is a Ctrl-C: whatever was started is ended on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    machine = results.machine()
    found: list[Result] = []
    try:
        for area in areas:
            found += _measured(area, options, 1 if options.quick else given.runs)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; nothing is written", file=sys.stderr)
        return 130
    results.write(given.out, machine, found)
    print(results.table(found))
    progress(f"written to {given.out}")
    return 0


def _measured(area: ModuleType, options: Options, count: int) -> list[Result]:
    runs: list[Mapping[str, float]] = []
    for run in range(count):
        progress(f"{area.__name__.rpartition('.')[2]}, run {run + 1} of {count}")
        with tempfile.TemporaryDirectory(prefix="tillwatch-bench-") as folder:
            runs.append(area.measure(options, Path(folder), run))
    wanted = [metric for metric in area.METRICS if metric.name.startswith(options.only)]
    return results.summarise(wanted, runs)


if __name__ == "__main__":
    sys.exit(main())
