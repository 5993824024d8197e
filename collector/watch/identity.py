"""Who the watchdog is: a terminal like any other, with a signing key and a TLS certificate of its own, enrolled with a one-time token over HTTPS. Its
keys are made here and never leave; the token pins the collector, so that the first word with it is already with the right one.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgpack
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tillwatch.agent.wire import SigningKey, VerifyKey, valid_terminal
from tillwatch.collector.trust.registry import TOKEN_PREFIX, proof_message
from tillwatch.collector.watch.files import write_private

IDENTITY = "identity.json"
TLS = "tls.pem"
"""Key and certificate in one file: it is replaced in one step."""
TIMEOUT_S = 20.0
"""For a connection and for the reply: a person waits at the other end."""
MAX_REPLY = 64 * 1024
"""Bytes: two certificates and a few keys take some 5 KiB."""
RENEW_DAYS = 30
"""Before the end of the certificate, of two years, the watchdog begins to ask for another enrolment."""
MEND = "make a token: tillwatch-collector enrol-token watchdog --branch monitoring --region monitoring --class watchdog; then: tillwatch-collector watchdog enrol TOKEN"


class IdentityError(Exception):
    """The text says what was tried and what to do."""


@dataclass(frozen=True, slots=True)
class Identity:
    """ack_keys: the collector's, pinned at the enrolment, by key id; ca: its authority in PEM; tls: the file with key and certificate."""

    terminal: str
    key: SigningKey = field(repr=False)
    ack_keys: Mapping[bytes, VerifyKey]
    host: str
    port: int
    tls: bool
    ca: str
    tls_file: Path

    def context(self) -> ssl.SSLContext | None:
        """Believes the pinned authority alone and shows this certificate; None where the broker speaks in the clear. Raises IdentityError."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cadata=self.ca)
            context.load_cert_chain(self.tls_file)
        except (OSError, ssl.SSLError) as error:
            raise IdentityError(f"{self.tls_file}: not usable for TLS: {error}; {MEND}") from None
        return context

    def warning(self, now: datetime) -> str:
        """What to say while the certificate ends within RENEW_DAYS, or cannot be read; else nothing."""
        try:
            ends = x509.load_pem_x509_certificate(self.tls_file.read_bytes()).not_valid_after_utc
        except (OSError, ValueError) as error:
            return f"{self.tls_file}: {error}; {MEND}"
        return f"the watchdog's certificate ends on {ends:%Y-%m-%d}; {MEND}" if (ends - now).days < RENEW_DAYS else ""


def load(state_dir: Path) -> Identity:
    """Raises IdentityError."""
    file = state_dir / IDENTITY
    try:
        kept = json.loads(file.read_bytes())
        if not valid_terminal(kept["terminal"]):
            raise ValueError
        keys = [VerifyKey(base64.b64decode(key, validate=True)) for key in kept["ack_keys"]]
        return Identity(
            kept["terminal"],
            SigningKey(base64.b64decode(kept["seed"], validate=True)),
            {key.key_id: key for key in keys},
            str(kept["host"]),
            int(kept["port"]),
            bool(kept["tls"]),
            str(kept["ca"]),
            state_dir / TLS,
        )
    except FileNotFoundError:
        raise IdentityError(f"{state_dir}: the watchdog is not enrolled; {MEND}") from None
    except OSError as error:
        raise IdentityError(f"{file}: {error.strerror}; run this as the user that owns {state_dir}") from None
    except (ValueError, KeyError, TypeError):
        raise IdentityError(f"{file}: damaged; {MEND}") from None


@dataclass(frozen=True, slots=True)
class Token:
    """What `tillwatch-collector enrol-token` printed."""

    host: str
    port: int
    fingerprint: bytes
    secret: bytes = field(repr=False)
    terminal: str


def parse_token(text: str) -> Token:
    """Raises IdentityError."""
    raw = text.strip().removeprefix(TOKEN_PREFIX)
    try:
        said = msgpack.unpackb(base64.b64decode(raw + "=" * (-len(raw) % 4), altchars=b"-_", validate=True))
        token = Token(str(said["h"]), int(said["p"]), bytes(said["f"]), bytes(said["s"]), str(said["t"]))
        if (
            len(token.fingerprint) != 32
            or not valid_terminal(token.terminal)
            or not text.strip().startswith(TOKEN_PREFIX)
        ):
            raise ValueError
    except (ValueError, KeyError, TypeError, binascii.Error, msgpack.UnpackException):
        raise IdentityError(
            f"this is not a whole enrolment token: it begins with {TOKEN_PREFIX}; copy it again"
        ) from None
    return token


def enrol(token: Token, state_dir: Path) -> Identity:
    """Enrol, and write the state directory once the collector has agreed. Raises IdentityError."""
    ca = _authority(token)
    seed = os.urandom(32)
    key = SigningKey(seed)
    tls_key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, token.terminal)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(tls_key, hashes.SHA256())
    der = request.public_bytes(serialization.Encoding.DER)
    reply = _post(
        token,
        ca,
        {
            "secret": token.secret.hex(),
            "terminal": token.terminal,
            "public_key": base64.b64encode(key.public).decode(),
            "csr": request.public_bytes(serialization.Encoding.PEM).decode(),
            "proof": base64.b64encode(key.sign(proof_message(token.secret, der))).decode(),
        },
    )
    try:
        certificate = x509.load_pem_x509_certificate(reply["certificate"].encode())
        certificate.verify_directly_issued_by(ca)
        fits = reply["terminal"] == token.terminal and certificate.public_key() == tls_key.public_key()
        kept = {
            "terminal": token.terminal,
            "seed": base64.b64encode(seed).decode(),
            "ack_keys": [
                base64.b64encode(VerifyKey(base64.b64decode(each, validate=True)).public).decode()
                for each in reply["ack_keys"]
            ],
            "host": str(reply["mqtt"]["host"]),
            "port": int(reply["mqtt"]["port"]),
            "tls": bool(reply["mqtt"]["tls"]),
            "ca": ca.public_bytes(serialization.Encoding.PEM).decode(),
        }
    except Exception as error:  # members missing, malformed certificates, or one that is not of that authority
        raise IdentityError(f"the collector's reply cannot be used: {error!r}") from None
    if not fits or not kept["ack_keys"]:
        raise IdentityError("the collector's reply is for another terminal or key; make a new token")
    pem = tls_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        write_private(state_dir / TLS, pem + certificate.public_bytes(serialization.Encoding.PEM))
        write_private(state_dir / IDENTITY, json.dumps(kept, indent=2).encode())
    except OSError as error:
        raise IdentityError(f"{state_dir}: {error.strerror}; run this as its owner, with a new token") from None
    return load(state_dir)


def _authority(token: Token) -> x509.Certificate:
    """The authority out of the chain that the collector shows, if it is the one that the token names. Nothing is sent on this connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    where = f"collector {token.host}:{token.port}"
    try:
        with (
            socket.create_connection((token.host, token.port), TIMEOUT_S) as raw,
            context.wrap_socket(raw, server_hostname=token.host) as tls,
        ):
            chain = _chain(tls)
    except OSError as error:
        raise IdentityError(f"{where}: {error}; see that the collector runs and can be reached") from None
    for certificate in chain:
        if sha256(certificate).digest() == token.fingerprint:
            return x509.load_der_x509_certificate(certificate)
    raise IdentityError(f"{where} shows another authority than the token names; do not go on: ask who answers there")


def _chain(tls: ssl.SSLSocket) -> list[bytes]:
    """The certificates as presented, in DER. Public only since Python 3.13; the object below has had it since 3.10."""
    if hasattr(tls, "get_unverified_chain"):
        return [bytes(each) for each in tls.get_unverified_chain()]
    inner: Any = tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in inner.get_unverified_chain()]


def _post(token: Token, ca: x509.Certificate, request: dict[str, str]) -> dict[str, Any]:
    import httpx2  # noqa: PLC0415 - the running watchdog asks for nothing over HTTPS but its complaints

    context = ssl.create_default_context(cadata=ca.public_bytes(serialization.Encoding.PEM).decode())
    where = f"collector {token.host}:{token.port}"
    place = f"[{token.host}]" if ":" in token.host else token.host
    try:
        with httpx2.Client(verify=context, timeout=TIMEOUT_S, trust_env=False) as client:
            answer = client.post(f"https://{place}:{token.port}/api/v1/enrol", json=request)
        reply = answer.json() if len(answer.content) <= MAX_REPLY else None
    except httpx2.HTTPError as error:
        raise IdentityError(f"{where}: {error}") from None
    except ValueError:
        reply = None
    if answer.status_code != 200 or not isinstance(reply, dict):
        said = reply.get("detail") if isinstance(reply, dict) else None
        raise IdentityError(f"{where} refused: {said or answer.status_code}; a token is good once and for 24 hours")
    return reply
