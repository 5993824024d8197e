"""UnifiedPOS statistics, and the process that asks Windows for them."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.counters import CATALOGUE, assert_catalogued
from tests.agent.sources.windows_machine import recorded
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.windows_pos import (
    EQUIPMENT,
    MAX_DEVICES,
    STATISTICS,
    PosChild,
    Reported,
    reported,
    samples,
    statistics,
)

DOCUMENT = (
    "<UPOSStat><Event>{}</Event><Equipment><ModelName>M1</ModelName><DeviceCategory UPOS='MSR'/></Equipment></UPOSStat>"
)


def parameter(name, value):
    return DOCUMENT.format(f"<Parameter><Name>{name}</Name><Value>{value}</Value></Parameter>")


def said(xml, error=""):
    return {sample.signal: sample.value for sample in samples("w", [Reported("PosPrinter", "P", "n", xml, error)])}


def test_the_recorded_machine():
    found = list(samples("w", reported(recorded()["pos"])))
    assert_catalogued(found)
    values = {(sample.component, sample.signal): sample.value for sample in found}
    printer, reader, drawer = (
        "w/printer:USB#VID_04B8&PID_0E15#X7F4021133",
        r"w/msr:HID#VID_0801&PID_0011#7&2d4a",
        "w/drawer:ROOT#CASHDRAWER#0000",
    )
    assert values[printer, "printer.cuts"] == 48211
    assert values[printer, "printer.cuts.failed"] == 2
    assert values[printer, "pos.hours"] == 9120
    assert values[printer, "identity.serial"] == "X7F4021133"
    assert (printer, "printer.lines") not in values, "an empty value is none"
    assert (printer, "printer.errors.home") not in values, "nor is n/a"
    assert values[reader, "pos.hours"] == 220, "without Count, as some drivers write it"
    assert values[reader, "cardreader.track2.parity"] == 97
    assert values[drawer, "pos.statistics"] == "missing"
    assert values[drawer, "pos.statistics.reason"] == "its driver gives no statistics"
    assert not any("authentication" in signal.lower() for _, signal in values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("0", 0),
        (" 7 ", 7),
        ("-1", None),
        ("1e3", None),
        ("1.5", None),
        ("", None),
        ("9" * 16, None),
        ("9007199254740991", 9007199254740991),
    ],
)
def test_values(text, value):
    assert said(parameter("PaperCutCount", text)).get("printer.cuts") == value


def test_a_value_belongs_to_the_name_before_it():
    xml = DOCUMENT.format(
        "<Parameter><Name>PaperCutCount</Name></Parameter><Parameter><Value>5</Value></Parameter><Parameter><Value>6</Value><Name>X</Name></Parameter>"
    )
    assert said(xml).get("printer.cuts") in {None, 5}
    assert statistics(parameter("A", "1")) == {"A": "1", "ModelName": "M1"}


@pytest.mark.parametrize("xml", ["", "plain text", "<UPOSStat xmlns:xsi=http://x></UPOSStat>", "<!DOCTYPE a><a/>"])
def test_what_is_no_document_is_told(xml):
    told = said(xml)
    assert told["pos.statistics"] == "missing"
    assert told["pos.statistics.reason"].startswith("its statistics cannot be read")


def test_signals_are_of_the_catalogue():
    for signal, unit in STATISTICS.values():
        assert CATALOGUE[signal]["kind"] == "counter"
        assert CATALOGUE[signal].get("unit", "") == unit
    assert set(EQUIPMENT.values()) <= CATALOGUE.keys()


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["kind", "id", "name", "statistics", "error", "x"]),
            st.none()
            | st.integers()
            | st.text(max_size=90)
            | st.just("PosPrinter")
            | st.just(parameter("PaperCutCount", "3"))
            | st.lists(st.none(), max_size=1),
        )
        | st.none(),
        max_size=5,
    )
)
def test_whatever_the_child_says_can_be_sent(rows):
    assert_catalogued(samples("w" * 48, reported(rows)))


def test_the_child_says_a_list():
    with pytest.raises(ValueError, match="not a list"):
        reported({})
    assert len(reported([{"kind": "CashDrawer"}] * 99)) == MAX_DEVICES


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has what is asked for")
async def test_the_child_is_this_very_interpreter():
    with pytest.raises(SourceError, match=r"only Windows has Windows\.Devices\.PointOfService.*windows-pos"):
        await PosChild().ask()


@pytest.mark.skipif(sys.platform == "win32", reason="the program of the test is a shell script")
async def test_its_answer_is_read(tmp_path):
    (tmp_path / "said").write_text(json.dumps(recorded()["pos"]))
    child = tmp_path / "python"
    child.write_text(f"#!/bin/sh\ncat {tmp_path}/said\n")
    child.chmod(0o755)
    assert [each.kind for each in await PosChild(str(child)).ask()] == [
        "PosPrinter",
        "MagneticStripeReader",
        "CashDrawer",
    ]
    (tmp_path / "said").write_text("{}")
    with pytest.raises(SourceError, match="none of ours"):
        await PosChild(str(child)).ask()
