"""The small chart: gaps open, limits drawn, years bounded, foreign texts harmless, the same bytes each time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.fake_fleet import HOUR, NANO, SCRIPT, FakeFleet
from tillwatch.collector.read import History, Point
from tillwatch.collector.web.drawing.svg_chart import (
    BOTTOM,
    DARK,
    HEIGHT,
    LEFT,
    LIGHT,
    MAX_DRAWN,
    RIGHT,
    TOP,
    WIDTH,
    Foretold,
    draw,
)
from tillwatch.collector.web.messages import TEXTS

BASE = 1_790_000_000 * NANO
GOLDEN = Path(__file__).parents[3] / "golden" / "svg_chart"
SVG = "{http://www.w3.org/2000/svg}"


def chart(component="ups/battery", signal="battery.charge", hours=12, limits=(20.0,), language="en", zone="Asia/Shanghai"):  # fmt: skip
    history = FakeFleet(60, BASE).history("ATM-001", component, signal, BASE - hours * HOUR, BASE)
    return draw(history, BASE - hours * HOUR, BASE, 60, limits, ZoneInfo(zone), TEXTS[language])


DAY = 24 * HOUR


def foretold(colours=LIGHT, limit=20.0, due=(3, 5, 9), ahead=12, usual=None, language="en"):
    """Two days of readings, and what is said of the days after."""
    history = FakeFleet(60, BASE).history("ATM-001", "ups/battery", "battery.charge", BASE - 2 * DAY, BASE)
    told = Foretold(BASE, tuple(BASE + n * DAY for n in due) if due else None, limit, usual)
    limits = () if limit is None else (limit,)
    return draw(history, BASE - 2 * DAY, BASE + ahead * DAY, 60, limits, UTC, TEXTS[language], told, colours)


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("foretold", foretold),
        ("foretold_dark", lambda: foretold(DARK, language="zh")),
        ("unusual", lambda: foretold(limit=None, due=None, ahead=1, usual=(55.0, 80.0))),
        ("half_a_day", chart),
        ("a_month", lambda: chart(hours=30 * 24, limits=(20, 50))),
        ("words", lambda: chart("ups", "output.source", language="zh")),
    ],
)
def test_the_picture_is_the_one_that_was_looked_at(name, made, update_golden):
    """Look at it in a browser before you commit another one."""
    file = GOLDEN / f"{name}.svg"
    if update_golden:
        file.write_text(made(), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == made()


def test_gaps_stay_gaps():
    drawing = ET.fromstring(chart())
    lines = [each for each in drawing.iter(f"{SVG}path") if each.get("stroke") == "#1c5fa8"]
    shades = [each for each in drawing.iter(f"{SVG}rect") if each.get("fill") == "#eceef3"]
    assert (len(lines), len(shades)) == (2, 1)


def test_axis_limit_and_zone_are_told():
    texts = [each.text for each in ET.fromstring(chart()).iter(f"{SVG}text")]
    assert "ATM-001 ups/battery battery.charge (%)" in texts
    assert "18:00" in texts, "22:13 in Shanghai is the end"
    assert any(each and each.endswith("UTC+08:00") for each in texts)
    assert texts.count("20") == 2, "of the axis and of the limit"


@pytest.mark.parametrize(("unit", "heading"), [("C", "t c s (°C)"), ("ohm", "t c s (Ω)"), ("rpm", "t c s (rpm)")])
def test_a_unit_is_written_as_people_write_it(unit, heading):
    points = (Point(BASE, 21.5, None, None, 1),)
    drawing = ET.fromstring(draw(History("t", "c", "s", unit, "reading", points), BASE, BASE + HOUR, 60, (), UTC, TEXTS["en"]))  # fmt: skip
    assert drawing.findtext(f"{SVG}title") == heading


def test_nine_years_of_readings_are_a_small_picture():
    points = tuple(Point(BASE + k * HOUR, float(k % 97), 0.0, 100.0, 60) for k in range(9 * 366 * 24))
    history = History("t", "c", "s", "%", "hour", points)
    drawing = draw(history, BASE, points[-1].at, 3600, (), UTC, TEXTS["en"])
    assert len(drawing) < 80 * MAX_DRAWN


def test_without_a_number_it_says_why():
    assert "words, not numbers" in chart("ups", "output.source")
    empty = History("t", "c", "s", "", "reading", ())
    assert "此时段内没有读数" in draw(empty, BASE, BASE + HOUR, 0, (5.0,), UTC, TEXTS["zh"])


NASTY = st.text(st.one_of(st.sampled_from("<>&\"'\x00\x0b\ud800\u202e\n电池"), st.characters()), max_size=80)
NUMBERS = st.one_of(st.none(), st.floats(allow_nan=True), st.integers(-(2**63), 2**63), st.text(max_size=3))


@pytest.mark.parametrize(
    "values", [(2**62, 2**62 + 1), (1.7e308, -1.7e308), (5e-324, 0.0), (0.0,), (float("inf"), 1.0), (1e-250, 2e-250)]
)
def test_the_ends_of_numbers_have_a_place(values):
    points = tuple(Point(BASE + k * 60 * NANO, value, None, None, 1) for k, value in enumerate(values))
    drawing = draw(History("t", "c", "s", "", "reading", points), BASE, BASE + HOUR, 60, (), UTC, TEXTS["en"])
    assert not {"nan", "inf"} & set(drawing.replace("M", " ").replace("L", " ").split())


@given(NASTY, NASTY, st.lists(NUMBERS, max_size=12), st.integers(1, 10 * 366 * 24))
def test_whatever_a_device_tells_the_picture_is_whole(name, unit, values, hours):
    points = tuple(Point(BASE + k * 60 * NANO, value, None, None, 1) for k, value in enumerate(values))
    drawing = draw(History(name, name, name, unit, "reading", points), BASE, BASE + hours * HOUR, 60, (), ZoneInfo("America/New_York"), TEXTS["en"])  # fmt: skip
    root = ET.fromstring(drawing.encode())
    assert {each.tag.removeprefix(SVG) for each in root.iter()} <= {"svg", "title", "rect", "text", "path"}
    assert "nan" not in "".join(each.get("d", "") for each in root.iter())


@pytest.mark.asyncio(loop_scope="module")
async def test_a_browser_shows_it_and_runs_nothing(console, browser):
    page = await browser.new_page()
    answer = await page.goto(f"{console.url}chart/ATM-001/ups/battery/battery.charge.svg")
    assert answer is not None
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
    box = await page.evaluate("(() => { const b = document.documentElement.getBoundingClientRect(); return [b.width, b.height] })()")  # fmt: skip
    assert box == [WIDTH, HEIGHT]
    line = await page.evaluate("(() => { const b = document.querySelector('path[stroke=\"#1c5fa8\"]').getBBox(); return [b.x, b.x + b.width] })()")  # fmt: skip
    assert LEFT - 1 <= line[0] < line[1] <= RIGHT + 1
    hostile = await page.goto(f"{console.url}chart/ATM-006/printer/{SCRIPT.replace(' ', '%20')}/console.text.svg")
    assert hostile is not None
    assert hostile.status == 200
    assert await page.evaluate("document.querySelectorAll('img, script').length + (window.pwned ? 1 : 0)") == 0
    await page.close()


def test_what_is_foretold_is_a_range_of_dates_behind_today() -> None:
    drawing = ET.fromstring(foretold())
    (shade,) = [each for each in drawing.iter(f"{SVG}rect") if each.get("fill-opacity")]
    place = [LEFT + (2 + n) / 14 * (RIGHT - LEFT) for n in (0, 3, 5, 9)]
    assert float(shade.get("x", 0)) == pytest.approx(place[1], abs=0.1)
    assert float(shade.get("width", 0)) == pytest.approx(place[3] - place[1], abs=0.2)
    (goal,) = drawing.iter(f"{SVG}circle")
    assert float(goal.get("cx", 0)) == pytest.approx(place[2], abs=0.1)
    assert TOP < float(goal.get("cy", 0)) < BOTTOM
    (today,) = [each for each in drawing.iter(f"{SVG}text") if each.text == "today"]
    assert float(today.get("x", 0)) == pytest.approx(place[0] + 3, abs=0.1)


def test_what_comes_after_the_edge_or_before_today_stays_inside() -> None:
    for due in ((-3, -2, -1), (-3, 2, 4000), (4000, 5000, 9000)):
        for limit in (20.0, None):
            (shade,) = [
                each
                for each in ET.fromstring(foretold(due=due, limit=limit)).iter(f"{SVG}rect")
                if each.get("fill-opacity")
            ]
            x, width = float(shade.get("x", 0)), float(shade.get("width", 0))
            assert LEFT <= x <= x + width <= RIGHT + 1
