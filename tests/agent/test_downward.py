"""Commands as bytes: sealed once, opened as they were, and only what the specification lets in."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256 as _sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.frames import BASE, EPOCH, KEY, U63, command, frame, open_command, plain, refusal
from tillwatch.agent import wire
from tillwatch.agent.model import MS
from tillwatch.agent.wire import Refusal, SigningKey


def sha256(content: bytes) -> bytes:
    return _sha256(content).digest()


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


CONTENT = b"packed"
DIRECTIVE = {
    "terminal": "atm-0417", "key": KEY.key_id, "number": 7, "epoch": EPOCH, "issued": BASE, "name": "winter-2026", "digest": sha256(CONTENT),
}  # fmt: skip


def directive(**changes: Any) -> wire.Directive:
    members = {"terminal": "atm-0417", "number": 7, "epoch": EPOCH, "issued": BASE * MS, "name": "winter-2026", "digest": sha256(CONTENT), "content": CONTENT}  # fmt: skip
    return wire.Directive(**{**members, **changes})


def open_directive(payload: bytes, terminal: str = "atm-0417", key: SigningKey = KEY) -> wire.Directive:
    pinned = {key.key_id: wire.VerifyKey(key.public)}
    return wire.open_directive(terminal, payload, pinned.get)


@given(st.integers(1, U63), st.binary(min_size=1, max_size=2_000))
def test_a_directive_comes_back(number: int, content: bytes) -> None:
    sealed = directive(number=number, content=content, digest=sha256(content))
    assert open_directive(wire.seal_directive(KEY, sealed)) == replace(sealed, key=KEY.key_id)


def test_a_directive_may_say_that_nothing_is_to_run() -> None:
    sealed = directive(name="", digest=b"", content=b"")
    assert open_directive(wire.seal_directive(KEY, sealed)).content == b""


@pytest.mark.parametrize(
    "changes",
    [
        {"number": 0}, {"number": True}, {"epoch": bytes(11)}, {"name": "Winter"}, {"name": "../x"}, {"name": ""}, {"name": "x" * 33}, {"name": None},
        {"digest": bytes(32)}, {"digest": b""}, {"digest": bytes(31)}, {"digest": None}, {"issued": -1}, {"issued": 10**14},
    ],
    ids=str,
)  # fmt: skip
def test_a_directive_that_is_none_is_not_opened(changes: dict[str, Any]) -> None:
    made = frame({**DIRECTIVE, **changes}, CONTENT)
    signed = made + KEY.sign(b"tillwatch/bundle/1\0" + b"tw/1/atm-0417/bundle" + b"\0" + made)
    with pytest.raises(wire.WireError):
        open_directive(plain(signed))


def test_only_the_collectors_own_directive_to_this_terminal_is_opened() -> None:
    payload = wire.seal_directive(KEY, directive())
    other = SigningKey(b"o" * 32)
    for terminal, key, given_ in (("atm-0417", other, payload), ("atm-9", KEY, payload), ("atm-0417", KEY, wire.seal_directive(other, directive()))):  # fmt: skip
        with pytest.raises(wire.WireError):
            open_directive(given_, terminal, key)
    for place in range(4, len(payload)):
        with pytest.raises(wire.WireError):
            open_directive(payload[:place] + bytes((payload[place] ^ 1,)) + payload[place + 1 :])


def test_a_directive_is_bounded() -> None:
    much = b"x" * (wire.MAX_PACKED + 1)
    with pytest.raises(wire.WireError):
        wire.seal_directive(KEY, directive(content=much, digest=sha256(much)))
    most = b"x" * wire.MAX_PACKED
    assert len(wire.seal_directive(KEY, directive(content=most, digest=sha256(most)))) < wire.MAX_PAYLOAD


@given(st.text(max_size=80))
def test_a_report_is_one_or_is_none(text: str) -> None:
    report = wire.report_of(text)
    assert report is None or wire.report_of(report.text()) == wire.report_of(wire.report_of(report.text()).text())


@pytest.mark.parametrize("state", list(wire.Running))
def test_a_report_comes_back(state: wire.Running) -> None:
    report = wire.Report(17, state, "3fa9c1d2e4b5", "winter-2026", "ups gave 12 values, now 0")
    assert wire.report_of(report.text()) == report
    assert wire.report_of(wire.Report(0, state).text()) == wire.Report(0, state)
    assert wire.report_of(f"17 {state} - No_Name x") is None
