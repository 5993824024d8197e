"""The keys that sign and verify: Ed25519 through libsodium. Another suite would stand beside these two classes and nowhere else."""

from __future__ import annotations

from typing import Protocol

from nacl.bindings import crypto_hash_sha256, crypto_sign, crypto_sign_open, crypto_sign_seed_keypair
from nacl.exceptions import BadSignatureError

from tillwatch.agent.messages import Refusal

SIGNATURE = 64


def sha256(message: bytes) -> bytes:
    """Libsodium's own. It is there anyway; hashlib would bring 0.5 MiB of OpenSSL into the resident agent."""
    return bytes(crypto_hash_sha256(message))


class SigningKey:
    """An Ed25519 key made from a seed of 32 bytes."""

    __slots__ = ("_secret", "key_id", "public")

    def __init__(self, seed: bytes) -> None:
        self.public, self._secret = crypto_sign_seed_keypair(seed)
        self.key_id = sha256(self.public)[:8]

    def sign(self, message: bytes) -> bytes:
        return bytes(crypto_sign(message, self._secret)[:SIGNATURE])


class VerifyKey:
    """The public half. key_id: the first 8 bytes of SHA-256 over it."""

    __slots__ = ("key_id", "public")

    def __init__(self, public: bytes) -> None:
        if len(public) != 32:
            msg = f"an Ed25519 public key has 32 bytes, not {len(public)}"
            raise ValueError(msg)
        self.public = public
        self.key_id = sha256(public)[:8]

    def verify(self, signature: bytes, message: bytes) -> bool:
        try:
            crypto_sign_open(signature + message, self.public)
        except BadSignatureError:
            return False
        return True


class Keys(Protocol):
    """What the opener asks of the registry."""

    def knows(self, terminal: str) -> bool: ...

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        """The key if it may sign now, else UNKNOWN_KEY or REVOKED_KEY."""
        ...
