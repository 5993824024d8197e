"""Expected signatures come from `printf 'ID.TIMESTAMP.BODY' | openssl dgst -sha256 -hmac KEY -binary | base64`, not from the code under test."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.tickets.signature import (
    MAX_SIGNATURES,
    TOLERANCE_S,
    Secret,
    SignatureError,
    read_secrets,
    signed_headers,
    verify,
)

CURRENT = Secret.parse("whsec_dGlsbHdhdGNoLXRlc3Qtc2VjcmV0LTAxMjM0NTY3ODk=")
OLD = Secret.parse("whsec_dGhlLXNlY3JldC1iZWZvcmUtaXQtYWJjZGVmZ2hpams=")
ID = "HWM-0011-1_1"
AT = 1_772_352_000
BODY = b'{"type":"incident.opened","timestamp":"2026-03-01T08:00:00.000+00:00","data":{"incident":"HWM-0011-1"}}'
SIGNED_CURRENT = "v1,q1Wh49ZmF4+TTVOE2VohweJgI00qt2z5U3HEOJT/9Mc="
SIGNED_OLD = "v1,Z3gT5bWoSKmD55BXCji6EaD0nV3Ur6KZDAAY6YdUgjc="


def test_the_signature_is_what_openssl_says() -> None:
    assert signed_headers([CURRENT], ID, AT, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": str(AT),
        "webhook-signature": SIGNED_CURRENT,
    }


def test_rotation_signs_with_both_and_either_side_may_be_first() -> None:
    both = signed_headers([CURRENT, OLD], ID, AT, BODY)
    assert both["webhook-signature"] == f"{SIGNED_CURRENT} {SIGNED_OLD}"
    assert verify([OLD], both, BODY, AT) == ID
    assert verify([CURRENT], both, BODY, AT) == ID
    assert verify([CURRENT, OLD], signed_headers([OLD], ID, AT, BODY), BODY, AT) == ID


def test_headers_come_in_any_case_and_other_schemes_are_passed_over() -> None:
    headers = {"Webhook-Id": ID, "WEBHOOK-TIMESTAMP": str(AT), "Webhook-Signature": f"v1a,AAAA {SIGNED_CURRENT}"}
    assert verify([CURRENT], headers, BODY, AT) == ID


@given(st.integers(0, len(BODY) * 8 - 1))
def test_any_changed_bit_of_the_body_is_refused(bit: int) -> None:
    changed = bytearray(BODY)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SignatureError):
        verify([CURRENT], signed_headers([CURRENT], ID, AT, BODY), bytes(changed), AT)


@given(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.data())
def test_any_changed_character_of_a_header_is_refused(name: str, data: st.DataObject) -> None:
    headers = signed_headers([CURRENT], ID, AT, BODY)
    place = data.draw(st.integers(0, len(headers[name]) - 1))
    other = data.draw(st.characters().filter(lambda c: c != headers[name][place]))
    headers[name] = headers[name][:place] + other + headers[name][place + 1 :]
    with pytest.raises(SignatureError):
        verify([CURRENT], headers, BODY, AT)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_needed(name: str) -> None:
    headers = signed_headers([CURRENT], ID, AT, BODY)
    del headers[name]
    with pytest.raises(SignatureError):
        verify([CURRENT], headers, BODY, AT)


@pytest.mark.parametrize("skew", [TOLERANCE_S, -TOLERANCE_S, 0])
def test_a_clock_within_five_minutes_is_believed(skew: int) -> None:
    assert verify([CURRENT], signed_headers([CURRENT], ID, AT, BODY), BODY, AT + skew) == ID


@pytest.mark.parametrize("skew", [TOLERANCE_S + 1, -TOLERANCE_S - 1, 86400])
def test_a_clock_beyond_is_refused_and_the_error_says_so(skew: int) -> None:
    with pytest.raises(SignatureError, match="check both clocks"):
        verify([CURRENT], signed_headers([CURRENT], ID, AT, BODY), BODY, AT + skew)


@pytest.mark.parametrize("timestamp", ["", "-1", "1e9", "１７７２３５２０００", "9" * 400, f" {AT}"])
def test_a_timestamp_is_plain_digits(timestamp: str) -> None:
    headers = {"webhook-id": ID, "webhook-timestamp": timestamp, "webhook-signature": CURRENT.sign(ID, timestamp, BODY)}
    with pytest.raises(SignatureError, match="timestamp"):
        verify([CURRENT], headers, BODY, AT)


def test_signatures_past_the_bound_are_not_looked_at() -> None:
    headers = signed_headers([CURRENT], ID, AT, BODY)
    headers["webhook-signature"] = "v1,AAAA " * MAX_SIGNATURES + SIGNED_CURRENT
    with pytest.raises(SignatureError):
        verify([CURRENT], headers, BODY, AT)


def test_a_field_cannot_slide_into_the_next() -> None:
    with pytest.raises(ValueError, match="webhook id"):
        signed_headers([CURRENT], "HWM-0011.1", AT, BODY)


@pytest.mark.parametrize(
    "text", ["", "dGVzdA==", "whsec_???", "whsec_dGVzdA==", "whsec_" + base64.b64encode(bytes(65)).decode()]
)
def test_another_form_of_secret_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="webhook secret") as caught:
        Secret.parse(text)
    assert not text.removeprefix("whsec_") or text.removeprefix("whsec_") not in str(caught.value)


def test_a_secret_never_shows_itself() -> None:
    assert "tillwatch" not in repr(CURRENT)
    assert "dGls" not in repr(CURRENT)


def test_a_file_names_the_line_that_is_wrong(tmp_path) -> None:
    path = tmp_path / "secret"
    path.write_text("# current\nwhsec_dGlsbHdhdGNoLXRlc3Qtc2VjcmV0LTAxMjM0NTY3ODk=\n\nwhsec_short\n")
    with pytest.raises(ValueError, match=rf"{path}:4: "):
        read_secrets(path)
    path.write_text("# nothing yet\n")
    with pytest.raises(ValueError, match="no secret in it"):
        read_secrets(path)
