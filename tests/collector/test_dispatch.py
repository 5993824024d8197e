"""What waits too long is told another way, whoever is on duty when, and nothing that is wrong with the store or a row ends that."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tillwatch.collector import dispatch as dispatching
from tillwatch.collector.alarm.rules import parse_rules, shipped_text
from tillwatch.collector.config import parse_config
from tillwatch.collector.dispatch import Dispatch
from tillwatch.collector.duty.policy import parse_policy, shipped_policy
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.message import Op, TicketMessage
from tillwatch.collector.tickets.port import Destination

MINUTE = 60 * 10**9
CONFIG = """
[collector]
data_dir = "."
[tickets]
routes = "routes.toml"
[tickets.webhook]
url = "http://127.0.0.1:9/"
secret_env = "DESK_SECRET"
[channels.sms]
kind = "webhook"
url = "http://127.0.0.1:9/"
secret_env = "DESK_SECRET"
"""
ROUTES = """
[[route]]
name = "all"
ticket = "webhook"
[fallback]
levels = [1, 2]
role = "duty engineer"
channel = "sms"
through = "sms"
"""


class Late:
    """A store in which one message of level 1 waits for a ticket system that nobody reaches."""

    def __init__(self, folder: Path) -> None:
        (folder / "routes.toml").write_text(ROUTES)
        self.config = parse_config(CONFIG, folder / "collector.toml")
        self.world = World(self.config.database)
        # Somebody comes on duty an hour from now.
        self.policy = f"""
[person.wang]
name = "Wang Fang"
sms = "+86 1"
[[shift]]
role = "duty engineer"
people = "wang"
hours = {{ daily = "00:00-24:00" }}
from = {_day(self.world.now, 1)}
to = {_day(self.world.now, 2)}
"""

    async def start(self) -> Dispatch:
        policy = parse_policy(self.policy, shipped=shipped_policy())
        made = Dispatch(self.config, policy, parse_rules())
        made.attach(self.world.pipeline)
        await self.world.pipeline.start(shipped_text(), "", policy=(shipped_policy(), self.policy))
        made.begin()
        return made

    def write(self, message: TicketMessage, connector: str = "webhook") -> None:
        with closing(outbox.connect(self.config.database)) as db:
            outbox.enqueue(db, message, self.world.now, [Destination(connector)])

    def calls(self) -> list[str]:
        query = "SELECT contact FROM outbox WHERE op = 'notify' AND incident = 'HWM-1-1'"
        return [contact for (contact,) in self.world.store.conn.execute(query)]


def _day(at: int, ahead: int) -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.fromtimestamp(at / 1e9, UTC).date() + timedelta(days=ahead)).isoformat()


def message(at: int) -> TicketMessage:
    return TicketMessage("HWM-1-1", Op.OPEN, 1, 1, "atm", "Harbour", "North", "ups", "what", at, at)


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Late]:
    monkeypatch.setenv("DESK_SECRET", "whsec_dGlsbHdhdGNoLXRlc3Qtc2VjcmV0LTAxMjM0NTY3ODk=")
    made = Late(tmp_path)
    yield made
    made.world.store.close()


async def test_whoever_comes_on_duty_hears_of_what_nobody_could_be_told(late: Late) -> None:
    dispatch = await late.start()
    late.write(message(late.world.now))
    late.world.now += 5 * MINUTE
    await dispatch.look()
    await dispatch.look()
    assert late.calls() == [], "nobody is on duty"
    late.world.now += 26 * 60 * MINUTE
    await dispatch.look()
    await dispatch.look()
    assert late.calls() == ["+86 1"]


async def test_a_row_that_cannot_be_read_stops_neither_a_start_nor_a_look(late: Late) -> None:
    await late.start()
    late.write(message(late.world.now), "gone")
    late.world.store.conn.execute("UPDATE outbox SET body = x'c1'")
    late.world = late.world.restart()
    dispatch = await late.start()
    assert late.world.store.conn.execute("SELECT state FROM outbox").fetchall() == [("dead",)]
    late.world.store.conn.execute("UPDATE outbox SET connector = 'webhook'")
    late.world.now += 5 * MINUTE
    await dispatch.look()


async def test_a_store_that_refuses_ends_no_looking(late: Late, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatching, "LOOK_EVERY_S", 0.0)
    dispatch = await late.start()
    looks = 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            seen.set()
        raise StoreError("disk full") if looks % 2 else sqlite3.OperationalError("locked")

    seen = asyncio.Event()
    monkeypatch.setattr(dispatch, "look", look)
    watching = asyncio.create_task(dispatch._watch())
    await asyncio.wait_for(seen.wait(), 60)
    assert not watching.done()
    watching.cancel()
