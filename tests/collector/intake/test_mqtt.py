"""The intake against a real mosquitto over TLS, and against the embedded broker going away and coming back."""

from __future__ import annotations

import asyncio

import pytest
from gmqtt.mqtt import connection
from gmqtt.mqtt.protocol import MQTTProtocol

from tests.chaos.proxy import Proxy
from tillwatch.collector.intake import mqtt
from tillwatch.collector.intake.broker import EmbeddedBroker
from tillwatch.collector.intake.fairness import REFUSALS, SHARE
from tillwatch.collector.intake.mqtt import BACKOFF_MOST_S, MqttIntake, MqttSettings
from tillwatch.collector.trust.authority import COLLECTOR_NAME


async def test_batches_in_and_acks_out_through_mosquitto(authority, mosquitto, certified, terminal, intake, messages):
    await mosquitto.start()
    collector = await intake(
        host="127.0.0.1", port=mosquitto.port, client_id=COLLECTOR_NAME, tls=authority.client_context()
    )
    till = await terminal("t1", mosquitto.port, certified(authority, "t1")).connect()
    assert await till.subscribe("tw/1/t1/ack") == (0,)
    till.publish("tw/1/t2/batch", b"forged")
    for n in range(SHARE):
        till.publish("tw/1/t1/batch", n.to_bytes(2, "big"))
    got = await messages(collector, SHARE)
    assert [m.payload for m in got] == [n.to_bytes(2, "big") for n in range(SHARE)]
    assert got[0].received <= got[-1].received
    collector.publish_ack("t1", b"stored")
    assert await till.get() == ("tw/1/t1/ack", b"stored")


async def test_the_acks_of_a_group_leave_in_one_write(authority, mosquitto, certified, terminal, intake):
    await mosquitto.start()
    collector = await intake(
        host="127.0.0.1", port=mosquitto.port, client_id=COLLECTOR_NAME, tls=authority.client_context()
    )
    till = await terminal("t1", mosquitto.port, certified(authority, "t1")).connect()
    assert await till.subscribe("tw/1/t1/ack") == (0,)
    transport, writes = collector._transport(), []
    write = transport.write
    transport.write = lambda data: writes.append(data) or write(data)
    for n in range(50):
        collector.publish_ack("t1", bytes((n,)))
    assert [await till.get() for _ in range(50)] == [("tw/1/t1/ack", bytes((n,))) for n in range(50)]
    assert len(writes) == 1


async def test_acks_that_a_broker_does_not_read_are_dropped_and_that_is_said_once(
    authority, mosquitto, certified, terminal, intake, monkeypatch, caplog
):
    await mosquitto.start()
    collector = await intake(
        host="127.0.0.1", port=mosquitto.port, client_id=COLLECTOR_NAME, tls=authority.client_context()
    )
    till = await terminal("t1", mosquitto.port, certified(authority, "t1")).connect()
    assert await till.subscribe("tw/1/t1/ack") == (0,)
    with monkeypatch.context() as bound:
        bound.setattr(mqtt, "MAX_UNSENT", -1)
        for _ in range(2):
            collector.publish_ack("t1", b"dropped")
    collector.publish_ack("t1", b"read")
    assert await asyncio.wait_for(till.get(), 60) == ("tw/1/t1/ack", b"read")
    assert caplog.text.count("the broker does not read") == 1


async def test_it_comes_back_after_a_broker_restart_and_says_so_once(
    authority, mosquitto, certified, terminal, intake, messages, caplog
):
    caplog.set_level("INFO", "tillwatch")
    await mosquitto.start()
    collector = await intake(
        host="127.0.0.1", port=mosquitto.port, client_id=COLLECTOR_NAME, tls=authority.client_context()
    )
    mosquitto.kill()
    async with asyncio.timeout(60):
        while collector.connected:
            await asyncio.sleep(0.01)
    collector.publish_ack("t1", b"nobody hears")
    await mosquitto.start()
    await asyncio.wait_for(collector.wait_connected(), 60)
    till = await terminal("t1", mosquitto.port, certified(authority, "t1")).connect()
    till.publish("tw/1/t1/batch", b"after")
    assert [m.payload for m in await messages(collector, 1)] == [b"after"]
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("tillwatch")]
    assert [line.partition(": ")[2].split(";")[0] for line in lines] == ["connected", "connection lost", "connected"]


async def test_a_dead_connection_is_missed_and_made_anew(authority, mosquitto, intake, monkeypatch):
    """Neither end is told: not even the goodbye of TLS comes through, so nobody waits for one."""
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["message"]))
    monkeypatch.setattr(mqtt, "KEEPALIVE_S", 1)
    await mosquitto.start()
    link = Proxy(mosquitto.port)
    await link.start()
    one = await intake(host="127.0.0.1", port=link.port, client_id=COLLECTOR_NAME, tls=authority.client_context())
    link.dead()
    async with asyncio.timeout(60):
        while one.connected:
            await asyncio.sleep(0.01)
        await one.wait_connected()
    await one.stop()
    await link.close()
    assert failures == []


async def test_a_refusal_is_told_with_its_reason(authority, certified, caplog):
    broker = EmbeddedBroker("127.0.0.1", 0, authority.terminal_context(("127.0.0.1",)))
    await broker.start()
    one = MqttIntake(MqttSettings("127.0.0.1", broker.port, "x", certified(authority, "t1")), jitter=lambda _: 0.01)
    await one.start()
    try:
        async with asyncio.timeout(60):
            while "give the collector's user read rights" not in caplog.text:
                await asyncio.sleep(0.01)
        assert not one.connected
        assert caplog.text.count("give the collector's user read rights") == 1
    finally:
        await one.stop()
        await broker.stop()


async def test_an_unreachable_broker_is_told_once(free_port, caplog):
    waits: list[float] = []
    enough = asyncio.Event()

    def jitter(most: float) -> float:
        waits.append(most)
        if len(waits) == 9:
            enough.set()
        return 0.0

    one = MqttIntake(MqttSettings("127.0.0.1", free_port, "x"), jitter)
    await one.start()
    await asyncio.wait_for(enough.wait(), 60)
    await one.stop()
    assert waits[:8] == [0.5, 1, 2, 4, 8, 16, BACKOFF_MOST_S, BACKOFF_MOST_S]
    assert caplog.text.count(f"127.0.0.1 port {free_port}: cannot connect") == 1


async def test_a_server_that_never_answers_does_not_hold_it(monkeypatch):
    monkeypatch.setattr("tillwatch.collector.intake.transport.ANSWER_TIMEOUT_S", 0.2)
    tries = asyncio.Queue()

    async def mute(reader, writer):
        tries.put_nowait(1)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    one = MqttIntake(MqttSettings("127.0.0.1", server.sockets[0].getsockname()[1], "x"), lambda _: 0.0)
    await one.start()
    for _ in range(3):
        await asyncio.wait_for(tries.get(), 60)
    await one.stop()
    server.close()
    await server.wait_closed()


def feed(intake: MqttIntake, *topics: str, payload: bytes = b"x") -> None:
    for topic in topics:
        intake._on_message(None, topic, payload, 1, {})


async def test_a_full_queue_drops_counts_and_names_the_terminals(caplog, monkeypatch):
    monkeypatch.setattr(mqtt, "CALM_S", 0.0)
    caplog.set_level("WARNING")
    one = MqttIntake(MqttSettings("127.0.0.1", 1, "x", queue=3))
    feed(one, *[f"tw/1/t{n}/batch" for n in (4, 5, 6)], "tw/1/t2/batch", "tw/1/t3/life", "tw/1/t2/batch", "tw/1/t2")
    assert one.dropped == 4
    assert one.take_slow() == {"t2", "t3"}
    assert one.take_slow() == frozenset()
    assert one.take_dropped() == {("t2", "queue_full"): 2, ("t3", "queue_full"): 1}
    assert caplog.text.count("the intake queue is full") == 1
    assert len(await one.get_batch(100, 0)) == 3
    assert "the intake has caught up; 4 messages were dropped" in caplog.text
    feed(one, "tw/1/t2/batch")
    assert [m.topic for m in await one.get_batch(100, 0)] == ["tw/1/t2/batch"]


async def test_the_queue_is_bounded_in_bytes_too():
    one = MqttIntake(MqttSettings("127.0.0.1", 1, "x", queue_bytes=1000))
    topics = [f"tw/1/t{n}/batch" for n in range(4)]
    feed(one, *topics, payload=bytes(300))
    assert one.dropped == 1
    assert len(await one.get_batch(2, 0)) == 2
    feed(one, *topics[:2], topics[3], payload=bytes(300))
    assert one.dropped == 2
    assert len(await one.get_batch(9, 0)) == 3


async def test_a_terminal_that_sends_nothing_but_garbage_is_not_listened_to():
    one = MqttIntake(MqttSettings("127.0.0.1", 1, "x"))
    for _ in range(REFUSALS):
        one.refused("bad")
    feed(one, "tw/1/bad/batch", "tw/1/good/batch")
    assert [m.topic for m in await one.get_batch(9, 0)] == ["tw/1/good/batch"]
    assert one.take_slow() == frozenset(), "nobody slows down who is not heard"


async def test_a_group_waits_for_the_first_and_then_only_a_little():
    one = MqttIntake(MqttSettings("127.0.0.1", 1, "x"))
    getting = asyncio.create_task(one.get_batch(3, 60))
    await asyncio.sleep(0)
    assert not getting.done()
    topics = [f"tw/1/t{n}/batch" for n in range(4)]
    feed(one, *topics)  # full before the wait is over: it goes at once
    assert [m.topic for m in await asyncio.wait_for(getting, 60)] == topics[:3]
    assert [m.topic for m in await asyncio.wait_for(one.get_batch(3, 0.001), 60)] == topics[3:]


async def test_a_cancelled_wait_loses_nothing():
    one = MqttIntake(MqttSettings("127.0.0.1", 1, "x"))
    getting = asyncio.create_task(one.get_batch(3, 60))
    await asyncio.sleep(0)
    feed(one, "tw/1/t1/batch")
    await asyncio.sleep(0)
    getting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await getting
    assert [m.topic for m in await one.get_batch(3, 0)] == ["tw/1/t1/batch"]


async def test_given_up_in_the_moment_of_connecting(monkeypatch, free_port):
    """The end of the collector may fall between the socket's connection and gmqtt's own."""
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["message"]))
    stopped = asyncio.Event()
    lost = asyncio.Event()
    made, gone = MQTTProtocol.connection_made, connection.MQTTProtocol.connection_lost
    intake = MqttIntake(MqttSettings("127.0.0.1", free_port, "collector"), jitter=lambda most: 0.01)

    def give_up(self, transport):
        made(self, transport)
        intake._task.cancel()
        stopped.set()

    def notice(self, exc):
        lost.set()
        gone(self, exc)

    monkeypatch.setattr(MQTTProtocol, "connection_made", give_up)
    monkeypatch.setattr(connection.MQTTProtocol, "connection_lost", notice)
    closed = asyncio.Event()

    async def serve(reader, writer):
        await reader.read()
        writer.close()
        closed.set()

    server = await asyncio.start_server(serve, "127.0.0.1", free_port)
    async with server, asyncio.timeout(60):
        await intake.start()
        await stopped.wait()
        await intake.stop()
        await lost.wait()
        await closed.wait()
    assert failures == []


async def test_a_queue_that_is_full_again_and_again_is_told_once(caplog):
    caplog.set_level("WARNING")
    one = MqttIntake(MqttSettings("127.0.0.1", 1, "x", queue=3))
    for _ in range(10):
        feed(one, *[f"tw/1/t{n}/batch" for n in range(5)])
        assert len(await one.get_batch(100, 0)) == 3
    assert one.dropped == 20
    assert len([r for r in caplog.records if r.name.startswith("tillwatch")]) == 1
