"""How calls of ticket systems prove where they come from. Every check is of the raw bytes and in constant time; what it raises holds nothing of the
call and nothing of a secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from tillwatch.collector.tickets.signature import MAX_SIGNATURES, Secret, SignatureError, verify

_ID = re.compile(r"[!-~]{1,256}")

DELIVERY_HEADERS = ("x-github-delivery", "x-zammad-delivery", "x-atlassian-webhook-identifier")
"""What names a delivery, the same over all attempts at it. Not signed: good for knowing a repetition, not for believing anything."""


class Scheme(StrEnum):
    """standard: Standard Webhooks 1.0. pagerduty: X-PagerDuty-Signature, HMAC-SHA256 of the body. hub: X-Hub-Signature-256 or X-Hub-Signature, as Jira,
    Zammad and others have it from WebSub. token: a shared token in Authorization: Bearer or X-Tillwatch-Token, for what cannot sign.
    """

    STANDARD = "standard"
    PAGERDUTY = "pagerduty"
    HUB = "hub"
    TOKEN = "token"  # noqa: S105 - the name of a scheme


def check(scheme: str, secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: float) -> str:
    """The id of a delivery that one of the secrets vouches for; empty where the scheme has none.

    headers: lower-case names; now: Unix seconds. Raises SignatureError; ValueError for a secret that the scheme cannot use.
    """
    keys = [secret.encode() for secret in secrets]
    if scheme == Scheme.STANDARD:
        return verify([Secret.parse(secret) for secret in secrets], headers, body, now)
    if scheme == Scheme.PAGERDUTY:
        given = [part.strip() for part in headers.get("x-pagerduty-signature", "").split(",")[:MAX_SIGNATURES]]
        expected = ["v1=" + hmac.digest(key, body, hashlib.sha256).hex() for key in keys]
        _compare(given, expected, "x-pagerduty-signature")
        return _event_id(body)
    if scheme == Scheme.HUB:
        # Zammad still signs with SHA-1 (HMAC-SHA1 is not broken by what broke SHA-1). Where the stronger header is there it decides.
        name = "x-hub-signature-256" if "x-hub-signature-256" in headers else "x-hub-signature"
        kinds = (hashlib.sha256,) if name.endswith("256") else (hashlib.sha256, hashlib.sha1)
        expected = [f"{kind().name}={hmac.digest(key, body, kind).hex()}" for key in keys for kind in kinds]
        _compare([headers.get(name, "")], expected, name)
    else:
        bearer = headers.get("authorization", "")
        shown = bearer[7:] if bearer[:7].lower() == "bearer " else headers.get("x-tillwatch-token", "")
        _compare([shown.strip()], list(secrets), "token")
    return next((headers[name] for name in DELIVERY_HEADERS if _ID.fullmatch(headers.get(name, ""))), "")


def _compare(given: Sequence[str], expected: Sequence[str], what: str) -> None:
    # Every pair is compared, and by digests: neither which came near nor how long a secret is shows in the time taken.
    matches = [
        hmac.compare_digest(hashlib.sha256(one.encode()).digest(), hashlib.sha256(other.encode()).digest())
        for one in given
        for other in expected
    ]
    if not any(matches):
        raise SignatureError(f"the {what} header does not fit this call and these secrets")


def _event_id(body: bytes) -> str:
    """PagerDuty V3: `{"event": {"id": ...}}`, one event a call, the same id at each attempt."""
    try:
        found = json.loads(body)["event"]["id"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) and _ID.fullmatch(found) else ""
