"""PostgreSQL with a synchronous standby: what a terminal was told is stored is on both machines, also where the standby says nothing for longer than everybody waits,
the first machine is lost in that moment, and the standby takes its place.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.scale.agent import Agent, all_done, speaking
from tests.scale.broker import Broker
from tests.scale.installation import Collector
from tests.scale.servers.postgres import Server
from tests.scale.servers.rabbitmq import free_ports
from tests.scale.test_scaled import enrol, stored, until
from tillwatch.agent.wire import VerifyKey
from tillwatch.collector.scaled import FENCED_EXIT
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.store.opening import open_db
from tillwatch.collector.trust.authority import open_authority

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

TERMINALS, BATCHES = 4, 400
REPLICATES = ("wal_level = replica", "max_wal_senders = 4", "hot_standby = on")


@pytest.fixture
def pair() -> Iterator[tuple[Server, Server]]:
    """A primary and the standby that each of its commits waits for."""
    with ExitStack() as stack:
        servers: list[Server] = []
        for _ in range(2):
            folder = Path(tempfile.mkdtemp(prefix="tw-pg-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            server = Server(folder, conf=REPLICATES, primary=servers[0] if servers else None)
            stack.callback(server.stop)
            server.start()
            servers.append(server)
        first, second = servers
        first.sql("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
        yield first, second


def fenced(one: Collector) -> bool:
    return one.process is not None and one.process.poll() == FENCED_EXIT


async def test_what_was_acknowledged_survives_the_loss_of_the_primary(
    tmp_path: Path, pair: tuple[Server, Server]
) -> None:
    first, second = pair
    name = first.database().url.rpartition("/")[2]
    both = Postgres(f"postgresql://tillwatch@127.0.0.1:{first.port},127.0.0.1:{second.port}/{name}")
    open_db(both).close()
    authority = open_authority(tmp_path / "authority")
    key = VerifyKey(authority.ack_key.public)
    with ExitStack() as stack:
        broker = Broker(tmp_path / "mq", authority, free_ports(1)[0])
        stack.callback(broker.end)
        collectors = [Collector(tmp_path, f"c{n}", authority, both, [broker.amqp], broker.password) for n in range(2)]
        for one in collectors:
            stack.callback(one.end)
        broker.ask_at(collectors[0].access)
        await broker.start()
        for one in collectors:
            one.start()

        def logs() -> str:
            return "\n".join(one.log[-2500:] for one in collectors)

        await until(lambda: any(one.holds() for one in collectors), 60, logs)
        names = [f"atm-{n}" for n in range(TERMINALS)]
        enrol(both, names)
        agents = [Agent(each, [broker], tmp_path, key, time.time_ns(), BATCHES) for each in names]

        def acknowledged() -> dict[str, int]:
            return {each.name: each.acked for each in agents}

        async with speaking(agents):
            await until(lambda: all(each.acked > 20 for each in agents), 90, logs)
            second.send(signal.SIGSTOP)
            # The holder's commit does not come back, and its lease runs out. The other one, who asks for that, cuts the transaction off: what it wrote can be read on the primary
            # now, and is on no other disk. Nobody gets a lease there.
            await until(lambda: any(fenced(one) for one in collectors), 150, logs)
            (ended,) = filter(fenced, collectors)
            ended.kill()
            ended.start()
            told = acknowledged()
            alone = stored(first, both)
            assert any(len(alone[each]) > told[each] for each in names), "nothing was on its way"
            first.stop(signal.SIGKILL)
            assert acknowledged() == told, "nobody was told what one machine has"
            second.send(signal.SIGCONT)
            second.sql("SELECT pg_promote()")
            kept = stored(second, both)
            assert all(len(kept[each]) >= told[each] for each in names), (told, {e: len(kept[e]) for e in names})
            began = time.monotonic()
            await until(lambda: all(each.acked > told[each.name] for each in agents), 120, logs)
            print(f"acknowledged under the new primary {time.monotonic() - began:.1f} s after it was promoted")
            await all_done(agents, 180)
        assert stored(second, both) == {each: list(range(1, BATCHES + 1)) for each in names}
