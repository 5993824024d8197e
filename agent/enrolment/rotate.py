"""`tillwatch-agent rotate`: prepares this terminal's next keys and certificate, which the running agent then takes up. Runs in a process of its
own, since it alone needs X.509 and HTTPS. The old key and the new one vouch for the request; no token is needed. Nothing changes on this
machine before the collector has agreed.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import time
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tillwatch.agent import clock, identity
from tillwatch.agent.config import load
from tillwatch.agent.enrolment import renewal
from tillwatch.agent.enrolment.enrol import EnrolError, check_reply, post, private_pem, tls_request
from tillwatch.agent.identity import HeldError, Identity
from tillwatch.agent.wire import SigningKey

PATH = "/api/v1/rotate"
DOMAIN = b"tillwatch/rotate-request/1\0"
STATE_PATH = "/api/v1/key"
STATE_DOMAIN = b"tillwatch/key-state/1\0"
HTTPS_PORT = 8843
"""Where the collector is asked if the enrolment did not say: its default."""
TAKE_UP_S = 240.0
"""The running agent looks whenever it reads or seals something: each minute, or each two where the collector wants less."""


def run(args: argparse.Namespace) -> int:
    """0 when the new key is in use or waits for the agent's start. Raises EnrolError, IdentityError or ConfigError."""
    who = identity.load(load(args.config, args.state_dir).state_dir)
    rotate(who)
    print(f"the collector agreed: key {who.key.key_id.hex()} will hand over to a new one")
    if not _agent_runs(who.state_dir):
        print("no agent runs: the new key signs from its next start on")
        return 0
    until = time.monotonic() + TAKE_UP_S
    while renewal.waiting(who.state_dir):
        if time.monotonic() > until:
            print("the running agent has not taken it up yet: see its log", file=sys.stderr)
            return 1
        time.sleep(0.1)
    print(f"the running agent signs with key {identity.load(who.state_dir).key.key_id.hex()}")
    return 0


def rotate(who: Identity) -> None:
    """Ask the collector and leave the answer for the agent. Raises EnrolError."""
    if renewal.waiting(who.state_dir):
        raise EnrolError("a new key waits already for the agent to take it up: start it, or see its log")
    seed = os.urandom(32)
    new = SigningKey(seed)
    tls_key, csr = tls_request(who.terminal)
    message = DOMAIN + who.key.public + new.public + csr.public_bytes(serialization.Encoding.DER)
    request = {
        "terminal": who.terminal,
        "key": who.key.key_id.hex(),
        "public_key": base64.b64encode(new.public).decode(),
        "csr": csr.public_bytes(serialization.Encoding.PEM).decode(),
        "proof_old": base64.b64encode(who.key.sign(message)).decode(),
        "proof_new": base64.b64encode(new.sign(message)).decode(),
    }
    ca = _ca(who)
    host, port = where(who)
    reply = post(host, port, ca, PATH, request)
    kept, files = check_reply(reply, tls_key, who.terminal, ca.fingerprint(hashes.SHA256()))
    kept |= {"https": {"host": host, "port": port}, "since": clock.now()}
    if any(who.machine):
        kept["machine"] = {"serial": who.machine[0], "system": who.machine[1]}
    renewal.prepare(who, seed, kept, files | {identity.TLS_KEY: private_pem(tls_key)})


def key_state(who: Identity) -> dict[str, Any]:
    """What the collector says of this terminal's key: `state` (active, pending, retiring, revoked, unknown) and `reason`. Raises EnrolError."""
    at = clock.now()
    message = STATE_DOMAIN + who.terminal.encode() + b"\0" + who.key.key_id + at.to_bytes(8, "big")
    request = {
        "terminal": who.terminal,
        "key": who.key.key_id.hex(),
        "at": at,
        "proof": base64.b64encode(who.key.sign(message)).decode(),
    }
    return post(*where(who), _ca(who), STATE_PATH, request)


def certificate_ends(who: Identity) -> int:
    """When the client certificate ends, UTC ns. Raises OSError or ValueError."""
    certificate = x509.load_pem_x509_certificate((who.state_dir / identity.TLS_CERT).read_bytes())
    return int(certificate.not_valid_after_utc.timestamp()) * 1_000_000_000


def where(who: Identity) -> tuple[str, int]:
    return who.https or (who.broker.host, HTTPS_PORT)


def _ca(who: Identity) -> x509.Certificate:
    file = who.state_dir / identity.CA_CERT
    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError) as error:
        raise EnrolError(
            f"{file}: {error}; enrol again with a new token: tillwatch-agent enrol --force TOKEN"
        ) from None


def _agent_runs(state_dir: Path) -> bool:
    try:
        with identity.hold(state_dir):
            return False
    except HeldError:
        return True
