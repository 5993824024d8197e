"""Passwords: hashed so that a changed parameter is seen, and refused where lists begin with them."""

from __future__ import annotations

import pytest
from argon2 import extract_parameters
from argon2.exceptions import VerifyMismatchError
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.people.passwords import LANES, MAX_LENGTH, MEMORY_KIB, TIME_COST, Passwords, Weak, weakness

CHEAP = Passwords(time_cost=1, memory_kib=8, lanes=1)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", Weak.SHORT),
        ("x" * (MAX_LENGTH + 1), Weak.LONG),
        ("password1234", Weak.COMMON),
        ("P@ssw0rd!2026", Weak.COMMON),
        ("Welcome2Bank!!", Weak.COMMON),
        ("qwertyuiop123", Weak.COMMON),
        ("1qaz2wsx3edc", Weak.COMMON),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", Weak.COMMON),
        ("123456789012345", Weak.COMMON),
        ("correct horse battery staple", Weak.COMMON),
        ("tillwatch-admin-1", Weak.COMMON),
        ("LiWei-LiWei-2026", Weak.NAME),
        ("wang.xiaoming.88", Weak.NAME),
        ("violet tundra kayak 93", None),
        ("sHq7#mK2pL9v", None),
        ("山高月小水落石出赤壁赋记", None),
    ],
)
def test_what_lists_begin_with_is_refused(password, why):
    assert weakness(password, "liwei", "Wang Xiaoming") is why


@given(st.text(max_size=MAX_LENGTH))
def test_any_text_is_judged(password):
    assert weakness(password, "liwei") in (None, *Weak)


def test_it_is_argon2id_of_the_parameters_that_are_named():
    found = extract_parameters(Passwords().hash("violet tundra kayak"))
    assert (found.type.name, found.time_cost, found.memory_cost, found.parallelism) == (
        "ID",
        TIME_COST,
        MEMORY_KIB,
        LANES,
    )


def test_only_the_right_one_is_verified_and_nobody_has_none():
    held = CHEAP.hash("violet tundra kayak")
    assert CHEAP.verify(held, "violet tundra kayak")
    assert not CHEAP.verify(held, "violet tundra kayaK")
    assert not CHEAP.verify("", "violet tundra kayak")
    assert not CHEAP.verify("", "nobody has this password")
    assert not CHEAP.verify("$argon2id$broken", "violet tundra kayak")


def test_who_is_nobody_is_hashed_for_as_long_as_somebody():
    """The hash that nobody has is of the parameters of others, and well formed: it is reckoned with to the end, and does not match."""
    assert extract_parameters(CHEAP._nobody) == extract_parameters(CHEAP.hash("violet tundra kayak"))
    assert CHEAP._nobody != Passwords(time_cost=1, memory_kib=8, lanes=1)._nobody
    with pytest.raises(VerifyMismatchError):
        CHEAP._hasher.verify(CHEAP._nobody, "violet tundra kayak")


def test_the_same_characters_are_the_same_password_however_a_keyboard_writes_them():
    assert CHEAP.verify(CHEAP.hash("caf\u00e9 tundra kayak"), "cafe\u0301 tundra kayak")


def test_a_hash_of_other_parameters_wants_to_be_made_anew():
    assert Passwords(time_cost=2, memory_kib=16, lanes=1).aged(CHEAP.hash("violet tundra kayak"))
    assert not CHEAP.aged(CHEAP.hash("violet tundra kayak"))
