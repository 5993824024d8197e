"""Two collectors as processes behind one broker and one database: openers, the fold and the broker are killed while terminals speak, and what they said is
stored, once each and in order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.sending import Sender
from tests.scale.agent import Agent, all_done, speaking
from tests.scale.broker import Broker
from tests.scale.installation import Collector
from tests.scale.servers.rabbitmq import free_ports
from tillwatch.agent.wire import VerifyKey
from tillwatch.collector.journal import Kind
from tillwatch.collector.store import requests
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.trust.authority import Authority, open_authority

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

TERMINALS, BATCHES = 6, 300


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return open_authority(tmp_path / "authority")


@pytest.fixture
async def broker(tmp_path: Path, authority: Authority) -> AsyncIterator[Broker]:
    one = Broker(tmp_path / "mq", authority, free_ports(1)[0])
    yield one
    one.end()


@pytest.fixture
async def collectors(
    tmp_path: Path, authority: Authority, broker: Broker, database: Postgres
) -> AsyncIterator[list[Collector]]:
    made = [Collector(tmp_path, f"c{n}", authority, database, [broker.amqp], broker.password) for n in range(2)]
    # Which collector a node asks is its configuration's: the first one's opener, who is killed and comes back.
    broker.ask_at(made[0].access)
    yield made
    for one in made:
        one.end()


async def until(what: Callable[[], bool], within: float, why: Callable[[], str] = str) -> None:
    limit = time.monotonic() + within
    while not what():
        assert time.monotonic() < limit, why()
        await asyncio.sleep(0.1)


def enrol(database: Postgres, names: list[str]) -> None:
    with closing(open_db(database)) as db:
        for name in names:
            sender = Sender(name)
            facts = {
                "action": "enrol",
                "terminal": name,
                "branch": "hill",
                "region": "north",
                "class": "atm",
                "public": sender.key.public,
            }
            requests.ask(db, {**facts, "actor": "test"})


def stored(server, database: Postgres) -> dict[str, list[int]]:
    """Numbers of the batches of each terminal in the journal, in its order."""
    import msgpack

    rows = server.sql(
        f"SELECT terminal, facts FROM journal WHERE kind = {int(Kind.BATCH)} ORDER BY n",
        database=database.url.rpartition("/")[2],
    )
    found: dict[str, list[int]] = {}
    for terminal, facts in rows:
        found.setdefault(terminal, []).append(msgpack.unpackb(bytes(facts))["seq"])
    return found


async def test_killed_one_after_the_other_nothing_is_lost_nor_stored_twice(
    tmp_path, authority, broker, collectors, postgres_server, database
):
    await broker.start()
    for one in collectors:
        one.start()
    await until(lambda: any(one.holds() for one in collectors), 60, lambda: collectors[0].log[-3000:])
    names = [f"atm-{n}" for n in range(TERMINALS)]
    enrol(database, names)
    key = VerifyKey(authority.ack_key.public)
    now = time.time_ns()
    agents = [Agent(name, [broker], tmp_path, key, now, BATCHES) for name in names]

    def progress() -> int:
        return sum(one.acked for one in agents)

    async def more(n: int, within: float = 60) -> None:
        reached = progress() + n
        await until(
            lambda: progress() >= min(reached, TERMINALS * BATCHES),
            within,
            lambda: "\n".join(c.log[-2500:] for c in collectors),
        )

    async with speaking(agents):
        await more(100)
        os.kill(collectors[1].openers()[0], signal.SIGKILL)
        await more(100)
        holder, other = sorted(collectors, key=lambda one: not one.holds())
        began = time.monotonic()
        holder.kill()
        await until(other.holds, 40, lambda: other.log[-3000:])
        await more(50)
        print(f"taken over and acknowledged {time.monotonic() - began:.1f} s after kill -9")
        holder.start()
        await until(lambda: "standing by" in holder.log.rpartition("--begun--")[2], 60)
        broker.kill()
        await broker.start()
        await more(50, 90)
        other.signal(signal.SIGSTOP)
        await until(holder.holds, 60, lambda: holder.log[-3000:])
        await more(50)
        other.signal(signal.SIGCONT)
        await until(lambda: other.process is not None and other.process.poll() is not None, 60)
        assert other.process.wait() == 75, "it has lost the lease, says so and ends"
        await all_done(agents, 180)
    found = stored(postgres_server, database)
    assert found == {name: list(range(1, BATCHES + 1)) for name in names}
