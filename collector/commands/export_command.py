"""The command `export`: the readings of the log, written on to the sinks that are configured. `run` starts it by itself; by hand it writes again what a sink has
lost, or never had, from any point on.
"""

from __future__ import annotations

import argparse
import sqlite3
import time

from tillwatch.collector.commands.moments import day_or_time
from tillwatch.collector.commands.output import DONE, FAILED, USAGE, CommandError
from tillwatch.collector.config import Config
from tillwatch.collector.logs import to_stderr
from tillwatch.collector.series.kept import Standing
from tillwatch.collector.series.process import MISSING, installed
from tillwatch.collector.store.db import Db

EVERY_S = 5.0
"""Between two lines that say how far it is."""


def run_export(config: Config, options: argparse.Namespace) -> int:
    if not config.sinks:
        msg = "no sink is configured; write a section [sinks.NAME]"
        raise CommandError(msg, USAGE)
    if not installed():
        raise CommandError(MISSING)
    from tillwatch.collector.series import __main__ as series  # noqa: PLC0415 - the store, and none of it where a setting is wrong
    from tillwatch.collector.store.sqlite import StoreError  # noqa: PLC0415

    to_stderr()
    try:
        if options.since:
            return _again(config, options.sink, options.since)
        if options.sink:
            msg = "--sink belongs to --from; without it all of them are written to"
            raise CommandError(msg, USAGE)
        return series.main(config, until_stdin_ends=options.until_stdin_ends)
    except (StoreError, OSError, sqlite3.Error, series.ExportError) as error:
        raise CommandError(str(error)) from None


def _again(config: Config, name: str, since: str) -> int:
    from tillwatch.collector.series import __main__ as series  # noqa: PLC0415 - as above

    name = name or (next(iter(config.sinks)) if len(config.sinks) == 1 else "")
    if name not in config.sinks:
        msg = f"write --sink with one of: {', '.join(config.sinks)}"
        raise CommandError(msg, USAGE)
    at = 0 if since.isdecimal() else day_or_time(since, "--from")

    def first(db: Db) -> int:
        return _entry_at(db, at) if at else int(since)

    told = time.monotonic()

    def tell(standing: Standing, head: int) -> None:
        nonlocal told
        if time.monotonic() - told > EVERY_S:
            told = time.monotonic()
            trouble = f"; {standing.trouble}" if standing.trouble else ""
            print(f"entry {standing.written.n} of {head}, {standing.points} points{trouble}", flush=True)

    ended = series.told_to_end()
    series.lower()
    done = series.again(config.store, name, config.sinks[name], first, ended, tell)
    if ended.is_set():
        print(f"ended at entry {done.position.n}; go on with --from {done.position.n + 1}")
        return FAILED
    print(f"entries up to {done.position.n} are written to {name}: {done.points} points")
    if done.retired:
        print(f"{done.retired} batches have been retired: their readings cannot be written any more")
    return DONE


def _entry_at(db: Db, at: int) -> int:
    """The first entry that was received at a time (UTC ns) or later; one behind the last where there is none. Times rise with numbers, in the log's pages and
    in its rows.
    """
    from tillwatch.collector.store.log import Log  # noqa: PLC0415 - as above

    whole = Log(db)
    low, (high, _) = 1, whole.head()
    high += 1
    while low < high:
        middle = (low + high) // 2
        near = whole.entries(middle, middle)
        if near and near[-1].n == middle and near[-1].at >= at:
            high = middle
        else:
            low = middle + 1
    return low
