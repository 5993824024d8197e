"""Writes a store's readings to a VictoriaMetrics in small portions until it is killed: `python -m tests.collector.series.killed_exporter STORE URL`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.collector.series.written import exporter
from tillwatch.collector.series import exporter as module
from tillwatch.collector.series import victoriametrics

victoriametrics.VictoriaMetrics.settles_s = 0.0
module.SAVE_S = 0.0


def main(database: Path, url: str) -> None:
    one = exporter(database, url, points=60)
    while True:
        told = one.standing.points
        wait = one.turn(lambda told=told: one.standing.points > told)
        try:
            print("done" if wait and one.done else "at", one.standing.written.n, flush=True)
        except BrokenPipeError:
            return
        time.sleep(min(wait, 0.1) or 0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
