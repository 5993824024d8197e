"""A sender process that kills itself with SIGKILL at one point of its n-th delivery; without a point it ends when all is delivered.

`python killed_sender.py STORE ADDRESS SECRET_FILE CHANGES POINT N`. CHANGES: a file that gets a line for each change heard of.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from tillwatch.collector.tickets.delivery import Pace
from tillwatch.collector.tickets.desks.webhook import WebhookPort
from tillwatch.collector.tickets.links import keep_link
from tillwatch.collector.tickets.message import TicketMessage
from tillwatch.collector.tickets.port import Leg, Link, Outcome
from tillwatch.collector.tickets.sender import OutboxSender
from tillwatch.collector.tickets.signature import read_secrets

STORE, ADDRESS, SECRETS, CHANGES, POINT, N = sys.argv[1:]
count = 0


def reach(point: str) -> None:
    global count  # noqa: PLW0603 - the process is the test's state
    if point == POINT:
        count += 1
        if count == int(N):
            os.kill(os.getpid(), signal.SIGKILL)


class Connection(sqlite3.Connection):
    """Dies around the commits: of takings and of outcomes, as they come."""

    def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
        commit = sql == "COMMIT"
        if commit:
            reach("before commit")
        cursor = super().execute(sql, *parameters)
        if commit:
            reach("after commit")
        return cursor


class Port(WebhookPort):
    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool, leg: Leg) -> Outcome:
        reach("before POST")
        if POINT == "in POST":
            asyncio.get_running_loop().call_later(0.002, reach, "in POST")
        outcome = await super().deliver(message, link, doubtful=doubtful, leg=leg)
        reach("after POST")
        return outcome


async def heard(facts: dict[str, Any]) -> None:
    with open(CHANGES, "a") as file:
        file.write(f"{facts['incident']} {facts['state']} {facts['external_id']}\n")
    with closing(sqlite3.connect(STORE, timeout=60, isolation_level=None)) as conn:
        keep_link(conn, facts)
    reach("after journal")


async def main() -> None:
    port = Port(ADDRESS, read_secrets(Path(SECRETS)), timeout_s=5, settle_s=0.02)
    sender = OutboxSender(
        lambda: sqlite3.connect(STORE, timeout=60, isolation_level=None, factory=Connection),
        port,
        on_change=heard,
        pace=Pace(0.01, 0.05, 0.05),
    )
    with closing(sqlite3.connect(STORE)) as conn:
        running = asyncio.create_task(sender.run())
        while conn.execute("SELECT COUNT(*) FROM outbox WHERE state <> 'done'").fetchone()[0]:
            await asyncio.wait([running], timeout=0.02)
            if running.done():
                running.result()
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


asyncio.run(main())
