"""The check values of the CRC catalogue for "123456789", and frames of the makers' own documents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.firmware_shims.checksums import CHECKSUMS, lrc, sum8

CHECK_VALUES = {
    "xor": 0x31,
    "sum8": 0xDD,
    "lrc": 0x23,
    "crc16-modbus": 0x4B37,
    "crc16-kermit": 0x2189,
    "crc16-ccnet": 0x2189,
    "crc16-xmodem": 0x31C3,
    "crc16-voltronic": 0x31C3,
    "crc16-8005": 0xAEE7,
}


def test_every_checksum_has_a_check_value():
    assert set(CHECK_VALUES) == set(CHECKSUMS)


@pytest.mark.parametrize(("name", "value"), CHECK_VALUES.items())
def test_check_value(name, value):
    assert CHECKSUMS[name][1](b"123456789") == value


@pytest.mark.parametrize(
    ("name", "covered", "sent", "order"),
    [
        ("crc16-ccnet", "02030633", "da81", "little"),  # CCNET poll
        ("crc16-kermit", "fc0511", "2756", "little"),  # ID-003 status request
        ("crc16-modbus", "010400000001", "31ca", "little"),  # Modbus RTU, one input register
        ("crc16-xmodem", "f20003433130", "c52a", "big"),  # ICT3K5 status request
        ("crc16-voltronic", "5150494753", "b7a9", "big"),  # Axpert QPIGS
        ("crc16-voltronic", "51534b3734", "560e", "big"),  # the plain sum is 56 0D, which would end the line
        ("lrc", "020001fe", "ff", "big"),  # ccTalk simple poll
        ("xor", "08107f0000", "67", "big"),  # EBDS poll, LEN to the last data byte
    ],
)
def test_documented_frame(name, covered, sent, order):
    assert CHECKSUMS[name][1](bytes.fromhex(covered)) == int.from_bytes(bytes.fromhex(sent), order)


@given(data=st.binary(min_size=1, max_size=64))
@pytest.mark.parametrize("name", CHECKSUMS)
def test_any_changed_bit_is_seen(name, data):
    width, function = CHECKSUMS[name]
    value = function(data)
    assert 0 <= value < 256**width
    for at in range(len(data) * 8):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        assert function(bytes(changed)) != value


@given(st.binary(max_size=64))
def test_lrc_brings_the_sum_to_zero(data):
    assert sum8(data + bytes([lrc(data)])) == 0
