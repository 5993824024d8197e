"""Encrypts a private TLS key that lies in the clear. Apart from migration.py, because it needs X.509, which does not stay resident."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tillwatch.agent.enrolment.enrol import EnrolError, private_pem
from tillwatch.agent.identity import IdentityError


def encrypted(file: Path) -> bytes:
    """What shall stand in the file. Raises IdentityError or OSError."""
    try:
        key = load_pem_private_key(file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise IdentityError(
                f"{file}: not a key that an enrolment made; give its name in [collector] key, from another folder"
            )
        return private_pem(key)
    except (ValueError, TypeError, EnrolError) as error:
        raise IdentityError(
            f"{file}: {error}; enrol again with a new token: tillwatch-agent enrol --force TOKEN"
        ) from None
