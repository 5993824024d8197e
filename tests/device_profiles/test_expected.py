"""What others read out of recorded devices, the profiles read as well: how much, and never less than before. expected.py says how it is judged."""

from __future__ import annotations

import pytest

from tests.device_profiles.expected import (
    DATA,
    EXPECTATIONS,
    Device,
    Row,
    counts,
    disputed,
    judge,
    judge_all,
    recorded,
    rows,
    show,
)
from tillwatch.agent.model import Sample, State
from tillwatch.device_profiles.compiled import Library, compile_folder

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recordings in {DATA}: set TILLWATCH_DATA")
CLEAN_BAR, ALL_BAR = 0.97, 0.90
MIN_ROWS = 2000
"""Fewer than this means that the comparison has lost its data, not that all is well."""
MOST_DISPUTED = 0.02
"""Of all rows: more of them, and the expected values would be ours."""
FAMILIES = ("camera", "pdu_switch", "printer", "router", "sensor", "server", "ups")


@needs_data
async def test_nothing_that_is_shown_is_wrong() -> None:
    found = await judge_all(Library(compile_folder()))
    print(show(found))
    assert len(found) >= MIN_ROWS
    assert [(v.row.device, v.row.oid, v.reason, v.ours) for v in found if v.result == "wrong"] == []


@needs_data
@pytest.mark.parametrize("family", FAMILIES)
async def test_what_was_right_stays_right(family: str) -> None:
    found = await judge_all(Library(compile_folder()), family)
    count = counts(found)[family, ""]
    right, clean = recorded(family)
    assert (EXPECTATIONS / f"{family}.toml").exists(), f"run expected.py with --family {family} --update"
    assert (count.right >= right, count.clean_right >= clean) == (True, True), (
        f"{count.right} of {right} rows and {count.clean_right} of {clean} clean ones are still right"
    )


@needs_data
async def test_the_bars() -> None:
    total = counts(await judge_all(Library(compile_folder())))["", ""]
    assert total.clean_share >= CLEAN_BAR
    assert total.share >= ALL_BAR


@needs_data
async def test_little_is_disputed_and_all_of_it_says_why() -> None:
    total = counts(await judge_all(Library(compile_folder())))["", ""]
    assert total.disputed <= MOST_DISPUTED * total.rows
    assert all(why for family in FAMILIES for why in disputed(family).values())


@needs_data
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_disputed_is_expected_at_all(family: str) -> None:
    known = {(row.device, row.oid) for row in rows() if row.family == family}
    assert set(disputed(family)) <= known


def test_every_file_of_expectations_is_of_a_family() -> None:
    assert {path.stem for path in EXPECTATIONS.glob("*.toml")} <= set(FAMILIES)


OID = "1.3.6.1.4.1.1.1.0"


def row(kind: str, expected: str, **changed: object) -> Row:
    return Row(
        **{  # type: ignore[arg-type]
            "family": "ups", "device": "d", "kind": kind, "name": "n", "oid": OID, "raw": "1", "divisor": "1", "multiplier": "1",
            "expected": expected, "text": "", "severity": "", "clean": True, "better": None, "why": "", **changed,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "sample", "result"),
    [
        (row("voltage", "230"), Sample("d", "a", 230.0, unit="V"), "right"),
        (row("voltage", "230"), Sample("d", "a", 2300, unit="V"), "wrong"),
        (row("voltage", "230"), Sample("d", "a", None, unit="V"), "missing"),
        (row("voltage", "23", divisor="1"), Sample("d", "a", 23.4, unit="V", oid="1.3.9"), "right"),
        (row("voltage", "23", divisor="1"), Sample("d", "a", 23.4, unit="V", oid=OID), "wrong"),
        (row("runtime", "143.66666666667"), Sample("d", "a", 8620, unit="s"), "right"),
        (row("state", "2", severity="0"), Sample("d", "a", "ok", State.OK), "right"),
        (row("state", "2", severity="2"), Sample("d", "a", "ok", State.OK), "wrong"),
        (row("state", "2", severity="0"), Sample("d", "a", 2), "missing"),
        (row("supply:toner", "69"), Sample("d", "a", 68.83, unit="%"), "right"),
        (row("humidity", "-1", better="", why="sentinel -1 = no sensor"), Sample("d", "a", -1, unit="%"), "wrong"),
        (row("humidity", "-1", better="", why="sentinel -1 = no sensor"), Sample("d", "a", "absent"), "right"),
        (row("runtime", "5", better="", why="date string", raw="04/30/25"), Sample("d", "a", "2025-04-30"), "right"),
        (row("runtime", "5", better="", why="date string", raw="04/30/25"), Sample("d", "a", "2025-04-03"), "wrong"),
        (row("voltage", "2300", better="230.0"), Sample("d", "a", 230.0, unit="V"), "right"),
        (row("count", "868"), Sample("d", "cell.imei", "868"), "right"),
        (row("count", "868"), Sample("d", "cell.imei", "869"), "missing"),
        (row("count", "868"), Sample("d", "a", "868", State.OK), "missing"),
    ],
)
def test_a_reading_is_judged(wanted: Row, sample: Sample, result: str) -> None:
    sample = sample if sample.oid else Sample(**{**{f: getattr(sample, f) for f in sample.__slots__}, "oid": OID})
    device = Device(("p",), {OID: 1}, [sample], looked_at={OID})
    device.by_oid[OID].append(sample)
    assert judge(wanted, device, {}).result == result
    assert judge(wanted, device, {("d", OID): "why"}).result == ("right" if result == "right" else "disputed")
    assert judge(wanted, Device((), {OID: 1}, []), {}).reason == "no profile"


@pytest.mark.parametrize("sample", [None, Sample("d", "a", -3, oid=OID)])
def test_a_dispute_stands_for_what_is_missing_and_for_what_is_wrong(sample: Sample | None) -> None:
    device = Device(("p",), {OID: 1}, [sample] if sample else [], looked_at={OID})
    device.by_oid[OID] += [sample] if sample else []
    assert judge(row("count", "5"), device, {("d", OID): "why"}).result == "disputed"
    assert judge(row("count", "-3"), device, {("d", OID): "why"}).result == ("right" if sample else "disputed")


@pytest.mark.parametrize(
    ("label", "name", "result"),
    [
        ("SRU Board 0", "SRU Board 0 Memory", "right"),
        ("/log 37", "/log", "right"),
        ("/log", "/log", "right"),
        ("/logs", "/log", "missing"),
        ("", "Main Memory", "missing"),
    ],
)
def test_a_row_without_an_oid_is_found_by_its_name(label: str, name: str, result: str) -> None:
    sample = Sample("d", "host.disk.percent", 58.2, unit="%", label=label)
    found = judge(row("storage", "58", name=name, oid=""), Device(("p",), {}, [sample]), {})
    assert found.result == result
