"""The embedded broker over TLS: who comes in, under which name, and what each may say and hear."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import ssl

import pytest
from amqtt.contexts import Action

from tillwatch.collector.intake import broker as broker_module
from tillwatch.collector.intake.broker import ANYBODY, MAX_PACKET, BrokerStartError, EmbeddedBroker, TopicRights, may
from tillwatch.collector.trust.authority import COLLECTOR_NAME, open_authority


def internal(broker, **more):
    return {
        "host": broker.internal_host,
        "port": broker.internal_port,
        "client_id": COLLECTOR_NAME,
        "username": COLLECTOR_NAME,
        "password": broker.internal_password,
        **more,
    }


@pytest.mark.parametrize(
    ("who", "topic", "publish", "subscribe"),
    [
        ("t1", "tw/1/t1/batch", True, False),
        ("t1", "tw/1/t1/life", True, False),
        ("t1", "tw/1/t1/ack", False, True),
        ("t1", "tw/1/t1/command", False, True),
        ("t1", "tw/1/t1/bundle", False, True),
        ("t1", "tw/1/t2/bundle", False, False),
        ("t1", "tw/1/t2/batch", False, False),
        ("t1", "tw/1/t2/ack", False, False),
        ("t1", "tw/1/+/ack", False, False),
        ("t1", "tw/1/#", False, False),
        ("t1", "tw/2/t1/batch", False, False),
        ("t1", "tw/1/t1/batch/more", False, False),
        ("t1", "$SYS/broker", False, False),
        (COLLECTOR_NAME, "tw/1/+/batch", False, True),
        (COLLECTOR_NAME, "tw/1/t1/ack", True, True),
        (COLLECTOR_NAME, "tw/1/t1/batch", False, True),
        (ANYBODY, "tw/1/t1/batch", True, False),
        (ANYBODY, "tw/1/+/batch", False, False),
        (ANYBODY, "tw/1/t1/ack", False, True),
        ("", "tw/1//batch", False, False),
    ],
)
def test_rights(who, topic, publish, subscribe):
    assert may(who, topic, Action.PUBLISH) is publish
    assert may(who, topic, Action.SUBSCRIBE) is subscribe


async def test_a_terminal_speaks_on_its_own_topics_and_hears_its_ack(
    authority, broker, certified, terminal, intake, messages
):
    collector = await intake(**internal(broker))
    till = await terminal("any-client-id", broker.port, certified(authority, "t1")).connect()
    assert await till.subscribe("tw/1/t1/ack", "tw/1/t1/command") == (0, 0)
    till.publish("tw/1/t1/batch", b"sealed")
    till.publish("tw/1/t1/life", b"alive")
    got = await messages(collector, 2)
    assert [(m.topic, m.payload) for m in got] == [("tw/1/t1/batch", b"sealed"), ("tw/1/t1/life", b"alive")]
    collector.publish_ack("t1", b"stored")
    assert await till.get() == ("tw/1/t1/ack", b"stored")


async def test_foreign_topics_are_refused(authority, broker, certified, terminal, intake, messages):
    collector = await intake(**internal(broker))
    till = await terminal("t1", broker.port, certified(authority, "t1")).connect()
    assert await till.subscribe("tw/1/t2/ack") == (0x80,)
    assert await till.subscribe("tw/1/+/ack") == (0x80,)
    assert await till.subscribe("#") == (0x80,)
    till.publish("tw/1/t2/batch", b"forged")
    till.publish("tw/1/t1/ack", b"forged")
    till.publish("tw/1/t1/batch", b"own")
    assert [m.payload for m in await messages(collector, 1)] == [b"own"]


async def test_nobody_comes_in_without_a_certificate_of_this_authority(
    authority, broker, certified, terminal, tmp_path
):
    stranger = ssl.create_default_context(cafile=str(authority.ca_file))
    with pytest.raises((OSError, ConnectionError)):
        await terminal("t1", broker.port, stranger).connect()
    other = certified(open_authority(tmp_path / "other"), "t1")
    other.load_verify_locations(str(authority.ca_file))
    with pytest.raises((OSError, ConnectionError)):
        await terminal("t1", broker.port, other).connect()


async def test_the_listeners_own_certificate_is_no_client_certificate(authority, broker, terminal):
    server = ssl.create_default_context(cafile=str(authority.ca_file))
    server.load_cert_chain(authority.server_file(("localhost", "127.0.0.1")))
    with pytest.raises((OSError, ConnectionError)):
        await terminal("t1", broker.port, server).connect()


async def test_a_certificate_that_names_no_terminal_is_refused(authority, broker, terminal):
    with pytest.raises(Exception, match="not authorised"):
        await terminal("x", broker.port, authority.client_context()).connect()


async def test_the_client_id_is_the_certificates(authority, broker, certified, terminal, intake, messages):
    collector = await intake(**internal(broker))
    victim = await terminal("t2", broker.port, certified(authority, "t2")).connect()
    thief = await terminal(COLLECTOR_NAME, broker.port, certified(authority, "t1")).connect()
    second = await terminal("t2", broker.port, certified(authority, "t3")).connect()
    for one, name in ((victim, "t2"), (thief, "t1"), (second, "t3")):
        one.publish(f"tw/1/{name}/batch", name.encode())
    assert {m.payload for m in await messages(collector, 3)} == {b"t1", b"t2", b"t3"}


async def test_a_terminal_that_comes_back_replaces_its_old_connection(
    authority, broker, certified, terminal, intake, messages
):
    collector = await intake(**internal(broker))
    tls = certified(authority, "t1")
    old = await terminal("t1", broker.port, tls, will=("tw/1/t1/life", b"gone")).connect()
    new = await terminal("t1", broker.port, tls, will=("tw/1/t1/life", b"gone")).connect()
    await asyncio.wait_for(old.lost.wait(), 60)
    await new.subscribe("tw/1/t1/ack")
    new.publish("tw/1/t1/batch", b"back")
    assert [m.payload for m in await messages(collector, 2)] == [b"gone", b"back"]
    collector.publish_ack("t1", b"stored")
    assert await new.get() == ("tw/1/t1/ack", b"stored")


async def test_a_client_may_come_while_a_message_is_handed_out(
    authority, broker, certified, terminal, intake, messages, monkeypatch
):
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    collector = await intake(**internal(broker))
    till = await terminal("t1", broker.port, certified(authority, "t1")).connect()
    other = await terminal("t2", broker.port, certified(authority, "t2")).connect()
    subscribed = []
    real = TopicRights.topic_filtering

    async def meanwhile(self, *, session=None, topic=None, action=None):
        if action is Action.RECEIVE and not subscribed:
            subscribed.append(await other.subscribe("tw/1/t2/ack"))
        return await real(self, session=session, topic=topic, action=action)

    monkeypatch.setattr(TopicRights, "topic_filtering", meanwhile)
    till.publish("tw/1/t1/batch", b"one")
    till.publish("tw/1/t1/batch", b"two")
    assert [m.payload for m in await messages(collector, 2)] == [b"one", b"two"]
    assert subscribed == [(0,)]
    gc.collect()
    assert failures == []


async def test_a_client_that_goes_while_it_is_answered_looks_like_no_fault_of_the_program(
    authority, broker, certified, terminal, intake, messages, caplog
):
    """Batches and the end of the connection in one go: the answers are under way when there is nobody left to take them."""
    collector = await intake(**internal(broker))
    for number in range(5):
        tls = certified(authority, f"t{number}")
        reader, writer = await asyncio.open_connection("127.0.0.1", broker.port, ssl=tls)
        writer.write(b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02t1")
        assert await asyncio.wait_for(reader.readexactly(4), 60) == b"\x20\x02\x00\x00"
        topic = f"tw/1/t{number}/batch".encode()
        for batch in range(1, 9):
            body = len(topic).to_bytes(2, "big") + topic + batch.to_bytes(2, "big") + b"sealed"
            writer.write(bytes((0x32, len(body))) + body)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        again = await terminal(f"t{number}", broker.port, tls).connect()
        again.publish(topic.decode(), b"again")
        while (await messages(collector, 1))[-1].payload != b"again":
            pass
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_the_will_comes_when_the_power_goes(authority, broker, certified, terminal, intake, messages):
    collector = await intake(**internal(broker))
    tls = certified(authority, "t1")
    till = await terminal("t1", broker.port, tls, will=("tw/1/t1/life", b"\x00offline\xff")).connect()
    till.abort()
    assert [m[:2] for m in await messages(collector, 1)] == [("tw/1/t1/life", b"\x00offline\xff")]


async def test_a_silent_client_is_ended(authority, broker, certified, terminal, intake, messages):
    collector = await intake(**internal(broker))
    tls = certified(authority, "t1")
    till = await terminal("t1", broker.port, tls, will=("tw/1/t1/life", b"silent")).connect(keepalive=1)
    till.client._connection._keep_connection_callback.cancel()  # no pings from here
    assert [m.payload for m in await messages(collector, 1)] == [b"silent"]
    await asyncio.wait_for(till.lost.wait(), 60)


async def test_a_will_on_anothers_topic_is_refused(authority, broker, certified, terminal):
    with pytest.raises(Exception, match="not authorised"):
        await terminal("t1", broker.port, certified(authority, "t1"), will=("tw/1/t2/life", b"x")).connect()


async def test_packets_are_bounded(authority, broker, certified, terminal, intake, messages, caplog):
    collector = await intake(**internal(broker))
    tls = certified(authority, "t1")
    till = await terminal("t1", broker.port, tls).connect()
    till.publish("tw/1/t1/batch", bytes(MAX_PACKET - 100))
    assert len((await messages(collector, 1))[0].payload) == MAX_PACKET - 100
    till.publish("tw/1/t1/batch", bytes(MAX_PACKET))
    await asyncio.wait_for(till.lost.wait(), 60)
    assert "t1 sends a packet of" in caplog.text
    again = await terminal("t1", broker.port, tls).connect()
    again.publish("tw/1/t1/batch", b"small")
    assert [m.payload for m in await messages(collector, 1)] == [b"small"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x10\xff\xff\xff\xff\x7f",
        b"\x10\x02\x00\x04",
        b"\x30\x00",
    ],
)
async def test_what_is_no_mqtt_is_closed(garbage):
    broker = EmbeddedBroker("127.0.0.1", 0, None)
    await broker.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
        writer.write(garbage)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(100), 60)
        assert answer in {b"", b"\x20\x02\x00\x05"}
        writer.close()
    except ConnectionResetError:
        pass
    finally:
        await broker.stop()


async def test_a_publish_that_claims_more_than_it_holds_ends_the_client(
    authority, broker, certified, terminal, intake, messages
):
    collector = await intake(**internal(broker))
    till = await terminal("t1", broker.port, certified(authority, "t1")).connect()
    till.client._connection._transport.write(b"\x30\x04\xff\xffab" + b"\x30\x0f\x00\x0dtw/1/t1/batch")
    await asyncio.wait_for(till.lost.wait(), 60)
    assert collector.connected


async def test_retained_messages_reach_nobody_later(authority, broker, certified, terminal, intake, messages):
    collector = await intake(**internal(broker))
    till = await terminal("t1", broker.port, certified(authority, "t1")).connect()
    till.publish("tw/1/t1/batch", b"kept?", retain=True)
    assert [m.payload for m in await messages(collector, 1)] == [b"kept?"]
    other = await terminal("t2", broker.port, certified(authority, "t2")).connect()
    await other.subscribe("tw/1/t2/ack")
    collector.publish_ack("t2", b"first")
    assert await other.get() == ("tw/1/t2/ack", b"first")


async def test_the_internal_listener_wants_the_password_of_this_run(broker, terminal):
    knocking = terminal(COLLECTOR_NAME, broker.internal_port, None)
    knocking.client.set_auth_credentials(COLLECTOR_NAME, "guessed")
    with pytest.raises(Exception, match="not authorised"):
        await knocking.connect()


async def test_plain_on_loopback(terminal, intake, messages):
    broker = EmbeddedBroker("127.0.0.1", 0, None)
    await broker.start()
    try:
        collector = await intake(**internal(broker))
        till = await terminal(COLLECTOR_NAME, broker.port, None).connect()
        assert await till.subscribe("tw/1/t1/ack", "tw/1/+/batch") == (0, 0x80)
        till.publish("tw/1/t1/ack", b"forged")
        till.publish("tw/1/t1/batch", b"plain")
        assert [m.payload for m in await messages(collector, 1)] == [b"plain"]
        collector.publish_ack("t1", b"stored")
        assert await till.get() == ("tw/1/t1/ack", b"stored")
    finally:
        await broker.stop()


async def test_a_port_in_use_is_named_with_the_mend():
    holder = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = holder.sockets[0].getsockname()[1]
    broker = EmbeddedBroker("127.0.0.1", port, None)
    with pytest.raises(BrokerStartError, match=rf"port {port} .*set port in \[broker\]"):
        await broker.start()
    await broker.stop()
    holder.close()
    await holder.wait_closed()


async def test_start_and_stop_leave_nothing_behind(authority, certified, terminal, intake, capfd, caplog):
    caplog.set_level(logging.DEBUG, "amqtt")
    before = asyncio.all_tasks()
    broker = EmbeddedBroker("127.0.0.1", 0, authority.terminal_context(("127.0.0.1",)))
    await broker.start()
    port = broker.port
    collector = await intake(**internal(broker))
    till = await terminal("t1", broker.port, certified(authority, "t1")).connect()
    await collector.stop()
    await broker.stop()
    await asyncio.wait_for(till.lost.wait(), 60)
    await till.close()
    assert asyncio.all_tasks() == before
    again = EmbeddedBroker("127.0.0.1", port, None)
    await again.start()
    await again.stop()
    assert capfd.readouterr() == ("", "")


async def test_terminals_are_held_back_while_messages_wait_inside(monkeypatch, terminal, intake, messages):
    monkeypatch.setattr(broker_module, "MAX_INSIDE", 10)
    broker = EmbeddedBroker("127.0.0.1", 0, None)
    await broker.start()
    try:
        # An intake whose client never answers keeps every delivery waiting inside the broker.
        deaf = terminal(COLLECTOR_NAME, broker.internal_port, None)
        deaf.client.set_auth_credentials(COLLECTOR_NAME, broker.internal_password)
        await deaf.connect()
        deaf.client._package_handler._send_puback = lambda *_: None
        from gmqtt import Subscription

        deaf.client.subscribe([Subscription("tw/1/+/batch", qos=1)])
        await asyncio.wait_for(deaf.granted.get(), 60)
        till = await terminal("t1", broker.port, None).connect()
        for _ in range(500):
            till.publish("tw/1/t1/batch", bytes(40_000))
        for _ in range(10):
            await deaf.get()
        async with asyncio.timeout(60):
            while broker._inside("plain/t1") <= 10:
                await asyncio.sleep(0)
        for _ in range(1000):  # turns of the loop, enough to read all 20 MB if nothing held them back
            await asyncio.sleep(0)
        assert broker._inside("plain/t1") < 30
        assert till.client._connection._transport.get_write_buffer_size() > 0
    finally:
        await broker.stop()


async def test_holding_back_loses_and_stops_nothing(
    monkeypatch, authority, broker, certified, terminal, intake, messages
):
    monkeypatch.setattr(broker_module, "MAX_INSIDE", 5)
    collector = await intake(**internal(broker))
    tills = [await terminal("x", broker.port, certified(authority, name)).connect() for name in ("t1", "t2")]
    for burst in range(3):
        for n in range(100):
            for name, till in zip(("t1", "t2"), tills, strict=True):
                till.publish(f"tw/1/{name}/batch", bytes((burst, n)))
        got = await messages(collector, 200)
        for name in ("t1", "t2"):
            mine = [m.payload for m in got if m.topic == f"tw/1/{name}/batch"]
            assert mine == [bytes((burst, n)) for n in range(100)]


async def test_who_floods_is_read_slowly_and_the_others_at_once(monkeypatch, terminal, intake, messages):
    monkeypatch.setattr(broker_module, "PACE", 5.0)
    monkeypatch.setattr(broker_module, "PACE_BURST", 10)
    broker = EmbeddedBroker("127.0.0.1", 0, None)
    await broker.start()
    try:
        collector = await intake(**internal(broker))
        loud = await terminal("loud", broker.port, None).connect()
        quiet = await terminal("quiet", broker.port, None).connect()
        for _ in range(500):
            loud.publish("tw/1/loud/batch", bytes(20_000))
        await messages(collector, 10)
        for n in range(8):
            quiet.publish("tw/1/quiet/batch", bytes((n,)))
        got = []
        while sum(m.topic == "tw/1/quiet/batch" for m in got) < 8:
            got += await messages(collector, 1)
        assert sum(m.topic == "tw/1/loud/batch" for m in got) < 30
        assert loud.client._connection._transport.get_write_buffer_size() > 0, "TCP holds the rest"
    finally:
        await broker.stop()


async def test_a_full_house_takes_back_who_was_in_it_and_nobody_else(monkeypatch, terminal, intake, messages, caplog):
    monkeypatch.setattr(broker_module, "MAX_CONNECTIONS", 5)
    broker = EmbeddedBroker("127.0.0.1", 0, None)
    await broker.start()
    try:
        collector = await intake(**internal(broker))
        tills = [await terminal(f"t{n}", broker.port, None).connect() for n in range(4)]
        for n in range(20):
            with pytest.raises((OSError, ConnectionError)):
                await terminal(f"x{n}", broker.port, None).connect()
        again = await terminal("t0", broker.port, None).connect()
        for till, name in ((again, "t0"), *zip(tills[1:], ("t1", "t2", "t3"), strict=True)):
            till.publish(f"tw/1/{name}/batch", name.encode())
        assert {m.payload for m in await messages(collector, 4)} == {b"t0", b"t1", b"t2", b"t3"}
        assert caplog.text.count("takes no more") == 1
    finally:
        await broker.stop()


async def test_who_does_not_say_its_name_takes_no_place_for_long(monkeypatch, terminal):
    monkeypatch.setattr(broker_module, "MAX_KNOCKING", 3)
    monkeypatch.setattr(broker_module, "CONNECT_TIMEOUT_S", 0.5)
    broker = EmbeddedBroker("127.0.0.1", 0, None)
    await broker.start()
    try:
        mute = [await asyncio.open_connection("127.0.0.1", broker.port) for _ in range(10)]
        ended = [asyncio.create_task(reader.read()) for reader, _ in mute]
        async with asyncio.timeout(60):
            await asyncio.wait(ended)
        await terminal("t1", broker.port, None).connect()
        for _, writer in mute:
            writer.close()
    finally:
        await broker.stop()


@pytest.mark.long
async def test_a_storm_after_a_restart_lets_everybody_in(authority, certified, terminal, intake):
    broker = EmbeddedBroker("127.0.0.1", 0, authority.terminal_context(("127.0.0.1",)))
    await broker.start()
    try:
        await intake(**internal(broker))
        tls = certified(authority, "t1")
        plain = [terminal(f"t{n}", broker.port, tls) for n in range(40)]
        one = await plain[0].connect()
        # All at once, all as the same terminal: the hardest case, since each takes the place of the one before.
        await asyncio.gather(*(till.connect() for till in plain[1:]), return_exceptions=True)
        await asyncio.wait_for(one.lost.wait(), 60)
        last = await terminal("t1", broker.port, tls).connect()
        assert await last.subscribe("tw/1/t1/ack") == (0,)
        assert len(broker._clients) == 2
    finally:
        await broker.stop()


async def test_a_revoked_certificate_is_turned_away_and_a_connection_cut_off(authority, certified, terminal, caplog):
    caplog.set_level("INFO", "tillwatch")
    revoked: set[str] = set()
    asked: list[tuple[str, str]] = []

    def refuses(who: str, serial: str) -> bool:
        asked.append((who, serial))
        return who in revoked

    broker = EmbeddedBroker("127.0.0.1", 0, authority.terminal_context(("127.0.0.1",)), refuses)
    await broker.start()
    try:
        tls, other = certified(authority, "t1"), certified(authority, "t2")
        till = await terminal("t1", broker.port, tls).connect()
        good = await terminal("t2", broker.port, other).connect()
        revoked.add("t1")
        broker.look_again()
        await asyncio.wait_for(till.lost.wait(), 60)
        for _ in range(3):
            with pytest.raises(Exception, match="not authorised"):
                await terminal("t1", broker.port, tls).connect()
        assert not good.lost.is_set()
        assert caplog.text.count("t1 is cut off") == 1
        assert caplog.text.count("t1 comes with a revoked certificate") == 1
    finally:
        await broker.stop()
    (serial,) = {serial for who, serial in asked if who == "t1"}
    assert int(serial, 16).bit_length() > 100, "the certificate's own number, in hex"


async def test_takeovers_are_counted_and_told_once(authority, broker, certified, terminal, caplog):
    caplog.set_level("INFO", "tillwatch")
    tls = certified(authority, "t1")
    clients = [await terminal("t1", broker.port, tls).connect() for _ in range(4)]
    assert broker.takeovers == {"t1": 3}
    assert caplog.text.count("takes the place of the one at 127.0.0.1") == 1
    assert not clients[-1].lost.is_set()
