from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import decoder, encoder
from pysnmp.proto import api

from tillwatch.agent.sources.trap_messages import (
    MAX_SHOWN,
    MAX_VARBINDS,
    SNMP_TRAP_OID,
    MessageError,
    Notice,
    read,
    version_of,
)

V1, V2C = api.PROTOCOL_MODULES[0], api.PROTOCOL_MODULES[1]
TEST_DONE = "1.3.6.1.2.1.33.2.2"


def message(proto, pdu):
    whole = proto.Message()
    proto.apiMessage.set_defaults(whole)
    proto.apiMessage.set_community(whole, b"branch-7")
    proto.apiMessage.set_pdu(whole, pdu)
    return bytes(encoder.encode(whole))


def v2(*varbinds, kind="SNMPv2TrapPDU"):
    pdu = getattr(V2C, kind)()
    V2C.apiPDU.set_defaults(pdu)
    V2C.apiPDU.set_varbinds(pdu, list(varbinds))
    return message(V2C, pdu)


def named(oid=TEST_DONE):
    return (SNMP_TRAP_OID, V2C.ObjectIdentifier(oid))


def v1(enterprise, generic, specific):
    pdu = V1.TrapPDU()
    V1.apiTrapPDU.set_defaults(pdu)
    V1.apiTrapPDU.set_enterprise(pdu, enterprise)
    V1.apiTrapPDU.set_generic_trap(pdu, generic)
    V1.apiTrapPDU.set_specific_trap(pdu, specific)
    return message(V1, pdu)


@pytest.mark.parametrize(
    ("generic", "specific", "trap", "name"),
    [
        (0, 0, "1.3.6.1.6.3.1.1.5.1", "coldStart"),
        (4, 0, "1.3.6.1.6.3.1.1.5.5", "authenticationFailure"),
        (6, 17, "1.3.6.1.4.1.318.0.17", ""),
    ],
)
def test_version_1_is_numbered_as_rfc_3584_says(generic, specific, trap, name):
    notice = read(v1("1.3.6.1.4.1.318", generic, specific))
    assert (notice.version, notice.community, notice.trap, notice.name) == ("1", "branch-7", trap, name)
    assert not notice.answer


def test_version_2c():
    notice = read(
        v2(
            ("1.3.6.1.2.1.1.3.0", V2C.TimeTicks(7)),
            named(),
            ("1.3.6.1.2.1.33.1.7.4.0", V2C.OctetString("battery\nweak")),
            ("1.3.6.1.6.3.18.1.4.0", V2C.OctetString("secret")),
        )
    )
    assert notice == Notice("2c", "branch-7", TEST_DONE, (("1.3.6.1.2.1.33.1.7.4.0", notice.varbinds[0][1]),))
    assert "secret" not in str(notice)
    assert str(notice).isprintable()


def test_the_answer_to_an_inform_is_what_it_said():
    asked = v2(named(), ("1.3.6.1.2.1.33.1.7.4.0", V2C.OctetString("x")), kind="InformRequestPDU")
    answer, _ = decoder.decode(read(asked).answer, asn1Spec=V2C.Message())
    question, _ = decoder.decode(asked, asn1Spec=V2C.Message())
    pdu, before = V2C.apiMessage.get_pdu(answer), V2C.apiMessage.get_pdu(question)
    assert pdu.isSameTypeWith(V2C.ResponsePDU())
    assert V2C.apiPDU.get_request_id(pdu) == V2C.apiPDU.get_request_id(before)
    assert V2C.apiPDU.get_varbinds(pdu) == V2C.apiPDU.get_varbinds(before)
    assert int(V2C.apiPDU.get_error_status(pdu)) == 0


def test_what_is_shown_is_bounded():
    many = [(f"1.3.6.1.4.1.9.{n}", V2C.OctetString("v" * 500)) for n in range(100)]
    notice = read(v2(named(), *many))
    assert len(notice.varbinds) == MAX_VARBINDS
    assert len(str(notice)) <= MAX_SHOWN


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        v2(named(), kind="SetRequestPDU"),
        v2(named(), kind="GetRequestPDU"),
        v2(),
        v2(named()) + b"\x05\x00",
        b"\x30\x80" * 2_000,
        b"\x30\x84\xff\xff\xff\xff\x02\x01\x01",
    ],
    ids=["empty", "text", "set", "get", "no name", "more behind", "nested", "length"],
)
def test_what_is_no_notification_is_an_error(data):
    with pytest.raises(MessageError):
        read(data)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_message_is_a_notice_or_an_error(data):
    whole = bytearray(v2(named(), ("1.3.6.1.2.1.33.1.7.4.0", V2C.OctetString("x" * 20)), kind="InformRequestPDU"))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        notice = read(cut)
    except MessageError:
        return
    assert str(notice).isprintable()


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_of_any_kind_have_a_version_or_are_an_error(data):
    with contextlib.suppress(MessageError):
        assert version_of(data) in {"1", "2c", "3"}
