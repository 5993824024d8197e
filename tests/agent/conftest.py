"""An enrolled terminal, a real mosquitto and a small collector that verifies and acknowledges."""

import asyncio
import base64
import os
import signal
import socket
import subprocess
import time

import gmqtt
import pytest
from gmqtt.mqtt.constants import MQTTv311

from tillwatch.agent import identity
from tillwatch.agent.model import MS
from tillwatch.agent.wire import (
    FIRST_PREV,
    Ack,
    AckState,
    Refusal,
    SigningKey,
    VerifyKey,
    WireError,
    ack_topic,
    open_batch,
    open_life,
    seal_ack,
)

TERMINAL = "atm-1"


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


async def until(condition, seconds=60.0, what="the condition"):
    """Wait for something to become true, bounded."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        await asyncio.sleep(0.01)
    return value


class Terminal:
    """A state directory as an enrolment leaves it."""

    def __init__(self, folder, port, terminal=TERMINAL):
        self.collector_key = SigningKey(os.urandom(32))
        self.state_dir = folder / "state"
        identity.save(
            self.state_dir,
            {
                "terminal": terminal,
                "branch": "b1",
                "region": "r1",
                "ack_keys": [base64.b64encode(self.collector_key.public).decode()],
                "mqtt": {"host": "127.0.0.1", "port": port, "tls": False},
            },
            {identity.SEED: os.urandom(32)},
        )
        self.who = identity.load(self.state_dir)
        self.port = port


class Broker:
    def __init__(self, folder, port):
        self.port = port
        self.config = folder / "mosquitto.conf"
        self.config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["/usr/sbin/mosquitto", "-c", self.config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline
                assert self.process.poll() is None
                time.sleep(0.01)
            else:
                return

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)


class Collector:
    """Verifies, decides as sequence numbers demand, and acknowledges. `answer` may change or swallow (None) each ack before it is sealed."""

    def __init__(self, terminal):
        self.terminal = terminal
        self.keys = {terminal.who.key.key_id: VerifyKey(terminal.who.key.public)}
        self.mark = {}
        self.digest = {}
        self.stored = []
        self.lives = []
        self.heard = []
        self.refuse = {}
        self.gaps = []
        self.sign_with = terminal.collector_key
        self.answer = lambda ack: ack
        self.client = None

    def knows(self, terminal):
        return terminal == self.terminal.who.terminal

    def key(self, _, key_id):
        return self.keys.get(key_id, Refusal.UNKNOWN_KEY)

    async def connect(self):
        self.client = gmqtt.Client("collector", clean_session=True)
        self.client.set_config({"reconnect_retries": -2})
        subscribed = asyncio.get_running_loop().create_future()
        self.client.on_message = lambda _, topic, payload, *__: self.message(topic, payload)
        self.client.on_subscribe = lambda *_: subscribed.done() or subscribed.set_result(None)
        await self.client.connect("127.0.0.1", self.terminal.port, version=MQTTv311)
        self.client.subscribe([gmqtt.Subscription("tw/1/+/batch", qos=1), gmqtt.Subscription("tw/1/+/life", qos=1)])
        await subscribed

    async def close(self):
        if self.client is not None:
            await self.client.disconnect()
            self.client = None

    def message(self, topic, payload):
        if topic.endswith("/life"):
            self.life(open_life(topic, payload, self))
        else:
            self.batch(topic, payload)

    def life(self, life):
        self.lives.append(life)
        mark = self.mark.get(life.epoch)
        if mark is None:
            self.mark[life.epoch], self.digest[life.epoch] = life.floor - 1, FIRST_PREV if life.floor == 1 else None
        elif life.floor > mark + 1:
            self.gaps.append((mark + 1, life.floor - 1))
            self.mark[life.epoch], self.digest[life.epoch] = life.floor - 1, None
        if life.state == "online":
            self.ack(life.epoch, self.mark[life.epoch])

    def batch(self, topic, payload):
        opened = open_batch(topic, payload, self)
        header = opened.header
        self.heard.append((header.epoch, header.seq))
        mark = self.mark.get(header.epoch, 0)
        want = 0
        refused = ()
        if header.seq == mark + 1:
            expected = self.digest.get(header.epoch, FIRST_PREV)
            assert expected in (None, header.prev), "the chain is broken"
            self.mark[header.epoch], self.digest[header.epoch] = header.seq, opened.digest
            if header.seq in self.refuse:
                refused = ((header.seq, self.refuse[header.seq]),)
            else:
                self.stored.append((header, opened.readings()))
        elif header.seq > mark + 1:
            want = mark + 1
        self.ack(header.epoch, self.mark.get(header.epoch, 0), want, refused)

    def ack(self, epoch, seq, want=0, refused=(), state=None):
        state = state or (AckState.RESEND if want else AckState.REFUSED if refused else AckState.OK)
        ack = self.answer(Ack(epoch, seq, want, state, 0, 0, time.time_ns() // MS * MS, refused))
        if ack is not None:
            self.send(seal_ack(self.sign_with, self.terminal.who.terminal, ack))

    def send(self, payload):
        if self.client is not None and self.client.is_connected:
            self.client.publish(ack_topic(self.terminal.who.terminal), payload, qos=0)

    @property
    def readings(self):
        return [reading for _, readings in self.stored for reading in readings]


@pytest.fixture
def terminal(tmp_path):
    return Terminal(tmp_path, free_port())


@pytest.fixture
def broker(tmp_path, terminal):
    broker = Broker(tmp_path, terminal.port)
    yield broker
    if broker.process.poll() is None:
        broker.kill()


@pytest.fixture
async def collector(broker, terminal):
    collector = Collector(terminal)
    await collector.connect()
    yield collector
    await collector.close()


@pytest.fixture(name="until")
def _until():
    return until


@pytest.fixture(name="wire_error")
def _wire_error():
    return WireError
