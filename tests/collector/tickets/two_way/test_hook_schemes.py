"""Every way in which a system proves that it calls, and what proves nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from tillwatch.collector.tickets.signature import Secret, SignatureError, signed_headers
from tillwatch.collector.tickets.two_way.hook_schemes import Scheme, check

KEY = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OLD, NEW = "the old secret of the desk", "the new secret of the desk"
BODY = b'{"event": {"id": "01E", "event_type": "incident.acknowledged"}}'
NOW = 1_772_352_000.0


def mac(secret: str, body: bytes = BODY, kind: str = "sha256") -> str:
    return hmac.new(secret.encode(), body, kind).hexdigest()


GOOD = [
    (Scheme.PAGERDUTY, {"x-pagerduty-signature": f"v1={mac(NEW)}"}, "01E"),
    (Scheme.PAGERDUTY, {"x-pagerduty-signature": f"v1={mac('unknown')},v1={mac(OLD)}"}, "01E"),
    (Scheme.HUB, {"x-hub-signature": f"sha256={mac(NEW)}", "x-atlassian-webhook-identifier": "j-1"}, "j-1"),
    (Scheme.HUB, {"x-hub-signature": f"sha1={mac(NEW, kind='sha1')}", "x-zammad-delivery": "z-1"}, "z-1"),
    (Scheme.HUB, {"x-hub-signature-256": f"sha256={mac(OLD)}", "x-github-delivery": "g-1"}, "g-1"),
    (Scheme.HUB, {"x-hub-signature": f"sha256={mac(NEW)}"}, ""),
    (Scheme.TOKEN, {"authorization": f"Bearer {NEW}"}, ""),
    (Scheme.TOKEN, {"authorization": f"bearer {OLD}"}, ""),
    (Scheme.TOKEN, {"x-tillwatch-token": NEW}, ""),
]


@pytest.mark.parametrize(("scheme", "headers", "delivery"), GOOD)
def test_good_calls(scheme, headers, delivery) -> None:
    assert check(scheme, [NEW, OLD], headers, BODY, NOW) == delivery


@pytest.mark.parametrize(("scheme", "headers", "delivery"), GOOD[:6])
def test_signed_body_cannot_be_another(scheme, headers, delivery) -> None:
    with pytest.raises(SignatureError):
        check(scheme, [NEW, OLD], headers, BODY + b" ", NOW)


@pytest.mark.parametrize(
    ("scheme", "headers"),
    [
        *((scheme, {}) for scheme in Scheme),
        (Scheme.PAGERDUTY, {"x-pagerduty-signature": mac(NEW)}),
        (Scheme.PAGERDUTY, {"x-pagerduty-signature": ",".join(["v1=00"] * 8 + [f"v1={mac(NEW)}"])}),
        (Scheme.HUB, {"x-hub-signature": "sha256="}),
        # The stronger header decides, whatever the weaker one says.
        (Scheme.HUB, {"x-hub-signature-256": "sha256=00", "x-hub-signature": f"sha256={mac(NEW)}"}),
        (Scheme.HUB, {"x-hub-signature-256": f"sha1={mac(NEW, kind='sha1')}"}),
        (Scheme.TOKEN, {"authorization": f"Basic {NEW}"}),
        (Scheme.TOKEN, {"authorization": "Bearer "}),
        (Scheme.TOKEN, {"x-tillwatch-token": NEW[:-1]}),
        (Scheme.TOKEN, {"x-tillwatch-token": "密码"}),
    ],
)
def test_what_proves_nothing(scheme, headers) -> None:
    secrets = [KEY] if scheme is Scheme.STANDARD else [NEW, OLD]
    with pytest.raises(SignatureError) as caught:
        check(scheme, secrets, headers, BODY, NOW)
    assert NEW not in str(caught.value)


def test_standard_webhooks() -> None:
    headers = signed_headers([Secret.parse(KEY)], "call_1", int(NOW), BODY)
    assert check(Scheme.STANDARD, [KEY], headers, BODY, NOW) == "call_1"
    with pytest.raises(SignatureError):
        check(Scheme.STANDARD, [KEY], headers, BODY, NOW + 301)
    with pytest.raises(ValueError, match="whsec_"):
        check(Scheme.STANDARD, [NEW], headers, BODY, NOW)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"event": 1}', b'{"event": {"id": 5}}', b'{"event": {"id": "a b"}}'])
def test_event_without_an_id_is_a_call_all_the_same(body) -> None:
    signed = {"x-pagerduty-signature": "v1=" + hmac.new(NEW.encode(), body, hashlib.sha256).hexdigest()}
    assert check(Scheme.PAGERDUTY, [NEW], signed, body, NOW) == ""
