"""The sinks as a process of their own, so that intake and alarms do not notice whether they are there: `tillwatch-collector export`. It reads the collector's
store, a thread for each sink, and writes nothing but the sinks and a small file for each.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from tillwatch.collector.config import Config, load_config
from tillwatch.collector.logs import to_stderr
from tillwatch.collector.series.exporter import Exporter, Limits
from tillwatch.collector.series.kept import KeptFile, KeptRow, Mark, Standing, folder, put_aside
from tillwatch.collector.series.port import Sink
from tillwatch.collector.series.settings import SinkSettings, connect
from tillwatch.collector.store.db import Db, Postgres, Where
from tillwatch.collector.store.lock import WriterLock
from tillwatch.collector.store.log import Log
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.store.whereabouts import anchor
from tillwatch.device_profiles.catalogue import load_catalogue

log = logging.getLogger(__name__)

NICE = 10
"""Below the collector, its broker and its console: who reads series has time."""
TAKEN_S = 10.0
"""For a process that was left over from a collector that was killed to end: it does so with its standard input."""
RETRY_S = 10.0
"""After the store could not be read."""
BUSY_S = 10.0
"""Waiting for the collector, which holds the file for milliseconds."""


class ExportError(Exception):
    """What was asked for cannot be written. The text says why."""


def follow(where: Where, sinks: Mapping[str, SinkSettings], ended: threading.Event) -> None:
    """Write to all sinks until it is told to end. Raises StoreError where another process does so already, or there is no store to read."""
    reading(where, BUSY_S).close()
    database = anchor(where)
    lock = WriterLock(folder(database))
    if not lock.take(TAKEN_S):
        msg = f"another process ({lock.holder()}) writes to the sinks of {where} already; end it first"
        raise StoreError(msg)
    try:
        put_aside(database, sinks)
        made = {name: connect(settings) for name, settings in sinks.items()}
        threads = [
            threading.Thread(target=_follow, args=(where, name, made[name], sinks[name], ended), name=name)
            for name in sinks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        lock.release()


def _follow(where: Where, name: str, sink: Sink, settings: SinkSettings, ended: threading.Event) -> None:
    kept = KeptFile(anchor(where), name)
    shared = KeptRow(where, name) if isinstance(where, Postgres) else None
    found = _latest(kept, shared)
    if found is None and kept.path.exists():
        log.warning("%s cannot be read: all of the log is written to sink %s again", kept.path, name)
    stands = found or Standing(kind=settings.kind)
    exporter = _exporter(name, sink, lambda: reading(where, BUSY_S), Limits(settings.points), stands, kept, shared)
    log.info("sink %s goes on from entry %d", name, stands.position.n)
    complained = ""
    while not ended.is_set():
        try:
            wait = exporter.turn(ended.is_set)
            complained = ""
        except Exception as error:  # the other sinks go on
            ours = isinstance(error, sqlite3.Error | StoreError | OSError)
            what = f"the store, or what is kept beside it, cannot be used: {error}" if ours else repr(error)
            if what != complained:
                log.error("sink %s: %s; looking again each %g s", name, what, RETRY_S, exc_info=None if ours else error)
            complained, wait = what, RETRY_S
            with contextlib.suppress(OSError):
                exporter.failed(what)
        ended.wait(wait)
    with contextlib.suppress(OSError):
        exporter.end()


def _latest(kept: KeptFile, shared: KeptRow | None) -> Standing | None:
    """Of this machine, or what another collector has left in the store since. A store that cannot be asked just now costs some writing again."""
    own, other = kept.load(), None
    if shared is not None:
        try:
            other = shared.load()
        except sqlite3.Error as error:
            log.warning("how far others have written to a sink cannot be read: %s", error)
    return max((each for each in (own, other) if each is not None), key=lambda each: each.looked_at, default=None)


def _exporter(
    name: str,
    sink: Sink,
    opened: Callable[[], Db],
    limits: Limits,
    stands: Standing,
    kept: KeptFile | None,
    shared: KeptRow | None = None,
) -> Exporter:
    def save(standing: Standing, settled: bool) -> None:  # noqa: FBT001 - exporter.Save
        if kept is not None:
            kept.save(standing, settled=settled)
        if shared is not None and settled:
            shared.save(standing)

    return Exporter(name, sink, opened, load_catalogue().signals, limits, stands, save)


def again(
    where: Where,
    name: str,
    settings: SinkSettings,
    first: Callable[[Db], int],
    ended: threading.Event,
    tell: Callable[[Standing, int], None],
) -> Standing:
    """Write everything from one entry on up to what is the last one now, beside a process that goes on from where it is. first: that entry, found in
    the store; tell: how far it is. Raises StoreError, ExportError, sqlite3.Error.
    """
    with contextlib.closing(reading(where, BUSY_S)) as db:
        db.execute("BEGIN")
        whole = Log(db)
        begin, (head, _) = first(db), whole.head()
        if not 1 <= begin <= head:
            msg = f"there is no entry {begin}: the log has 1 to {head}"
            raise ExportError(msg)
        near = whole.entries(begin - 1, begin - 1) if begin > 1 else []
    start = Mark(near[-1].n, near[-1].digest, near[-1].at) if near else Mark()
    stands = Standing(kind=settings.kind, position=start, written=start)
    exporter = _exporter(name, connect(settings), lambda: reading(where, BUSY_S), Limits(settings.points, head), stands, None)  # fmt: skip
    try:
        while not ended.is_set():
            wait = exporter.turn(ended.is_set)
            tell(exporter.standing, head)
            if exporter.done:
                break
            ended.wait(wait)
    finally:
        exporter.end()
    return exporter.standing


def main(config: Config, *, until_stdin_ends: bool = False) -> int:
    """Run until a signal ends it; the exit code. Raises StoreError and ImportError."""
    ended = told_to_end()
    if until_stdin_ends:
        threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    lower()
    follow(config.store, config.sinks, ended)
    return 0


def told_to_end() -> threading.Event:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return ended


def lower() -> None:
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):  # the service's sandbox lets nobody change priorities; its own shares hold
            os.nice(NICE)


def _end_with_stdin() -> None:
    while os.read(0, 1024):
        pass
    # At once: whoever started this is gone, and the next one begins where this was kept last.
    os._exit(0)


if __name__ == "__main__":
    to_stderr()
    sys.exit(main(load_config(Path(sys.argv[1]) if sys.argv[1:] else None)))
