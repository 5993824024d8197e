"""Two real nodes that know nothing of each other's queues, as two of a cluster after a split that nothing healed: what the one sends back goes over the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, Sender, reading
from tests.scale.broker import ADMIN, BREAK_THE_TREE, Broker, Till
from tests.scale.line import Line, answering, linked, mark, until
from tests.scale.servers.rabbitmq import free_ports
from tillwatch.agent.wire import VerifyKey, open_ack
from tillwatch.collector.intake import detour as detour_module
from tillwatch.collector.intake import outgoing as outgoing_module
from tillwatch.collector.intake.amqp import AmqpSettings, Delivery, Link, open_link
from tillwatch.collector.intake.outgoing import Outgoing
from tillwatch.collector.intake.topology import MQTT_EXCHANGE, down_key
from tillwatch.collector.opening import opener as opener_module
from tillwatch.collector.trust.authority import Authority, open_authority

pytestmark = pytest.mark.timeout(180)
WAY_KEY = down_key("atm-1", "ack")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("keys") / "authority")


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[tuple[Broker, Broker]]:
    (access,) = free_ports(1)
    base = tmp_path_factory.mktemp("mq")
    one = Broker(base, authority, access, "tw1")
    # The nodes of a cluster share one password.
    (base / "tw2" / "etc").mkdir(parents=True)
    (base / "tw2" / "etc" / "password").write_text(one.password)
    other = Broker(base, authority, access, "tw2", epmd=one.epmd)
    try:
        asyncio.run(one.start())
        asyncio.run(other.start())
        yield one, other
    finally:
        other.end()
        one.end()


def both(brokers: tuple[Broker, ...], *more: tuple[str, int]) -> AmqpSettings:
    return replace(brokers[0].settings(), hosts=(*(("127.0.0.1", one.amqp) for one in brokers), *more))


class Sending:
    """An Outgoing that runs at the first of the hosts, and what it counts."""

    def __init__(self) -> None:
        self.rerouted = self.unsent = 0

    @contextlib.asynccontextmanager
    async def over(self, settings: AmqpSettings) -> AsyncIterator[Outgoing]:
        link = await open_link(settings, *settings.hosts[0])
        outgoing = Outgoing(settings, link, self)
        await outgoing.start()
        running = asyncio.create_task(outgoing.run())
        try:
            yield outgoing
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await link.close()


@contextlib.asynccontextmanager
async def hearing(broker: Broker, key: str = WAY_KEY) -> AsyncIterator[asyncio.Queue[bytes]]:
    """In the place of a terminal that has subscribed at this node."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def on_message(delivery: Delivery) -> None:
        heard.put_nowait(delivery.body)

    async with linked(broker, ADMIN) as link:
        channel = await link.asking()
        queue = str((await channel.queue_declare(exclusive=True, auto_delete=True)).queue)
        await channel.queue_bind(queue, MQTT_EXCHANGE, key)
        await channel.basic_consume(queue, on_message, no_ack=True)
        yield heard


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Link]:
    """The connections to other nodes that were made."""
    made: list[Link] = []

    async def opening(settings: AmqpSettings, host: str, port: int) -> Link:
        made.append(await open_link(settings, host, port))
        return made[-1]

    monkeypatch.setattr(outgoing_module, "open_link", opening)
    return made


async def test_what_the_node_has_no_queue_for_goes_over_another_one_in_order(brokers, opened, caplog):
    said = [str(n).encode() for n in range(200)]
    sending = Sending()
    (nobody,) = free_ports(1)
    async with hearing(brokers[1]) as there, sending.over(both(brokers, ("127.0.0.1", nobody))) as outgoing:
        for one in said:
            await outgoing.send(MQTT_EXCHANGE, WAY_KEY, one)
        async with asyncio.timeout(60):
            assert [await there.get() for _ in said] == said
        await until(lambda: sending.rerouted == len(said))
        async with hearing(brokers[0]) as here:
            await outgoing.send(MQTT_EXCHANGE, WAY_KEY, b"here")
            async with asyncio.timeout(60):
                assert await here.get() == b"here"
    assert sending.rerouted == len(said)
    assert sending.unsent > 0, "one node did not answer"
    assert there.empty(), "what has a queue goes no other way"
    assert len(opened) == 1, "one connection carries all of it, and one node does not answer"
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == 1, warned
    assert "lost sight of each other" in warned[0]


async def test_who_is_connected_nowhere_costs_a_connection_for_a_while_and_no_word(
    brokers, opened, caplog, monkeypatch
):
    """The ordinary case: the terminal went away as its batch was stored."""
    monkeypatch.setattr(detour_module, "KEPT_S", 0.2)
    sending = Sending()
    async with sending.over(both(brokers)) as outgoing:
        for n in range(3):
            await outgoing.send(MQTT_EXCHANGE, WAY_KEY, b"gone")
            await until(lambda n=n: len(opened) == n + 1)
            await asyncio.wait_for(asyncio.shield(opened[n].lost), 60)
    assert sending.rerouted == 0
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


async def test_a_node_that_says_nothing_is_not_waited_for(brokers, monkeypatch):
    """As one that does not reach the terminal's own any more and has not missed it yet. Here it takes nothing for an alarm of its memory."""
    monkeypatch.setattr(outgoing_module, "CONFIRM_S", 0.3)
    sending = Sending()
    async with hearing(brokers[0]) as here, hearing(brokers[1]) as there, sending.over(both(brokers)) as outgoing:
        await asyncio.to_thread(brokers[0].control, "set_vm_memory_high_watermark", "0")
        try:
            await outgoing.send(MQTT_EXCHANGE, WAY_KEY, b"said")
            async with asyncio.timeout(60):
                assert await there.get() == b"said"
            assert here.empty()
        finally:
            await asyncio.to_thread(brokers[0].control, "set_vm_memory_high_watermark", "0.4")
        async with asyncio.timeout(60):
            assert await here.get() == b"said", "and late is no harm: an ack that comes twice says nothing new"


async def test_a_terminal_hears_where_the_tree_of_bindings_is_damaged(brokers, authority, world, tmp_path):
    """As nodes that missed each other leave it, on all of them: the table has the binding, the terminal its queue, and the exchange finds no way."""
    await world.start()
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    sending = Sending()
    async with answering(brokers[0], authority, world.path), sending.over(both(brokers)) as outgoing:
        till = await Till(atm.name, brokers[0], tmp_path).connect()
        await till.subscribe(f"tw/1/{atm.name}/ack")
        await asyncio.to_thread(brokers[0].control, "eval", BREAK_THE_TREE)
        await outgoing.send(MQTT_EXCHANGE, WAY_KEY, b"heard")
        assert await till.get() == (f"tw/1/{atm.name}/ack", b"heard")
        await until(lambda: sending.rerouted == 1)
        await till.close()


async def test_a_terminal_at_another_node_hears_the_acks_of_an_opener_and_its_fold(
    brokers: tuple[Broker, Broker], authority: Authority, world: World, tmp_path: Path, monkeypatch
):
    """Its subscription is known at the one node, and what it published came over the other."""
    monkeypatch.setattr(opener_module, "SETTLE_S", 0.3)
    await world.start()
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    line = Line(brokers[0], world, brokers[1])
    async with answering(brokers[0], authority, world.path), contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(line.end)
        line.open("one")
        intake, _ = await line.fold()
        await line.ready()
        far = await Till(atm.name, brokers[1], tmp_path).connect()
        stack.push_async_callback(far.close)
        await far.subscribe(f"tw/1/{atm.name}/ack", f"tw/1/{atm.name}/command")
        near = await Till(atm.name, brokers[0], tmp_path).connect()
        stack.push_async_callback(near.close)
        near.publish(atm.batch([reading("host", "host.disk.percent", T0, 50.0)], T0))
        topic, packed = await far.get()
        key = VerifyKey(world.pipeline._key.public)
        assert (topic, open_ack(atm.name, packed, lambda _: key).seq) == (f"tw/1/{atm.name}/ack", 1)
        assert mark(world, atm.name) == 1
        await until(lambda: line.openers[0].figures.rerouted == line.openers[0].figures.acks == 1)
        intake.publish_command(atm.name, b"do")
        assert await far.get() == (f"tw/1/{atm.name}/command", b"do")
        await until(lambda: intake.rerouted == 1)


async def test_an_opener_whose_node_knows_of_no_fold_goes_to_the_node_of_one(
    brokers, authority, world, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(opener_module, "SETTLE_S", 0.3)
    monkeypatch.setattr(opener_module, "NOBODY_S", 0.3)
    await world.start()
    atms = [Sender("atm-1"), Sender("atm-2")]
    for atm in atms:
        await atm.enrol(world.pipeline)
    near, far = Line(brokers[0], world, brokers[1]), Line(brokers[1], world)
    async with answering(brokers[0], authority, world.path), contextlib.AsyncExitStack() as stack:
        for line in (near, far):
            stack.push_async_callback(line.end)
        await far.fold()
        near.open("one")
        await near.ready()
        for broker, atm in zip(brokers, atms, strict=True):
            till = await Till(atm.name, broker, tmp_path).connect()
            stack.push_async_callback(till.close)
            till.publish(atm.batch([reading("host", "host.disk.percent", T0, 50.0)], T0))
            if broker is brokers[0]:
                await until(lambda: "nobody has folded behind this node" in caplog.text)
        await until(lambda: mark(world, "atm-2") == 1)
