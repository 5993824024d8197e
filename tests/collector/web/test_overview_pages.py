"""The pages that show the fleet from above, in a real browser over a large fleet: what one finds, by pointer and by keyboard, and that old data look old."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.async_api import expect

from tests.collector.web.running import Running
from tests.variants import long_after

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROW = ".ag-center-cols-container .ag-row"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Ten thousand terminals in two hundred branches."""
    running = Running(tmp_path_factory.mktemp("console"), "--count", "10000", "--branches", "200")
    yield running
    running.stop()


def forget_figures(watched) -> None:
    """The fake fleet has no store to compute a month from, and the browser tells of every answer that is no success."""
    watched.troubles[:] = [text for text in watched.troubles if "503" not in text]


async def test_ten_thousand_rows_and_a_cell_that_tells_why(watched):
    page = await watched.open(ready=ROW)
    await expect(page.locator("#tw-count")).to_have_text("10,000 of 10,000 terminals")
    assert await page.locator(ROW).count() < 100  # the rest is not drawn
    await page.select_option("#tw-part", "power")
    await page.select_option("#tw-condition", "crit")
    await expect(page.locator("#tw-count")).to_have_text("1 of 10,000 terminals")
    await expect(page).to_have_url(re.compile("part=power"))
    cell = page.locator(f'{ROW}[row-id="ATM-001"] [col-id="part:power"]')
    await expect(cell.get_by_role("img")).to_have_attribute("aria-label", "Power: Critical")
    await cell.hover()
    await expect(page.get_by_role("tooltip")).to_contain_text("ups/battery")
    await page.keyboard.press("Escape")
    await expect(page.locator("#tw-peek")).to_be_hidden()


async def test_a_filter_is_saved_and_found_again(watched):
    page = await watched.open("?state=supply_low", ready=ROW)
    await page.get_by_role("button", name="Saved").click()
    await page.get_by_label("Name of this filter").fill("Paper <b>round</b>")
    await page.get_by_role("button", name="Save", exact=True).click()
    await page.goto(watched.url)
    await page.wait_for_selector(ROW)
    await page.get_by_role("button", name="Saved").click()
    await page.get_by_role("link", name="Paper <b>round</b>").click()
    await expect(page.locator("#tw-count")).to_have_text("407 of 10,000 terminals")
    await page.get_by_role("button", name="Saved").click()
    await page.get_by_role("button", name="Forget Paper <b>round</b>").click()
    await expect(page.get_by_text("You have saved none yet.")).to_be_visible()


async def test_from_the_gravest_region_to_its_worst_machine(watched):
    page = await watched.open("regions", ready=".tw-places")
    await expect(page.locator(".tw-places tbody tr").first).to_contain_text("Region Belmont")
    await page.get_by_role("button", name="Spare").click()
    await expect(page).to_have_url(re.compile("state=spare"))
    await page.get_by_role("button", name="Clear filters").click()
    await page.get_by_role("link", name="Region Belmont").click()
    await page.wait_for_url("**/regions/Region%20Belmont")
    await page.get_by_role("link", name="North Gate, Belmont").click()
    await page.wait_for_url("**/branch/North%20Gate%2C%20Belmont")
    await expect(page.locator(".tw-own-terminals tbody tr")).to_have_count(50)
    await expect(page.locator(".tw-own-terminals tbody tr").first).to_contain_text(
        "Nothing comes of the terminal any more"
    )
    await expect(page.get_by_text("There is no roster.")).to_be_visible()
    await page.get_by_role("link", name="Path to the collector").last.click()
    await expect(page.locator(".tw-path-verdict")).to_contain_text("Guilty now: WAN")
    await expect(page.locator(".tw-hop-guilty")).to_contain_text("The whole branch is gone")
    forget_figures(watched)


async def test_the_heat_map_is_walked_by_keyboard_and_stands_as_a_table(watched):
    page = await watched.open("heat", ready=".tw-heat-label")
    canvas = page.get_by_role("application")
    await canvas.focus()
    await page.keyboard.press("ArrowRight")
    told = page.locator("#tw-heat-told")
    await expect(told).to_contain_text("Out of service")
    terminal = (await told.inner_text()).split(",")[0]
    await page.get_by_role("button", name="As a table").click()
    await expect(page.locator(".tw-heat tbody tr").nth(1)).to_contain_text(terminal)
    await page.get_by_role("button", name="As a map").click()
    await canvas.focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/terminal/{terminal}")


async def test_the_wall_does_not_scroll_and_old_data_do_not_look_healthy(watched):
    await watched.page.set_viewport_size({"width": 1920, "height": 1080})
    page = await watched.open("wall", ready=".tw-wall-regions li")
    assert await page.evaluate("[document.documentElement.scrollHeight, document.documentElement.scrollWidth]") == [
        1080,
        1920,
    ]
    cut = await page.evaluate(
        "[...document.querySelectorAll('.tw-wall section')].filter(e => e.scrollHeight > e.clientHeight + 1).map(e => e.className)"
    )
    assert cut == []
    least = await page.evaluate(
        "Math.min(...[...document.querySelectorAll('.tw-wall-tile *')].map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert least >= 20
    await expect(page.locator(".tw-wall-trouble")).to_have_count(0)
    await page.evaluate("tw.offset += 900000")
    await expect(page.locator(".tw-wall-trouble")).to_contain_text("What stands here is not how things are.")
    assert "grayscale" in await page.locator(".tw-wall-tiles").evaluate("e => getComputedStyle(e).filter")
    forget_figures(watched)


@pytest.mark.parametrize("path", long_after(2, ["heat", "branch/North Gate, Belmont", "", "regions", "wall", "path"]))
async def test_narrow_pages_are_not_wider_than_the_screen(watched, path):
    await watched.page.set_viewport_size({"width": 390, "height": 844})
    page = await watched.open(path, ready=".tw-aloft-head, .tw-wall-regions li, .tw-heat-label, .tw-path, .ag-row")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    forget_figures(watched)
