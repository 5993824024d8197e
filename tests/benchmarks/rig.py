"""The real programs around what is measured: a mosquitto, a collector and its authority, a snmpd; each on a free port, in a folder of its own."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import getpass
import os
import secrets
import socket
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.benchmarks.processes import END_S, Process, free_port, listens, program, python, readiness
from tillwatch.agent import identity
from tillwatch.agent.wire import SigningKey
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.config import load_config
from tillwatch.collector.intake.mosquitto import MAX_INFLIGHT, MAX_PACKET, MAX_QUEUED, MAX_QUEUED_BYTES, write_mosquitto
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.trust.authority import open_authority, open_request
from tillwatch.device_profiles.catalogue import load_catalogue

HOST = "127.0.0.1"

OIDS: Mapping[str, tuple[str, str]] = {
    "1.3.6.1.2.1.33.1.1.1.0": ("octet_str", "Voltwerk"),
    "1.3.6.1.2.1.33.1.1.2.0": ("octet_str", "Monophase 3 kVA"),
    "1.3.6.1.2.1.33.1.1.3.0": ("octet_str", "3.11"),
    "1.3.6.1.2.1.33.1.2.1.0": ("integer", "2"),
    "1.3.6.1.2.1.33.1.2.2.0": ("integer", "0"),
    "1.3.6.1.2.1.33.1.2.3.0": ("integer", "42"),
    "1.3.6.1.2.1.33.1.2.4.0": ("integer", "98"),
    "1.3.6.1.2.1.33.1.2.5.0": ("integer", "547"),
    "1.3.6.1.2.1.33.1.2.6.0": ("integer", "3"),
    "1.3.6.1.2.1.33.1.2.7.0": ("integer", "24"),
    "1.3.6.1.2.1.33.1.3.1.0": ("counter", "12"),
    "1.3.6.1.2.1.33.1.3.3.1.2.1": ("integer", "499"),
    "1.3.6.1.2.1.33.1.3.3.1.3.1": ("integer", "231"),
    "1.3.6.1.2.1.33.1.3.3.1.4.1": ("integer", "33"),
    "1.3.6.1.2.1.33.1.3.3.1.5.1": ("integer", "740"),
    "1.3.6.1.2.1.33.1.4.1.0": ("integer", "3"),
    "1.3.6.1.2.1.33.1.4.2.0": ("integer", "500"),
    "1.3.6.1.2.1.33.1.4.4.1.2.1": ("integer", "230"),
    "1.3.6.1.2.1.33.1.4.4.1.3.1": ("integer", "30"),
    "1.3.6.1.2.1.33.1.4.4.1.4.1": ("integer", "690"),
    "1.3.6.1.2.1.33.1.4.4.1.5.1": ("integer", "23"),
    "1.3.6.1.2.1.33.1.5.1.0": ("integer", "499"),
    "1.3.6.1.2.1.33.1.5.3.1.2.1": ("integer", "231"),
    "1.3.6.1.2.1.33.1.5.3.1.3.1": ("integer", "0"),
    "1.3.6.1.2.1.33.1.5.3.1.4.1": ("integer", "0"),
    "1.3.6.1.2.1.33.1.6.1.0": ("uinteger", "0"),
    "1.3.6.1.2.1.33.1.7.3.0": ("integer", "1"),
    "1.3.6.1.2.1.33.1.9.1.0": ("integer", "230"),
    "1.3.6.1.2.1.33.1.9.2.0": ("integer", "500"),
    "1.3.6.1.2.1.33.1.9.3.0": ("integer", "230"),
    "1.3.6.1.2.1.33.1.9.4.0": ("integer", "500"),
    "1.3.6.1.2.1.33.1.9.5.0": ("integer", "3000"),
    "1.3.6.1.2.1.33.1.9.6.0": ("integer", "2700"),
    "1.3.6.1.2.1.33.1.9.7.0": ("integer", "5"),
    "1.3.6.1.2.1.33.1.9.8.0": ("integer", "2"),
    "1.3.6.1.2.1.33.1.9.9.0": ("integer", "184"),
    "1.3.6.1.2.1.33.1.9.10.0": ("integer", "264"),
}  # fmt: skip
"""A healthy single-phase UPS with the standard UPS-MIB, after RFC 1628: 37 values, and 3 of snmpd's own system group make 40."""

FORTY = ("1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.5.0", *OIDS)

QUEUES = (
    f"max_inflight_messages {MAX_INFLIGHT}",
    f"max_queued_messages {MAX_QUEUED}",
    f"max_queued_bytes {MAX_QUEUED_BYTES}",
    f"max_packet_size {MAX_PACKET}",
)
"""As `tillwatch-collector broker-config` writes them."""
USER, AUTH_KEY, PRIV_KEY = "watcher", "bench-auth-key", "bench-priv-key"


class Rig:
    """A collector with an outside broker, in `folder`. tls: between all of them, with client certificates."""

    def __init__(self, folder: Path, *, tls: bool) -> None:
        self.folder = folder
        self.tls = tls
        self.port = free_port()
        file = folder / "collector.toml"
        file.write_text(
            f"""[collector]
data_dir = "{folder / "collector"}"
[broker]
embedded = false
host = "{HOST}"
port = {self.port}
tls = {str(tls).lower()}
[enrolment]
host = "{HOST}"
port = {free_port()}
address = "{HOST}"
"""
        )
        self.file = file
        self._config = load_config(file)
        self.database = self._config.database
        self._authority = open_authority(self._config.authority)

    def enrol(self, terminals: Mapping[str, bytes]) -> None:
        """Public keys by name, into the store of a collector that does not run: a hundred enrolments over HTTPS would prove nothing here."""

        async def enrol() -> None:
            pipeline = Pipeline(store, self._authority.ack_key, units)
            await pipeline.start(shipped_text(), "")
            for name, public in terminals.items():
                where = {"branch": "Harbour", "region": "North", "class": "atm"}
                await pipeline.operate({"action": "enrol", "terminal": name, **where, "public": public})
            await pipeline.stop()

        units = {name: signal.unit for name, signal in load_catalogue().signals.items()}
        store = SqliteStore(self.database)
        try:
            asyncio.run(enrol())
        finally:
            store.close()

    def certificate(self, name: str) -> tuple[bytes, bytes]:
        """A terminal's TLS key and the certificate that an enrolment would give it, both PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        pem = request.public_bytes(serialization.Encoding.PEM).decode()
        certificate = self._authority.issue(open_request(pem), name, x509.random_serial_number())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private, certificate.encode()

    @property
    def ack_key(self) -> bytes:
        """What terminals pin: the public key that the collector signs its acks with."""
        return self._authority.ack_key.public

    @property
    def ca(self) -> bytes:
        return self._authority.ca_file.read_bytes()

    def terminal(self, name: str) -> Path:
        """The state directory of a terminal as an enrolment leaves it; it still has to be enrolled in the store."""
        state, seed = self.folder / name, secrets.token_bytes(32)
        private, certificate = self.certificate(name)
        identity.save(
            state,
            {
                "terminal": name,
                "branch": "Harbour",
                "region": "North",
                "ack_keys": [base64.b64encode(self._authority.ack_key.public).decode()],
                "mqtt": {"host": HOST, "port": self.port, "tls": self.tls},
            },
            {
                identity.SEED: seed,
                identity.TLS_KEY: private,
                identity.TLS_CERT: certificate,
                identity.CA_CERT: self.ca,
            },
        )
        self.enrol({name: SigningKey(seed).public})
        return state

    @contextlib.contextmanager
    def broker(self) -> Iterator[Process]:
        if self.tls:
            hosts, user = self._config.certificate_hosts, getpass.getuser()
            config = write_mosquitto(
                self.folder / "broker", self._authority, {}, hosts=hosts, port=self.port, listen=HOST, user=user
            )
        else:
            config = self.folder / "mosquitto.conf"
            lines = [f"listener {self.port} {HOST}", "user root", "allow_anonymous true", *QUEUES]
            config.write_text("\n".join(lines) + "\n")
        with Process("mosquitto", program("mosquitto"), "-c", config, folder=self.folder) as process:
            process.wait_for(lambda: listens(self.port), "listening")
            yield process

    @contextlib.contextmanager
    def collector(self) -> Iterator[Process]:
        """The real service, ready. On leaving it is told to stop, and the store is closed after that."""
        with (
            readiness() as (env, wait),
            python(
                "collector",
                "tillwatch.collector",
                *("run", "--no-console", "--config"),
                self.file,
                folder=self.folder,
                env=env,
            ) as process,
        ):
            wait(process)
            yield process

    def ask(self, query: str, *values: object) -> int:
        """One number out of the collector's store, beside the collector."""
        with contextlib.closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as db:
            return int(db.execute(query, values).fetchone()[0] or 0)

    def payloads(self, terminal: str) -> list[bytes]:
        """The sealed batches that the collector keeps of a terminal."""
        with contextlib.closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute("SELECT payload FROM journal WHERE kind = 3 AND terminal = ?", (terminal,))
            return [bytes(payload) for (payload,) in rows]


@contextlib.contextmanager
def snmpd(folder: Path) -> Iterator[int]:
    """net-snmp's own agent with FORTY values, for v2c community `public` and v3 authPriv SHA-256/AES-128; its port."""
    port = free_port(socket.SOCK_DGRAM)
    (folder / "state").mkdir()  # its own snmpd.conf stands there: users and boots
    lines = [
        f"agentaddress udp:{HOST}:{port}",
        f"rocommunity public {HOST}",
        "sysDescr Voltwerk NetCard 3",
        "sysObjectID 1.3.6.1.4.1.99999.33.1",
        "sysName ups-bench",
        f"createUser {USER} SHA-256 {AUTH_KEY} AES {PRIV_KEY}",
        f"rouser {USER} authpriv",
        *(f'override {oid} {kind} "{value}"' for oid, (kind, value) in OIDS.items()),
    ]
    config = folder / "snmpd.conf"
    config.write_text("\n".join(lines) + "\n")
    options = ("-f", "-C", "-c", config, "-Lf", folder / "snmpd.own.log", "-I", "-hrSWRunTable,hrSWInstalledTable")
    env = {"SNMP_PERSISTENT_DIR": str(folder / "state"), "MIBS": ""}
    with Process("snmpd", program("snmpd"), *options, folder=folder, env=env) as process:
        process.wait_for(lambda: _answers(port), "answering")
        yield port


def _answers(port: int) -> bool:
    ask = (program("snmpget"), *("-v2c", "-c", "public", "-t", "0.5", "-r", "0", "-On"), f"{HOST}:{port}", FORTY[-1])
    done = subprocess.run(ask, capture_output=True, env={**os.environ, "MIBS": ""}, timeout=END_S, check=False)
    return done.returncode == 0 and b"INTEGER" in done.stdout
