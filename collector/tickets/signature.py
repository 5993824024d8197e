"""Standard Webhooks 1.0, the symmetric scheme: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`.

One place for both directions: what tillwatch sends is signed here, and what comes back (acknowledgements) is checked here. A secret never
shows itself: not in repr, not in an error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TOLERANCE_S = 300
"""How far a timestamp may be from the receiver's clock, either way. Beyond it a recorded message could be played back."""

MAX_SIGNATURES = 8
"""Signatures looked at in one header: a rotation needs two. More would be work for whoever sends rubbish."""

SECRET_BYTES = range(24, 65)
"""192 to 512 bits, as the specification has it."""

_PREFIX = "whsec_"
_ID = re.compile(r"[!-~]{1,256}")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class SignatureError(Exception):
    """The message is not to be believed. The text says why and holds nothing of the message or the secret."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A shared secret. Written down as `whsec_` and base64."""

    key: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Secret:
        """Raises ValueError, without the text in it, for anything that is not a secret of the right form and length."""
        if not text.startswith(_PREFIX):
            raise ValueError(f"a webhook secret starts with {_PREFIX}")
        try:
            key = base64.b64decode(text[len(_PREFIX) :], validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(
                f"a webhook secret is {_PREFIX} and base64; the part after {_PREFIX} is not base64"
            ) from None
        if len(key) not in SECRET_BYTES:
            raise ValueError(
                f"a webhook secret has {SECRET_BYTES.start} to {SECRET_BYTES.stop - 1} bytes, this one has {len(key)}"
            )
        return cls(key)

    def sign(self, message_id: str, timestamp: int | str, body: bytes) -> str:
        content = f"{message_id}.{timestamp}.".encode() + body
        return "v1," + base64.b64encode(hmac.digest(self.key, content, hashlib.sha256)).decode()


def read_secrets(path: Path) -> tuple[Secret, ...]:
    """The secrets in a file, one a line, the current one first; older ones stay during a rotation. Errors name file and line."""
    secrets = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            secrets.append(Secret.parse(line.strip()))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
    if not secrets:
        raise ValueError(f"{path}: no secret in it; put one line {_PREFIX}<base64 of 32 random bytes> there")
    return tuple(secrets)


def signed_headers(secrets: Sequence[Secret], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers. message_id: stable over all attempts, without dots. timestamp: of this attempt, Unix seconds."""
    if not _ID.fullmatch(message_id) or "." in message_id:
        raise ValueError(f"{message_id!r} cannot be a webhook id: printable ASCII without spaces and dots")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(secret.sign(message_id, timestamp, body) for secret in secrets),
    }


def verify(secrets: Sequence[Secret], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The webhook id of a message that was signed with one of the secrets, within TOLERANCE_S of `now` (Unix seconds).

    body: the raw bytes as received. headers: names in any case. Raises SignatureError. Ids are to be remembered for at least 72 h by who
    acts on them: a resent message is signed anew and passes here again.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    message_id = lower.get("webhook-id", "")
    timestamp = lower.get("webhook-timestamp", "")
    if not _ID.fullmatch(message_id):
        raise SignatureError("no usable webhook-id header")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise SignatureError("no usable webhook-timestamp header")
    if abs(now - int(timestamp)) > TOLERANCE_S:
        raise SignatureError(
            f"webhook-timestamp is {now - int(timestamp):+.0f} s from this clock, more than {TOLERANCE_S} s; check both clocks"
        )
    given = [part.encode() for part in lower.get("webhook-signature", "").split(" ")[:MAX_SIGNATURES]]
    expected = [secret.sign(message_id, timestamp, body).encode() for secret in secrets]
    # Every pair is compared, in constant time each: the time taken says nothing about which came near.
    matches = [hmac.compare_digest(one, other) for one in given for other in expected]
    if not any(matches):
        raise SignatureError("no signature in webhook-signature fits this message and these secrets")
    return message_id
