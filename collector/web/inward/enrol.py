"""Where a terminal gets its certificate: an HTTPS listener of its own, since the broker's demands a certificate already. It answers
terminals only, says the same to every bad token, bounds every request before reading it, and logs no secret.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from tillwatch.agent.wire import SerialError, normal_serial
from tillwatch.collector.trust.authority import Authority, RequestError, open_request, request_terminal
from tillwatch.collector.trust.binding import ENROL
from tillwatch.collector.trust.expected import ClaimError, Unclaimed
from tillwatch.collector.trust.registry import (
    SECRET,
    ClaimRequest,
    EnrolError,
    Enrolment,
    EnrolRequest,
    Registrar,
    RotateError,
    RotateRequest,
    claim_proves,
    proves,
    secret_digest,
)
from tillwatch.collector.web.inward.listening import Listener, RefusalLimit, RefusedError, caller_of, read_body

log = logging.getLogger(__name__)

MAX_BODY = 16 * 1024
"""Bytes of a request; a real one has about 1,200."""
_TOKEN_REFUSED = (
    "this token is not good (unknown, expired or used before); ask for a new one: tillwatch-collector enrol-token"  # noqa: S105 - a text
)
_IMAGE_REFUSED = "this image token is not good (unknown, revoked, expired, not good yet, or used up); ask for a new one: tillwatch-collector enrol-token --image"
_PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """What terminals are told. host: empty for "the host that you enrolled at"."""

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class _Asked:
    secret: bytes
    public_key: bytes
    request: x509.CertificateSigningRequest
    terminal: str


def enrol_app(
    registrar: Registrar, authority: Authority, mqtt: MqttAddress, names: tuple[str, ...], *, console: bool = False
) -> FastAPI:
    """The application behind the listener. names: those of the server certificate; a terminal may be told only one of them. console: the
    collector was started with a console of its own, which its doctor asks.
    """
    # No pages of documentation here: this listener is open to the branch network.
    app = FastAPI(title="tillwatch enrolment", openapi_url=None, docs_url=None, redoc_url=None)
    limit = RefusalLimit()

    @app.get("/api/v1/health")
    async def health() -> dict[str, str | bool]:
        return {"status": "ok", "console": console}

    @app.post("/api/v1/enrol")
    async def enrol(request: Request) -> Response:
        address = caller_of(request)
        if limit.blocked(address):
            return _problem(429, "too many refused attempts from this address; wait a minute")
        try:
            asked = _check(await read_body(request, MAX_BODY))
            serial = x509.random_serial_number()
            now = time.time_ns()
            binding = authority.bind(ENROL, asked.terminal, asked.public_key, now)
            enrolled = await registrar.enrol(
                secret_digest(asked.secret),
                EnrolRequest(asked.terminal, asked.public_key, serial, address, now, binding),
            )
        except EnrolError as error:
            limit.add(address)
            log.warning("enrolment of %s from %s refused: %s", asked.terminal, address, error)
            return _problem(403, _TOKEN_REFUSED)
        except RefusedError as problem:
            limit.add(address)
            log.warning("enrolment from %s refused: %s", address, problem)
            return _problem(problem.status, str(problem))
        log.info("%s enrolled from %s", enrolled.terminal, address)
        return answer(request, enrolled, asked.request, serial)

    @app.post("/api/v1/claim")
    async def claim(request: Request) -> Response:
        address = caller_of(request)
        if limit.blocked(address):
            return _problem(429, "too many refused attempts from this address; wait a minute")
        try:
            secret, asked, csr = _check_claim(await read_body(request, MAX_BODY), x509.random_serial_number(), address)
            enrolled = await registrar.claim(secret_digest(secret), asked)
        except ClaimError as error:
            if error.reason is None:
                # A secret that is wrong is a guess; who has it and is not expected guesses nothing, and stands behind one address with machines that are.
                limit.add(address)
            log.warning("claim of serial number %s from %s refused: %s", asked.machine, address, error)
            return _problem(403, _said(error, asked.machine))
        except RefusedError as problem:
            limit.add(address)
            log.warning("claim from %s refused: %s", address, problem)
            return _problem(problem.status, str(problem))
        log.info("%s enrolled from %s by its serial number %s", enrolled.terminal, address, asked.machine)
        return answer(request, enrolled, csr, asked.serial)

    @app.post("/api/v1/rotate")
    async def rotate(request: Request) -> Response:
        address = caller_of(request)
        if limit.blocked(address):
            return _problem(429, "too many refused attempts from this address; wait a minute")
        try:
            serial = x509.random_serial_number()
            asked, csr = _check_rotation(await read_body(request, MAX_BODY), serial, address)
            enrolled = await registrar.rotate(asked)
        except (RotateError, RefusedError) as error:
            limit.add(address)
            log.warning("rotation of a key from %s refused: %s", address, error)
            return _problem(error.status if isinstance(error, RefusedError) else 403, str(error))
        log.info("%s has a certificate for its next key", enrolled.terminal)
        return answer(request, enrolled, csr, serial)

    @app.post("/api/v1/key")
    async def key(request: Request) -> Response:
        """What a terminal's doctor asks: how its key stands here."""
        address = caller_of(request)
        if limit.blocked(address):
            return _problem(429, "too many refused attempts from this address; wait a minute")
        try:
            found = registrar.key_state(*_check_key(await read_body(request, MAX_BODY)))
        except RefusedError as problem:
            limit.add(address)
            return _problem(problem.status, str(problem))
        if found.state == "unknown":
            limit.add(address)
        return JSONResponse({"state": found.state, "reason": found.reason})

    def answer(request: Request, to: Enrolment, csr: x509.CertificateSigningRequest, serial: int) -> Response:
        certificate = authority.issue(csr, to.terminal, serial)
        host = mqtt.host or _asked_host(request, names)
        return JSONResponse(_answer(to, certificate, authority, MqttAddress(host, mqtt.port, mqtt.tls)))

    return app


def _answer(enrolled: Enrolment, certificate: str, authority: Authority, mqtt: MqttAddress) -> dict[str, Any]:
    return {
        "terminal": enrolled.terminal,
        "branch": enrolled.branch,
        "region": enrolled.region,
        "certificate": certificate,
        "ca": authority.ca_pem,
        "ack_keys": [base64.b64encode(authority.ack_key.public).decode()],
        "mqtt": {"host": mqtt.host, "port": mqtt.port, "tls": mqtt.tls},
    }


def _texts(body: bytes, *names: str) -> list[str]:
    try:
        fields = json.loads(body)
        texts = [fields[name] for name in names]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise RefusedError(400, f"a JSON object with {', '.join(names)} as texts is wanted") from None
    return texts


def _request(csr: str, terminal: str) -> x509.CertificateSigningRequest:
    try:
        request = open_request(csr)
    except RequestError as error:
        raise RefusedError(400, str(error)) from None
    if request_terminal(request) != terminal:
        raise RefusedError(400, "the certificate request names another terminal")
    return request


def _check(body: bytes) -> _Asked:
    texts = _texts(body, "secret", "terminal", "public_key", "csr", "proof")
    try:
        secret = bytes.fromhex(texts[0])
        public_key, proof = (base64.b64decode(text, validate=True) for text in (texts[2], texts[4]))
    except (ValueError, binascii.Error):
        raise RefusedError(
            400, "a JSON object with secret (hex), terminal, public_key, csr (PEM) and proof is wanted"
        ) from None
    if len(secret) != SECRET:
        raise RefusedError(400, f"the secret has {SECRET} bytes")
    request = _request(texts[3], texts[1])
    if not proves(public_key, proof, secret, request.public_bytes(Encoding.DER)):
        raise RefusedError(400, "the proof does not fit the public key, the token and the certificate request")
    return _Asked(secret, public_key, request, texts[1])


def _check_claim(body: bytes, serial: int, address: str) -> tuple[bytes, ClaimRequest, x509.CertificateSigningRequest]:
    machine, *texts = _texts(body, "serial", "secret", "public_key", "csr", "proof")
    try:
        secret = bytes.fromhex(texts[0])
        public_key, proof = (base64.b64decode(text, validate=True) for text in (texts[1], texts[3]))
        if normal_serial(machine) != machine:
            raise SerialError("it is not written in its normal form")
    except SerialError as error:
        raise RefusedError(400, f"the serial number cannot be used: {error}") from None
    except (ValueError, binascii.Error):
        raise RefusedError(400, "secret is wanted in hex; public_key and proof in base64") from None
    if len(secret) != SECRET:
        raise RefusedError(400, f"the secret has {SECRET} bytes")
    try:
        request = open_request(texts[2])
    except RequestError as error:
        raise RefusedError(400, str(error)) from None
    if not claim_proves(public_key, proof, secret, machine, request.public_bytes(Encoding.DER)):
        raise RefusedError(
            400, "the proof does not fit the public key, the token, the serial number and the certificate request"
        )
    return secret, ClaimRequest(machine, public_key, serial, address), request


def _said(error: ClaimError, machine: str) -> str:
    """To the machine, whose log a person reads."""
    match error.reason:
        case Unclaimed.STRANGER:
            return f"serial number {machine} is not on the list of expected machines: tillwatch-collector expect import"
        case Unclaimed.OTHER_IMAGE:
            return f"serial number {machine} is expected from another image: tillwatch-collector expect list"
        case Unclaimed.CLAIMED | Unclaimed.ENROLLED:
            return f"serial number {machine}: {error.reason}; a person has to decide: tillwatch-collector expect release {machine}"
    return _IMAGE_REFUSED


def _check_rotation(body: bytes, serial: int, address: str) -> tuple[RotateRequest, x509.CertificateSigningRequest]:
    terminal, key, public, csr, *proofs = _texts(body, "terminal", "key", "public_key", "csr", "proof_old", "proof_new")
    try:
        key_id = bytes.fromhex(key)
        public_key, old, new = (base64.b64decode(text, validate=True) for text in (public, *proofs))
    except (ValueError, binascii.Error):
        raise RefusedError(400, "key is wanted in hex; public_key, proof_old and proof_new in base64") from None
    request = _request(csr, terminal)
    der = request.public_bytes(Encoding.DER)
    return RotateRequest(terminal, key_id, public_key, der, serial, address, old, new), request


def _check_key(body: bytes) -> tuple[str, bytes, int, bytes]:
    terminal, key, proof = _texts(body, "terminal", "key", "proof")
    try:
        at = json.loads(body)["at"]
        if type(at) is not int or not 0 <= at < 2**63:
            raise ValueError
        return terminal, bytes.fromhex(key), at, base64.b64decode(proof, validate=True)
    except (ValueError, KeyError, binascii.Error):
        raise RefusedError(400, "at is wanted as UTC ns, key in hex and proof in base64") from None


def _problem(status: int, detail: str) -> Response:
    fields = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
    return JSONResponse(fields, status, media_type=_PROBLEM)


def _asked_host(request: Request, names: tuple[str, ...]) -> str:
    # Nobody is sent to a host that the certificate does not name, whatever the request's header says.
    host = request.url.hostname or ""
    return host if host in names else names[0]


class EnrolListener(Listener):
    """Where terminals enrol."""

    def __init__(self, app: FastAPI, host: str, port: int, chain: Path) -> None:
        super().__init__(app, host, port, chain, "enrolment", "enrolment")
