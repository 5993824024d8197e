"""What acts make of a terminal's keys, and which chains of rotations are followed."""

from __future__ import annotations

import pytest

from tillwatch.agent.wire import SigningKey, WireError, seal_rotation
from tillwatch.collector.terminal.fleet import MAX_CERTIFICATES, Terminal
from tillwatch.collector.trust import succession
from tillwatch.collector.trust.succession import ConflictError

KEYS = [SigningKey(bytes([n + 1]) * 32) for n in range(6)]
E = b"epoch-e-...."


def enrolled(key=KEYS[0], serial="a0"):
    terminal = Terminal("t", "b", "r", "atm", 1)
    succession.enrol(terminal, {"public": key.public, "serial": serial}, 1)
    return terminal


def statement(old, new, seq=10, terminal="t"):
    return seal_rotation(KEYS[old], KEYS[new], terminal=terminal, epoch=E, seq=seq, n=3, at=5)


def follow(terminal, key, *statements, at=9):
    for rotation, packed in succession.following(terminal, KEYS[key].key_id, statements):
        succession.rotate(terminal, succession.rotation_facts(rotation, packed), at)
    return states(terminal)


def states(terminal):
    return {n: terminal.keys[key.key_id].state for n, key in enumerate(KEYS) if key.key_id in terminal.keys}


def test_a_key_hands_over_and_proves_what_was_before():
    terminal = enrolled()
    succession.certify(terminal, {"public": KEYS[1].public, "serial": "a1"}, 5)
    assert states(terminal) == {0: "active", 1: "pending"}
    assert follow(terminal, 1, statement(0, 1)) == {0: "retiring", 1: "active"}
    old, new = KEYS[0].key_id, KEYS[1].key_id
    assert [terminal.sealed_in_time(old, E, seq) for seq in (1, 10, 11)] == [True, True, False]
    assert not terminal.sealed_in_time(old, b"another epoch"[:12], 1)
    assert [terminal.told_in_time(old, E, n) for n in (3, 4)] == [True, False]
    assert terminal.sealed_in_time(new, E, 11)
    assert succession.revoked_serials([terminal]) == {"a0": 9}
    assert terminal.refuses("a0")
    assert not terminal.refuses("a1")


def test_a_restored_collector_follows_a_chain_from_the_key_that_it_knows():
    chain = [statement(0, 1, 10), statement(1, 2, 20), statement(2, 3, 30)]
    assert follow(enrolled(), 3, *chain) == {0: "retiring", 1: "retiring", 2: "retiring", 3: "active"}
    # What lies before the key that it knows is passed over.
    assert follow(enrolled(KEYS[2]), 3, *chain) == {2: "retiring", 3: "active"}


def test_a_chain_that_was_followed_leads_nowhere_a_second_time():
    terminal = enrolled()
    follow(terminal, 1, statement(0, 1))
    with pytest.raises(WireError, match="unknown_key"):
        follow(terminal, 1, statement(0, 1))
    assert follow(terminal, 2, statement(0, 1), statement(1, 2)) == {0: "retiring", 1: "retiring", 2: "active"}


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        ([], "unknown_key"),
        ([statement(1, 2)], "unknown_key"),
        ([statement(0, 1)], "unknown_key"),  # leads to another key than the one that asks
        ([statement(0, 2, terminal="other")], "rotation: the statement is of 'other'"),
        ([statement(0, 2)[:-1] + b"\0"], "rotation"),
        ([b""], "rotation"),
    ],
)
def test_what_does_not_lead_to_the_key_changes_nothing(statements, reason):
    terminal = enrolled()
    with pytest.raises(WireError, match=reason):
        follow(terminal, 2, *statements)
    assert states(terminal) == {0: "active"}


def test_a_key_that_hands_over_twice_was_in_two_machines():
    terminal = enrolled()
    follow(terminal, 1, statement(0, 1))
    with pytest.raises(ConflictError, match="after it has handed over to another one"):
        follow(terminal, 2, statement(0, 2))
    assert states(terminal) == {0: "retiring", 1: "active"}


def test_a_revoked_terminal_hands_nothing_over():
    terminal = enrolled()
    succession.certify(terminal, {"public": KEYS[1].public, "serial": "a1"}, 5)
    succession.revoke(terminal, {"reason": "stolen"}, 6)
    assert (terminal.state, terminal.why, states(terminal)) == ("revoked", "stolen", {0: "revoked", 1: "revoked"})
    assert succession.revoked_serials([terminal]) == {"a0": 6, "a1": 6}
    with pytest.raises(WireError, match="revoked_key"):
        follow(terminal, 1, statement(0, 1))
    succession.enrol(terminal, {"public": KEYS[3].public, "serial": "a3"}, 7)
    assert (terminal.state, terminal.why) == ("active", "")
    assert states(terminal) == {0: "revoked", 1: "revoked", 3: "active"}
    assert not terminal.refuses("a3")


def test_a_key_prepared_in_vain_is_revoked_with_its_certificate():
    terminal = enrolled()
    succession.certify(terminal, {"public": KEYS[1].public, "serial": "a1"}, 5)
    succession.certify(terminal, {"public": KEYS[2].public, "serial": "a2"}, 6)
    assert follow(terminal, 2, statement(0, 2)) == {0: "retiring", 1: "revoked", 2: "active"}
    assert succession.revoked_serials([terminal]) == {"a0": 9, "a1": 9}


def test_certificates_are_bounded():
    terminal = enrolled()
    for number in range(MAX_CERTIFICATES + 5):
        succession.certify(terminal, {"public": KEYS[1].public, "serial": f"{number:x}"}, 5)
    assert len(terminal.certificates) == MAX_CERTIFICATES


def test_identity_is_kept_with_the_terminal():
    terminal = enrolled()
    succession.certify(terminal, {"public": KEYS[1].public, "serial": "a1"}, 5)
    follow(terminal, 1, statement(0, 1))
    again = Terminal("t", "b", "r", "atm", 1)
    again.unpack_status(terminal.pack_status())
    assert (again.until, again.certificates, again.why) == (terminal.until, terminal.certificates, "")
