"""The normal form of serial numbers: what any two spellings of one serial share, and what is none."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.enrolment.serials import LEAST, MOST, SerialError, normal_serial

PRINTED = st.text(string.ascii_letters + string.digits + "-._/:+#", min_size=1, max_size=MOST)
SPACES = st.text(" \t\r\n", max_size=3)


@pytest.mark.parametrize(
    ("told", "normal"),
    [
        ("5CG9231X4K", "5CG9231X4K"),
        (" 5cg9231x4k\n", "5CG9231X4K"),
        ("VMware-56 4d 9a 01", "VMWARE-564D9A01"),
        ("S/N:NCR-6688.0042", "S/N:NCR-6688.0042"),
        ("10293847", "10293847"),
    ],
)
def test_one_machine_has_one_spelling(told, normal):
    assert normal_serial(told) == normal


@pytest.mark.parametrize(
    "told",
    [
        "", "   ", "To Be Filled By O.E.M.", "to be filled by OEM", "Default string", "Default String", "0", "00000000", "None", "none", "N/A", "Not Specified",
        "Not Applicable", "System Serial Number", "Chassis Serial Number", "Unknown", "INVALID", "xxxxxxxx", "XXXX-XXXX", "........", "0123456789", "123456789", "12345678",
        "1234567890", "0123456789ABCDEF", "FFFFFFFF", "OEM", "serial", "-", "#", "ab1", "7", "a" * (MOST + 1), "SN\u0000042", "序列号4711", "straße4711",
    ],
)  # fmt: skip
def test_what_makers_leave_is_no_serial(told):
    with pytest.raises(SerialError) as caught:
        normal_serial(told)
    assert str(caught.value)


@given(PRINTED, SPACES, SPACES)
def test_case_and_white_space_make_no_other_machine(text, before, after):
    def of(spelling):
        try:
            return normal_serial(spelling)
        except SerialError:
            return None

    plain = of(text)
    assert of(before + text + after) == of(text.lower()) == of(text.upper()) == of(after.join(text)) == plain
    if plain is not None:
        assert of(plain) == plain


@given(st.text(max_size=200))
def test_whatever_is_told_gives_a_serial_or_one_reason(text):
    try:
        serial = normal_serial(text)
    except SerialError:
        return
    assert LEAST <= len(serial) <= MOST
    assert serial.isascii()
    assert serial.isprintable()
    assert serial == serial.upper() == "".join(serial.split())
