"""A RabbitMQ node under exactly the configuration that `tillwatch-collector broker-config rabbitmq` writes, on ports of its own."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import ssl
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from gmqtt import Client, Subscription
from gmqtt.mqtt.constants import MQTTv311

from tests.mosquitto import HOSTS
from tests.scale.servers.rabbitmq import RabbitMq
from tillwatch.collector.intake import Message
from tillwatch.collector.intake.amqp import AmqpSettings
from tillwatch.collector.intake.mosquitto import publish
from tillwatch.collector.intake.rabbitmq import CONFIG, CRL_DIR, DEFINITIONS, PASSWORD, crl_name, write_rabbitmq
from tillwatch.collector.intake.topology import MQTT_EXCHANGE
from tillwatch.collector.trust.authority import Authority, open_request

VHOST, USER, ADMIN = "tillwatch", "tillwatch", "admin"
BREAK_THE_TREE = f"""
    ok = mnesia:dirty_delete(rabbit_topic_trie_edge, {{trie_edge, {{resource, <<"{VHOST}">>, exchange, <<"{MQTT_EXCHANGE}">>}}, root, "tw"}}).
"""
"""For `rabbitmqctl eval`: all bindings below `tw` hang on nothing."""


class Broker(RabbitMq):
    def __init__(
        self, base: Path, authority: Authority, access_port: int, name: str = "tw1", *, epmd: int = 0, nodes: int = 1
    ) -> None:
        super().__init__(base, name, epmd=epmd)
        self.authority, self.access_port = authority, access_port
        write_rabbitmq(
            self.etc,
            authority,
            {},
            hosts=HOSTS,
            vhost=VHOST,
            broker_user=USER,
            access=f"https://localhost:{access_port}",
            ports=(self.amqp, self.mqtt),
            listen="127.0.0.1",
            alone=nodes == 1,
            user=getpass.getuser(),
        )

        # One who may break what the collectors' user may not.
        said = json.loads((self.etc / DEFINITIONS).read_text())
        said["users"].append({**said["users"][0], "name": ADMIN})
        every = {"vhost": VHOST, "user": ADMIN, "configure": ".*", "write": ".*", "read": ".*"}
        said["permissions"].append(every)
        (self.etc / DEFINITIONS).write_text(json.dumps(said))

    def ask_at(self, port: int) -> None:
        """Of another collector than that which it was made with, before it starts."""
        conf = self.etc / CONFIG
        conf.write_text(conf.read_text().replace(f":{self.access_port}/", f":{port}/"))
        self.access_port = port

    def revoke(self, *serials: str) -> None:
        """As the collector does: the whole list, anew."""
        publish(self.etc / CRL_DIR / crl_name(self.authority), self.authority.crl(dict.fromkeys(serials, 10**18)))

    def import_definitions(self) -> None:
        self.control("import_definitions", str(self.etc / DEFINITIONS))

    @property
    def password(self) -> str:
        return (self.etc / PASSWORD).read_text().strip()

    def settings(self, name: str = "test", user: str = USER) -> AmqpSettings:
        return AmqpSettings(
            (("127.0.0.1", self.amqp),), VHOST, user, self.password, self.authority.client_context(), name
        )


class Till:
    """A terminal at the broker: a gmqtt client with a certificate of the authority, which remembers what it gets."""

    def __init__(self, name: str, broker: Broker, folder: Path, *, certificate: str = "", user: str = "") -> None:
        self.name, self._broker = name, broker
        self.client = Client(name, clean_session=True)
        self.client.set_config({"reconnect_retries": -2})
        if user:
            self.client.set_auth_credentials(user, "secret")
        path = folder / f"{certificate or name}.pem"
        if not path.exists():
            path.write_bytes(certified(broker.authority, certificate or name))
        self.tls = ssl.create_default_context(cafile=str(broker.authority.ca_file))
        self.tls.load_cert_chain(path)
        self.received: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.granted: asyncio.Queue[tuple[int, ...]] = asyncio.Queue()
        self.lost = asyncio.Event()
        self.client.on_message = lambda _c, topic, payload, *_: self.received.put_nowait((topic, bytes(payload)))
        self.client.on_subscribe = lambda _c, _mid, granted, _p: self.granted.put_nowait(granted)
        self.client.on_disconnect = lambda *_: self.lost.set()

    async def connect(self) -> Till:
        """Raises what a broker that does not let it in makes of it."""
        connecting = asyncio.create_task(self.client.connect("127.0.0.1", self._broker.mqtt, self.tls, 60, MQTTv311))
        lost = asyncio.create_task(self.lost.wait())
        try:
            async with asyncio.timeout(60):
                await asyncio.wait({connecting, lost}, return_when=asyncio.FIRST_COMPLETED)
                # A refusal and the end of the connection come together.
                if not connecting.done():
                    raise ConnectionError("closed by the broker")
            connecting.result()
        except BaseException:
            self.abort()
            raise
        finally:
            for task in (connecting, lost):
                task.cancel()
            await asyncio.gather(connecting, lost, return_exceptions=True)
        return self

    def on_puback(self, told: Callable[[int], object]) -> None:
        """Tell of each PUBACK; gmqtt itself has no word for it."""
        handler = self.client._package_handler
        usual = handler._remove_message_from_queue

        def hear(mid: int) -> None:
            usual(mid)
            told(mid)

        handler._remove_message_from_queue = hear

    def publish(self, message: Message, qos: int = 1) -> None:
        self.client.publish(message.topic, message.payload, qos=qos)

    async def subscribe(self, *filters: str) -> tuple[int, ...]:
        self.client.subscribe([Subscription(one, qos=0) for one in filters])
        return await asyncio.wait_for(self.granted.get(), 60)

    async def get(self) -> tuple[str, bytes]:
        return await asyncio.wait_for(self.received.get(), 60)

    async def close(self) -> None:
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.client.disconnect(), 2)
        self.abort()

    def abort(self) -> None:
        """gmqtt leaves the transport open where it was refused."""
        connection = getattr(self.client, "_connection", None)
        if connection is not None:
            connection._transport.abort()


def serial_of(path: Path) -> str:
    return f"{x509.load_pem_x509_certificates(path.read_bytes())[0].serial_number:x}"


def certified(authority: Authority, name: str, serial: int = 0) -> bytes:
    """Key, and certificate that the authority issued on request, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + authority.issue(open_request(pem), name, serial or x509.random_serial_number()).encode()
