"""The page in a real browser: it fits every width, in light, dark and print, and asks for nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.async_api import async_playwright

from tests.collector.figures.test_rollup import LOG, POLICY, H
from tests.collector.web.conftest import ARGUMENTS, CHROMIUM
from tillwatch.collector.figures.load import Shelf
from tillwatch.collector.figures.report import Asked, make
from tillwatch.collector.figures.rollup import Scope
from tillwatch.collector.records import Correction

LONG = "ATM-" + "0123456789" * 6


def report(language="en", **fields):
    """One with the longest names that there may be."""
    place = replace(LOG.places["a1"], terminal=LONG, branch="Branch " * 12, vendor="Maker" * 20)
    said = Correction(9, LONG, 0, 10 * H, "planned", "W" * 200, "branch", "ann", 40 * H)
    history = replace(LOG.histories["a1"], corrections=[said])
    log = replace(
        LOG,
        places={**LOG.places, LONG: place},
        histories={**LOG.histories, LONG: history},
        shelves=[Shelf("rule." + "x" * 80, LONG, "y" * 64, 0, H, "ann", "Z" * 200)],
    )
    asked = Asked("1970-01", 0, 720 * H, "UTC", language=language, **fields)
    return make(log, POLICY, asked, {"atm.jam": "卡钞" * 30})


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_the_page_fits_every_width(tmp_path, language):
    file = tmp_path / "report.html"
    file.write_text(next(iter(report(language).files().values())), "utf-8")
    troubles, asked = [], []
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(file.as_uri())
        for width, media, scheme in (
            (1440, "screen", "light"),
            (390, "screen", "dark"),
            (320, "screen", "light"),
            (703, "print", "dark"),
        ):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.emulate_media(media=media, color_scheme=scheme)
            needed = await page.evaluate("document.documentElement.scrollWidth")
            assert needed <= width, (width, media)
            ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(14, 19, 24)") == (media == "screen" and scheme == "dark")
        sections = await page.locator("section").count()
        links = await page.locator("nav a").count()
        assert sections == links == 9
        await browser.close()
    assert troubles == []
    assert asked == [file.as_uri()]


def test_the_same_log_makes_the_same_files():
    assert report().files() == report().files()
    assert report().plain() == report().plain()


def test_files_are_named_by_period_and_scope():
    asked = Asked("2026-10", 0, 1, "UTC", Scope("branch", "../Harbour & Söns " + "x" * 200))
    names = asked.files.values()
    assert asked.files["report"].startswith("report-2026-10-branch-.._Harbour_Söns_xxx")
    assert all("/" not in name and len(name) < 120 for name in names)


def test_a_single_definition_of_impact_is_told():
    assert "No weights were given" in report().files()["report-1970-01.html"]
