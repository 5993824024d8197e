"""What must not leave a terminal is taken out of every text, and the rest stays readable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.card_numbers import luhn
from tillwatch.agent.remote.scrub import REMOVED, Scrubber

PANS = [
    "4000000000000002",
    "378282246310005",
    "6011000990139424",
    "5555555555554444",
    "4222222222222",
    "6304000000000000000",
]


@pytest.mark.parametrize("pan", [pan for pan in PANS if luhn(pan)])
@pytest.mark.parametrize("shape", ["{}", "card {} refused", "a=({})", "trailing digits 7 {}"])
def test_card_numbers_go(pan: str, shape: str) -> None:
    for written in (
        pan,
        " ".join(pan[at : at + 4] for at in range(0, len(pan), 4)),
        "-".join(pan[at : at + 4] for at in range(0, len(pan), 4)),
    ):
        scrubber = Scrubber()
        clean = scrubber.text(shape.format(written))
        assert pan not in clean.replace(" ", "").replace("-", "")
        assert scrubber.removed["card numbers"] == 1


@pytest.mark.parametrize(
    "text",
    [
        ";4000000000000002=29122010000012345678?",
        "%B4000000000000002^DOE/JANE^29122010000000000000?",
        "password=hunter2", "Password: 'two words'", "secret = abc", "token=xyz", "community: s3cr", "Authorization: Basic aGVsbG8=",
        "https://user:hunter2@collector/", "mail li.na@bank.example about it",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----\nMC4C",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_goes(text: str) -> None:
    clean = Scrubber().text(text)
    for secret in ("4000000000000002", "hunter2", "two words", "abc", "xyz", "s3cr", "aGVsbG8", "li.na", "MC4C", "DOE"):
        assert secret not in clean
    assert REMOVED in clean


def test_known_secrets_go_wherever_they_stand_and_words_stay() -> None:
    scrubber = Scrubber(["correct-horse", "public", "abc"])
    assert scrubber.text("SNMP with correct-horse and public") == f"SNMP with {REMOVED} and public"
    line = "2026-11-22 14:36:05,123 WARNING ups: no answer from 192.0.2.10:161 in 5 s; serial 12345678"
    assert scrubber.text(line) == line


def test_everything_that_json_can_say() -> None:
    clean = Scrubber(["correct-horse"]).anything(
        {"a correct-horse": ["correct-horse", 5, None, {"x": ("correct-horse",)}]}
    )
    assert "correct-horse" not in json.dumps(clean)
    assert clean[f"a {REMOVED}"][1] == 5


@given(st.text(max_size=60), st.sampled_from(PANS), st.text(max_size=60))
def test_no_text_around_it_saves_a_card_number(before: str, pan: str, after: str) -> None:
    if luhn(pan) and not (before[-1:].isdigit() or after[:1].isdigit()):
        assert pan not in Scrubber().text(before + pan + after)
