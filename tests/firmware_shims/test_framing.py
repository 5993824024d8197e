from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.firmware_shims.base import Ended
from tillwatch.firmware_shims.framing import Paused, Until

OK = Until(re.compile(rb"(?:^|[\r\n])(?:OK|ERROR)[\r\n]"))


@pytest.mark.parametrize(
    ("received", "frame", "rest"),
    [
        (b"", None, b""),
        (b"\r\n+CSQ: 1,2\r\n\r\nOK", None, b"\r\n+CSQ: 1,2\r\n\r\nOK"),
        (b"\r\n+CSQ: 1,2\r\n\r\nOK\r\n", b"+CSQ: 1,2\r\n\r\nOK", b"\n"),
        (b"\r\nERROR\r\n\r\nOK\r\n", b"ERROR", b"\n\r\nOK\r\n"),
        (b"BOOK\r\n", None, b"BOOK\r\n"),
    ],
)
def test_until(received, frame, rest):
    assert OK.cut(received) == (frame, rest)


@given(st.binary(max_size=300))
def test_until_ends_and_invents_nothing(received):
    while True:
        frame, rest = OK.cut(received)
        assert received.endswith(rest)
        if frame is None:
            break
        assert frame in received
        assert len(rest) < len(received)
        received = rest


@given(st.binary(max_size=300))
def test_only_silence_ends_what_is_paused(received):
    assert Paused().cut(received) == (None, received)


def test_nothing_is_taken_off_a_binary_answer():
    assert Ended(b"\r", pad=b"").cut(b"\0#\0\0\r") == (b"\0#\0\0", b"")
    assert Ended(b"\r").cut(b"\0#\0\0\r") == (b"#", b"")
