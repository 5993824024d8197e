"""Which key spoke for a terminal at which entry of the log: what the Operator entries say, one after the other, and what the authority has
signed of it. Pure; the answer is the same for the whole log and for the few entries in a bundle.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tillwatch.agent.wire import Header, Refusal, VerifyKey

DOMAIN = b"tillwatch/binding/1\0"
ENROL, ROTATE, REVOKE = "enrol", "rotate", "revoke"
KEY_ACTS = frozenset({ENROL, ROTATE, REVOKE})
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


class Keyring:
    """The keys of terminals as they stand after the acts so far: a `Keys` for the opener."""

    def __init__(self) -> None:
        self._keys: dict[str, dict[bytes, tuple[VerifyKey, str]]] = {}
        self._limits: dict[tuple[str, bytes], tuple[bytes, int]] = {}

    def act(self, terminal: str, facts: dict[str, Any]) -> None:
        """The next Operator entry. Raises ValueError for a key that is none, KeyError where a member is missing."""
        keys = self._keys.setdefault(terminal, {}) if facts["action"] in KEY_ACTS else {}
        match facts["action"]:
            case "enrol":
                for key_id, (key, _) in keys.items():
                    keys[key_id] = (key, "revoked")
                self._add(keys, facts["public"])
            case "rotate":
                self._add(keys, facts["public"])
                if "old" in facts and "seq" in facts:
                    self._limits[terminal, facts["old"]] = (facts["epoch"], facts["seq"])
            case "revoke":
                gone = [VerifyKey(facts["public"]).key_id] if facts.get("public") else list(keys)
                for key_id in gone:
                    if key_id in keys:
                        keys[key_id] = (keys[key_id][0], "revoked")

    def _add(self, keys: dict[bytes, tuple[VerifyKey, str]], public: bytes) -> None:
        key = VerifyKey(public)
        keys[key.key_id] = (key, "active")

    def knows(self, terminal: str) -> bool:
        return terminal in self._keys

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        found = self._keys.get(terminal, {}).get(key_id)
        if found is None:
            return Refusal.UNKNOWN_KEY
        return Refusal.REVOKED_KEY if found[1] == "revoked" else found[0]

    def outlived(self, header: Header) -> bool:
        """Whether a batch lies behind the last one that its key was to seal: it was rotated away."""
        limit = self._limits.get((header.terminal, header.key))
        return limit is not None and (header.epoch != limit[0] or header.seq > limit[1])
