"""The chart's option: gaps open, bands only where hours have a spread, words as steps, reasons instead of emptiness."""

from __future__ import annotations

from itertools import pairwise

from tests.collector.fake_fleet import HOUR, NANO, FakeFleet
from tillwatch.agent.model import MS
from tillwatch.collector.read import History, Point
from tillwatch.collector.web.messages import TEXTS
from tillwatch.collector.web.pages.chart import CHART_POINTS, MAX_WORDS, option

BASE = 1_790_000_000 * NANO
EN = TEXTS["en"]


def drawn(component, signal, hours):
    history = FakeFleet(60, BASE).history("ATM-001", component, signal, BASE - hours * HOUR, BASE)
    return option(history, BASE - hours * HOUR, BASE, 60, EN)


def test_a_day_of_readings_has_its_two_gaps_open_and_grey():
    chart, made_of = drawn("ups/battery", "battery.charge", 24)
    line = chart["series"][0]
    assert [point[1] for point in line["data"]].count(None) == 2
    assert len(line["markArea"]["data"]) == 2
    assert chart["series"][1]["data"] == []
    assert "Gaps without data (grey): 2" in made_of
    assert (chart["xAxis"]["min"], chart["xAxis"]["max"]) == ((BASE - 24 * HOUR) // MS, BASE // MS)
    assert chart["yAxis"]["name"] == "%"


def test_hours_have_a_band_from_least_to_most():
    chart, made_of = drawn("ups/battery", "battery.charge", 30 * 24)
    line, low, spread = (series["data"] for series in chart["series"])
    assert [low[0][1], low[0][1] + spread[0][1]] == line[0][2:4]
    assert "hourly means" in made_of


def test_a_year_stays_small():
    chart, _ = drawn("ups/battery", "battery.charge", 366 * 24)
    assert len(chart["series"][0]["data"]) <= CHART_POINTS + 100


def test_words_become_steps():
    chart, _ = drawn("ups", "output.source", 24)
    assert sorted(chart["yAxis"]["data"]) == ["battery", "normal"]
    data = chart["series"][0]["data"]
    assert "-" in [point[1] for point in data]
    changes = [(a, b) for a, b in pairwise(data) if a[1] != b[1] and "-" not in {a[1], b[1]}]
    assert changes
    assert all(b[0] - a[0] == 1 for a, b in changes)


def test_what_cannot_be_drawn_says_why():
    many = History(
        "t",
        "c",
        "s",
        "",
        "reading",
        tuple(Point(BASE + k * NANO, f"text {k}", None, None, 1) for k in range(MAX_WORDS + 1)),
    )
    chart, reason = option(many, BASE, BASE + HOUR, 1, EN)
    assert chart == {}
    assert f"more than {MAX_WORDS}" in reason
    assert option(History("t", "c", "s", "", "reading", ()), BASE, BASE + HOUR, 1, EN) == ({}, "")


def test_a_unit_from_the_wire_cannot_become_script():
    history = History("t", "c", "s", "%');alert(1)//", "reading", (Point(BASE, 1.0, None, None, 1),))
    chart, _ = option(history, BASE, BASE + HOUR, 1, EN)
    assert chart["tooltip"][":formatter"] == "tw.tip('%alert1//')"
