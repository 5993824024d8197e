from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.firmware_shims import base
from tillwatch.firmware_shims.base import (
    Check,
    Counted,
    Ended,
    Line,
    Query,
    Row,
    Shim,
    ShimError,
    load,
    load_all,
    speaking,
)

ROOT = Path(__file__).parents[2]
CATALOGUE = yaml.safe_load((ROOT / "device_profiles" / "catalogue.yaml").read_text(encoding="utf-8"))["signals"]
ROWS = [(shim, row) for shim in load_all() for row in shim.rows]
TALLIES = [(shim, tally) for shim in load_all() for tally in shim.tallies]


def test_shims_are_found_by_being_there():
    assert "megatec_q1" in [shim.name for shim in load_all()]
    assert load("megatec_q1").title.startswith("UPS")


def test_a_shim_is_called_like_its_module_and_has_a_transcript():
    modules = {path.stem for form in ("*.py", "*.yaml") for path in (ROOT / "firmware_shims").glob(form)}
    for shim in load_all():
        assert shim.name in modules
        assert (ROOT / "tests" / "transcripts" / f"{shim.name}.txt").is_file()


@pytest.mark.parametrize("name", ["megatec", "base", "engine", "../megatec_q1", "os.path", ""])
def test_an_unknown_name_is_answered_with_what_there_is(name):
    with pytest.raises(ShimError, match=r"there are: .*megatec_q1"):
        load(name)


@pytest.mark.parametrize(("shim", "row"), ROWS, ids=lambda each: getattr(each, "signal", getattr(each, "name", "")))
def test_rows_speak_the_catalogue(shim, row):
    if row.signal.startswith("experimental."):
        return
    entry = CATALOGUE[row.signal]
    assert row.unit == entry.get("unit", "")
    assert row.states.items() <= entry.get("states", {}).items()
    assert bool(row.states) == (entry["kind"] == "state")


@pytest.mark.parametrize(("shim", "row"), ROWS, ids=lambda each: getattr(each, "signal", getattr(each, "name", "")))
def test_a_number_without_checksum_has_a_range(shim, row):
    if not shim.check and CATALOGUE.get(row.signal, {}).get("kind") in ("gauge", "counter"):
        assert row.low is not None
        assert row.high is not None


@pytest.mark.parametrize(
    ("shim", "tally"), TALLIES, ids=lambda each: getattr(each, "signal", getattr(each, "name", ""))
)
def test_what_is_counted_is_a_counter(shim, tally):
    assert CATALOGUE[tally.signal]["kind"] == "counter"
    assert tally.query in shim.queries


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("megatec_q1", ["megatec_q1"]),
        ("megatec-q1", ["megatec_q1"]),
        ("Megatec-invalid", ["megatec_q1"]),
        ("sankyo-ict3k5", ["sankyo_ict3k5"]),
        ("ID-003", ["id003"]),
        ("cctalk", []),
        ("", []),
    ],
)
def test_a_shim_is_found_by_any_name_of_its_protocol(protocol, expected):
    assert [shim.name for shim in speaking(protocol)][:1] == expected


def shim_of(query: Query, **changed) -> Shim:
    row = Row(signal="experimental.x", query=query, take=(0, 1), convert=lambda raw, _known: raw[0])
    settings = {
        "name": "x",
        "title": "x",
        "line": Line(9600),
        "framing": Ended(),
        "rows": (row,),
        "whitelist": frozenset({query.request}),
        "claim": query,
    }
    return Shim(**(settings | changed))


def test_a_query_outside_of_the_whitelist_is_no_shim():
    query = Query(b"S01\r", re.compile(b".*"))
    with pytest.raises(ValueError, match=r"S01.*not in the whitelist"):
        shim_of(query, whitelist=frozenset({b"Q1\r"}))


def test_an_unknown_checksum_is_no_shim():
    with pytest.raises(ValueError, match=r"no checksum 'crc99'; there are xor"):
        shim_of(Query(b"Q1\r", re.compile(b".*")), check=Check("crc99", (0, -2)))


def test_rows_of_one_query_share_it():
    query = Query(b"Q1\r", re.compile(b".*"))
    row = Row(
        signal="experimental.y", query=dataclasses.replace(query), take=(0, 1), convert=lambda raw, _known: raw[0]
    )
    assert shim_of(query, rows=(row, dataclasses.replace(row, signal="experimental.z"))).queries == (query,)


@pytest.mark.parametrize(
    ("received", "frame", "rest"),
    [
        (b"", None, b""),
        (b"(1 2", None, b"(1 2"),
        (b"(1 2\r", b"(1 2", b""),
        (b"\n(1 2\r\n", b"(1 2", b"\n"),
        (b"\r\n\r\n", None, b""),
        (b"\0\0(1 2\0\r\0", b"(1 2", b"\0"),
        (b"Q1\r(1 2\r", b"Q1", b"(1 2\r"),
    ],
)
def test_ended(received, frame, rest):
    assert Ended(b"\r\n").cut(received) == (frame, rest)


FRAME = bytes.fromhex("020b20000000000000032b")


@pytest.mark.parametrize(
    ("received", "frame", "rest"),
    [
        (b"", None, b""),
        (b"\xff\xff", None, b""),
        (FRAME[:1], None, FRAME[:1]),
        (FRAME[:-1], None, FRAME[:-1]),
        (FRAME, FRAME, b""),
        (b"\xff" + FRAME + b"\x02", FRAME, b"\x02"),
        (b"\x02\x01" + FRAME, FRAME, b""),
    ],
)
def test_counted(received, frame, rest):
    assert Counted(b"\x02", at=1, smallest=6).cut(received) == (frame, rest)


def test_a_lead_of_several_bytes_may_come_in_pieces():
    framing = Counted(b"\x02\x03", at=2, smallest=6)
    assert framing.cut(b"\xff\x02") == (None, b"\x02")
    assert framing.cut(b"\x02\x02\x03") == (None, b"\x02\x03")
    assert framing.cut(b"\x02\xff") == (None, b"")


@given(st.binary(max_size=300))
@pytest.mark.parametrize(
    "framing", [Ended(b"\r\n"), Counted(b"\x02", at=1, smallest=6), Counted(b"\x7f", at=2, extra=5)]
)
def test_framing_ends_and_invents_nothing(framing, received):
    while True:
        frame, rest = framing.cut(received)
        assert received.endswith(rest)
        if frame is None:
            break
        assert frame
        assert frame in received
        assert len(rest) < len(received)
        received = rest


@given(st.binary(min_size=3, max_size=40), st.sampled_from(sorted(base.CHECKSUMS)), st.sampled_from(["little", "big"]))
def test_check_holds_for_what_was_sealed_and_for_nothing_else(payload, name, order):
    width, function = base.CHECKSUMS[name]
    check = Check(name, (1, -width), order)
    frame = payload + function(payload[1:]).to_bytes(width, order)
    assert check.holds(frame)
    for at in range(1, len(frame)):
        assert not check.holds(frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :])
    for length in range(width + 2):
        assert not check.holds(frame[:length]) or length > width + 1


def test_a_report_outside_of_the_whitelist_is_no_shim():
    shim = load("megatec_q1")
    with pytest.raises(ValueError, match=r"self-report asks.*T.*not in the whitelist"):
        dataclasses.replace(shim, report=(dataclasses.replace(shim.claim, request=b"T\r"),))
