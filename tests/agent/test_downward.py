"""Commands as bytes: sealed once, opened as they were, and only what the specification lets in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.frames import BASE, EPOCH, KEY, U63, command, frame, open_command, plain, refusal
from tillwatch.agent import wire
from tillwatch.agent.model import MS
from tillwatch.agent.wire import Refusal, SigningKey

arguments = st.dictionaries(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1, max_size=32),
    st.one_of(st.integers(0, U63), st.text(max_size=20)),
    max_size=4,
)
MEMBERS = {
    "terminal": "atm-0417", "key": KEY.key_id, "number": 7, "kind": "poll-now", "issued": BASE, "expires": BASE, "epoch": EPOCH, "arguments": {},
}  # fmt: skip


@given(st.integers(1, U63), st.text(min_size=1, max_size=32), st.integers(0, 10**15), st.integers(0, 10**9), arguments)
def test_it_comes_back(number: int, kind: str, issued: int, life: int, given_: dict[str, Any]) -> None:
    issued = issued % (10**12) * MS
    sealed = command(number=number, kind=kind, issued=issued, expires=issued + life * MS, arguments=given_)
    assert open_command(wire.seal_command(KEY, sealed)) == sealed


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0}, {"number": -1}, {"number": 2**63}, {"number": True}, {"number": "7"}, {"kind": ""}, {"kind": "x" * 33}, {"kind": 5},
        {"expires": BASE - 1}, {"issued": 10**14}, {"epoch": bytes(11)}, {"arguments": []}, {"arguments": {1: 2}}, {"arguments": {"a": -1}},
        {"arguments": {"a": 1.5}}, {"arguments": {"a": None}}, {"arguments": {"a": "x" * 97}}, {"arguments": {"a": [1]}},
        {"arguments": {f"a{n}": n for n in range(9)}}, {"arguments": {"": 1}}, {"arguments": None},
    ],
)  # fmt: skip
def test_what_a_command_is_not(changes: dict[str, Any]) -> None:
    payload = plain(frame(MEMBERS | changes, kind="command"))
    assert refusal(open_command, payload).reason is Refusal.HEADER


def test_members_that_are_not_known_are_ignored() -> None:
    assert open_command(plain(frame(MEMBERS | {"later": 5}, b"more", kind="command"))).number == 7


def test_each_member_is_needed() -> None:
    for name in MEMBERS:
        members = {key: value for key, value in MEMBERS.items() if key != name}
        assert refusal(open_command, plain(frame(members, kind="command"))).reason is Refusal.HEADER


def test_keys_of_the_collector_rotate_as_for_acks() -> None:
    """The terminal pins several; the one that sealed is found by its id, and one that is not pinned proves nothing."""
    old, new = KEY, SigningKey(bytes([9]) * 32)
    pinned = {key.key_id: wire.VerifyKey(key.public) for key in (old, new)}
    for key in (old, new):
        payload = wire.seal_command(key, command())
        assert wire.open_command("atm-0417", payload, pinned.get).key == key.key_id
    stranger = wire.seal_command(SigningKey(bytes([8]) * 32), command())
    assert refusal(wire.open_command, "atm-0417", stranger, pinned.get).reason is Refusal.UNKNOWN_KEY
    del pinned[old.key_id]
    assert (
        refusal(wire.open_command, "atm-0417", wire.seal_command(old, command()), pinned.get).reason
        is Refusal.UNKNOWN_KEY
    )
