"""The alarm inbox in a real browser, over a real store with a collector that takes acts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.collector.web.running import Serving, Watched

pytestmark = pytest.mark.asyncio(loop_scope="module")
V1 = "api/v1"


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    running = Serving("-m", "tests.collector.web.bank", str(tmp_path_factory.mktemp("bank")))
    yield running
    running.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def inbox(browser: Browser, bank: Serving) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    view = Watched(await context.new_page(), bank.url)
    yield await view.open("inbox", ".tw-inbox-row")
    assert view.troubles == []
    await context.close()


async def test_the_most_urgent_comes_first_and_says_all(inbox: Page) -> None:
    rows = inbox.locator(".tw-inbox-row")
    await expect(rows.first).to_contain_text("ATM-0201")
    await expect(rows.first.locator(".tw-level-word")).to_contain_text("Stopped")
    await expect(rows.first.locator(".tw-clock").first).to_contain_text("Response")
    await expect(inbox.locator(".tw-inbox-row", has_text="ATM-0101").locator(".tw-clock").first).to_contain_text(
        "missed"
    )
    await expect(rows.last).to_contain_text("on hold: Parts are on order")
    await expect(rows.first.locator(".tw-inbox-age .tw-stale")).to_be_visible()
    await inbox.get_by_label("All levels").select_option("3")
    await expect(inbox).to_have_url(re.compile("level=3"))
    await expect(rows).to_have_count(2)
    await inbox.reload()
    await expect(inbox.locator(".tw-inbox-row")).to_have_count(2)


async def test_by_keyboard_alone(inbox: Page) -> None:
    """Down to the second row, select it, take it on, read why, comment, and be back where one was."""
    second = inbox.locator(".tw-inbox-row").nth(1)
    await inbox.keyboard.press("j")
    await inbox.keyboard.press("j")
    await expect(second.locator(".tw-inbox-link")).to_be_focused()
    await inbox.keyboard.press("x")
    await expect(inbox.get_by_role("toolbar")).to_contain_text("1 selected")
    await inbox.keyboard.press("a")
    await expect(second.locator(".tw-inbox-owner")).to_contain_text("chen")
    await expect(second.locator(".tw-stage")).to_contain_text("Taken on")
    await inbox.keyboard.press("Enter")
    panel = inbox.locator(".tw-drawer")
    await expect(panel.locator(".tw-why-head")).to_contain_text("Told")
    await expect(panel).to_contain_text("Zhang Min")
    await inbox.keyboard.press("n")
    form = inbox.locator("dialog.tw-dialog")
    await form.locator("textarea").fill("j k x a are letters here")
    await form.get_by_role("button", name="Comment").click()
    await expect(panel.locator(".tw-comment")).to_contain_text("j k x a are letters here")
    await inbox.keyboard.press("Escape")
    await expect(panel).to_have_count(0)
    await expect(second.locator(".tw-inbox-link")).to_be_focused()
    await inbox.keyboard.press("?")
    await expect(inbox.locator("dialog .tw-keys")).to_be_visible()
    await inbox.keyboard.press("Escape")
    await expect(inbox.locator("dialog .tw-keys")).to_have_count(0)


async def test_what_is_selected_is_merged_and_what_is_not_done_is_said(inbox: Page) -> None:
    for component in ("host/disk:/var", "host/disk:/"):
        await (
            inbox.locator(".tw-inbox-row", has_text="ATM-0102")
            .filter(has=inbox.get_by_text(component, exact=True))
            .get_by_role("checkbox")
            .check()
        )
    await inbox.get_by_role("toolbar").get_by_role("button", name="Merge").click()
    form = inbox.locator("dialog.tw-dialog")
    await form.get_by_text("host/disk:/", exact=False).last.click()
    await form.get_by_role("button", name="Merge").click()
    await expect(inbox.locator(".tw-inbox-said[role=status]")).to_contain_text("Merge: 1 done")
    await inbox.mouse.move(5, 5)
    await inbox.evaluate("document.activeElement.blur()")
    await expect(inbox.locator(".tw-inbox-row", has_text="ATM-0102")).to_have_count(1)
    await inbox.locator(".tw-inbox-row", has_text="ATM-0102").get_by_role("checkbox").check()
    await inbox.locator(".tw-inbox-row", has_text="ATM-0201").get_by_role("checkbox").check()
    await inbox.get_by_role("toolbar").get_by_role("button", name="Merge").click()
    await form.get_by_text("ATM-0201").click()
    await form.get_by_role("button", name="Merge").click()
    await expect(inbox.locator(".tw-inbox-said[role=alert]")).to_contain_text("is in another branch than")


async def test_what_is_new_does_not_move_the_row_under_the_pointer(inbox: Page, bank: Serving) -> None:
    rows = inbox.locator(".tw-inbox-row")
    before, third = await rows.count(), await rows.nth(2).get_attribute("id")
    await rows.nth(2).hover()
    assert bank.process.stdin is not None
    bank.process.stdin.write("ATM-0202 ups ups.battery.charge 10\n")
    bank.process.stdin.flush()
    await expect(inbox.locator(".tw-news")).to_contain_text("1 new")
    assert await rows.nth(2).get_attribute("id") == third
    await expect(rows).to_have_count(before)
    await inbox.mouse.move(5, 5)
    await expect(rows).to_have_count(before + 1)
    await expect(rows.nth(0).or_(rows.nth(1)).first).to_contain_text("UPS")


async def test_who_only_looks_has_no_buttons(browser: Browser, bank: Serving) -> None:
    context = await browser.new_context(
        extra_http_headers={"X-Who": "wang:viewer"}, locale="zh-CN", viewport={"width": 390, "height": 844}
    )
    view = Watched(await context.new_page(), bank.url)
    page = await view.open("inbox", ".tw-inbox-row")
    await page.locator(".tw-inbox-row .tw-inbox-link").first.click()
    await expect(page.locator(".tw-drawer .tw-why-head")).to_contain_text("已通知")
    await expect(page.locator(".tw-deeds button")).to_have_count(0)
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert view.troubles == []
    await context.close()


async def test_an_incident_is_resolved_on_its_page(browser: Browser, bank: Serving, inbox: Page) -> None:
    answer = await inbox.request.get(f"{bank.url}{V1}/inbox")
    name = next(each["id"] for each in (await answer.json())["items"] if each["terminal"] == "ATM-0101")
    await inbox.goto(f"{bank.url}incident/{name}")
    await inbox.get_by_role("button", name="Resolve").click()
    form = inbox.locator("dialog.tw-dialog")
    await form.get_by_text("part changed").click()
    await form.get_by_label("Part number").fill("RM2-5425")
    await form.get_by_label("Serial of the new part").fill("CN24K7719")
    await form.get_by_role("button", name="Resolve").click()
    await expect(inbox.locator(".tw-came")).to_contain_text("by its readings the fault is still there")
    await expect(inbox.locator(".tw-history").first).to_contain_text("RM2-5425, S/N CN24K7719")
