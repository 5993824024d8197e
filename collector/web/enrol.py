"""Where a terminal gets its certificate: an HTTPS listener of its own, since the broker's demands a certificate already. It answers
terminals only, says the same to every bad token, bounds every request before reading it, and logs no secret.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import logging
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from tillwatch.collector.trust.authority import Authority, RequestError, open_request, request_terminal
from tillwatch.collector.trust.binding import ENROL
from tillwatch.collector.trust.registry import (
    SECRET,
    EnrolError,
    Enrolment,
    EnrolRequest,
    Registrar,
    RotateError,
    RotateRequest,
    proves,
    secret_digest,
)

log = logging.getLogger(__name__)

MAX_BODY = 16 * 1024
"""Bytes of a request; a real one has about 1,200."""
BODY_TIMEOUT_S = 10.0
MAX_CONNECTIONS = 64
"""Enrolment is rare; beyond this the listener answers 503 and terminals try again."""
REFUSALS_PER_MINUTE = 20
"""Refused attempts an address may make in a minute. Good ones are not counted: a whole branch may enrol from behind one address."""
MAX_ADDRESSES = 4096
"""Addresses remembered; beyond it the one refused longest ago is forgotten, which no guessing of 160-bit secrets can use."""

_TOKEN_REFUSED = (
    "this token is not good (unknown, expired or used before); ask for a new one: tillwatch-collector enrol-token"  # noqa: S105 - a text
)
_PROBLEM = "application/problem+json"


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """What terminals are told. host: empty for "the host that you enrolled at"."""

    host: str
    port: int
    tls: bool


class RefusalLimit:
    """Refused attempts by address: a bucket that empties over a minute. now: monotonic seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._refused: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def blocked(self, address: str) -> bool:
        return self._level(address) > REFUSALS_PER_MINUTE - 1

    def add(self, address: str) -> None:
        self._refused[address] = (self._level(address) + 1, self._now())
        self._refused.move_to_end(address)
        if len(self._refused) > MAX_ADDRESSES:
            self._refused.popitem(last=False)

    def _level(self, address: str) -> float:
        level, at = self._refused.get(address, (0.0, 0.0))
        return max(0.0, level - (self._now() - at) * REFUSALS_PER_MINUTE / 60)


class _Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Asked:
    secret: bytes
    public_key: bytes
    request: x509.CertificateSigningRequest
    terminal: str


def enrol_app(registrar: Registrar, authority: Authority, mqtt: MqttAddress, names: tuple[str, ...]) -> FastAPI:
    """The application behind the listener. names: those of the server certificate; a terminal may be told only one of them."""
    # No pages of documentation here: this listener is open to the branch network.
    app = FastAPI(title="tillwatch enrolment", openapi_url=None, docs_url=None, redoc_url=None)
    limit = RefusalLimit()

    @app.get("/api/v1/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/api/v1/enrol")
    async def enrol(request: Request) -> Response:
        address = _address(request)
        if limit.blocked(address):
            return _problem(429, "too many refused attempts from this address; wait a minute")
        try:
            asked = _check(await _body(request))
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
        except _Problem as problem:
            limit.add(address)
            log.warning("enrolment from %s refused: %s", address, problem)
            return _problem(problem.status, str(problem))
        log.info("%s enrolled from %s", enrolled.terminal, address)
        return answer(request, enrolled, asked.request, serial)

    @app.post("/api/v1/rotate")
    async def rotate(request: Request) -> Response:
        address = _address(request)
        if limit.blocked(address):
            return _problem(429, "too many refused attempts from this address; wait a minute")
        try:
            serial = x509.random_serial_number()
            asked, csr = _check_rotation(await _body(request), serial, address)
            enrolled = await registrar.rotate(asked)
        except (RotateError, _Problem) as error:
            limit.add(address)
            log.warning("rotation of a key from %s refused: %s", address, error)
            return _problem(error.status if isinstance(error, _Problem) else 403, str(error))
        log.info("%s has a certificate for its next key", enrolled.terminal)
        return answer(request, enrolled, csr, serial)

    @app.post("/api/v1/key")
    async def key(request: Request) -> Response:
        """What a terminal's doctor asks: how its key stands here."""
        address = _address(request)
        if limit.blocked(address):
            return _problem(429, "too many refused attempts from this address; wait a minute")
        try:
            found = registrar.key_state(*_check_key(await _body(request)))
        except _Problem as problem:
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


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise _Problem(413, f"the request is larger than {MAX_BODY} bytes")
    except TimeoutError:
        raise _Problem(408, f"the request did not arrive within {BODY_TIMEOUT_S:g} s") from None
    return bytes(body)


def _texts(body: bytes, *names: str) -> list[str]:
    try:
        fields = json.loads(body)
        texts = [fields[name] for name in names]
        if not all(isinstance(text, str) for text in texts):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _Problem(400, f"a JSON object with {', '.join(names)} as texts is wanted") from None
    return texts


def _request(csr: str, terminal: str) -> x509.CertificateSigningRequest:
    try:
        request = open_request(csr)
    except RequestError as error:
        raise _Problem(400, str(error)) from None
    if request_terminal(request) != terminal:
        raise _Problem(400, "the certificate request names another terminal")
    return request


def _check(body: bytes) -> _Asked:
    texts = _texts(body, "secret", "terminal", "public_key", "csr", "proof")
    try:
        secret = bytes.fromhex(texts[0])
        public_key, proof = (base64.b64decode(text, validate=True) for text in (texts[2], texts[4]))
    except (ValueError, binascii.Error):
        raise _Problem(
            400, "a JSON object with secret (hex), terminal, public_key, csr (PEM) and proof is wanted"
        ) from None
    if len(secret) != SECRET:
        raise _Problem(400, f"the secret has {SECRET} bytes")
    request = _request(texts[3], texts[1])
    if not proves(public_key, proof, secret, request.public_bytes(Encoding.DER)):
        raise _Problem(400, "the proof does not fit the public key, the token and the certificate request")
    return _Asked(secret, public_key, request, texts[1])


def _check_rotation(body: bytes, serial: int, address: str) -> tuple[RotateRequest, x509.CertificateSigningRequest]:
    terminal, key, public, csr, *proofs = _texts(body, "terminal", "key", "public_key", "csr", "proof_old", "proof_new")
    try:
        key_id = bytes.fromhex(key)
        public_key, old, new = (base64.b64decode(text, validate=True) for text in (public, *proofs))
    except (ValueError, binascii.Error):
        raise _Problem(400, "key is wanted in hex; public_key, proof_old and proof_new in base64") from None
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
        raise _Problem(400, "at is wanted as UTC ns, key in hex and proof in base64") from None


def _problem(status: int, detail: str) -> Response:
    fields = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
    return JSONResponse(fields, status, media_type=_PROBLEM)


def _address(request: Request) -> str:
    """Whom refusals are counted for: the peer, or its /64 with IPv6, where one machine has as many addresses as it likes."""
    peer = request.client.host if request.client else ""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)


def _asked_host(request: Request, names: tuple[str, ...]) -> str:
    # Nobody is sent to a host that the certificate does not name, whatever the request's header says.
    host = request.url.hostname or ""
    return host if host in names else names[0]


class EnrolListener:
    """The HTTPS listener in a running event loop. chain: one PEM file with key, leaf and CA. Port 0 takes a free one; see `port`."""

    def __init__(self, app: FastAPI, host: str, port: int, chain: Path) -> None:
        self._app = app
        self._host = host
        self._chain = chain
        self.port = port
        # Its lines on start and stop say nothing that the service does not say.
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises OSError with a text that names the port and the mend."""
        listening = _bind(self._host, self.port)
        self.port = listening.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            ssl_certfile=self._chain,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=3,
        )
        config.load()  # a key file that cannot be read fails here; connections wait in the socket's backlog until serve() runs
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([listening]), name="enrolment listener")

    async def stop(self) -> None:
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        self._server = self._task = None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals belong to the service that runs this listener


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # uvicorn would end the whole process when a port is taken.
        return socket.create_server((host, port), family=family, backlog=MAX_CONNECTIONS)
    except OSError as error:
        raise OSError(
            f"cannot listen on {host} port {port} for enrolment: {error.strerror}; "
            "end the program that holds it, or set port in [enrolment]"
        ) from None
