"""The predictions as a process of their own, so that intake and alarms do not notice whether they run: `tillwatch-collector predict`. It reads the
collector's store, and leaves what it finds for the collector to journal.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tillwatch.collector.alarm.rules import RulesError, parse_rules
from tillwatch.collector.config import Config, ConfigError, load_config
from tillwatch.collector.logs import to_stderr
from tillwatch.collector.predict.checkpoint import Checkpoint, beside
from tillwatch.collector.predict.follower import Follower, Make
from tillwatch.collector.predict.settings import Tables, TablesError, parse_tables
from tillwatch.collector.predict.tables import TableError
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.lock import WriterLock
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.store.whereabouts import anchor

log = logging.getLogger(__name__)

NICE = 10
"""Below the collector, its broker and its console: what is foreseen has time."""
POLL_S = 1.0
SAVE_S = 180.0
"""Between two savings at the least: after a kill as much of the log is read again."""
SAVE_SHARE = 20
"""Saving takes at most one part in so many of the time."""
TAKEN_S = 10.0
"""For a process that was left over from a collector that was killed to end: it does so with its standard input."""
RETRY_S = 10.0
"""After the store could not be read."""


def tables_of(config: Config) -> Tables:
    """What ships with the site's own laid over it. Raises ConfigError naming file and key."""
    own, budget = config.predictions, config.predictions.budget
    site, lives, watched = (_text(key, getattr(own, key)) for key in ("file", "lives", "watched"))
    try:
        rules = parse_rules(config.rules.file.read_text(encoding="utf-8") if config.rules.file is not None else "")
    except (OSError, RulesError, UnicodeDecodeError) as error:
        msg = f"[rules] file: {config.rules.file}: {error}"
        raise ConfigError(msg) from None
    try:
        tables = parse_tables(site, lives=lives, watched=watched, rules=rules)
    except (TablesError, TableError) as error:
        files = ", ".join(str(each) for each in (own.file, own.lives, own.watched) if each is not None)
        msg = f"[predictions] {files}: {error}"
        raise ConfigError(msg) from None
    if not budget:
        return tables
    share = budget / (tables.anomaly_budget + tables.failure_budget)
    return replace(tables, anomaly_budget=tables.anomaly_budget * share, failure_budget=tables.failure_budget * share)


def _text(key: str, path: Path | None) -> str:
    try:
        return path.read_text(encoding="utf-8") if path is not None else ""
    except (OSError, UnicodeDecodeError) as error:
        msg = f"[predictions] {key}: cannot read {path}: {error}"
        raise ConfigError(msg) from None


def engine_of(config: Config) -> Make:
    """Raises ConfigError."""
    from tillwatch.collector.predict.engine import Engine  # noqa: PLC0415 - numpy: who only looks at the settings need not have it
    from tillwatch.collector.predict.learnt import load_models  # noqa: PLC0415

    tables, models = tables_of(config), load_models(config.models)

    def make(state: Mapping[str, Any] | None) -> Engine:
        return Engine(tables, models) if state is None else Engine.restore(state, tables, models)

    return make


def _stamp(folder: Path) -> object:
    """Something else whenever a model was written."""
    try:
        return sorted((each.name, each.stat().st_mtime_ns) for each in folder.iterdir())
    except OSError:
        return None


def _differs(stamp: Callable[[], object], was: object) -> bool:
    return stamp() != was


def follow(
    where: Where, anew: Callable[[], Make], ended: threading.Event, stamp: Callable[[], object] = lambda: None
) -> None:
    """Until it is told to end. anew: how engines are made from now on, asked again when `stamp` says something else. Raises StoreError where there is
    no store to read, and what `anew` raises at the start.
    """
    lock = WriterLock(beside(anchor(where)))
    if not lock.take(TAKEN_S):
        msg = f"another process ({lock.holder()}) makes the predictions of {where} already; end it first"
        raise StoreError(msg)
    try:
        while not ended.is_set():
            was, make = stamp(), anew()
            try:
                with contextlib.closing(Checkpoint(beside(anchor(where)))) as checkpoint:
                    _follow(where, checkpoint, make, ended, partial(_differs, stamp, was))
            except sqlite3.Error as error:
                log.error(
                    "the store, or what they keep beside it, cannot be used: %s; the predictions look again in %g s",
                    error,
                    RETRY_S,
                )
                ended.wait(RETRY_S)
    finally:
        lock.release()


def _follow(
    where: Where, checkpoint: Checkpoint, make: Make, ended: threading.Event, changed: Callable[[], bool]
) -> None:
    follower = Follower(where, checkpoint, make)
    try:
        log.info("the predictions go on from entry %d", follower.position)
        due = time.monotonic() + SAVE_S
        while not ended.is_set():
            more = follower.step(ended.is_set)
            if time.monotonic() >= due:
                due = time.monotonic() + max(SAVE_S, SAVE_SHARE * follower.save())
                if not follower.unsent and changed():
                    log.info("there are other models: the predictions go by them from entry %d on", follower.position)
                    return
            if not more:
                ended.wait(POLL_S)
        follower.save()
        follower.tell(running=False)
    finally:
        follower.close()


def main(config: Config, *, until_stdin_ends: bool = False) -> int:
    """Run until a signal ends it; the exit code. Raises ConfigError and StoreError."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if until_stdin_ends:
        threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    if hasattr(os, "nice"):
        with contextlib.suppress(
            OSError
        ):  # the service's sandbox lets nobody change priorities; its own shares hold there
            os.nice(NICE)
    follow(config.store, lambda: engine_of(config), ended, lambda: _stamp(config.models))
    return 0


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    # At once: whoever started this is gone, and the next one begins where this was kept last.
    os._exit(0)


if __name__ == "__main__":
    to_stderr()
    sys.exit(main(load_config(Path(sys.argv[1]) if sys.argv[1:] else None)))
