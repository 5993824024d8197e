"""Two senders on one store before a real ticket system. The first is stopped at a chance moment of its work, for longer than its lease; the second takes
over; the first goes on as if nothing had happened, as after a live migration or a suspended machine.

`python -m tests.collector.tickets.paused_desk FOLDER ADDRESS SEED...`: for each seed a store of its own, with two incidents of a whole life each. Prints
how often the first was stopped while it had rows on their way.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import httpx2  # noqa: F401 - before the forks, or each would import it anew

from tests.collector.tickets.desks.roundup_server import RoundupServer
from tests.collector.tickets.killed_desk import prepared
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.delivery import Pace
from tillwatch.collector.tickets.sender import OutboxSender

SETTLE_S, DELIVERY_S, MARGIN_S = 0.25, 1.0, 0.25
LEASE_S = SETTLE_S + DELIVERY_S + MARGIN_S
PATIENCE_S = 60.0


def undone(path: Path, state: str = "") -> int:
    with closing(sqlite3.connect(path, timeout=60)) as conn:
        wanted = f"state = '{state}'" if state else "state <> 'done'"
        return int(conn.execute(f"SELECT count(*) FROM outbox WHERE {wanted}").fetchone()[0])


async def send(path: Path, address: str) -> None:
    desk = RoundupServer.receiver(None, address, settle=SETTLE_S)  # type: ignore[arg-type]
    sender = OutboxSender(
        partial(outbox.connect, path), desk, alone=False, delivery_s=DELIVERY_S, margin_s=MARGIN_S, pace=Pace(0.01, 0.05, 0.05)
    )  # fmt: skip
    running = asyncio.create_task(sender.run())
    while undone(path):
        await asyncio.wait([running], timeout=0.02)
        if running.done():
            running.result()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def forked(path: Path, address: str) -> int:
    child = os.fork()
    if not child:
        try:
            asyncio.run(send(path, address))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    return child


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "the second sender did not take over"
        time.sleep(0.005)


def one(path: Path, address: str, dice: random.Random) -> bool:
    """Whether the first was stopped in the middle of its work."""
    first = forked(path, address)
    children = [first]
    try:
        until(lambda: undone(path, "pending") < 10)
        time.sleep(dice.uniform(0.0, 0.6))
        os.kill(first, signal.SIGSTOP)
        at_work = undone(path, "sending") > 0
        children.append(forked(path, address))
        # Past its lease: before, while and after the second one tells what the first had begun.
        time.sleep(LEASE_S + dice.uniform(0.0, 0.5) if at_work else 0.0)
        os.kill(first, signal.SIGCONT)
        until(lambda: not undone(path))
    finally:
        os.kill(first, signal.SIGCONT)
        statuses = [os.waitpid(each, 0)[1] for each in children]
    assert statuses == [0, 0], f"a sender ended with {statuses}"
    return at_work


def main() -> None:
    folder, address, *seeds = sys.argv[1:]
    stopped = 0
    for seed in seeds:
        path = Path(folder) / f"{seed}.db"
        prepared(path, seed)
        stopped += one(path, address, random.Random(seed))
        path.unlink()
    print(stopped)


if __name__ == "__main__":
    main()
