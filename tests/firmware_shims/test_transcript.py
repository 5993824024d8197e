from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.firmware_shims.base import Decoded
from tillwatch.firmware_shims.transcript import Exchange, Spoken, differences, parse, to_text

EXCHANGES = st.lists(
    st.builds(Exchange, st.binary(min_size=1, max_size=8), st.binary(max_size=20)), min_size=1, max_size=5
)
TEXTS = st.text(st.sampled_from("abz019 .-_:/()#"), min_size=1, max_size=12)


@given(EXCHANGES, st.dictionaries(st.sampled_from(["a.b", "a.c", "d"]), st.one_of(st.integers(-999, 999), st.floats(-1e6, 1e6), TEXTS)))  # fmt: skip
def test_what_is_written_is_read(exchanges: list[Exchange], values: dict[str, int | float | str]) -> None:
    said = [Decoded(signal, value, "V" if isinstance(value, int | float) else "") for signal, value in values.items()]
    (spoken,) = parse(to_text("made for a test", exchanges, said), "x.txt")
    assert spoken.title == "made for a test"
    assert spoken.exchanges == exchanges
    assert differences(spoken, said) == []


def test_a_reading_without_a_value_is_left_out_and_a_quoted_number_is_a_text() -> None:
    text = to_text("t", [Exchange(b"Q")], [Decoded("a", None), Decoded("b", "007", part="p")])
    assert text == '# t\n> 51\n= p b "007"\n'
    (spoken,) = parse(text, "x.txt")
    assert spoken.expected == {("p", "b"): ("007", "")}


@pytest.mark.parametrize("line", ["> 5", "< 51", "= a b", "? 51", "= - 'a 1"])
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(ValueError, match=r"^x\.txt:2: .*a line is"):
        list(parse(f"# title\n{line}\n", "x.txt"))


def test_differences_are_said_by_name() -> None:
    spoken = Spoken("", [], {("", "a"): (1.0, "V"), ("p", "b"): ("x", ""), ("", "c"): (2.0, "")})
    assert differences(spoken, [Decoded("a", 1, "A"), Decoded("b", "x", part="p")]) == [
        "a: 1 A instead of 1.0 V",
        "c: None instead of 2.0 ",
    ]
