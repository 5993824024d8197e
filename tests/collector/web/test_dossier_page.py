"""The page of a terminal in a real browser: its timeline by keyboard and as a list, what was not seen never green, and text of devices that stays text."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Browser, expect

from tests.collector.fake_dossiers import HOSTILE, SCRIPT
from tests.collector.web.running import Running, Watched

pytestmark = pytest.mark.asyncio(loop_scope="module")
CHART = ".tw-timeline-panel svg"


async def test_the_timeline_is_walked_zoomed_and_read_as_a_list_by_keyboard(watched: Watched):
    page = await watched.open("terminal/ATM-001", CHART)
    shown = page.locator(".tw-timeline-shown")
    whole = await shown.inner_text()
    await page.locator(CHART).focus()
    for _ in range(3):
        await page.keyboard.press("ArrowRight")
    said = page.locator(".tw-timeline-said")
    await expect(said).to_contain_text("identity.firmware: 4.1.0 → words")
    await page.keyboard.press("+")
    await expect(shown).not_to_have_text(whole)
    await page.keyboard.press("0")
    await expect(shown).to_have_text(whole)
    names = await page.locator(".tw-tl-name").all_text_contents()
    assert {"State", "Incidents", "Alarms", "Maintenance", "Changes", "Parts", "Notes", "Restarts"} <= set(names)
    await page.get_by_role("button", name="Alarms 1").press("Enter")
    assert "Alarms" not in await page.locator(".tw-tl-name").all_text_contents()
    await page.get_by_role("button", name="List", exact=True).press("Enter")
    rows = page.locator(".tw-timeline-list tbody tr")
    await expect(rows).to_have_count(9)
    await expect(rows.first).to_contain_text("A disk fills up · HWM-2")
    await expect(page).to_have_url(re.compile("as=list"))
    await expect(rows.get_by_role("link").first).to_have_attribute("href", "/incident/HWM-2")


async def test_what_was_not_seen_is_hatched_and_said(watched: Watched):
    page = await watched.open("terminal/ATM-001", ".tw-strip-row .tw-band-unknown")
    row = page.locator(".tw-strip-row", has=page.get_by_role("link", name="printer"))
    await expect(row.get_by_role("img")).to_have_attribute(
        "aria-label", "OK 34 %, Unknown: not seen 33 %, Critical 33 %"
    )
    looks = await row.locator(".tw-band-unknown").evaluate("(e) => getComputedStyle(e).backgroundImage")
    assert looks.startswith("repeating-linear-gradient")


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Pacific/Kiritimati"])
async def test_a_day_of_the_file_is_the_same_in_every_zone(browser: Browser, console: Running, zone: str):
    """On a phone as on a wide screen: the strip of seven days above it writes its days shorter."""
    context = await browser.new_context(viewport={"width": 390, "height": 844}, locale="en-GB", timezone_id=zone)
    page = await Watched(await context.new_page(), console.url).open("terminal/ATM-001", "#tw-file .tw-asset")
    await expect(page.locator(".tw-strip-axis span").first).to_be_visible()
    bought = page.locator("#tw-file .tw-asset dl div, #tw-file .tw-asset dl").filter(has_text="Bought").last
    await expect(bought).to_contain_text("15 Jan 2024")
    await expect(bought).to_contain_text("2 Oct 2026")
    await context.close()


async def test_the_file_says_what_is_due_used_up_and_may_have_been_substituted(watched: Watched):
    page = await watched.open("terminal/ATM-001", ".tw-lives li")
    await expect(page.locator("#tw-serials .tw-alert")).to_contain_text("PCI DSS 9.5.1")
    await expect(page.locator("#tw-serials tbody tr").first).to_contain_text("••••")
    assert "CN-77-0417" not in await page.content(), "a viewer sees its end alone"
    await expect(page.locator(".tw-due-over").first).to_contain_text("overdue")
    cutter = page.locator(".tw-lives li").first
    await expect(cutter).to_contain_text("1,290,000 of 1,500,000 cuts (86 %)")
    await expect(cutter).to_contain_text("46 d left (20 d to 118 d)")
    await expect(cutter.get_by_role("link").first).to_have_attribute(
        "href", "/terminal/ATM-001?component=printer&signal=printer.cuts&range=d30"
    )
    assert await page.locator("#tw-file button").count() == 0, "who may not change it is not offered to"


async def test_text_of_devices_and_people_stays_text_wherever_it_stands(watched: Watched):
    page = await watched.open(f"terminal/{HOSTILE}?as=list", ".tw-timeline-list tbody tr")
    await page.wait_for_selector(".tw-dossier-split")
    for place in (
        "#tw-file",
        "#tw-notes",
        "#tw-versions",
        "#tw-lives",
        "#tw-repairs",
        ".tw-strip",
        ".tw-timeline-list",
    ):
        await expect(page.locator(place).get_by_text(SCRIPT).first).to_be_attached()
    await page.get_by_role("button", name="Chart", exact=True).click()
    await page.locator(CHART).focus()
    await page.keyboard.press("ArrowLeft")
    await expect(page.locator(".tw-timeline-said")).to_contain_text(SCRIPT)
    assert await page.locator("main img").count() == 0
    assert await page.evaluate("window.pwned") is None
