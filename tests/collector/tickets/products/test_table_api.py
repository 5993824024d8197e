from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.tickets.port import RejectedError
from tillwatch.collector.tickets.products.table_api import MAX_TERM, seconds, shown, term, value


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - hypothesis wants them so
def test_time_is_utc_to_the_second(at) -> None:
    assert seconds(at.strftime("%Y-%m-%d %H:%M:%S")) == int(at.replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize("text", ["", "2026-03-01", "yesterday", "2026-13-01 00:00:00"])
def test_what_is_no_time_is_none(text) -> None:
    assert seconds(text) == 0


@given(st.text())
def test_a_term_never_becomes_two(text) -> None:
    try:
        assert term(text) == text
    except RejectedError:
        assert "^" in text or not text.isprintable() or len(text) > MAX_TERM
    else:
        assert "^" not in text


@pytest.mark.parametrize(
    ("row", "stored", "seen"),
    [
        ({}, "", ""),
        ({"a": None}, "", ""),
        ({"a": "x"}, "x", "x"),
        ({"a": {"value": "62826bf0", "display_value": "Li Wei"}}, "62826bf0", "Li Wei"),
        ({"a": {"value": "", "display_value": ""}}, "", ""),
    ],
)
def test_a_field_in_every_form(row, stored, seen) -> None:
    assert (value(row, "a"), shown(row, "a")) == (stored, seen)
