"""The codec that carries dataclasses as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.device_profiles.plain import reader, to_plain


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    text: str = ""
    place: Path | None = None
    pairs: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Outer:
    number: float
    inner: Inner = field(default_factory=Inner)
    many: tuple[Inner, ...] = ()
    names: frozenset[str] = frozenset()
    colour: Colour = Colour.RED
    flag: bool | None = None


inners = st.builds(
    Inner,
    st.text(max_size=9),
    st.none() | st.sampled_from([Path("a"), Path("/a/b c")]),
    st.lists(st.tuples(st.text(max_size=4), st.integers(-9, 9)), max_size=3).map(tuple),
)


@given(
    st.builds(
        Outer,
        st.floats(allow_nan=False),
        inners,
        st.lists(inners, max_size=3).map(tuple),
        st.frozensets(st.text(max_size=4), max_size=4),
        st.sampled_from(Colour),
        st.sampled_from([None, True, False]),
    )
)
def test_comes_back_through_msgpack_as_it_was(value):
    packed = msgpack.packb(to_plain(value))
    assert reader(Outer)(msgpack.unpackb(packed, strict_map_key=False)) == value


def test_what_is_the_default_takes_no_room():
    assert to_plain(Outer(1.5)) == {0: 1.5}


def test_a_field_without_a_default_that_is_missing_is_an_error():
    with pytest.raises(TypeError, match="number"):
        reader(Outer)({})
