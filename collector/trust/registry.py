"""Who may speak for a terminal. One-time tokens are made here, kept only as digests, and consumed in the transaction that records the
enrolment, so that a token and the terminal it makes can never come apart.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import msgpack

from tillwatch.agent.wire import VerifyKey, valid_name, valid_terminal
from tillwatch.collector.alarm.drills import WATCHDOG
from tillwatch.collector.store.db import Db
from tillwatch.collector.terminal.fleet import Terminal
from tillwatch.collector.trust.expected import MAX_REFUSED, ClaimError, Expected, claimable

if TYPE_CHECKING:
    from tillwatch.collector.trust.expecting import Expecting

log = logging.getLogger(__name__)

TOKEN_PREFIX = "tw1."  # noqa: S105 - the form's name, not a secret
TOKEN_LIFE_NS = 24 * 3600 * 1_000_000_000
SECRET = 20
"""Bytes of a token's secret: 160 random bits, beyond guessing at any rate a listener answers."""
MAX_PLACE = 64
"""Characters of a branch or region name."""
IMAGE_PREFIX = "twi1."
MAX_LIFE_NS = 366 * 24 * 3600 * 1_000_000_000
"""Of a token for many: a roll-out takes months; what lies about for longer is forgotten."""
PROOF_DOMAIN = b"tillwatch/enrol/1\0"
CLAIM_DOMAIN = b"tillwatch/claim/1\0"
ROTATE_DOMAIN = b"tillwatch/rotate-request/1\0"
STATE_DOMAIN = b"tillwatch/key-state/1\0"
CLASSES = ("atm", "pos", "server", WATCHDOG)


class Refused(StrEnum):
    """Why an enrolment was refused. For the collector's own record: the terminal is told only that the token is not good."""

    UNKNOWN = "unknown token"
    EXPIRED = "token expired"
    USED = "token already used"
    TERMINAL = "token is for another terminal"


class EnrolError(Exception):
    """The enrolment is refused and nothing was changed."""

    def __init__(self, reason: Refused) -> None:
        super().__init__(reason.value)
        self.reason = reason


class RotateError(Exception):
    """A rotation that is not honoured, with the reason; nothing was changed."""


@dataclass(frozen=True, slots=True)
class RotateRequest:
    """What a terminal asks for its next key. key: id of the one that signs now; public_key: the next one; csr: the certificate request in
    DER; serial: of the certificate it will get; old_proof, new_proof: both keys' signatures.
    """

    terminal: str
    key: bytes
    public_key: bytes
    csr: bytes
    serial: int
    address: str
    old_proof: bytes
    new_proof: bytes


@dataclass(frozen=True, slots=True)
class KeyState:
    """state: `active`, `pending`, `retiring`, `revoked` or `unknown`; reason: of a revocation, empty where there is none."""

    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EnrolRequest:
    """What a terminal asks for, its proofs already checked. public_key: Ed25519, 32 bytes; serial: of the certificate it will get; binding:
    the authority's signature that the key is the terminal's from bound_at (UTC ns) on.
    """

    terminal: str
    public_key: bytes
    serial: int
    address: str
    bound_at: int = 0
    binding: bytes = b""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """What a machine asks for that was made from an image: as EnrolRequest, with its serial number in the place of a terminal's id."""

    machine: str
    public_key: bytes
    serial: int
    address: str


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A terminal that may speak from now on, with what the operator said of it when the token was made. batch: of its token."""

    terminal: str
    branch: str
    region: str
    terminal_class: str
    ring: str = ""
    batch: str = ""


class Registrar(Protocol):
    """Where an enrolment becomes record: one transaction for the token, the journal's Operator entry and the terminal with its key."""

    async def enrol(self, secret_digest: bytes, request: EnrolRequest) -> Enrolment:
        """Raises EnrolError, and then nothing has changed. secret_digest: SHA-256 of the token's secret."""
        ...

    async def claim(self, secret_digest: bytes, request: ClaimRequest) -> Enrolment:
        """Raises ClaimError; then nothing has changed but what is kept for a person to see. secret_digest: SHA-256 of the image token's secret."""
        ...

    async def rotate(self, request: RotateRequest) -> Enrolment:
        """Raises RotateError, and then nothing has changed."""
        ...

    def key_state(self, terminal: str, key_id: bytes, at: int, proof: bytes) -> KeyState:
        """To whoever holds the key; `unknown` to everybody else."""
        ...


def secret_digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def proof_message(secret: bytes, csr_der: bytes) -> bytes:
    """What the terminal's new Ed25519 key signs: it binds key, token and certificate request to each other."""
    return PROOF_DOMAIN + secret + csr_der


def claim_message(secret: bytes, machine: str, csr_der: bytes) -> bytes:
    """The same for a claim, of the machine with this serial number."""
    return CLAIM_DOMAIN + secret + bytes((len(machine),)) + machine.encode() + csr_der


def proves(public_key: bytes, proof: bytes, secret: bytes, csr_der: bytes) -> bool:
    return _signs(public_key, proof, proof_message(secret, csr_der))


def claim_proves(public_key: bytes, proof: bytes, secret: bytes, machine: str, csr_der: bytes) -> bool:
    return _signs(public_key, proof, claim_message(secret, machine, csr_der))


def _signs(public_key: bytes, proof: bytes, message: bytes) -> bool:
    return len(public_key) == 32 and len(proof) == 64 and VerifyKey(public_key).verify(proof, message)


def create_token(
    connection: Db,
    enrolment: Enrolment,
    *,
    host: str,
    port: int,
    ca: bytes,
    now: int | None = None,
    life_ns: int = TOKEN_LIFE_NS,
) -> str:
    """A new token, as it is entered at the terminal. host, port: where it enrols; ca: SHA-256 of the CA certificate in DER, which the
    terminal pins. The connection is in autocommit mode, or in the transaction of all the tokens of a batch. Raises ValueError for a bad name.
    """
    check_place(enrolment)
    now = time.time_ns() if now is None else now
    secret = os.urandom(SECRET)
    place = (enrolment.terminal, enrolment.branch, enrolment.region, enrolment.terminal_class)
    connection.execute(
        "INSERT INTO token (secret_digest, terminal, branch, region, class, created_at, expires_at, batch, ring) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (secret_digest(secret), *place, now, now + life_ns, enrolment.batch, enrolment.ring),
    )
    return token_text(TOKEN_PREFIX, {"h": host, "p": port, "f": ca, "s": secret, "t": enrolment.terminal})


def check_place(enrolment: Enrolment) -> None:
    """Raises ValueError for a bad name."""
    if not valid_terminal(enrolment.terminal):
        raise ValueError(f"{enrolment.terminal!r} is no terminal id: letters, digits, - and _, at most 64 characters")
    for what, name in (("branch", enrolment.branch), ("region", enrolment.region)):
        if not 0 < len(name) <= MAX_PLACE or not name.isprintable():
            raise ValueError(f"the {what} needs a name of 1 to {MAX_PLACE} printable characters")
    if enrolment.ring and not valid_name(enrolment.ring):
        raise ValueError(f"{enrolment.ring!r} is no name of a ring: letters, digits, . - and _")
    if enrolment.terminal_class not in CLASSES:
        raise ValueError(f"{enrolment.terminal_class!r} is no class of terminals; known: {', '.join(CLASSES)}")


def token_text(prefix: str, fields: dict[str, Any]) -> str:
    return prefix + base64.urlsafe_b64encode(msgpack.packb(fields)).rstrip(b"=").decode()


def revoke_tokens(connection: Db, batch: str, now: int) -> int:
    """End the tokens of a batch that were not used; how many there were."""
    return connection.execute(
        "UPDATE token SET expires_at = ? WHERE batch = ? AND used_at IS NULL AND expires_at > ?", (now, batch, now)
    ).rowcount


def find_token(connection: Db, digest: bytes, terminal: str, now: int) -> Enrolment:
    """What a token that is good now would make of the terminal. Raises EnrolError."""
    row = connection.execute(
        "SELECT terminal, branch, region, class, used_at, expires_at, ring, batch FROM token WHERE secret_digest = ?",
        (digest,),
    ).fetchone()
    if row is None:
        raise EnrolError(Refused.UNKNOWN)
    if row[0] != terminal:
        raise EnrolError(Refused.TERMINAL)
    if row[4] is not None:
        raise EnrolError(Refused.USED)
    if row[5] <= now:
        raise EnrolError(Refused.EXPIRED)
    return Enrolment(*row[:4], *row[6:])


def use_token(connection: Db, digest: bytes, now: int) -> None:
    """Called inside the transaction that keeps the enrolment; raises EnrolError if another one has used the token meanwhile."""
    done = connection.execute("UPDATE token SET used_at = ? WHERE secret_digest = ? AND used_at IS NULL", (now, digest))
    if done.rowcount != 1:
        raise EnrolError(Refused.USED)


def operator_facts(enrolment: Enrolment, request: EnrolRequest) -> dict[str, Any]:
    """The facts of the journal's Operator entry; the fold makes `terminal` and `terminal_key` of them."""
    return {
        "action": "enrol",
        "terminal": enrolment.terminal,
        "branch": enrolment.branch,
        "region": enrolment.region,
        "class": enrolment.terminal_class,
        "public": request.public_key,
        # A certificate's serial has up to 160 bits; msgpack's integers end at 64.
        "serial": f"{request.serial:x}",
        "address": request.address,
        **({"bound_at": request.bound_at, "binding": request.binding} if request.binding else {}),
        **({"ring": enrolment.ring} if enrolment.ring else {}),
        **({"grant": enrolment.batch} if enrolment.batch else {}),
    }


class Operate(Protocol):
    """Journals what an operator did, in one transaction with `also`; raises what `also` raises, and then nothing is kept."""

    async def __call__(self, facts: dict[str, Any], also: Callable[[Db], None]) -> None: ...


class JournalRegistrar:
    """A Registrar over the journal. connection: reads tokens only; what is written goes through `operate`; find: the terminal of that name;
    expecting: who may enrol by a serial number, as of now; bind: the authority's word for a key of a terminal from a time on.
    """

    def __init__(
        self,
        connection: Db,
        operate: Operate,
        clock: Callable[[], int] = time.time_ns,
        find: Callable[[str], Terminal | None] = lambda _: None,
        expecting: Callable[[], Expecting] | None = None,
        bind: Callable[[str, str, bytes, int], bytes] | None = None,
    ) -> None:
        self._connection = connection
        self._operate = operate
        self._clock = clock
        self._find = find
        self._expecting = expecting
        self._bind = bind
        self._full = False
        self._one_at_a_time = asyncio.Lock()

    async def enrol(self, secret_digest: bytes, request: EnrolRequest) -> Enrolment:
        # One after the other: the loser of a race should be told here, before the journal has begun to fold its entry.
        async with self._one_at_a_time:
            now = self._clock()
            enrolment = find_token(self._connection, secret_digest, request.terminal, now)
            await self._operate(
                operator_facts(enrolment, request), lambda connection: use_token(connection, secret_digest, now)
            )
        return enrolment

    async def claim(self, secret_digest: bytes, request: ClaimRequest) -> Enrolment:
        async with self._one_at_a_time:
            expecting = self._expecting() if self._expecting is not None else None
            image = expecting.image(secret_digest) if expecting is not None else None
            if expecting is None or image is None:
                raise ClaimError(None)
            expected = expecting.expected.get(request.machine)
            now = self._clock()
            try:
                made = claimable(image, expected, request.public_key, active=self._active(expected), now=now)
            except ClaimError as error:
                await self._keep_refused(expecting, request, error)
                raise
            binding = self._bind("enrol", made.terminal, request.public_key, now) if self._bind is not None else b""
            enrolment = Enrolment(made.terminal, made.branch, made.region, made.terminal_class, made.ring, image.name)
            asked = EnrolRequest(made.terminal, request.public_key, request.serial, request.address, now, binding)
            await self._operate(operator_facts(enrolment, asked) | {"machine": request.machine}, lambda _: None)
        return enrolment

    def _active(self, expected: Expected | None) -> dict[bytes, str] | None:
        terminal = self._find(expected.terminal) if expected is not None else None
        if terminal is None or terminal.state != "active":
            return None
        return {key.verify.public: key.state for key in terminal.keys.values()}

    async def _keep_refused(self, expecting: Expecting, request: ClaimRequest, error: ClaimError) -> None:
        """Once for each machine and reason: machines ask again for as long as nobody helps them."""
        known = expecting.refused.get(request.machine)
        if error.reason is None or (known is not None and known.reason == error.reason.value):
            return
        full = known is None and len(expecting.refused) >= MAX_REFUSED
        if full and not self._full:
            log.warning(
                "%d refused claims wait for a person; those of other machines are not kept: tillwatch-collector expect dismiss --all",
                MAX_REFUSED,
            )
        self._full = full
        if full:
            return
        facts = {
            "action": "claim-refused",
            "actor": "collector",
            "serial": request.machine,
            "reason": error.reason.value,
            "image": error.grant,
            "address": request.address,
            "terminal": error.terminal,
        }
        await self._operate(facts, lambda _: None)

    async def rotate(self, request: RotateRequest) -> Enrolment:
        async with self._one_at_a_time:
            terminal = self._find(request.terminal)
            key = terminal.keys.get(request.key) if terminal is not None else None
            if terminal is None or key is None or len(request.public_key) != 32:
                raise RotateError("the collector does not know this key: enrol again with a new token")
            new = VerifyKey(request.public_key)
            message = ROTATE_DOMAIN + key.verify.public + request.public_key + request.csr
            if not _signed(key.verify, request.old_proof, message) or not _signed(new, request.new_proof, message):
                raise RotateError("the proofs do not fit the keys and the certificate request")
            if key.state == "revoked":
                raise RotateError(
                    f"this key is revoked{f' ({terminal.why})' if terminal.why else ''}: enrol again with a new token"
                )
            if key.state != "active":
                raise RotateError(
                    "this key has handed over to another one already: is the disk a copy of another terminal's, or an old backup?"
                )
            if new.key_id in terminal.keys:
                raise RotateError("the next key is known already; rotate again")
            facts = {
                "action": "certify",
                "terminal": terminal.id,
                "public": request.public_key,
                "serial": f"{request.serial:x}",
                "address": request.address,
                "actor": f"terminal {terminal.id}",
            }
            await self._operate(facts, lambda _: None)
        return Enrolment(terminal.id, terminal.branch, terminal.region, terminal.terminal_class)

    def key_state(self, terminal: str, key_id: bytes, at: int, proof: bytes) -> KeyState:
        known = self._find(terminal)
        key = known.keys.get(key_id) if known is not None else None
        message = STATE_DOMAIN + terminal.encode() + b"\0" + key_id + at.to_bytes(8, "big")
        if known is None or key is None or not _signed(key.verify, proof, message):
            return KeyState("unknown")
        return KeyState(key.state, known.why if key.state == "revoked" else "")


def _signed(key: VerifyKey, proof: bytes, message: bytes) -> bool:
    return len(proof) == 64 and key.verify(proof, message)
