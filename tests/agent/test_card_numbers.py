"""A card number goes wherever it stands; what hardware says of itself stays."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.card_numbers import HARDWARE, REMOVED, found_in, luhn, without
from tillwatch.device_profiles.catalogue import load_catalogue

TEST_NUMBERS = [
    "4111111111111111",
    "4222222222222",
    "5555555555554444",
    "378282246310005",
    "6011000990139424",
    "30569309025904",
    "6200000000000005",
]
"""Of the schemes' own tables for tests."""


def with_check(digits):
    return next(digits + check for check in "0123456789" if luhn(digits + check))


FIRST, LAST = (datetime.fromisoformat(day) for day in ("1970-01-01", "2299-01-01"))
LEADS = {13: "456", 14: "356", 15: "12356"}


@st.composite
def cards(draw):
    length = draw(st.integers(13, 19))
    lead = draw(st.sampled_from(LEADS.get(length, "123456789")))
    return with_check(lead + draw(st.text("0123456789", min_size=length - 2, max_size=length - 2)))


@st.composite
def written(draw):
    """In groups of four, as on the card, or in one piece; of one separator or of mixed ones."""
    card = draw(cards())
    if draw(st.booleans()):
        return card
    groups = [card[at : at + 4] for at in range(0, len(card), 4)]
    parts = [groups[0]]
    for group in groups[1:]:
        parts += [draw(st.sampled_from([" ", "-", "  ", "\u2013", "\xa0", ""])), group]
    return "".join(parts)


BESIDE = st.text(st.characters(exclude_categories=["Nd", "Cs"]), max_size=40)


@given(BESIDE, written(), BESIDE, st.sampled_from(["", "ups.alarm.text", "monitor.reason", "trap.last"]))
def test_a_card_number_goes_from_any_text(before, card, after, signal):
    clean, n = without(before + card + after, signal)
    assert n == 1
    assert REMOVED in clean
    assert not found_in(clean), "what is clean stays as it is"
    assert clean.startswith(before.rstrip(" -\u2013\xa0")[:5])


@given(BESIDE, written(), BESIDE)
def test_no_word_goes_with_it(before, card, after):
    assert without(before + card + after)[0].replace(REMOVED, "", 1) == before + after


@given(st.text("0123456789", max_size=6), cards(), st.text("0123456789", max_size=6))
def test_digits_on_either_side_hide_nothing(before, card, after):
    """A magnetic track, an expiry date behind it, a number before it: where it is more than a card number's digits, any in it is enough."""
    row = before + card + after
    if len(row) > 19 or row == card:
        assert found_in(f"jam at {row}.")


@given(st.text(max_size=200))
def test_anything_can_be_looked_at_and_only_digits_go(text):
    clean, n = without(text)
    assert (clean == text) == (n == 0)
    assert without(clean) == (clean, 0)


@pytest.mark.parametrize("number", TEST_NUMBERS)
def test_the_schemes_own_numbers(number):
    assert luhn(number)
    assert without(f"card {number} is stuck") == (f"card {REMOVED} is stuck", 1)


@pytest.mark.parametrize(
    "text",
    [
        "ok",
        "1763830000123",  # milliseconds since 1970
        "20261122184502",  # a time
        "2026-11-22 18:45:02.000123",
        "192.168.100.200 00:11:22:33:44:55",
        "1.3.6.1.4.1.318.1.1.1.12.1.1.0",
        "4111111111111112",  # the check digit is wrong
        "0000000000000000",
        "4111 1111 1111",
        "firmware 4.11.1111 of 2019-01-01, part 0M-5123",
    ],
)
def test_what_is_none(text):
    assert without(text) == (text, 0)


@given(st.datetimes(FIRST, LAST).map(lambda when: when.strftime("%Y%m%d%H%M%S")))
def test_a_time_is_none(text):
    assert not found_in(text)


@given(st.text("0123456789", min_size=14, max_size=14).map(with_check))
def test_a_modems_own_number_is_left_alone_and_nowhere_else(imei):
    """Each IMEI passes the check by definition."""
    assert not found_in(imei, "cell.imei")
    assert found_in(imei, "identity.description") == (imei[0] in LEADS[15])


@given(cards())
def test_a_serial_number_of_one_word_is_left_alone_and_a_sentence_is_not(card):
    for text in (card, f"SN{card}", f"{card[:4]}-{card[4:]}"):
        assert not found_in(text, "identity.serial")
    assert found_in(f"card {card}", "identity.serial")


def test_what_is_left_alone_is_in_the_catalogue_with_a_reason():
    signals = load_catalogue().signals
    for signal, (_, why) in HARDWARE.items():
        assert signals[signal].kind == "text"
        assert why
