from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.firmware_shims import modbus, modbus_sht20
from tillwatch.firmware_shims.base import ShimError, UnsupportedError, load_all
from tillwatch.firmware_shims.engine import decode


def test_the_request_of_the_standard():
    assert modbus.read(1, 4, 0, 1).request == bytes.fromhex("01040000000131ca")


@pytest.mark.parametrize("function", [0, 1, 2, 5, 6, 15, 16, 22, 23, 43, 0x83])
def test_no_function_but_3_and_4_can_be_built(function):
    with pytest.raises(ValueError, match="may not be sent; only 3 and 4 read"):
        modbus.read(1, function, 0, 1)


@pytest.mark.parametrize(
    ("unit", "address", "count"), [(0, 0, 1), (248, 0, 1), (1, -1, 1), (1, 65536, 1), (1, 0, 0), (1, 0, 126)]
)
def test_what_modbus_has_not(unit, address, count):
    with pytest.raises(ValueError, match="outside of what Modbus has"):
        modbus.read(unit, 3, address, count)


def test_every_shim_with_this_checksum_only_reads():
    found = [shim for shim in load_all() if shim.check == modbus.CHECK]
    assert len(found) >= 4
    for shim in found:
        assert all(request[1] in (3, 4) and len(request) == 8 for request in shim.whitelist)


@pytest.mark.parametrize(
    ("kind", "order", "raw", "value"),
    [
        ("uint16", "big", "ff33", 65331),
        ("int16", "big", "ff33", -205),
        ("uint32", "big", "00010002", 65538),
        ("uint32", "little", "00020001", 65538),
        ("int32", "big", "fffffffe", -2),
        ("float32", "big", "41480000", 12.5),
        ("float32", "little", "00004148", 12.5),
    ],
)
def test_kinds_of_number(kind, order, raw, value):
    assert modbus.number(bytes.fromhex(raw), kind, order) == value


@pytest.mark.parametrize("raw", ["7fc00000", "7f800000", "ff800000"])
def test_a_float_that_is_no_number(raw):
    with pytest.raises(ValueError, match="not a number"):
        modbus.number(bytes.fromhex(raw), "float32")


def test_a_register_that_is_not_read():
    query = modbus.read(1, 3, 10, 2)
    assert modbus.place(query, 11) == (5, 7)
    assert modbus.place(query, 10, "uint32") == (3, 7)
    for address, kind in ((9, "uint16"), (12, "uint16"), (11, "uint32")):
        with pytest.raises(ValueError, match="is not among the 2 that are read from 10"):
            modbus.place(query, address, kind)


@pytest.mark.parametrize("code", [1, 2, 3])
def test_an_exception_that_refuses(code):
    with pytest.raises(UnsupportedError, match="does not know this request"):
        decode(modbus_sht20.SHIM, modbus_sht20.AIR, modbus.sealed(bytes([1, 0x84, code])), {})


@pytest.mark.parametrize(
    ("code", "text"), [(4, "the device failed"), (6, "it is busy"), (11, "the device behind the gateway")]
)
def test_an_exception_that_means_not_now(code, text):
    with pytest.raises(ShimError, match=text) as error:
        decode(modbus_sht20.SHIM, modbus_sht20.AIR, modbus.sealed(bytes([1, 0x84, code])), {})
    assert not isinstance(error.value, UnsupportedError)


@given(
    st.integers(1, 247),
    st.sampled_from([3, 4]),
    st.integers(0, 65535),
    st.lists(st.integers(0, 65535), min_size=1, max_size=125),
)
def test_a_recorded_exchange(unit, function, address, values):
    query = modbus.read(unit, function, address, len(values))
    answer = modbus.sealed(bytes([unit, function, 2 * len(values)]) + struct.pack(f">{len(values)}H", *values))
    assert modbus.registers(query.request, answer) == values
    for spoilt in (
        answer[:-1],
        b"\0" + answer,
        answer[:3] + bytes([answer[3] ^ 1]) + answer[4:],
        query.request + answer,
    ):
        with pytest.raises(ShimError):
            modbus.registers(query.request, spoilt)


def test_a_recorded_exception_says_what_it_means():
    request = modbus.read(1, 4, 0, 1).request
    with pytest.raises(ShimError, match="it does not have these registers"):
        modbus.registers(request, modbus.sealed(b"\x01\x84\x02"))
    with pytest.raises(ShimError, match="exception 77"):
        modbus.registers(request, modbus.sealed(b"\x01\x84\x4d"))


@pytest.mark.parametrize(
    "request_bytes", [b"", b"\x01\x04", bytes.fromhex("01060000000189ca"), bytes.fromhex("01040000000131cb")]
)
def test_what_is_no_request_for_registers(request_bytes):
    with pytest.raises(ShimError):
        modbus.registers(request_bytes, b"")
