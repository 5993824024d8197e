from __future__ import annotations

import math

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.tickets.message import MAX_EVIDENCE, MAX_TEXT, Evidence, Op, TicketMessage, Words, say

text = st.text(max_size=50)
times = st.integers(0, 2**62)
messages = st.builds(
    TicketMessage,
    incident=text,
    op=st.sampled_from(Op),
    seq=st.integers(1, 1000),
    level=st.integers(1, 3),
    terminal=text,
    branch=text,
    region=text,
    component=text,
    what=text,
    at=times,
    since=times,
    evidence=st.lists(
        st.builds(
            Evidence,
            text,
            st.none() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | text,
            text,
            times,
        ),
        max_size=5,
    ).map(tuple),
    cause=text,
    consequence=text,
    action=text,
    address=text,
    evidence_left_out=st.integers(0, 9),
    drill=st.booleans(),
)


@given(messages)
def test_a_message_comes_back_as_it_went(message: TicketMessage) -> None:
    assert TicketMessage.unpack(message.pack()) == message


def test_a_key_of_a_newer_version_is_ignored(message) -> None:
    body = msgpack.unpackb(message().pack()) | {"mood": "good"}
    assert TicketMessage.unpack(msgpack.packb(body)) == message()


def test_what_is_too_much_is_cut_and_counted(message) -> None:
    many = message(evidence=tuple(Evidence(f"s{i}", i, "", 0) for i in range(MAX_EVIDENCE + 7)), cause="x" * 9000)
    kept = TicketMessage.unpack(many.pack())
    assert len(kept.evidence) == MAX_EVIDENCE
    assert kept.evidence_left_out == 7
    assert len(kept.cause) == MAX_TEXT
    assert kept.cause.endswith("…")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_json_cannot_say_is_no_value(message, value: float) -> None:
    assert TicketMessage.unpack(message(evidence=(Evidence("s", value, "", 0),)).pack()).evidence[0].value is None


def test_a_lone_surrogate_of_a_device_costs_no_ticket(message) -> None:
    assert TicketMessage.unpack(message(what="tray \udc80 open").pack()).what == "tray ? open"


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x90", b"\x80", msgpack.packb({"op": "shout"}), msgpack.packb("text"), b"\x81\xa2op\xa4open"],
)
def test_another_body_is_one_clear_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="no ticket message"):
        TicketMessage.unpack(body)


def test_what_it_says_in_both_languages_comes_back(message) -> None:
    words = Words("电池供电", "断电", "停机", "检查", "含义", ("灯亮吗",), ("万用表",), (("序列号", "S1"),))
    told = message(also={"zh": words}, says=say("held", by="li", words="parts"), note="On hold by li: parts", zone="Asia/Shanghai")  # fmt: skip
    back = TicketMessage.unpack(told.pack())
    assert back == told
    chinese = back.in_language("zh")
    assert (chinese.what, chinese.checks, chinese.note) == ("电池供电", ("灯亮吗",), "li 已挂起：parts")
    assert chinese.in_language("zh") == chinese
    assert back.in_language("en") == back


def test_a_body_of_before_there_were_two_languages_is_read(message) -> None:
    body = msgpack.unpackb(message().pack())
    for name in ("says", "also", "zone"):
        del body[name]
    body["evidence"] = [row[:4] for row in body["evidence"]]
    assert TicketMessage.unpack(msgpack.packb(body)) == message()
