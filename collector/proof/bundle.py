"""A bundle: one file that proves one reading to whoever trusts the collector's authority, without database or network. Anything in it that
is changed is noticed, and each thing it claims is checked on its own.

    file = "TWPROOF1" | u32 length | content | Ed25519 signature of the collector over domain and content, 64 bytes

The content is a msgpack map:
    asked       terminal, component, signal, time (UTC ns)
    reading     at (corrected, UTC ns), value, quality, state, correction_ms
    batch       the sealed batch that holds it: {entry, frame}; entry is [n, at, kind, terminal, facts, payload digest]
    before, after   the terminal's batches next to it, the same, or None
    chain       digest of the log before entry n-1, and the entries n-1, n and n+1 (as far as they exist)
    keys        the terminal's key acts: entries of the log with the digest before each, and a later voucher where the act has no binding
    head        number and digest of the log's last entry at the export
    exported_at UTC ns
    authority   the CA certificate, DER
    collector   the key that signs the bundle: {public, at, binding by the authority}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgpack
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from tillwatch.agent.model import MS, Quality, State
from tillwatch.agent.wire import (
    FIRST_PREV,
    SIGNATURE,
    Header,
    Opened,
    SigningKey,
    VerifyKey,
    WireError,
    open_batch_frame,
    open_header,
)
from tillwatch.collector.journal import Entry, Kind, chain
from tillwatch.collector.trust.binding import COLLECTOR, ENROL, VOUCH, KeyHistory, binding_message, binds, is_bound

MAGIC = b"TWPROOF1"
DOMAIN = b"tillwatch/bundle/1\0"
MAX_BUNDLE = 16 * 1024**2
"""Bytes of a bundle: three frames of at most 1 MiB and some hundred key acts."""


class BundleError(Exception):
    """The bundle does not prove what it says. The text says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was checked."""

    name: str
    ok: bool
    text: str


def write(content: dict[str, Any], key: SigningKey) -> bytes:
    packed: bytes = msgpack.packb(content)
    return MAGIC + len(packed).to_bytes(4, "big") + packed + key.sign(DOMAIN + packed)


def entry_fields(entry: Entry) -> list[Any]:
    return [entry.n, entry.at, int(entry.kind), entry.terminal, entry.facts, entry.payload_digest]


def verify(bundle: bytes, trusted: bytes) -> tuple[list[Step], dict[str, Any] | None]:
    """Check everything. trusted: SHA-256 of the CA certificate in DER. The steps up to the first that fails, and the reading if none does."""
    steps: list[Step] = []
    check = _Check(bundle, trusted)
    try:
        for name, text in check.all():
            steps.append(Step(name, ok=True, text=text))
    except BundleError as error:
        steps.append(Step(check.step, ok=False, text=str(error)))
    except WireError as error:
        steps.append(Step(check.step, ok=False, text=f"{error.reason}: {error.detail}"))
    except Exception as error:  # a bundle is anybody's bytes: whatever it makes fail, it proves nothing
        steps.append(Step(check.step, ok=False, text=f"the bundle is not well-formed: {type(error).__name__} {error}"))
    else:
        return steps, check.content["reading"]
    return steps, None


class _Check:
    def __init__(self, bundle: bytes, trusted: bytes) -> None:
        self._bundle = bundle
        self._trusted = trusted
        self.step = "form"
        self.content: dict[str, Any] = {}

    def all(self) -> Iterator[tuple[str, str]]:
        for name, check in (
            ("form", self._form),
            ("authority", self._authority),
            ("collector", self._collector),
            ("seal", self._seal),
            ("log", self._log),
            ("keys", self._keys),
            ("batch", self._batch),
            ("neighbours", self._neighbours),
            ("reading", self._reading),
        ):
            self.step = name
            yield name, check()

    def _form(self) -> str:
        bundle = self._bundle
        if len(bundle) > MAX_BUNDLE or bundle[: len(MAGIC)] != MAGIC:
            _fail("not a bundle of tillwatch")
        start = len(MAGIC) + 4
        end = start + int.from_bytes(bundle[len(MAGIC) : start], "big")
        if len(bundle) != end + SIGNATURE:
            _fail(f"{len(bundle)} bytes, where {end + SIGNATURE} were written: cut off, or something behind the end")
        self._packed, self._signature = bundle[start:end], bundle[end:]
        self.content = msgpack.unpackb(self._packed)
        return f"{len(bundle)} bytes"

    def _authority(self) -> str:
        der = self.content["authority"]
        found = sha256(der).digest()
        if found != self._trusted:
            _fail(f"made by the authority {found.hex()}, which is not the trusted one")
        self._ca = x509.load_der_x509_certificate(der)
        if self._ca.public_bytes(Encoding.DER) != der:
            _fail("the certificate is followed by other bytes")
        try:
            self._ca.verify_directly_issued_by(self._ca)
        except (InvalidSignature, ValueError, TypeError):
            _fail("the certificate is not signed by its own key")
        return f"{self._ca.subject.rfc4514_string()}, fingerprint as trusted"

    def _collector(self) -> str:
        said = self.content["collector"]
        self._key = VerifyKey(said["public"])
        message = binding_message(COLLECTOR, "", said["public"], said["at"])
        if not binds(self._ca, said["binding"], message):
            _fail("the authority has not signed the collector's key")
        return f"key {self._key.key_id.hex()}, signed by the authority"

    def _seal(self) -> str:
        if not self._key.verify(self._signature, DOMAIN + self._packed):
            _fail("the collector's signature over the bundle does not hold: something in it was changed")
        return "the bundle is as the collector exported it"

    def _log(self) -> str:
        """The entry of the batch stands in the log between its neighbours."""
        digest, entries = self.content["chain"]
        own = self.content["batch"]["entry"]
        numbers = [entry[0] for entry in entries]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or own not in entries:
            _fail("the entries are not neighbours in the log")
        for entry in entries:
            digest = _digest(digest, entry)
        n, last = self.content["head"]
        if numbers[-1] > n or (numbers[-1] == n and digest != last):
            _fail("the entries do not lead to the head of the log")
        # A neighbour that is left out would leave the place in the log open.
        if (own[0] == numbers[0] and own[0] > 1) or (own[0] == numbers[-1] and own[0] < n):
            _fail("a neighbour of the entry is missing")
        return f"entry {own[0]} of {n}; chained with entries {numbers[0]} to {numbers[-1]}"

    def _keys(self) -> str:
        """Who spoke for the terminal when the entry was made."""
        terminal, own = self.content["asked"]["terminal"], self.content["batch"]["entry"]
        self._ring, vouched, last = KeyHistory(), 0, 0
        for act in self.content["keys"]:
            entry = act["entry"]
            facts = msgpack.unpackb(entry[4])
            if entry[2] != Kind.OPERATOR or entry[3] != terminal or entry[0] <= last:
                _fail(f"entry {entry[0]} is no key act of {terminal}, or not in order")
            if _digest(act["prev"], entry) != act["digest"]:
                _fail(f"entry {entry[0]} does not fit its digest")
            last = entry[0]
            # A rotation needs no word of the authority: the key before it has signed it.
            if facts["action"] == ENROL:
                bound = is_bound(self._ca, facts, terminal)
                if bound is None and act.get("vouched"):
                    at, signature = act["vouched"]
                    bound = binds(self._ca, signature, binding_message(VOUCH, terminal, facts["public"], at))
                    vouched += 1
                if not bound:
                    _fail(f"entry {entry[0]}: the authority has not signed this key of {terminal}")
            if entry[0] < own[0]:
                self._ring.act(terminal, facts, entry[1])
        late = f"; {vouched} of them signed by the authority at the export only" if vouched else ""
        return f"{len(self.content['keys'])} acts on keys of {terminal}{late}"

    def _batch(self) -> str:
        self._opened = self._open(self.content["batch"])
        header = self._opened.header
        return f"seq {header.seq} of epoch {header.epoch.hex()}, signed by key {header.key.hex()}, which was good at entry {self.content['batch']['entry'][0]}"

    def _open(self, sealed: dict[str, Any]) -> Opened:
        entry, frame = sealed["entry"], sealed["frame"]
        terminal = self.content["asked"]["terminal"]
        if entry[2] != Kind.BATCH or entry[3] != terminal:
            _fail(f"entry {entry[0]} is no batch of {terminal}")
        if sha256(frame).digest() != entry[5]:
            _fail(f"the frame is not the one of entry {entry[0]}")
        opened = open_batch_frame(terminal, frame, self._ring)
        if not self._ring.in_time(opened.header):
            _fail(f"seq {opened.header.seq} was sealed by a key that had been rotated away")
        return opened

    def _neighbours(self) -> str:
        """The terminal itself chained the batch with the one before and the one after it."""
        header = self._opened.header
        before, after = self.content["before"], self.content["after"]
        said = []
        if before is not None:
            one = self._header(before)
            if (one.epoch, one.seq + 1) != (header.epoch, header.seq) or sha256(
                before["frame"]
            ).digest() != header.prev:
                _fail(f"the batch before is not the one that seq {header.seq} names")
            said.append(f"names seq {one.seq} before it")
        elif header.prev == FIRST_PREV:
            said.append("is the first of its epoch")
        else:
            said.append(f"names a batch before it that the log has not ({header.prev.hex()[:16]})")
        if after is not None:
            one = self._header(after)
            if (one.epoch, one.seq - 1) != (header.epoch, header.seq) or one.prev != self._opened.digest:
                _fail(f"the batch after does not name seq {header.seq}")
            said.append(f"is named by seq {one.seq} after it")
        return f"seq {header.seq} {', and '.join(said)}"

    def _header(self, sealed: dict[str, Any]) -> Header:
        if sha256(sealed["frame"]).digest() != sealed["entry"][5]:
            _fail(f"the frame is not the one of entry {sealed['entry'][0]}")
        # A key may have changed between the two: the signature is that of some key of the terminal, and the digest ties it to the batch.
        ring = KeyHistory()
        for act in self.content["keys"]:
            if act["entry"][0] < sealed["entry"][0]:
                ring.act(act["entry"][3], msgpack.unpackb(act["entry"][4]), act["entry"][1])
        return open_header(self.content["asked"]["terminal"], sealed["frame"], ring)

    def _reading(self) -> str:
        asked, said = self.content["asked"], self.content["reading"]
        facts = msgpack.unpackb(self.content["batch"]["entry"][4])
        correction = facts.get("correction_ms", 0)
        for column in self._opened.columns:
            if (column.component, column.signal) == (asked["component"], asked["signal"]):
                for one in column.readings():
                    at = one.at + correction * MS
                    same = (one.value, type(one.value)) == (said["value"], type(said["value"]))
                    graded = (int(one.quality), int(one.state)) == (said["quality"], said["state"])
                    if at == said["at"] and same and graded and correction == said["correction_ms"]:
                        if at > asked["time"]:
                            _fail("the reading is later than the time that was asked for")
                        return (
                            f"{asked['terminal']} {one.component} {one.signal} = {one.value!r}, quality "
                            f"{Quality(one.quality).name.lower()}, state {State(one.state).name.lower()}"
                        )
        _fail("the batch does not hold the reading")
        return ""


def _digest(prev: bytes, entry: list[Any]) -> bytes:
    n, at, kind, terminal, facts, payload_digest = entry
    return chain(prev, n, at, Kind(kind), terminal, facts, payload_digest)


def _fail(text: str) -> None:
    raise BundleError(text)
