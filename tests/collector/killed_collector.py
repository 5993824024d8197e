"""A collector that kills itself with SIGKILL, life after life: before the first statement of the transaction that stores a group, before the
second, and so on; at last all is stored and it dies before the ack. One more life ends by itself. Each is told the same messages.

`python killed_collector.py STORE`, a file or the address of a PostgreSQL, prints a JSON object for each life: how it ended, and what is in the store then.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from tests.collector.conftest import COLLECTOR_KEY, World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.wire import VerifyKey, open_ack
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.ingest import Ingest
from tillwatch.collector.intake import Message
from tillwatch.collector.store.db import connect
from tillwatch.collector.store.postgres.bulk import Pipeline
from tillwatch.collector.store.postgres.connection import PostgresDb
from tillwatch.collector.store.whereabouts import of_text

STORE = of_text(sys.argv[1])


def messages(atm: Sender) -> list[Message]:
    """Two batches that raise an alarm, so that every table has a part in the transaction."""
    full = [
        [reading("host/disk:/", "host.disk.percent", T0 + i * 60 * S, 99.0) for i in range(first, first + 5)]
        for first in (0, 5)
    ]
    return [atm.life(T0), *(atm.batch(readings, readings[-1].at) for readings in full)]


class Intake:
    """Brings the messages once. The process ends at the first ack: killed before it is out, or with its seq as exit code."""

    def __init__(self, waiting: list[Message], *, kill: bool) -> None:
        self._waiting, self._kill = waiting, kill

    async def get_batch(self, _: int, __: float) -> list[Message]:
        if not self._waiting:
            await asyncio.Event().wait()
        found, self._waiting = self._waiting, []
        return found

    def publish_command(self, terminal: str, payload: bytes) -> None: ...

    def publish_ack(self, terminal: str, payload: bytes) -> None:
        if self._kill:
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(open_ack(terminal, payload, lambda _: VerifyKey(COLLECTOR_KEY.public)).seq)

    def take_dropped(self) -> dict[tuple[str, str], int]:
        return {}

    def refused(self, terminal: str) -> None:
        raise AssertionError(terminal)

    def settled(self, count: int, *, stored: bool) -> None: ...

    def take_slow(self) -> frozenset[str]:
        return frozenset()


async def live(point: int | None) -> None:
    world = World(Path("nowhere"), STORE)
    world.now = T0 + 600 * S
    atm = Sender("atm-1")
    await world.pipeline.start(shipped_text(), "")
    if not world.pipeline.fold.fleet.knows(atm.name):
        await atm.enrol(world.pipeline)
    statement = count(1)

    def about_to(_: str) -> None:
        if next(statement) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    conn = world.store.conn
    if isinstance(conn, sqlite3.Connection):
        conn.set_trace_callback(about_to)
    else:
        tell_statements(about_to)
    await Ingest(world.pipeline, Intake(messages(atm), kill=point is not None), max_n=100, max_wait_s=0).run()


def tell_statements(about_to: Callable[[str], None]) -> None:
    """Of PostgreSQL: before each that is sent, and before the answers to many are heard."""

    def told(kind: Any, name: str) -> None:
        does = getattr(kind, name)

        def tells(self: Any, *arguments: Any, **named: Any) -> Any:
            about_to(name)
            return does(self, *arguments, **named)

        setattr(kind, name, tells)

    for name in ("begin", "execute", "executemany"):
        told(PostgresDb, name)
    for name in ("send", "answers"):
        told(Pipeline, name)


def kept() -> dict[str, int]:
    with closing(connect(STORE, read_only=True, timeout_s=10)) as db:

        def number(sql: str) -> int:
            return int(db.execute(sql).fetchone()[0])

        return {
            "batches": number("SELECT count(*) FROM journal WHERE kind = 3"),
            "mark": number("SELECT coalesce(max(mark), 0) FROM stream"),
            "alarms": number("SELECT count(*) FROM alarm"),
            "outbox": number("SELECT count(*) FROM outbox"),
        }


def one_life(point: int | None) -> dict[str, int]:
    """point: the statement before which it is killed, or None. ended: the signal as a negative number, or the seq that it acknowledged."""
    pid = os.fork()
    if pid == 0:
        asyncio.run(live(point))
    return {"ended": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), **kept()}


def main() -> None:
    for point in count(1):
        life = one_life(point)
        print(json.dumps(life))
        if life["batches"] or life["ended"] != -signal.SIGKILL:
            break
    print(json.dumps(one_life(None)))


main()
