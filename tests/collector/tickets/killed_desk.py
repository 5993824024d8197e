"""Senders to a real ticket system that are killed with SIGKILL at one point of their work, one after the other, until the last one may finish.

`python -m tests.collector.tickets.killed_desk FOLDER ADDRESS POINT SEED...`: for each seed a store of its own, two incidents with a whole life each, and a few deaths at chance
moments of that point. Each sender is a fork: it has nothing but the store from the one before it. Prints the number of deaths.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx2  # noqa: F401 - before the forks, or each would import it anew

from tests.collector.tickets.desks.roundup_server import RoundupServer
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.delivery import Pace
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.message import Op, TicketMessage, TicketState
from tillwatch.collector.tickets.port import Destination
from tillwatch.collector.tickets.sender import OutboxSender

ROOT = Path(__file__).parents[3]
NOW = 1_772_352_000 * 10**9
DEATHS = 3
SETTLE_S = 0.25
"""Twenty times what this server needs for a request."""


class Fate:
    """Death at the n-th time that the point is reached; never where n is 0."""

    def __init__(self, point: str, n: int) -> None:
        self.point, self.left = point, n

    def reach(self, point: str) -> None:
        if point == self.point and self.left:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)


class Connection(sqlite3.Connection):
    fate: Fate

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self.fate.reach("before commit")
        cursor = super().execute(sql, *parameters)
        if sql == "COMMIT":
            self.fate.reach("after commit")
        return cursor


def doomed(desk: Desk, fate: Fate) -> Desk:
    """Each request that changes something may be the last."""

    async def call(method: Any, *arguments: Any) -> Any:
        fate.reach("before POST")
        if fate.point == "in POST":
            asyncio.get_running_loop().call_later(0.004, fate.reach, "in POST")
        done = await method(*arguments)
        fate.reach("after POST")
        return done

    for name in ("create", "note", "set_state"):
        setattr(desk.port, name, partial(call, getattr(desk.port, name)))
    return desk


def life(seed: str) -> list[TicketMessage]:
    made = []
    for number in (1, 2):
        ops = [Op.OPEN, Op.UPDATE, Op.UPDATE, Op.UPDATE, Op.RESOLVE]
        for seq, op in enumerate(ops, 1):
            wish = {3: TicketState.WORKING, 5: TicketState.RESOLVED}.get(seq)
            incident, at = f"HWM-{seed}{number}-1", NOW + seq
            note = f"word {seq} of {incident}"
            made.append(
                TicketMessage(incident, op, seq, number, "t", "b", "r", "c", "what", at, NOW, note=note, wish=wish)
            )
    return made


def prepared(path: Path, seed: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("PRAGMA journal_mode = WAL")
        for step in sorted((ROOT / "collector/store").glob("schema_v*.sql")):
            conn.executescript(step.read_text())
        conn.execute("BEGIN")
        for message in life(seed):
            outbox.enqueue(conn, message, NOW, [Destination("roundup")])
        conn.execute("COMMIT")


async def send(path: Path, address: str, fate: Fate) -> None:
    async def heard(_: dict[str, Any]) -> None:
        fate.reach("after journal")

    def connect() -> sqlite3.Connection:
        conn = sqlite3.connect(path, timeout=60, isolation_level=None, factory=Connection)
        conn.fate = fate  # type: ignore[attr-defined]
        return conn

    desk = doomed(RoundupServer.receiver(None, address, settle=SETTLE_S), fate)  # type: ignore[arg-type]
    sender = OutboxSender(connect, desk, on_change=heard, pace=Pace(0.01, 0.05, 0.05))
    with closing(sqlite3.connect(path)) as conn:
        running = asyncio.create_task(sender.run())
        while conn.execute("SELECT count(*) FROM outbox WHERE state <> 'done'").fetchone()[0]:
            await asyncio.wait([running], timeout=0.02)
            if running.done():
                running.result()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def forked(path: Path, address: str, fate: Fate) -> bool:
    """Whether the sender died before it had told everything."""
    child = os.fork()
    if not child:
        try:
            asyncio.run(send(path, address, fate))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}, f"a sender ended with {status}"
    return status != 0


def main() -> None:
    folder, address, point, *seeds = sys.argv[1:]
    deaths = 0
    for seed in seeds:
        dice, path = random.Random(f"{point} {seed}"), Path(folder) / f"{seed}.db"
        prepared(path, seed)
        for _ in range(DEATHS):
            deaths += forked(path, address, Fate(point, dice.randint(1, 5)))
        assert not forked(path, address, Fate("", 0))
        path.unlink()
    print(deaths)


if __name__ == "__main__":
    main()
