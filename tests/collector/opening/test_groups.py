"""What openers and fold tell each other, there and back, and what becomes of bytes that are none of it."""

from __future__ import annotations

import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import Quality, State
from tillwatch.agent.wire import Refusal, VerifyKey, open_batch
from tillwatch.collector.intake import Message
from tillwatch.collector.opening.groups import (
    MAX_GROUP,
    MAX_MESSAGES,
    Answer,
    Group,
    GroupError,
    Hello,
    open_answer,
    open_group,
    open_hello,
    pack_answer,
    pack_group,
    pack_hello,
)

VALUES = st.one_of(
    st.none(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=40)
)
READINGS = st.lists(
    st.builds(
        lambda component, signal, ms, value, state, quality: reading(
            component, signal, T0 + ms * 1_000_000, value, state, quality
        ),
        st.sampled_from(("host", "ups", "host/disk:/")),
        st.sampled_from(("a.percent", "b.total", "c.text")),
        st.integers(0, 100_000),
        VALUES,
        st.sampled_from(State),
        st.sampled_from(Quality),
    ),
    min_size=1,
    max_size=30,
)


class Known:
    def __init__(self, atm: Sender) -> None:
        self._key = VerifyKey(atm.key.public)

    def knows(self, terminal: str) -> bool:
        return True

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        return self._key


@given(st.lists(READINGS, min_size=1, max_size=5), st.integers(1, 2**40))
def test_opened_batches_come_out_as_they_went_in(batches, number):
    atm = Sender("atm-1")
    messages = [atm.life(T0)]
    for readings in batches:
        sealed = atm.batch(readings, T0)
        messages.append(sealed._replace(opened=open_batch(sealed.topic, sealed.payload, Known(atm))))
    messages.append(atm.batch(batches[0], T0 + S))
    group = Group("host-1", 3, 0, number, messages, {("atm-1", "flood"): 7})
    again = open_group(pack_group(group), T0 + 5)
    assert again == Group(
        "host-1", 3, 0, number, [m._replace(received=T0 + 5) for m in messages], {("atm-1", "flood"): 7}
    )
    shared = [column.at for message in again.messages if message.opened for column in message.opened.columns]
    assert len({id(at) for at in shared}) <= len(shared)


@given(st.binary(max_size=200))
def test_what_is_no_group_is_one_error(noise):
    for opening in (lambda raw: open_group(raw, 0), open_answer, open_hello):
        with pytest.raises(GroupError):
            opening(noise)


@given(st.data())
def test_a_damaged_group_is_one_error_or_another_group(data):
    atm = Sender("atm-1")
    sealed = atm.batch([reading("host", "a.percent", T0, 1.5)], T0)
    opened = open_batch(sealed.topic, sealed.payload, Known(atm))
    packed = bytearray(pack_group(Group("o", 1, 0, 1, [sealed._replace(opened=opened)])))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(GroupError):
        assert open_group(bytes(packed), 0).messages is not None


def test_bounds_and_versions():
    message = Message("tw/1/atm-1/batch", b"x", 0)
    with pytest.raises(GroupError, match="more messages"):
        open_group(pack_group(Group("o", 1, 0, 1, [message] * (MAX_MESSAGES + 1))), 0)
    with pytest.raises(GroupError, match="limit"):
        open_group(bytes(MAX_GROUP + 1), 0)
    with pytest.raises(GroupError, match="different versions"):
        open_group(msgpack.packb([2, "o", 1, 0, 1, [], []]), 0)


@given(
    st.integers(0, 2**40), st.booleans(), st.lists(st.tuples(st.text(max_size=5), st.binary(max_size=9)), max_size=3)
)
def test_answers_and_greetings(number, stored, acks):
    answer = Answer(number, stored, tuple(acks), ("atm-1",))
    assert open_answer(pack_answer(answer)) == answer
    hello = Hello("host-1", bye=stored, fold=number)
    assert open_hello(pack_hello(hello)) == hello
