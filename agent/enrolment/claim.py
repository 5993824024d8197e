"""Enrolment of a machine that was made from an image: the image holds a token for many and no key; each machine makes its own keys and says which one it
is by its serial number, which the collector has on a list. Runs in a process of its own, as `enrol` does.

    token = "twi1." + base64url(msgpack {h: host, p: HTTPS port, f: SHA-256 of the CA's DER, s: secret, i: name of the image})
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tillwatch.agent import identity
from tillwatch.agent.enrolment.enrol import (
    Door,
    EnrolError,
    RefusedError,
    check_reply,
    fetch_ca,
    keep,
    parse_door,
    post,
    private_pem,
    tls_request,
)
from tillwatch.agent.enrolment.machine import Machine
from tillwatch.agent.wire import SigningKey, valid_terminal

PREFIX = "twi1."
PATH = "/api/v1/claim"
DOMAIN = b"tillwatch/claim/1\0"
SUBJECT = "claim"
"""CN of the certificate request: which terminal this will be the collector alone knows."""
MAX_TOKEN = 4096
"""Bytes of the token's file; a real one has some 200."""


@dataclass(frozen=True, slots=True)
class ImageToken(Door):
    image: str


def read_token(file: Path) -> ImageToken:
    """Raises EnrolError."""
    try:
        with file.open("rb") as opened:
            text = opened.read(MAX_TOKEN).decode("ascii", "replace")
    except OSError as error:
        raise EnrolError(
            f"{file}: {error.strerror}; it must be readable for the agent's user: mode 640, its group"
        ) from None
    return parse_token(text, f"{file}: ")


def parse_token(text: str, where: str = "") -> ImageToken:
    wrong = EnrolError(
        f"{where}this is not a whole image token: it begins with `twi1.`; copy it again, without spaces or line ends"
    )
    door, image = parse_door(text, PREFIX, "i", wrong)
    return ImageToken(door.host, door.port, door.fingerprint, door.secret, image)


def claim(
    token: ImageToken, state_dir: Path, machine: Machine, *, say: Callable[[str], None] = print
) -> identity.Identity:
    """Enrol as the terminal that this machine's serial number stands for. Raises EnrolError; RefusedError where the collector answered."""
    if (state_dir / identity.FILE).exists():
        raise EnrolError(f"{state_dir}: this terminal is enrolled already; an image token replaces no keys")
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with identity.hold(state_dir):
        seed, tls_key = _keys(state_dir, machine.serial)
        signing = SigningKey(seed)
        ca = fetch_ca(token)
        say(f"collector {token.host}:{token.port} proved itself with the CA of the image's token")
        _, csr = tls_request(SUBJECT, tls_key)
        der = csr.public_bytes(serialization.Encoding.DER)
        request = {
            "secret": token.secret.hex(),
            "serial": machine.serial,
            "public_key": base64.b64encode(signing.public).decode(),
            "csr": csr.public_bytes(serialization.Encoding.PEM).decode(),
            "proof": base64.b64encode(signing.sign(claim_message(token.secret, machine.serial, der))).decode(),
        }
        try:
            reply = post(token.host, token.port, ca, PATH, request)
        except RefusedError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                raise RefusedError(
                    "the collector is older than enrolment by serial number: upgrade it, or use a token", error.status
                ) from None
            raise
        terminal = reply.get("terminal")
        if not isinstance(terminal, str) or not valid_terminal(terminal):
            raise EnrolError("the collector's reply names no terminal; is its version newer than this agent's?")
        kept, files = check_reply(reply, tls_key, terminal, token.fingerprint)
        keep(state_dir, token, kept, files | {identity.SEED: seed, identity.TLS_KEY: private_pem(tls_key)}, machine)
        (state_dir / identity.CLAIM).unlink(missing_ok=True)
    return identity.load(state_dir)


def claim_message(secret: bytes, serial: str, csr_der: bytes) -> bytes:
    """What the new signing key signs: it binds key, image, machine and certificate request to each other."""
    return DOMAIN + secret + bytes((len(serial),)) + serial.encode() + csr_der


def _keys(state_dir: Path, serial: str) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
    """Those of the last attempt, if it was for this machine: an answer that was lost on the way has made them the terminal's already, and a serial
    is good for one key.
    """
    file = state_dir / identity.CLAIM
    try:
        kept = json.loads(identity.read_private(file))
        seed = base64.b64decode(kept["seed"], validate=True)
        key = serialization.load_pem_private_key(kept["tls"].encode(), None)
        if kept["serial"] == serial and len(seed) == 32 and isinstance(key, ec.EllipticCurvePrivateKey):
            return seed, key
    except (OSError, ValueError, KeyError, TypeError, AttributeError, identity.IdentityError):
        pass  # none, or no whole one, or another machine's: a first attempt
    seed, (key, _) = os.urandom(32), tls_request(SUBJECT)
    kept = {"serial": serial, "seed": base64.b64encode(seed).decode(), "tls": _plain(key)}
    identity.write_private(file, json.dumps(kept).encode())
    return seed, key


def _plain(key: ec.EllipticCurvePrivateKey) -> str:
    """Inside a file that is protected as a whole."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
