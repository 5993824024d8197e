"""Protects what an agent left unprotected: one that was enrolled before there was protection, or whose state directory was copied here as plain files. Each file is replaced
whole. What lay on the disk before may still be found there by who reads the bare disk: rotate afterwards where that matters.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from tillwatch.agent import identity
from tillwatch.agent.protection import Protector, passphrase_of

log = logging.getLogger(__name__)


def protect_state(state_dir: Path, protector: Protector) -> list[str]:
    """The names of the files that were protected now. Nobody else may hold the state directory. Raises IdentityError, ProtectionError, OSError."""
    if not protector.encrypts or not state_dir.is_dir():
        return []
    done = []
    for file in unprotected(state_dir, protector):
        if file.name == identity.TLS_KEY:
            from tillwatch.agent.windows.tls_key import encrypted  # noqa: PLC0415 - X.509, for an old key only

            identity.write_private(file, encrypted(file))
        else:
            identity.write_private(file, file.read_bytes())
        log.info("%s is protected by this machine's key now", file)
        done.append(file.name)
    return done


def unprotected(state_dir: Path, protector: Protector) -> Iterator[Path]:
    """Secrets that lie there as they are. Raises OSError."""
    for name in identity.SECRETS:
        file = state_dir / name
        if file.is_file() and not protector.is_protected(file.read_bytes()):
            yield file
    key = state_dir / identity.TLS_KEY
    if key.is_file() and passphrase_of(key, protector) is None:
        yield key
