"""mosquitto under exactly the configuration that the command writes: who comes in, and what each may say and hear."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509

from tests.collector.sending import T0, Sender, reading
from tillwatch.agent.mqtt import Link, TurnedAwayError
from tillwatch.collector.intake.mosquitto import ACL, CA, CONFIG, CRL, MAX_PACKET, SERVER
from tillwatch.collector.trust.authority import COLLECTOR_NAME, DOCTOR_NAME, open_authority


@pytest.fixture
async def collector(authority, mosquitto, intake):
    await mosquitto.start()
    return await intake(host="127.0.0.1", port=mosquitto.port, client_id=COLLECTOR_NAME, tls=authority.client_context())


async def test_a_terminal_speaks_and_hears_on_its_own_topics_only(
    collector, authority, mosquitto, certified, terminal, messages
):
    till = await terminal("t1", mosquitto.port, certified(authority, "t1")).connect()
    other = await terminal("t2", mosquitto.port, certified(authority, "t2")).connect()
    for kind in ("batch", "life", "ack", "command", "bundle"):
        till.publish(f"tw/1/t2/{kind}", b"forged")
    for topic in ("tw/1/t1/ack", "tw/1/t1/command", "tw/1/t1/bundle", "tw/2/t1/batch", "$SYS/x", "anything"):
        till.publish(topic, b"forged")
    till.publish("tw/1/t1/life", b"alive")
    till.publish("tw/1/t1/batch", b"own")
    assert [m.payload for m in await messages(collector, 2)] == [b"alive", b"own"]
    # mosquitto grants a filter and then delivers by right: what counts is what comes.
    await till.subscribe("tw/1/t1/ack", "tw/1/t2/ack", "tw/1/+/ack", "tw/1/+/batch", "#")
    await other.subscribe("tw/1/t2/ack")
    other.publish("tw/1/t2/batch", b"other")
    assert [m.payload for m in await messages(collector, 1)] == [b"other"]
    collector.publish_ack("t2", b"for t2")
    assert await other.get() == ("tw/1/t2/ack", b"for t2")
    collector.publish_ack("t1", b"for t1")
    assert await till.get() == ("tw/1/t1/ack", b"for t1")
    assert till.received.empty()


async def test_a_will_on_anothers_topic_reaches_nobody(collector, authority, mosquitto, certified, terminal, messages):
    try:
        till = await terminal("t1", mosquitto.port, certified(authority, "t1"), ("tw/1/t2/life", b"forged")).connect()
        till.abort()
    except Exception:
        pass
    other = await terminal("t2", mosquitto.port, certified(authority, "t2"), ("tw/1/t2/life", b"own will")).connect()
    other.abort()
    assert [m[:2] for m in await messages(collector, 1)] == [("tw/1/t2/life", b"own will")]


async def test_nobody_pushes_another_out_by_its_client_id(
    collector, authority, mosquitto, certified, terminal, messages
):
    victim = await terminal("t2", mosquitto.port, certified(authority, "t2")).connect()
    thief = await terminal("t2", mosquitto.port, certified(authority, "t1")).connect()
    second = await terminal(COLLECTOR_NAME, mosquitto.port, certified(authority, "t3")).connect()
    for one, name in ((victim, "t2"), (thief, "t1"), (second, "t3")):
        one.publish(f"tw/1/{name}/batch", name.encode())
    assert {m.payload for m in await messages(collector, 3)} == {b"t1", b"t2", b"t3"}
    assert not victim.lost.is_set()
    assert collector.connected


async def test_the_doctor_reads_beside_the_collector(collector, authority, mosquitto, intake):
    await intake(host="127.0.0.1", port=mosquitto.port, client_id="x", tls=authority.client_context(DOCTOR_NAME))
    assert collector.connected


async def test_a_certificate_of_another_authority_is_refused(authority, mosquitto, certified, terminal, tmp_path):
    await mosquitto.start()
    other = certified(open_authority(tmp_path / "other"), "t1")
    other.load_verify_locations(str(authority.ca_file))
    with pytest.raises((OSError, ConnectionError)):
        await terminal("t1", mosquitto.port, other).connect()
    with pytest.raises((OSError, ConnectionError)):
        await terminal("t1", mosquitto.port, ssl.create_default_context(cafile=str(authority.ca_file))).connect()
    with pytest.raises((OSError, ConnectionError, TimeoutError)):
        await terminal("t1", mosquitto.port, None).connect()


async def test_a_revoked_certificate_is_refused_once_the_list_is_read_again(
    collector, authority, mosquitto, certified, terminal, tmp_path, messages
):
    stolen, good = certified(authority, "t1"), certified(authority, "t2")
    till = await terminal("t1", mosquitto.port, stolen).connect()
    await till.close()
    serial = x509.load_pem_x509_certificate((tmp_path / "t1.pem").read_bytes()).serial_number
    await mosquitto.reload({f"{serial:x}": time.time_ns()})
    with pytest.raises((OSError, ConnectionError)):
        await terminal("t1", mosquitto.port, stolen).connect()
    with pytest.raises(TurnedAwayError, match=r"REVOKED|closed without an answer"):
        await Link.connect(
            "127.0.0.1",
            mosquitto.port,
            client_id="t1",
            tls=stolen,
            will=("tw/1/t1/life", b"gone"),
            subscribe="tw/1/t1/ack",
            on_message=lambda *_: None,
        )
    other = await terminal("t2", mosquitto.port, good).connect()
    other.publish("tw/1/t2/batch", b"still in")
    assert [m.payload for m in await messages(collector, 1)] == [b"still in"]


async def test_a_stolen_certificate_with_another_terminals_key_is_refused(
    collector, mosquitto, authority, certified, terminal, messages, world
):
    await world.start()
    victim, thief = Sender("t1"), Sender("t2")
    for sender in (victim, thief):
        await sender.enrol(world.pipeline)
    stolen = await terminal("t1", mosquitto.port, certified(authority, "t1")).connect()
    own = thief.batch([reading("c", "host.disk.percent", T0, 1.0)], T0)
    stolen.publish(own.topic, own.payload)  # not his topic: the broker drops it
    stolen.publish("tw/1/t1/batch", own.payload)
    impostor = Sender("t1")
    impostor.key = thief.key
    stolen.publish("tw/1/t1/batch", impostor.batch([reading("c", "host.disk.percent", T0, 1.0)], T0).payload)
    await world.pipeline.take(await messages(collector, 2))
    assert world.pipeline.refusals.by_reason == {"terminal_mismatch": 1, "unknown_key": 1}
    assert world.store.conn.execute("SELECT count(*) FROM journal WHERE kind = 3").fetchone() == (0,)


async def test_packets_are_bounded(collector, authority, mosquitto, certified, terminal, messages):
    tls = certified(authority, "t1")
    till = await terminal("t1", mosquitto.port, tls).connect()
    till.publish("tw/1/t1/batch", bytes(128 * 1024))
    assert len((await messages(collector, 1))[0].payload) == 128 * 1024
    till.publish("tw/1/t1/batch", bytes(MAX_PACKET + 1))
    await asyncio.wait_for(till.lost.wait(), 60)


async def test_what_is_written_again_renews_and_stays_readable_for_the_broker_only(mosquitto):
    folder = mosquitto.folder
    assert {name: oct((folder / name).stat().st_mode & 0o777) for name in (CONFIG, ACL, CA, CRL, SERVER)} == {
        CONFIG: "0o644", ACL: "0o644", CA: "0o644", CRL: "0o644", SERVER: "0o600",
    }  # fmt: skip
    names = x509.load_pem_x509_certificate((folder / SERVER).read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert {str(name.value) for name in names.value} == {"localhost", "127.0.0.1"}
    assert not list(Path(folder).glob("*.new-*"))
