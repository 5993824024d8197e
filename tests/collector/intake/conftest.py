"""Terminals as MQTT clients with certificates of the collector's own authority, and a real mosquitto to meet them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gmqtt import Client, Subscription
from gmqtt import Message as Will
from gmqtt.mqtt.constants import MQTTv311

from tests.mosquitto import HOSTS, Mosquitto
from tillwatch.collector.intake import Message
from tillwatch.collector.intake.broker import EmbeddedBroker
from tillwatch.collector.intake.mqtt import MqttIntake, MqttSettings
from tillwatch.collector.trust.authority import Authority, open_authority, open_request


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return open_authority(tmp_path / "authority")


@pytest.fixture
def certified(tmp_path: Path) -> Callable[[Authority, str], ssl.SSLContext]:
    """A terminal's TLS context: its own key, and a certificate that the authority issued on request."""

    def make(authority: Authority, terminal: str) -> ssl.SSLContext:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, terminal)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        pem = request.public_bytes(serialization.Encoding.PEM).decode()
        path = tmp_path / f"{terminal}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + authority.issue(open_request(pem), terminal, x509.random_serial_number()).encode()
        )
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        context.load_cert_chain(path)
        return context

    return make


class Terminal:
    """A gmqtt client that remembers what it gets. connect() raises if the broker does not let it in."""

    def __init__(
        self, client_id: str, port: int, tls: ssl.SSLContext | None, will: tuple[str, bytes] | None = None
    ) -> None:
        message = Will(will[0], will[1], qos=1, will_delay_interval=0) if will else None
        self.client = Client(client_id, clean_session=True, will_message=message)
        self.client.set_config({"reconnect_retries": -2})
        self.port, self.tls = port, tls
        self.received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.granted: asyncio.Queue[tuple[int, ...]] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.client.on_message = lambda _c, topic, payload, *_: self.received.put_nowait((topic, bytes(payload)))
        self.client.on_subscribe = lambda _c, _mid, granted, _p: self.granted.put_nowait(granted)
        self.client.on_disconnect = lambda *_: self.lost.set()

    async def connect(self, keepalive: int = 60) -> Terminal:
        connecting = asyncio.create_task(
            self.client.connect("127.0.0.1", self.port, self.tls or False, keepalive, MQTTv311)
        )
        lost = asyncio.create_task(self.lost.wait())
        try:
            async with asyncio.timeout(60):
                await asyncio.wait({connecting, lost}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise ConnectionError("closed by the broker")
            connecting.result()
        finally:
            for task in (connecting, lost):
                task.cancel()
            await asyncio.gather(connecting, lost, return_exceptions=True)
        return self

    def publish(self, topic: str, payload: bytes, **how: Any) -> None:
        self.client.publish(topic, payload, **{"qos": 1, **how})

    async def subscribe(self, *filters: str) -> tuple[int, ...]:
        self.client.subscribe([Subscription(one, qos=0) for one in filters])
        return await asyncio.wait_for(self.granted.get(), 60)

    async def get(self) -> tuple[str, bytes]:
        return await asyncio.wait_for(self.received.get(), 60)

    def abort(self) -> None:
        """As when the power goes: no DISCONNECT."""
        self.client._connection._transport.abort()

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.client.disconnect(), 2)


@pytest.fixture
async def terminal() -> AsyncIterator[Callable[..., Terminal]]:
    made: list[Terminal] = []

    def make(*args: Any, **kwargs: Any) -> Terminal:
        made.append(Terminal(*args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
async def intake() -> AsyncIterator[Callable[..., Any]]:
    """A started, connected intake that tries again at once."""
    made: list[MqttIntake] = []

    async def make(**settings: Any) -> MqttIntake:
        one = MqttIntake(MqttSettings(**settings), jitter=lambda most: min(most, 0.05))
        made.append(one)
        await one.start()
        await asyncio.wait_for(one.wait_connected(), 60)
        return one

    yield make
    for one in made:
        await one.stop()


async def messages(intake: MqttIntake, count: int) -> list[Message]:
    got: list[Message] = []
    async with asyncio.timeout(60):
        while len(got) < count:
            got += await intake.get_batch(100, 0.001)
    return got


@pytest.fixture(name="messages")
def messages_fixture() -> Any:
    return messages


@pytest.fixture
async def broker(authority: Authority) -> AsyncIterator[EmbeddedBroker]:
    one = EmbeddedBroker("127.0.0.1", 0, authority.terminal_context(HOSTS))
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def mosquitto(tmp_path: Path, free_port: int, authority: Authority) -> Iterator[Mosquitto]:
    one = Mosquitto(tmp_path / "mosquitto", free_port, authority)
    yield one
    one.kill()
