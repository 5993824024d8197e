"""Enrolment: a one-time token becomes this terminal's identity. Runs in a process of its own, since it alone needs X.509 and HTTPS.
The token carries the fingerprint of the collector's CA, so that the first word with the collector is already with the right one; both
private keys are made here and never leave.

    token = "tw1." + base64url(msgpack {h: host, p: HTTPS port, f: SHA-256 of the CA's DER, s: secret, t: terminal})
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgpack
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tillwatch.agent import clock, identity
from tillwatch.agent.enrolment.machine import Machine
from tillwatch.agent.protection import ProtectionError, new_passphrase
from tillwatch.agent.wire import SigningKey, VerifyKey, valid_terminal

PREFIX = "tw1."
PATH = "/api/v1/enrol"
DOMAIN = b"tillwatch/enrol/1\0"
TIMEOUT = 20.0
"""Seconds for a connection and for the reply: a person waits at the other end."""
MAX_REPLY = 64 * 1024
"""Bytes: two certificates and a few keys take some 5 KiB."""
MIN_SECRET = 16
_PLAIN: serialization.KeySerializationEncryption = serialization.NoEncryption()


class EnrolError(Exception):
    """The text says what was tried and what to do."""


class RefusedError(EnrolError):
    """The collector answered, and refused. status: of HTTP; what is not its last word (too many at once, a fault of its own) says so by that."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Door:
    """Where to enrol, whose authority answers there (SHA-256 of its certificate in DER), and the secret that opens."""

    host: str
    port: int
    fingerprint: bytes
    secret: bytes


@dataclass(frozen=True, slots=True)
class Token(Door):
    terminal: str


def parse_token(text: str) -> Token:
    wrong = EnrolError(
        "this is not a whole enrolment token: it begins with `tw1.`; copy it again, without spaces or line ends"
    )
    door, terminal = parse_door(text, PREFIX, "t", wrong)
    if not valid_terminal(terminal):
        raise wrong
    return Token(door.host, door.port, door.fingerprint, door.secret, terminal)


def parse_door(text: str, prefix: str, member: str, wrong: EnrolError) -> tuple[Door, str]:
    """What all kinds of tokens hold, and the text of one member more. Raises `wrong`."""
    text = text.strip()
    if not text.startswith(prefix):
        raise wrong
    try:
        raw = text.removeprefix(prefix)
        data = msgpack.unpackb(base64.b64decode(raw + "=" * (-len(raw) % 4), altchars=b"-_", validate=True))
        door = Door(str(data["h"]), int(data["p"]), bytes(data["f"]), bytes(data["s"]))
        more = str(data[member])
    except (ValueError, KeyError, TypeError, binascii.Error, msgpack.UnpackException):
        raise wrong from None
    if len(door.fingerprint) != 32 or len(door.secret) < MIN_SECRET:
        raise wrong
    return door, more


def enrol(
    token: Token,
    state_dir: Path,
    *,
    force: bool = False,
    say: Callable[[str], None] = print,
    machine: Machine | None = None,
) -> identity.Identity:
    """Enrol and write the state directory. An existing identity is replaced with `force` only, and only after the collector agreed. machine: which
    one this is, kept to tell a copied disk.
    """
    if (state_dir / identity.FILE).exists() and not force:
        raise EnrolError(
            f"{state_dir}: this terminal is enrolled already; to give it new keys: tillwatch-agent enrol --force TOKEN"
        )
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with identity.hold(state_dir):
        ca = fetch_ca(token)
        say(f"collector {token.host}:{token.port} proved itself with the CA of the token")
        seed = os.urandom(32)
        signing = SigningKey(seed)
        tls_key, csr = tls_request(token.terminal)
        request = {
            "secret": token.secret.hex(),
            "terminal": token.terminal,
            "public_key": base64.b64encode(signing.public).decode(),
            "csr": csr.public_bytes(serialization.Encoding.PEM).decode(),
            "proof": base64.b64encode(
                signing.sign(DOMAIN + token.secret + csr.public_bytes(serialization.Encoding.DER))
            ).decode(),
        }
        try:
            reply = post(token.host, token.port, ca, PATH, request)
        except RefusedError as error:
            raise EnrolError(f"{error}; a token is good once and for 24 hours: make a new one") from None
        kept, files = check_reply(reply, tls_key, token.terminal, token.fingerprint)
        keep(state_dir, token, kept, files | {identity.SEED: seed, identity.TLS_KEY: private_pem(tls_key)}, machine)
    return identity.load(state_dir)


def keep(
    state_dir: Path, door: Door, kept: dict[str, Any], files: dict[str, bytes], machine: Machine | None = None
) -> None:
    """Write what an enrolment gave. The caller holds the state directory."""
    kept |= {"https": {"host": door.host, "port": door.port}, "since": clock.now()}
    if machine is not None:
        kept["machine"] = {"serial": machine.serial, "system": machine.system}
    # A rotation of the identity before would turn this one round at the next start.
    (state_dir / identity.NEXT).unlink(missing_ok=True)
    identity.save(state_dir, kept, files)


def fetch_ca(token: Door) -> x509.Certificate:
    """The CA out of the chain that the collector presents, if it is the one that the token names. Nothing is sent on this connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((token.host, token.port), TIMEOUT) as raw,
            context.wrap_socket(raw, server_hostname=token.host) as tls,
        ):
            chain = _chain(tls)
    except OSError as error:
        raise EnrolError(
            f"collector {token.host}:{token.port}: {error}; check the network, the firewall and that the collector runs"
        ) from None
    for certificate in chain:
        if sha256(certificate).digest() == token.fingerprint:
            return x509.load_der_x509_certificate(certificate)
    raise EnrolError(
        f"collector {token.host}:{token.port} shows another CA than the token names; do not go on: ask who answers there, or make a new token"
    )


def _chain(tls: ssl.SSLSocket) -> list[bytes]:
    """The DER certificates as presented. Public only since Python 3.13; the object below has had it since 3.10."""
    if hasattr(tls, "get_unverified_chain"):
        return [bytes(certificate) for certificate in tls.get_unverified_chain()]
    inner: Any = tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in inner.get_unverified_chain()]


def tls_request(
    terminal: str, key: ec.EllipticCurvePrivateKey | None = None
) -> tuple[ec.EllipticCurvePrivateKey, x509.CertificateSigningRequest]:
    """A TLS key, a new one without `key`, and the request for its certificate."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, terminal)])
    return key, x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """As it may lie on the disk of this machine (protection.py). Raises EnrolError."""
    protector = identity.protector()
    line, encryption = b"", _PLAIN
    if protector.encrypts:
        try:
            phrase, line = new_passphrase(protector)
        except ProtectionError as error:
            raise EnrolError(str(error)) from None
        encryption = serialization.BestAvailableEncryption(phrase)
    return line + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def post(host: str, port: int, ca: x509.Certificate, path: str, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the collector that holds a certificate of `ca`. Raises EnrolError, and RefusedError with the collector's words."""
    pem = ca.public_bytes(serialization.Encoding.PEM).decode()
    context = ssl.create_default_context(cadata=pem)
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
    try:
        connection.request("POST", path, json.dumps(request), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read(MAX_REPLY + 1)
    except (OSError, http.client.HTTPException) as error:
        raise EnrolError(f"collector {host}:{port}: {error}") from None
    finally:
        connection.close()
    try:
        reply = json.loads(body) if len(body) <= MAX_REPLY else None
    except ValueError:
        reply = None
    if response.status != http.client.OK or not isinstance(reply, dict):
        said = reply.get("detail") or reply.get("error") if isinstance(reply, dict) else None
        raise RefusedError(f"the collector refused: {said or f'{response.status} {response.reason}'}", response.status)
    return reply


def check_reply(
    reply: dict[str, Any], tls_key: ec.EllipticCurvePrivateKey, terminal: str, fingerprint: bytes
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What to keep of the reply. A reply that does not fit this terminal and its keys is refused whole."""
    try:
        certificate = x509.load_pem_x509_certificate(reply["certificate"].encode())
        ca = x509.load_pem_x509_certificate(reply["ca"].encode())
        certificate.verify_directly_issued_by(ca)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        ack_keys = [
            base64.b64encode(VerifyKey(base64.b64decode(key, validate=True)).public).decode()
            for key in reply["ack_keys"]
        ]
        mqtt = {
            "host": str(reply["mqtt"]["host"]),
            "port": int(reply["mqtt"]["port"]),
            "tls": bool(reply["mqtt"]["tls"]),
        }
        fits = (
            reply["terminal"] == terminal
            and [name.value for name in names] == [terminal]
            and certificate.public_key() == tls_key.public_key()
            and ca.fingerprint(hashes.SHA256()) == fingerprint
            and ack_keys
        )
    except Exception as error:  # members missing, malformed certificates, or one that is not of that CA
        raise EnrolError(
            f"the collector's reply cannot be used: {error!r}; is its version newer than this agent's?"
        ) from None
    if not fits:
        raise EnrolError("the collector's reply is for another terminal, key or CA; make a new token")
    kept = {
        "terminal": terminal,
        "branch": str(reply.get("branch", "")),
        "region": str(reply.get("region", "")),
        "ack_keys": ack_keys,
        "mqtt": mqtt,
    }
    return kept, {
        identity.TLS_CERT: certificate.public_bytes(serialization.Encoding.PEM),
        identity.CA_CERT: ca.public_bytes(serialization.Encoding.PEM),
    }
