"""How the secrets of the state directory are kept from others: on POSIX by the mode of the file, on Windows also by encryption with a key of the machine, since
disks of terminals are copied more often than machines are broken into. Nothing of Windows is imported elsewhere.

A private TLS key is kept as PEM, because OpenSSL reads nothing else from a file. Where the machine can encrypt, the PEM is under a random pass phrase, and
the protected pass phrase stands in a line before it, which readers of PEM pass over: one file, replaced whole.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Protocol

SEED_USE = "seed"
TLS_USE = "tls key"
PREPARED_USE = "prepared identity"
"""What a secret is for: a protected one is not taken for another."""
PASSPHRASE = b"tillwatch-passphrase: "
"""Begins the line before the PEM."""


class ProtectionError(Exception):
    """The text says what to do."""


class Protector(Protocol):
    """Asked once for each secret at start, and where one is written. Never from an event loop that must not wait."""

    encrypts: bool
    """Whether what it gives is another text than the secret."""

    def protect(self, secret: bytes, use: str) -> bytes:
        """What may lie on the disk. Raises ProtectionError."""
        ...

    def reveal(self, kept: bytes, use: str) -> bytes:
        """The secret; one that was never protected is given as it is. Raises ProtectionError."""
        ...

    def is_protected(self, kept: bytes) -> bool: ...


class FileMode:
    """POSIX: what lies in the file is the secret, and the file is for its owner alone."""

    encrypts = False

    def protect(self, secret: bytes, _use: str) -> bytes:
        return secret

    def reveal(self, kept: bytes, _use: str) -> bytes:
        return kept

    def is_protected(self, _kept: bytes) -> bool:
        return True


def new_passphrase(protector: Protector) -> tuple[bytes, bytes]:
    """A pass phrase for a TLS key, and the line that goes before its PEM. Raises ProtectionError."""
    phrase = base64.b64encode(os.urandom(32))
    return phrase, PASSPHRASE + base64.b64encode(protector.protect(phrase, TLS_USE)) + b"\n"


def passphrase_of(file: Path, protector: Protector) -> bytes | None:
    """What opens the TLS key in `file`; None where it is not encrypted by us. Raises ProtectionError or OSError."""
    if not protector.encrypts:
        return None
    with file.open("rb") as content:
        line = content.readline(4_096)
    if not line.startswith(PASSPHRASE):
        return None
    try:
        kept = base64.b64decode(line.removeprefix(PASSPHRASE).strip(), validate=True)
    except binascii.Error:
        raise ProtectionError(f"{file}: damaged; enrol again: tillwatch-agent enrol --force TOKEN") from None
    return protector.reveal(kept, TLS_USE)
