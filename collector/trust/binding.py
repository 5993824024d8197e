"""What of a terminal's keys can be proven from the log alone, or from a few entries of it: the authority's signature under each enrolment, both keys'
signatures under each rotation, and the state that follows from them.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tillwatch.agent.wire import Header, Life, Refusal, VerifyKey, WireError, open_rotation
from tillwatch.collector.terminal.fleet import Fleet, Terminal
from tillwatch.collector.trust import succession

DOMAIN = b"tillwatch/binding/1\0"
ENROL, ROTATE = "enrol", "rotate"
KEY_ACTS = frozenset({ENROL, ROTATE, "certify", "revoke"})
VOUCH, COLLECTOR = "vouch", "collector"
"""Bindings made at an export: of a key whose entry has none, and of the collector's own key."""


def binding_message(action: str, terminal: str, public: bytes, at: int) -> bytes:
    """What the authority signs: that at this time (UTC ns) this Ed25519 key became the terminal's. No two of them spell the same bytes."""
    words = (action.encode(), terminal.encode(), public, at.to_bytes(8, "big"))
    return DOMAIN + b"".join(len(word).to_bytes(1, "big") + word for word in words)


def binds(authority: x509.Certificate, signature: bytes, message: bytes) -> bool:
    public = authority.public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        return False
    try:
        public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def is_bound(authority: x509.Certificate, facts: dict[str, Any], terminal: str) -> bool | None:
    """Whether the authority's signature in the facts of an enrolment or rotation holds; None if there is none in them."""
    signature, at = facts.get("binding"), facts.get("bound_at")
    if not signature:
        return None
    public = facts.get("public")
    if not isinstance(signature, bytes) or not isinstance(at, int) or at < 0 or not isinstance(public, bytes):
        return False
    return binds(authority, signature, binding_message(str(facts["action"]), terminal, public, at))


class KeyHistory:
    """The keys of terminals after the acts so far: a `Keys` for the opener."""

    def __init__(self) -> None:
        self._fleet = Fleet()
        self.knows = self._fleet.knows

    def act(self, terminal: str, facts: dict[str, Any], at: int) -> None:
        """The next Operator entry. Raises WireError for a rotation that is none, KeyError, TypeError or ValueError for facts that are none."""
        if facts["action"] not in KEY_ACTS:
            return
        known = self._fleet.terminals.setdefault(terminal, Terminal(terminal, "", "", "", at))
        match facts["action"]:
            case "enrol":
                succession.enrol(known, facts, at)
            case "certify":
                succession.certify(known, facts, at)
            case "rotate":
                rotation = open_rotation(facts["statement"])
                if (
                    succession.rotation_facts(rotation, facts["statement"]).items() - facts.items()
                    or rotation.terminal != terminal
                ):
                    raise WireError(Refusal.ROTATION, "the entry says other than the statement of both keys")
                succession.rotate(known, facts, at)
            case "revoke":
                succession.revoke(known, facts, at)

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        return self._fleet.key(terminal, key_id) if self.knows(terminal) else Refusal.UNKNOWN_KEY

    def in_time(self, one: Header | Life) -> bool:
        """Whether its key was still to sign it: not behind the last one before it handed over."""
        terminal = self._fleet.terminals[one.terminal]
        if isinstance(one, Header):
            return terminal.sealed_in_time(one.key, one.epoch, one.seq)
        return terminal.told_in_time(one.key, one.epoch, one.n)
