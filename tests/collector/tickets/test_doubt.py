"""Answers that get lost after the server has done it, requests that never reach it, and servers slower than the time-out: the sender before real
ticket systems that several workers serve at once.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.collector.tickets.desks.proxy import FaultProxy
from tests.collector.tickets.desks.request_tracker_server import RequestTrackerServer
from tests.collector.tickets.desks.request_tracker_server import running as request_tracker
from tests.collector.tickets.desks.roundup_server import running as roundup
from tests.collector.tickets.invariants import assert_told_once
from tests.collector.tickets.killed_desk import prepared
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.delivery import Pace
from tillwatch.collector.tickets.sender import OutboxSender

FATES = (
    "pass",
    "pass",
    "pass",
    "drop after commit",
    "500 after commit",
    "hang",
    "truncated",
    "drop",
    "503",
    "hang before",
)
"""Of each request that changes something."""
TIMEOUT_S, SETTLE_S = 0.8, 1.5
"""A request takes these systems 10 to 90 ms, and on a machine that is busy with other tests some 500 ms."""


@pytest.fixture(params=["roundup", pytest.param("request tracker", marks=pytest.mark.long)])
def system(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Any, str]]:
    """The server, and the address at which three requests are carried out at once."""
    home = tmp_path / "home"
    home.mkdir()
    if request.param == "roundup":
        with roundup(home) as server:
            yield server, server.address
    else:
        with request_tracker(home) as server:
            assert isinstance(server, RequestTrackerServer)
            yield server, server.start_workers()


@pytest.mark.timeout(240)
@pytest.mark.long
async def test_what_is_in_doubt_is_there_once_in_the_end(system: tuple[Any, str], tmp_path: Path) -> None:
    server, address = system
    store = tmp_path / "store.db"
    prepared(store, "doubt")
    dice = random.Random(7)
    with FaultProxy(address, hold_s=TIMEOUT_S + 0.7) as proxy, closing(sqlite3.connect(store, timeout=60)) as db:
        proxy.writes = fates = [dice.choice(FATES) for _ in range(40)]
        desk = server.receiver(proxy.address, timeout=TIMEOUT_S, settle=SETTLE_S)
        sender = OutboxSender(partial(outbox.connect, store), desk, connector="roundup", pace=Pace(0.05, 0.3, 0.2, 0.2))
        sending = asyncio.create_task(sender.run())
        async with asyncio.timeout(200):
            while db.execute("SELECT 1 FROM outbox WHERE state <> 'done'").fetchone():
                await asyncio.wait([sending], timeout=0.05)
                assert not sending.done()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert len(fates) <= 30, "ten requests met their fate"
        assert db.execute("SELECT max(attempts) FROM outbox").fetchone()[0] > 1
    assert_told_once(store, server.tickets)
