"""One real node under the written configuration: its topology and what is said where it is not whole, who may do what on it, and the way of real batches from
terminals through openers and fold and back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import msgpack
import pytest
from gmqtt import Subscription

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tests.scale.broker import ADMIN, BREAK_THE_TREE, Broker, Till, serial_of
from tests.scale.line import Line, answering, linked, mark, until
from tests.scale.servers.rabbitmq import free_ports
from tillwatch.agent.wire import VerifyKey, open_ack
from tillwatch.collector.amqp_check import examine_amqp
from tillwatch.collector.config import parse_config
from tillwatch.collector.intake import Message
from tillwatch.collector.intake.amqp import ReturnedError, TopologyError, publish
from tillwatch.collector.intake.topology import (
    BATCH_KEYS,
    FOLD,
    FOLD_KEY,
    LIFE_KEYS,
    LIFE_QUEUE,
    MQTT_EXCHANGE,
    PART,
    PARTITION_QUEUES,
    QUEUE_ARGUMENTS,
    down_key,
)
from tillwatch.collector.intake.topology_check import check_topology
from tillwatch.collector.opening import opener as opener_module
from tillwatch.collector.opening import share as share_module
from tillwatch.collector.trust.authority import Authority, open_authority

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return open_authority(tmp_path_factory.mktemp("keys") / "authority")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Broker]:
    (access,) = free_ports(1)
    one = Broker(tmp_path_factory.mktemp("mq"), authority, access)
    try:
        asyncio.run(one.start())
        yield one
    finally:
        one.end()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two openers on one machine hear of each other at once."""
    monkeypatch.setattr(opener_module, "SETTLE_S", 0.3)
    monkeypatch.setattr(share_module, "STANDBY_S", 0.5)


@pytest.fixture
async def line(broker: Broker, world: World) -> AsyncIterator[Line]:
    one = Line(broker, world)
    yield one
    await one.end()


async def test_the_topology_is_whole_and_what_is_missing_is_named(broker):
    async def said() -> str:
        try:
            async with linked(broker) as link:
                await check_topology(link)
        except TopologyError as error:
            return str(error)
        return ""

    assert await said() == ""
    async with linked(broker, ADMIN) as admin:
        channel = await admin.asking()
        await channel.queue_unbind(LIFE_QUEUE, MQTT_EXCHANGE, LIFE_KEYS)
        assert "tw.1.tillwatch-probe.life reaches no queue" in await said()
        await channel.queue_bind(LIFE_QUEUE, MQTT_EXCHANGE, LIFE_KEYS)
        await channel.exchange_unbind(PART, MQTT_EXCHANGE, BATCH_KEYS)
        assert "tw.1.tillwatch-probe.batch reaches no queue" in await said()
        await channel.exchange_bind(PART, MQTT_EXCHANGE, BATCH_KEYS)
        await channel.queue_delete("tw.p7")
        missing = await said()
        assert "queue tw.p7 is missing" in missing
        assert "broker-config rabbitmq" in missing
        assert "import_definitions" in missing
        await channel.queue_declare("tw.p7", durable=True, arguments={**QUEUE_ARGUMENTS, "x-delivery-limit": 20})
        assert "queue tw.p7 is not as it must be" in await said()
        await channel.queue_delete("tw.p7")
        await channel.exchange_delete(FOLD)
        assert "exchange tw.fold (direct) is missing" in await said()
    broker.import_definitions()
    assert await said() == ""


async def test_the_doctor_says_what_it_saw_of_a_node_and_of_who_folds(broker, authority, tmp_path, database):
    def found(port: int, password: str, *more: str) -> dict[str, tuple[str, str]]:
        (tmp_path / "password").write_text(password)
        hosts = ", ".join(f'"{host}:{port}"' for host in ("127.0.0.1", *more))
        text = f"""
            [broker]
            embedded = false
            host = "127.0.0.1"
            [store]
            postgres = "{database.url}"
            [amqp]
            hosts = [{hosts}]
            password_file = "password"
        """
        config = parse_config(text, tmp_path / "collector.toml")
        return {subject: (state, said) for subject, state, said in examine_amqp(config, authority)}

    node = f"broker 127.0.0.1 port {broker.amqp}"
    good = await asyncio.to_thread(found, broker.amqp, broker.password)
    assert good[node][0] == "ok"
    assert "64 partitions" in good[node][1]
    assert good["fold"] == (
        "fail",
        "no collector folds: nothing that terminals say is stored; start one, and see its log",
    )
    assert "broker cluster" not in good, "of one there is nothing to compare"
    twice = await asyncio.to_thread(found, broker.amqp, broker.password, "localhost")
    assert twice["broker cluster"] == ("ok", "2 nodes know each other's queues"), (
        "a split one is in chaos/test_directed.py"
    )
    wrong = await asyncio.to_thread(found, broker.amqp, "guess")
    assert wrong[node][0] == "fail"
    assert "user and password of [amqp]" in wrong[node][1]
    (nobody,) = free_ports(1)
    assert (await asyncio.to_thread(found, nobody, broker.password))[f"broker 127.0.0.1 port {nobody}"][0] == "fail"


async def test_batches_of_terminals_are_stored_and_acknowledged(broker, authority, line, world, tmp_path):
    await world.start()
    atms = [Sender(f"atm-{n}") for n in range(6)]
    for atm in atms:
        await atm.enrol(world.pipeline)
    async with answering(broker, authority, world.path):
        line.open("one")
        line.open("two")
        await line.fold()
        await line.ready()
        tills = [await Till(atm.name, broker, tmp_path).connect() for atm in atms]
        for till, atm in zip(tills, atms, strict=True):
            await till.subscribe(f"tw/1/{atm.name}/ack")
            till.publish(atm.life(T0))
            for n in range(20):
                till.publish(atm.batch([reading("host", "host.disk.percent", T0 + n * S, 50.0 + n)], T0 + n * S))
        await until(lambda: all(mark(world, atm.name) == 20 for atm in atms))
        key = VerifyKey(world.pipeline._key.public)
        for till, atm in zip(tills, atms, strict=True):
            async with asyncio.timeout(60):
                while open_ack(atm.name, (await till.get())[1], lambda _: key).seq < 20:
                    pass
        await until(lambda: sum(one.figures.waiting for one in line.openers) == 0)
        assert sum(one.figures.opened for one in line.openers) == 120
        assert sum(one.figures.relayed for one in line.openers) == 6
        for till in tills:
            await till.close()
    await until(lambda: all(one.figures.queues == 64 for one in line.openers))
    assert sum(one.figures.own_queues for one in line.openers) == 64
    assert all(one.figures.own_queues > 10 for one in line.openers)


async def test_a_batch_without_a_binding_is_told_received_and_goes_nowhere(broker, authority, world, tmp_path):
    """Why the topology is looked at before anything is taken: MQTT itself does not say."""
    await world.start()
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    async with answering(broker, authority, world.path), linked(broker, ADMIN) as admin:
        channel = await admin.asking()
        till = await Till(atm.name, broker, tmp_path).connect()
        await channel.exchange_unbind(PART, MQTT_EXCHANGE, BATCH_KEYS)
        told: asyncio.Queue[int] = asyncio.Queue()
        till.client.on_message = lambda *_: None
        till.on_puback(told.put_nowait)
        till.publish(atm.batch([reading("host", "host.disk.percent", T0, 50.0)], T0))
        await asyncio.wait_for(told.get(), 60)
        await channel.exchange_bind(PART, MQTT_EXCHANGE, BATCH_KEYS)
        waiting = [(await channel.queue_declare(queue, passive=True)).message_count for queue in PARTITION_QUEUES]
        assert sum(waiting) == 0
        till.publish(atm.batch([reading("host", "host.disk.percent", T0 + S, 50.0)], T0 + S))
        await asyncio.wait_for(told.get(), 60)

        async def arrived() -> int:
            return sum(
                [(await channel.queue_declare(queue, passive=True)).message_count or 0 for queue in PARTITION_QUEUES]
            )

        async with asyncio.timeout(60):
            while not await arrived():
                await asyncio.sleep(0.05)
        for queue in PARTITION_QUEUES:
            await channel.queue_purge(queue)
        await till.close()


async def test_batches_arrive_where_the_tree_of_the_terminals_bindings_is_broken(broker, authority, world, tmp_path):
    """As nodes leave it that have counted its branches apart: all below `tw` hangs on nothing. Who subscribes anew is heard again."""
    await world.start()
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    async with answering(broker, authority, world.path), linked(broker) as link:
        till = await Till(atm.name, broker, tmp_path).connect()
        await till.subscribe(f"tw/1/{atm.name}/ack")
        await asyncio.to_thread(broker.control, "eval", BREAK_THE_TREE)
        channel = await link.channel(confirms=True)
        with pytest.raises(ReturnedError):
            await publish(channel, MQTT_EXCHANGE, down_key(atm.name, "ack"), b"unheard")
        await check_topology(link)
        await till.close()
        till = await Till(atm.name, broker, tmp_path).connect()
        await till.subscribe(f"tw/1/{atm.name}/ack")
        await publish(channel, MQTT_EXCHANGE, down_key(atm.name, "ack"), b"heard")
        assert (await till.get())[1] == b"heard"
        await till.close()


async def test_a_terminal_may_do_nothing_but_its_own(broker, authority, world, tmp_path):
    await world.start()
    for name in ("till-1", "till-2", "till-3"):
        await Sender(name).enrol(world.pipeline)
    await world.pipeline.operate({"action": "revoke", "terminal": "till-3", "reason": "stolen", "actor": "test"})
    async with answering(broker, authority, world.path):
        for name, other in (("stranger", ""), ("till-3", "")):
            with pytest.raises(Exception, match="Connection Refused"):
                await Till(name, broker, tmp_path, user=other).connect()
        with pytest.raises(Exception, match="Connection Refused"):
            await Till("till-2", broker, tmp_path, certificate="till-1").connect()
        with pytest.raises(Exception, match="Connection Refused"):
            await Till("till-2", broker, tmp_path, certificate="till-1", user="till-2").connect()
        till = await Till("till-1", broker, tmp_path).connect()
        assert await till.subscribe("tw/1/till-1/ack", "tw/1/till-1/command", "tw/1/till-1/bundle") == (0, 0, 0)
        till.client.subscribe([Subscription("tw/1/till-2/ack", qos=0)])
        await asyncio.wait_for(till.lost.wait(), 60)
        till = await Till("till-1", broker, tmp_path).connect()
        till.publish(Message("tw/1/till-2/batch", b"forged", 0))
        await asyncio.wait_for(till.lost.wait(), 60)
        old = await Till("till-1", broker, tmp_path).connect()
        await old.close()
        broker.revoke(serial_of(tmp_path / "till-1.pem"))
        with pytest.raises((ConnectionError, OSError, TimeoutError)):
            await Till("till-1", broker, tmp_path).connect()
        broker.revoke()


async def test_an_opener_that_cannot_begin_says_why(broker, line, world, caplog):
    await world.start()
    async with linked(broker, ADMIN) as admin:
        await (await admin.asking()).queue_unbind(LIFE_QUEUE, MQTT_EXCHANGE, LIFE_KEYS)
    try:
        line.open("one")
        await until(lambda: "tw.1.tillwatch-probe.life reaches no queue" in caplog.text)
    finally:
        broker.import_definitions()
    await line.ready()


async def test_an_opener_that_no_fold_answers_takes_another_node_and_loses_nothing(
    broker, authority, line, world, tmp_path, caplog, monkeypatch
):
    """As among nodes that have lost sight of each other: its groups are taken, and no answer reaches it."""
    monkeypatch.setattr(opener_module, "ANSWER_S", 0.3)
    await world.start()
    atm = Sender("atm-0")
    await atm.enrol(world.pipeline)
    async with answering(broker, authority, world.path):
        line.open("one")
        await line.ready()
        async with linked(broker) as deaf:
            channel = await deaf.asking()
            queue = str((await channel.queue_declare(exclusive=True)).queue)
            await channel.queue_bind(queue, FOLD, FOLD_KEY)
            till = await Till(atm.name, broker, tmp_path).connect()
            till.publish(atm.batch([reading("host", "host.disk.percent", T0, 50.0)], T0))
            await until(lambda: caplog.text.count("no fold has answered over this node") == 2)
        await line.fold()
        await until(lambda: mark(world, atm.name) == 1)
        await till.close()


async def test_another_opener_and_another_fold_go_on_where_one_ended(broker, authority, line, world, tmp_path):
    """In one process, each ended in the midst of its work: what was taken and not stored comes again, in order."""
    await world.start()
    atms = [Sender(f"atm-{n}") for n in range(4)]
    for atm in atms:
        await atm.enrol(world.pipeline)
    async with answering(broker, authority, world.path):
        first = line.open("one")
        line.open("two")
        intake, folding = await line.fold()
        await line.ready()
        tills = [await Till(atm.name, broker, tmp_path).connect() for atm in atms]

        def say(n: int) -> None:
            for till, atm in zip(tills, atms, strict=True):
                for _ in range(n):
                    at = T0 + atm.seq * S
                    till.publish(atm.batch([reading("host", "host.disk.percent", at, 50.0)], at))

        say(15)
        await until(lambda: mark(world, "atm-0") > 0)
        folding.cancel()
        await intake.stop()
        say(15)
        await until(lambda: sum(one.figures.waiting for one in line.openers) > 10)
        first.cancel()
        await asyncio.gather(first, folding, return_exceptions=True)
        await line.fold()
        # Settled is what the fold has said to be stored; its marks are ahead of the store.
        await until(lambda: all(mark(world, atm.name) == 30 for atm in atms) and not line.openers[1].figures.waiting)
        assert world.pipeline.refusals.by_reason == {}
        numbers: dict[str, list[int]] = {}
        for terminal, facts in world.store.conn.execute(
            "SELECT terminal, facts FROM journal WHERE kind = 3 ORDER BY n"
        ):
            numbers.setdefault(terminal, []).append(msgpack.unpackb(facts)["seq"])
        assert numbers == {atm.name: list(range(1, 31)) for atm in atms}
        for till in tills:
            await till.close()
