"""The second factor: a code that an app makes every 30 seconds (TOTP, RFC 6238), or one of the recovery codes for who has lost it. Each is taken
once. Pure; the shared secret stands in the console's own file.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from typing import Any

import pyotp

STEP_S = 30
DRIFT = 1
"""Steps before and after now that are taken, too: RFC 6238, section 5.2, for clocks and for who types slowly."""
RECOVERY_CODES = 10
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without I, O, 0 and 1: they are written on paper."""
_CODE_LENGTH = 16
"""Of 32 characters: 80 bits, which no one guesses from a stolen hash."""
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """secret: base32; step: the last one that was used; codes: SHA-256 of the recovery codes that are left."""

    secret: str
    step: int = 0
    codes: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        """Secrets are in no log."""
        return f"SecondFactor({len(self.codes)} codes left)"

    def packed(self) -> dict[str, Any]:
        return {"secret": self.secret, "step": self.step, "codes": list(self.codes)}

    @classmethod
    def of(cls, packed: Mapping[str, Any]) -> SecondFactor:
        return cls(packed["secret"], packed["step"], tuple(packed["codes"]))


def new_secret() -> str:
    """160 bits, as RFC 4226 recommends, in base32."""
    return pyotp.random_base32()


def address(secret: str, name: str, issuer: str) -> str:
    """The otpauth:// address that apps read."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def picture(text: str) -> str:
    """A QR code as SVG, dark on white whatever the theme: cameras need it so."""
    import segno  # noqa: PLC0415 - the command line reads the configuration, too, and draws nothing

    out = BytesIO()
    segno.make(text, error="m").save(out, kind="svg", scale=5, border=4, dark="#000", light="#fff", xmldecl=False)
    return out.getvalue().decode().strip()


def take(factor: SecondFactor, code: str, now: int) -> SecondFactor | None:
    """What is left after this code, or None if it is wrong or was used before. now: UTC ns."""
    said = re.sub(r"[\s-]", "", code).upper()
    if said.isascii() and said.isdecimal():
        current, right = now // NANO // STEP_S, None
        totp = pyotp.TOTP(factor.secret, interval=STEP_S)
        for step in range(current - DRIFT, current + DRIFT + 1):
            if hmac.compare_digest(totp.at(step * STEP_S), said) and step > factor.step:
                right = step
        return replace(factor, step=right) if right is not None else None
    digest = _digest(said)
    left = tuple(each for each in factor.codes if not hmac.compare_digest(each, digest))
    return replace(factor, codes=left) if len(left) < len(factor.codes) else None


def new_codes() -> tuple[tuple[str, ...], tuple[bytes, ...]]:
    """Recovery codes to show once, and what is kept of them."""
    plain = ["".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH)) for _ in range(RECOVERY_CODES)]
    shown = tuple("-".join(each[k : k + 4] for k in range(0, _CODE_LENGTH, 4)) for each in plain)
    return shown, tuple(_digest(each) for each in plain)


def _digest(code: str) -> bytes:
    return sha256(code.encode()).digest()
