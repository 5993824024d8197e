"""The figures of a period, computed in a process of their own and kept as a file: whoever shows them is not held up, and the memory of it is given back.
Its standard output tells how far it is, in lines of `DONE ALL`; it ends when its standard input does, with whoever started it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tillwatch.collector.alarm.diagnosis import CardsError, load_cards
from tillwatch.collector.config import ConfigError, load_config
from tillwatch.collector.figures import kept, parcel
from tillwatch.collector.figures.report import Asked, make, titles
from tillwatch.collector.figures.rollup import FLEET, KINDS, Scope, compute
from tillwatch.collector.figures.rows import fingerprint, head, read_log, read_policy, read_rules
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.store.whereabouts import of_text

NICE = 10
"""Intake and alarms come first; nobody waits for a month as for a page."""
TOLD_S = 0.5
READ, COMPUTED = 40, 95
"""Of a hundred: about how far it is after each step, by measurements of 250 and of 10,000 terminals."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", required=True, type=of_text)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--from", dest="start", required=True, type=int, metavar="NS")
    parser.add_argument("--to", dest="end", required=True, type=int, metavar="NS")
    parser.add_argument("--scope", nargs=2, action="append", metavar=("KIND", "NAME"), default=[])
    parser.add_argument(
        "--report",
        nargs=2,
        metavar=("KIND", "NAME"),
        help="of this part: the report with its sheets, instead of the figures",
    )
    parser.add_argument("--name", default="", help="of the period, for the report")
    parser.add_argument("--zone", default="UTC")
    parser.add_argument("--language", default="en")
    parser.add_argument("--config", type=Path, help="names the cards that say what rules are called")
    options = parser.parse_args(arguments)
    threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    if hasattr(os, "nice"):
        with contextlib.suppress(
            PermissionError
        ):  # the console's unit lets nobody change priorities; its shares hold there
            os.nice(NICE)
    scopes = [Scope(kind, name) for kind, name in options.scope if kind in KINDS] or [Scope("fleet")]
    try:
        if options.report is None:
            _make(options.db, options.out, options.start, options.end, scopes)
        else:
            asked = Asked(
                options.name, options.start, options.end, options.zone, Scope(*options.report), options.language
            )
            _make_report(options.db, options.out, asked, scopes, options.config)
    except (StoreError, ConfigError, CardsError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


def _make(where: Where, out: Path, start: int, end: int, scopes: Sequence[Scope]) -> None:
    told = _Progress()
    with closing(reading(where)) as db:
        policy, rules = read_policy(db), read_rules(db)
        made = kept.Made(head(db), time.time_ns(), fingerprint(db))
        log = read_log(db, start, end, scopes, progress=lambda done, whole: told(READ * done // max(whole, 1)))
    span = COMPUTED - READ
    computed = compute(log, policy, start, end, progress=lambda done, whole: told(READ + span * done // max(whole, 1)))
    kept.write(out, computed, log, policy, rules, made)
    told(100)


def _make_report(where: Where, out: Path, asked: Asked, scopes: Sequence[Scope], config: Path | None) -> None:
    """As `tillwatch-collector report` does, of what is in `scopes` too."""
    told = _Progress()
    # Of the whole fleet the part alone is read, which is the same and less work.
    among, within = ([asked.scope], FLEET) if FLEET in scopes else (scopes, asked.scope)
    with closing(reading(where)) as db:
        policy, rules = read_policy(db), read_rules(db)
        cards = load_cards(load_config(config).cards.file if config is not None else None, rules.by_id)
        made = kept.Made(head(db), time.time_ns(), fingerprint(db))
        log = read_log(
            db, asked.start, asked.end, among, lambda done, whole: told(READ * done // max(whole, 1)), within=within
        )
    report = make(parcel.masked(log), policy, asked, titles(rules, cards, asked.language))
    told(COMPUTED)
    parcel.write(out, report, made)
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
