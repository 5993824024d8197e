"""Against a real mosquitto and a collector that verifies; what is told wrong is told with real bytes."""

import asyncio
import contextlib
import dataclasses
import os
import socket

import pytest

from tillwatch.agent import clock, identity, uplink
from tillwatch.agent.buffer import Buffer
from tillwatch.agent.identity import Broker
from tillwatch.agent.model import Quality, State
from tillwatch.agent.mqtt import LinkError
from tillwatch.agent.sealer import Sealer
from tillwatch.agent.settings import CollectorConfig, ConfigError, SpoolConfig
from tillwatch.agent.spool import Spool, SpoolFullError
from tillwatch.agent.thinning import Taken
from tillwatch.agent.uplink import Uplink, where_to
from tillwatch.agent.wire import Ack, AckState, SigningKey, seal_ack


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(uplink, "FIRST_FLUSH", 0.0)
    monkeypatch.setattr(uplink, "BACKOFF_FIRST", 0.05)
    monkeypatch.setattr(uplink, "BACKOFF_MOST", 0.2)


class Agent:
    """Spool, sealer and uplink as the service joins them; `read` stands for the sampler."""

    def __init__(self, terminal, limits=None):
        self.spool = Spool(
            terminal.state_dir / identity.SPOOL,
            terminal.who.terminal,
            terminal.who.key.public,
            limits or SpoolConfig(),
        )
        self.buffer = Buffer()
        self.uplink = Uplink(terminal.who, self.spool, Broker("127.0.0.1", terminal.port, tls=False), None)
        self.sealer = Sealer(
            terminal.who,
            self.spool,
            self.buffer,
            interval=lambda: 0.05,
            before=lambda _: None,
            sealed=self.uplink.wake,
        )
        self.uplink.on_new_epoch = self.sealer.wake
        self.count = 0

    def read(self, batches=1):
        for _ in range(batches):
            self.count += 1
            self.buffer.add([Taken("dev", "n", clock.uptime_ns(), self.count, Quality.GOOD, State.WARN)])
            assert self.sealer.one()
        self.uplink.wake()


@pytest.fixture
async def agent(terminal):
    agent = Agent(terminal)
    sending = asyncio.create_task(agent.uplink.run())
    yield agent
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending
    await agent.uplink.goodbye()
    agent.spool.close()


def values(collector):
    return [reading.value for reading in collector.readings]


async def test_everything_arrives_once_in_order_and_leaves_the_spool(agent, collector, until):
    agent.read(50)
    await until(lambda: agent.spool.batches == 0)
    assert values(collector) == list(range(1, 51))
    assert agent.spool.acked == 50
    assert collector.lives[0].state == "online"
    assert agent.uplink.resent == 0


async def test_goodbye_is_said_by_the_agent_or_by_its_will(terminal, collector, until):
    agent = Agent(terminal)
    sending = asyncio.create_task(agent.uplink.run())
    await until(lambda: collector.lives)
    agent.uplink._link._cut()
    await until(lambda: len(collector.lives) >= 3)
    birth, will, again = collector.lives[:3]
    assert (will.state, will.n) == ("offline", birth.n)
    assert (again.state, again.n) == ("online", birth.n + 1)
    sending.cancel()
    await agent.uplink.goodbye()
    await until(lambda: collector.lives[-1].state == "offline")
    assert collector.lives[-1].n > again.n
    agent.spool.close()


async def test_without_acks_nothing_leaves_the_spool_and_the_time_out_repairs(
    agent, collector, until, monkeypatch, caplog
):
    monkeypatch.setattr("tillwatch.agent.window.ACK_TIMEOUT", 0.3)
    await until(lambda: agent.uplink.greeted)
    collector.answer = lambda _: None
    agent.read(10)
    await until(lambda: len(collector.heard) >= 8 + 4)
    assert agent.spool.batches == 10
    assert "no ack" in caplog.text
    collector.answer = lambda ack: ack
    await until(lambda: agent.spool.batches == 0)
    assert values(collector) == list(range(1, 11))
    assert agent.uplink.resent > 0


async def test_a_connection_that_swallows_everything_is_left_for_a_new_one(
    agent, collector, until, monkeypatch, caplog
):
    monkeypatch.setattr("tillwatch.agent.window.ACK_TIMEOUT", 0.2)
    monkeypatch.setattr(uplink, "PATIENCE", 0.5)
    await until(lambda: agent.uplink.greeted)
    collector.answer = lambda _: None
    first = agent.uplink._link
    agent.read(10)
    await until(lambda: agent.uplink._link not in (first, None) and agent.uplink.connected)
    second = agent.uplink._link
    assert "connecting anew" in caplog.text
    assert agent.uplink._given_up == 1
    await until(lambda: agent.uplink._link not in (first, second) and agent.uplink.connected)
    assert agent.uplink._given_up == 2
    collector.answer = lambda ack: ack
    await until(lambda: agent.spool.batches == 0)
    assert values(collector) == list(range(1, 11))
    assert agent.uplink._given_up == 0


async def test_without_an_ack_each_connection_is_given_twice_as_long_up_to_an_hour(agent):
    agent.uplink._window = window = agent.uplink._begin()[0]
    waits = []
    for _ in range(9):
        window.overdue_since = 0.0
        for seconds in range(0, 4_000, 10):
            try:
                agent.uplink._give_up(window, float(seconds))
            except LinkError:
                waits.append(seconds)
                break
    assert waits == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]
    window.overdue_since = None
    agent.uplink._give_up(window, 1e9)


async def test_lost_batches_are_asked_for_again(agent, collector, until, monkeypatch):
    monkeypatch.setattr("tillwatch.agent.window.REWIND_QUIET", 0.05)
    whole, seen = collector.batch, []

    def deaf(topic, payload):
        seen.append(payload)
        if len(seen) % 5 != 2:
            whole(topic, payload)

    collector.batch = deaf
    monkeypatch.setattr("tillwatch.agent.window.ACK_TIMEOUT", 0.5)
    agent.read(30)
    await until(lambda: agent.spool.batches == 0)
    assert values(collector) == list(range(1, 31))


async def test_acks_of_a_stranger_are_ignored_and_counted(agent, collector, until, caplog, monkeypatch):
    monkeypatch.setattr("tillwatch.agent.window.ACK_TIMEOUT", 0.3)
    genuine = collector.sign_with
    collector.sign_with = SigningKey(os.urandom(32))
    agent.read(3)
    await until(lambda: agent.uplink.bad_acks >= 3)
    assert agent.spool.batches == 3
    assert caplog.text.count("not the collector's") == 1
    collector.sign_with = genuine
    agent.read()
    await until(lambda: agent.spool.batches == 0)


async def test_refused_batch_is_parked_and_the_stream_goes_on(agent, collector, until):
    collector.refuse = {2: "schema 9 is not known"}
    agent.read(5)
    await until(lambda: agent.spool.batches == 0)
    assert values(collector) == [1, 3, 4, 5]
    assert agent.spool.parked() == 1


async def test_fork_seals_again_in_a_new_epoch(agent, collector, until, caplog):
    agent.read(3)
    await until(lambda: agent.spool.batches == 0)
    first = agent.spool.epoch
    sealing = asyncio.create_task(agent.sealer.run())
    whole = collector.ack

    def forked(epoch, seq, want=0, refused=(), state=None):
        whole(epoch, seq, want, refused, AckState.FORK if epoch == first else state)

    collector.ack = forked
    collector.stored.clear()
    agent.read(4)
    await until(lambda: agent.spool.epoch != first and agent.spool.batches == 0)
    sealing.cancel()
    again = [(header.epoch, [reading.value for reading in readings]) for header, readings in collector.stored]
    assert [got for epoch, got in again if epoch == agent.spool.epoch] == [[4], [5], [6], [7]]
    assert "new epoch" in caplog.text


async def test_dropped_batches_are_declared(terminal, broker, collector, until):
    agent = Agent(terminal, SpoolConfig(max_bytes=6_000))
    agent.read(60)
    assert agent.spool.floor > 1
    sending = asyncio.create_task(agent.uplink.run())
    await until(lambda: agent.spool.batches == 0)
    assert collector.lives[0].floor > 1
    assert collector.lives[0].lost == collector.lives[0].floor - 1
    assert values(collector) == list(range(collector.lives[0].floor, 61))
    sending.cancel()
    await agent.uplink.goodbye()
    agent.spool.close()


async def test_drop_while_connected_is_told_in_a_life_message(terminal, broker, collector, until):
    agent = Agent(terminal, SpoolConfig(max_bytes=6_000))
    sending = asyncio.create_task(agent.uplink.run())
    answer, collector.answer = collector.answer, lambda _: None
    await until(lambda: collector.lives)
    agent.read(80)
    collector.answer = answer
    await until(lambda: collector.lives[-1].floor > 1)
    await until(lambda: agent.spool.batches == 0)
    assert len(collector.gaps) >= 1
    missing = set(range(1, 81)) - set(values(collector))
    assert missing <= {seq for first, last in collector.gaps for seq in range(first, last + 1)}
    sending.cancel()
    await agent.uplink.goodbye()
    agent.spool.close()


async def test_broker_killed_again_and_again(agent, broker, collector, until, caplog):
    """kill -9 in the middle of the stream, three times: nothing is lost, nothing is stored twice."""
    for round_ in range(1, 4):
        agent.read(20)
        await until(lambda before=25 * (round_ - 1): len(collector.stored) > before)
        broker.kill()
        agent.read(5)
        await until(lambda: not agent.uplink.connected)
        broker.start()
        await collector.connect()
        await until(lambda: agent.spool.batches == 0)
    assert values(collector) == list(range(1, 76))
    assert caplog.text.count("what is read waits in the spool") == 3


async def test_slow_collector_stretches_the_pace(agent, collector, until):
    collector.answer = lambda ack: dataclasses.replace(ack, state=AckState.SLOW, min_interval=2_000)
    agent.read()
    await until(lambda: agent.spool.batches == 0)
    assert (agent.uplink.pace, agent.uplink.min_interval) == (4, 2.0), "the ack of the birth and that of the batch"


async def test_enrol_stops_the_sending_and_says_so(agent, collector, until, caplog, monkeypatch):
    monkeypatch.setattr("tillwatch.agent.window.HALT_PROBE", 0.1)
    collector.answer = lambda ack: dataclasses.replace(ack, state=AckState.ENROL)
    agent.read()
    await until(lambda: "enrol it again" in caplog.text)
    heard, lives = len(collector.heard), len(collector.lives)
    agent.read(5)
    await until(lambda: len(collector.lives) >= lives + 3)
    assert len(collector.heard) == heard
    assert agent.spool.batches == 6


async def test_unreachable_broker_is_told_once(terminal, until, caplog):
    agent = Agent(terminal)
    sending = asyncio.create_task(agent.uplink.run())
    await until(lambda: agent.uplink._attempt >= 4)
    assert caplog.text.count(f"broker 127.0.0.1:{terminal.port}") == 1
    sending.cancel()
    agent.spool.close()


async def test_peer_that_never_answers_is_given_up(terminal, until, caplog, monkeypatch):
    """A port that accepts and says nothing: gmqtt alone would wait for a CONNACK for ever."""
    monkeypatch.setattr("tillwatch.agent.mqtt.CONNECT_TIMEOUT", 0.3)
    agent = Agent(terminal)
    # The kernel takes what is in the backlog of a socket that listens: nobody ever accepts it.
    with socket.create_server(("127.0.0.1", terminal.port)):
        sending = asyncio.create_task(agent.uplink.run())
        await until(lambda: "no answer in" in caplog.text)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    agent.spool.close()


def test_without_tls_only_this_machine():
    with pytest.raises(ConfigError, match="this machine itself"):
        where_to(CollectorConfig(host="collector.example"), Broker("127.0.0.1", 1883, tls=False))
    assert where_to(CollectorConfig(port=8883), Broker("127.0.0.1", 1883, tls=False)).port == 8883


async def test_a_spool_that_went_back_in_time_begins_an_epoch_and_loses_nothing_that_was_read_since(
    terminal, collector, until, caplog, monkeypatch
):
    """As behind a write filter: the file is an old copy, and more was sealed over it before the collector could be asked."""
    agent = Agent(terminal)
    agent.read(3)
    sending = asyncio.create_task(agent.uplink.run())
    await until(lambda: agent.spool.batches == 0)
    agent.spool.close()
    kept = agent.spool.file.read_bytes()
    agent.read(20)
    await until(lambda: agent.spool.batches == 0)
    sending.cancel()
    await agent.uplink.goodbye()
    agent.spool.close()
    first = agent.spool.epoch
    agent.spool.close()
    for left in agent.spool.file.parent.glob("spool.db*"):
        left.unlink()
    agent.spool.file.write_bytes(kept)
    monkeypatch.setattr(clock, "boot_id", lambda: b"rebooted")

    again = Agent(terminal)
    again.count = 100
    again.read(10)
    assert again.spool.epoch == first
    sealing = asyncio.create_task(again.sealer.run())
    sending = asyncio.create_task(again.uplink.run())
    await until(lambda: again.spool.epoch != first and again.spool.batches == 0)
    assert values(collector) == [*range(1, 24), *range(101, 111)]
    assert {notice.signal for notice in again.spool.notices} == {"agent.epoch.reason", "agent.spool.rolled-back"}
    assert "before the last start of the machine is gone" in again.spool.notices[-1].text
    assert caplog.text.count("a new epoch begins") == 1
    sealing.cancel()
    sending.cancel()
    await again.uplink.goodbye()
    again.spool.close()


async def test_a_collector_that_went_back_in_time_is_told_what_is_gone(agent, collector, until):
    agent.read(5)
    await until(lambda: agent.spool.batches == 0)
    old = dict(collector.mark), dict(collector.digest)
    agent.read(7)
    await until(lambda: agent.spool.batches == 0)
    collector.mark, collector.digest = old
    agent.read(2)
    await until(lambda: agent.spool.batches == 0)
    assert collector.gaps == [(6, 12)]
    assert values(collector) == list(range(1, 15))


async def test_where_the_offer_cannot_be_written_down_nothing_is_sent(agent, collector, until, monkeypatch):
    monkeypatch.setattr("tillwatch.agent.window.ACK_TIMEOUT", 0.2)

    def full():
        raise SpoolFullError("disk full")

    monkeypatch.setattr(agent.spool, "offer", full)
    agent.read(3)
    await until(lambda: len(collector.lives) >= 3)
    assert not collector.heard
    monkeypatch.undo()
    monkeypatch.setattr("tillwatch.agent.window.ACK_TIMEOUT", 0.2)
    await until(lambda: agent.spool.batches == 0)


class Pipe:
    """A link that keeps what is published."""

    def __init__(self):
        self.published = []

    def publish(self, topic, payload):
        self.published.append((topic, payload))


async def test_an_ack_of_the_epoch_before_settles_nothing_of_a_spool_that_began_anew(terminal):
    """The file was found damaged and moved aside between two turns; an ack of what was in it is on its way."""
    agent, pipe = Agent(terminal), Pipe()
    agent.read(3)
    window, _ = agent.uplink._begin()
    window.connect(0.0)
    before = agent.spool.epoch

    def hear(seq):
        ack = Ack(before, seq, 0, AckState.OK, 8, 0, clock.now())
        agent.uplink._hear("", seal_ack(terminal.collector_key, terminal.who.terminal, ack))
        agent.uplink._turn(pipe, window, 1.0)

    hear(0)
    assert len(pipe.published) == 3
    agent.spool.begin_epoch("as after a damage", 3)
    agent.read(3)
    hear(3)
    assert (agent.spool.batches, agent.spool.acked) == (3, 0)
    assert len(pipe.published) == 3
    agent.spool.close()
