from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_values import Raw
from tillwatch.agent.sources.snmprec import Replay, parse, read_recording, to_lines


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("1.3.1|2|-5", -5),
        (".1.3.1|2|5", 5),
        ("1.3.1|4|a|b", b"a|b"),
        ("1.3.1|4|", b""),
        ("1.3.1|4x|00ff", b"\x00\xff"),
        ("1.3.1|6|.1.3.6", "1.3.6"),
        ("1.3.1|64|192.0.2.7", "192.0.2.7"),
        ("1.3.1|64x|C0000207", "192.0.2.7"),
        ("1.3.1|65|4294967295", 4294967295),
        ("1.3.1|70|18446744073709551615", 18446744073709551615),
        ("1.3.1|4:writecache|value=Pump 1", b"Pump 1"),
        ("1.3.1|2:numeric|min=1,max=2,initial=2", 2),
        ("1.3.1|4|T\xfcr\r", b"T\xfcr"),
    ],
)
def test_each_type(line: str, value: Raw) -> None:
    assert parse(line.encode("latin-1"), "x") == {"1.3.1": value}


@pytest.mark.parametrize("line", ["", "# a remark", "1.3.1|5|", "1.3.1|2|", "1.3.1|2:numeric|min=0,function=sin"])
def test_lines_without_a_value(line: str) -> None:
    assert parse(line.encode(), "x") == {}


@pytest.mark.parametrize("line", ["1.3.1|2|five", "1.3.1|4x|0", "1.3.1=5", "1..3|2|5", "1.3.1|x|5"])
def test_a_wrong_line_is_named(line: str) -> None:
    with pytest.raises(SourceError, match=r"^ups\.snmprec:2: "):
        parse(b"1.3.9|2|1\n" + line.encode(), "ups.snmprec")


@given(st.binary(max_size=200))
def test_no_file_raises_anything_else(data: bytes) -> None:
    with contextlib.suppress(SourceError):
        parse(data, "x")


def test_a_file_that_is_not_there_or_empty_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No such file or directory; give the path"):
        read_recording(tmp_path / "a.snmprec")
    (tmp_path / "a.snmprec").write_text("# nothing\n")
    with pytest.raises(SourceError, match="no values in it"):
        read_recording(tmp_path / "a.snmprec")


async def test_a_walk_goes_in_the_order_of_numbers() -> None:
    replay = Replay({"1.3.2.10": 3, "1.3.2.9": 2, "1.3.2": 1, "1.3.20.1": 4})
    assert list(await replay.walk("1.3.2", 9)) == ["1.3.2.9", "1.3.2.10"]
    assert list(await replay.walk("1.3", 9)) == ["1.3.2", "1.3.2.9", "1.3.2.10", "1.3.20.1"]


@given(
    st.dictionaries(
        st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5).map(lambda arcs: f"1.3.{'.'.join(map(str, arcs))}"),
        st.one_of(
            st.integers(-(2**63), 2**64 - 1),
            st.binary(max_size=40),
            st.sampled_from(["192.0.2.7", "1.3.6.1.4.1.9", "0.0"]),
            st.text(max_size=10).map(str.encode),
        ),
        min_size=1,
    )
)
def test_what_is_written_is_read(raws: dict[str, Raw]) -> None:
    written = to_lines(raws)
    assert parse(written.encode("ascii"), "x") == raws
    order = [tuple(map(int, line.partition("|")[0].split("."))) for line in written.splitlines()]
    assert order == sorted(order)


def test_each_value_gets_the_smallest_type_that_holds_it() -> None:
    raws: dict[str, Raw] = {
        "1.3.6.1.2.1.1.3.0": 5,
        "1.3.1": -5,
        "1.3.2": 2**31,
        "1.3.3": 2**32,
        "1.3.4": 1.5,
        "1.3.5": b"a\n",
    }
    assert [line.partition("|")[2] for line in to_lines(raws).splitlines()] == ["2|-5", "66|2147483648", "70|4294967296", "4|1.5", "4x|610a", "67|5"]  # fmt: skip
