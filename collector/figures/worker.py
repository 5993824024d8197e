"""The figures of a period, computed in a process of their own and kept as a file: whoever shows them is not held up, and the memory of it is given back.
Its standard output tells how far it is, in lines of `DONE ALL`; it ends when its standard input does, with whoever started it.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tillwatch.collector.figures import kept
from tillwatch.collector.figures.rollup import KINDS, Scope, compute
from tillwatch.collector.figures.rows import fingerprint, head, open_log, read_log, read_policy, read_rules
from tillwatch.collector.store.sqlite import StoreError

NICE = 10
"""Intake and alarms come first; nobody waits for a month as for a page."""
TOLD_S = 0.5
READ, COMPUTED = 40, 95
"""Of a hundred: about how far it is after each step, by measurements of 250 and of 10,000 terminals."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--from", dest="start", required=True, type=int, metavar="NS")
    parser.add_argument("--to", dest="end", required=True, type=int, metavar="NS")
    parser.add_argument("--scope", nargs=2, action="append", metavar=("KIND", "NAME"), default=[])
    options = parser.parse_args(arguments)
    threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(NICE)
    scopes = [Scope(kind, name) for kind, name in options.scope if kind in KINDS] or [Scope("fleet")]
    try:
        _make(options.db, options.out, options.start, options.end, scopes)
    except (StoreError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


def _make(database: Path, out: Path, start: int, end: int, scopes: Sequence[Scope]) -> None:
    told = _Progress()
    with closing(open_log(database)) as db:
        policy, rules = read_policy(db), read_rules(db)
        made = kept.Made(head(db), time.time_ns(), fingerprint(db))
        log = read_log(db, start, end, scopes, progress=lambda done, whole: told(READ * done // max(whole, 1)))
    span = COMPUTED - READ
    computed = compute(log, policy, start, end, progress=lambda done, whole: told(READ + span * done // max(whole, 1)))
    kept.write(out, computed, log, policy, rules, made)
    told(100)


class _Progress:
    """Not oftener than somebody looks."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + TOLD_S
            sys.stdout.write(f"{done} 100\n")
            sys.stdout.flush()


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
