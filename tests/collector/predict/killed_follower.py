"""Follows a store with an engine that is known, until it is killed or has read all there is: `python killed_follower.py STORE`. It saves after every few
entries, so that a kill falls before, into and after each kind of its work.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.collector.predict.threshold_engine import make
from tillwatch.collector.predict import follower
from tillwatch.collector.predict.checkpoint import Checkpoint, beside

STEP = 25
"""Entries between two savings."""


def main(database: Path) -> None:
    checkpoint = Checkpoint(beside(database))
    one = follower.Follower(database, checkpoint, make)
    print("begun", one.position, flush=True)
    while True:
        upto = one.position + STEP
        more = one.step(lambda upto=upto: one.position >= upto)
        one.save()
        if not more and not one.unsent:
            print("done", one.position, flush=True)
        time.sleep(0.001 if more else 0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
