"""The keys and certificates of one terminal, and what enrolment, rotation and revocation make of them. Pure: the facts of Operator entries go in.
A key is `pending` from its certificate to its first statement, `active` while it signs, `retiring` when it has handed over: what it signed
until then it proves without time limit, nothing after; `revoked` proves nothing that comes from now on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tillwatch.agent.wire import Life, Refusal, Rotation, VerifyKey, WireError, claim_of, open_life, open_rotation
from tillwatch.collector.terminal.fleet import MAX_CERTIFICATES, Certificate, Terminal, TerminalKey


class ConflictError(WireError):
    """A key that has handed over already hands over to another one: two machines had it."""

    def __init__(self, detail: str) -> None:
        super().__init__(Refusal.ROTATION, detail)


def enrol(terminal: Terminal, facts: Mapping[str, Any], at: int) -> None:
    """A new beginning: all keys and certificates before are revoked. facts: public, and serial where a certificate was issued."""
    _revoke_all(terminal, at)
    terminal.state, terminal.why, terminal.speakers = "active", "", []
    _add(terminal, facts, "active", at)


def certify(terminal: Terminal, facts: Mapping[str, Any], at: int) -> None:
    """A certificate was issued for a key that will follow."""
    _add(terminal, facts, "pending", at)


def rotate(terminal: Terminal, facts: Mapping[str, Any], at: int) -> None:
    """The old key hands over to the new one. facts: public (32 bytes), old (key id), epoch, seq, n: what the old one signed last."""
    new, old = VerifyKey(facts["public"]), terminal.keys[facts["old"]]
    old.state, old.since = "retiring", at
    terminal.until[facts["old"]] = (facts["epoch"], facts["seq"], facts["n"])
    for key_id, key in terminal.keys.items():
        # What was prepared beside the key that came is not asked for any more.
        if key.state == "pending" and key_id != new.key_id:
            key.state, key.since = "revoked", at
    terminal.keys[new.key_id] = TerminalKey(new, "active", at)
    for certificate in terminal.certificates.values():
        if certificate.key != new.key_id:
            certificate.revoked = certificate.revoked or at


def revoke(terminal: Terminal, facts: Mapping[str, Any], at: int) -> None:
    """facts: reason, for people."""
    _revoke_all(terminal, at)
    terminal.state, terminal.why = "revoked", str(facts.get("reason", ""))


def first_word(terminal: Terminal, topic: str, payload: bytes) -> tuple[Life, list[tuple[Rotation, bytes]]]:
    """A life message under a key that is not known yet, with the rotations in it that lead there from one that is. Raises WireError as
    following() and open_life() do.
    """
    claim = claim_of(payload)
    chain = following(terminal, claim.key, claim.rotations)
    return open_life(topic, payload, _Successor(VerifyKey(chain[-1][0].new))), chain


class _Successor:
    """The registry for that message."""

    def __init__(self, verify: VerifyKey) -> None:
        self._verify = verify

    def knows(self, _: str) -> bool:
        return True

    def key(self, _: str, key_id: bytes) -> VerifyKey | Refusal:
        return self._verify if key_id == self._verify.key_id else Refusal.UNKNOWN_KEY


def following(terminal: Terminal, key_id: bytes, statements: Iterable[bytes]) -> list[tuple[Rotation, bytes]]:
    """The rotations with their statements, oldest first, that lead from a key that is known to key_id, those left out that are done. Raises WireError: UNKNOWN_KEY
    where they do not lead there, ROTATION for one that is none, REVOKED_KEY for one that begins at a revoked key, ConflictError.
    """
    active = {known for known, key in terminal.keys.items() if key.state == "active"}
    chain: list[tuple[Rotation, bytes]] = []
    for statement in statements:
        rotation = open_rotation(statement)
        old, new = VerifyKey(rotation.old), VerifyKey(rotation.new)
        if rotation.terminal != terminal.id:
            raise WireError(Refusal.ROTATION, f"the statement is of {rotation.terminal!r}")
        known, follower = terminal.keys.get(old.key_id), terminal.keys.get(new.key_id)
        if old.key_id in active and (follower is None or follower.state == "pending"):
            active.remove(old.key_id)
            active.add(new.key_id)
            chain.append((rotation, statement))
        elif known is None or (follower is not None and follower.state in {"active", "retiring"}):
            continue  # before all that is known here, or done
        elif known.state == "retiring":
            raise ConflictError(
                f"key {old.key_id.hex()} hands over to {new.key_id.hex()}, after it has handed over to another one"
            )
        else:
            reason = Refusal.REVOKED_KEY if known.state == "revoked" else Refusal.ROTATION
            raise WireError(reason, f"key {old.key_id.hex()} of {terminal.id} cannot hand over")
    if key_id not in active or not chain:
        raise WireError(Refusal.UNKNOWN_KEY, f"key {key_id.hex()} of {terminal.id}; no rotation leads to it")
    return chain


def rotation_facts(rotation: Rotation, statement: bytes) -> dict[str, Any]:
    """The facts of the Operator entry."""
    return {
        "action": "rotate",
        "terminal": rotation.terminal,
        "public": rotation.new,
        "old": VerifyKey(rotation.old).key_id,
        "epoch": rotation.epoch,
        "seq": rotation.seq,
        "n": rotation.n,
        "statement": statement,
    }


def revoked_serials(terminals: Iterable[Terminal]) -> dict[str, int]:
    """Serial numbers in hex of the certificates that no broker may take any more, with the time of their revocation, UTC ns."""
    return {
        serial: certificate.revoked
        for terminal in terminals
        for serial, certificate in terminal.certificates.items()
        if certificate.revoked
    }


def _add(terminal: Terminal, facts: Mapping[str, Any], state: str, at: int) -> None:
    verify = VerifyKey(facts["public"])
    terminal.keys[verify.key_id] = TerminalKey(verify, state, at)
    terminal.until.pop(verify.key_id, None)
    if facts.get("serial"):
        terminal.certificates[facts["serial"]] = Certificate(verify.key_id, at)
        while len(terminal.certificates) > MAX_CERTIFICATES:
            del terminal.certificates[next(iter(terminal.certificates))]


def _revoke_all(terminal: Terminal, at: int) -> None:
    for key in terminal.keys.values():
        if key.state != "revoked":
            key.state, key.since = "revoked", at
    for certificate in terminal.certificates.values():
        certificate.revoked = certificate.revoked or at
