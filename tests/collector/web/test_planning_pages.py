"""Planning, rules, cards, roster, audit and health in a real browser, over a store whose collector runs: what a person does there is done, by clicks and by keys, in both
languages.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.collector.web.running import Serving, Watched

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    running = Serving("-m", "tests.collector.web.counter")
    yield running
    assert running.stop()[0] == 0


async def looking(browser: Browser, serving: Serving, role: str, width: int = 1440) -> AsyncIterator[Watched]:
    context = await browser.new_context(viewport={"width": width, "height": 900}, locale="en-GB", extra_http_headers={"x-role": role})  # fmt: skip
    view = Watched(await context.new_page(), serving.url)
    yield view
    assert view.troubles == []
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def supervisor(browser: Browser, serving: Serving) -> AsyncIterator[Watched]:
    async for view in looking(browser, serving, "supervisor"):
        yield view


@pytest_asyncio.fixture(loop_scope="module")
async def phone(browser: Browser, serving: Serving) -> AsyncIterator[Watched]:
    async for view in looking(browser, serving, "viewer", 390):
        yield view


@pytest_asyncio.fixture(loop_scope="module")
async def auditor(browser: Browser, serving: Serving) -> AsyncIterator[Watched]:
    async for view in looking(browser, serving, "auditor"):
        yield view


async def fits(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


async def test_a_branch_is_put_into_maintenance_for_tonight_and_taken_out_again(supervisor: Watched) -> None:
    page = await supervisor.open(
        "calendar?branch=Harbour&view=agenda", ready="dialog[open]"
    )  # the first click is on the branch's page
    form = page.get_by_role("dialog")
    await expect(form.get_by_role("combobox", name="Branch", exact=True)).to_have_value("Harbour")
    await expect(form.get_by_label("To", exact=True)).not_to_have_value("")
    await expect(form.locator(".tw-covers")).to_contain_text("3 terminals")
    await expect(form.locator(".tw-covers")).to_contain_text("Open alarms that it silences: 1")
    await expect(form.get_by_label("Agreed by (somebody else)")).to_be_focused()
    await page.keyboard.type("Chen Jun")
    await page.keyboard.press("Enter")
    await expect(page.locator(".tw-cal-said")).to_contain_text("is in the journal")
    row = page.locator(".tw-cal-row", has_text="Planned maintenance")
    await row.first.click()
    sheet = page.get_by_role("dialog")
    await expect(sheet).to_contain_text("Chen Jun")
    await expect(sheet.locator(".tw-covers")).to_contain_text("3 terminals")
    await sheet.get_by_role("button", name="Cancel it").or_(sheet.get_by_role("button", name="End it now")).click()
    await sheet.get_by_role("button", name="Yes").click()
    await expect(page.locator(".tw-cal-said")).to_contain_text("is cancelled")
    await expect(row).to_have_count(0)


async def test_what_the_server_refuses_is_said_in_the_form(supervisor: Watched) -> None:
    page = await supervisor.open("calendar?branch=Harbour", ready="dialog[open]")
    form = page.get_by_role("dialog")
    await expect(form.locator(".tw-covers")).to_be_visible()
    await form.get_by_label("Agreed by (somebody else)").fill("LI.NA")
    await form.get_by_role("button", name="Put into maintenance").click()
    await expect(form.get_by_role("alert")).to_contain_text("somebody else has to agree")
    supervisor.troubles.clear()  # the browser writes down every answer that is not good
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog[open]")).to_have_count(0)


async def test_the_month_and_the_week_show_windows_as_text(supervisor: Watched) -> None:
    page = await supervisor.open("calendar?view=month", ready=".tw-cal-month")
    await expect(page.locator(".tw-cal-chip").first).to_contain_text("Branch Harbour")
    await page.get_by_role("button", name="Week").click()
    lane = page.locator(".tw-cal-lane", has_text="Restart <b>x</b>")
    assert await lane.locator(".tw-cal-bar-of").count() == 7
    await page.get_by_role("searchbox").first.fill("nothing like it")
    await expect(page.get_by_text("No window matches.")).to_be_visible()


async def test_a_viewer_on_a_phone_sees_and_changes_nothing(phone: Watched) -> None:
    page = await phone.open("calendar?lang=zh", ready=".tw-cal-group")
    await expect(page.get_by_role("button", name="新建维护窗口")).to_have_count(0)
    assert await fits(page)
    for address, ready in (
        ("roster", ".tw-ros-told"),
        ("rules", ".tw-rules-table"),
        ("cards?q=电池", ".tw-cards-one"),
        ("monitoring", ".tw-mon-part"),
        ("rules/disk.full", ".tw-rule-limits"),
    ):
        await phone.open(address, ready=ready)
        assert await fits(page), address


async def test_a_rule_is_tried_over_the_past_and_the_lines_to_write_are_there(supervisor: Watched) -> None:
    page = await supervisor.open("rules", ready=".tw-rules-table")
    await page.get_by_role("link", name="disk").first.click()
    await page.wait_for_selector(".tw-trial-form")
    await page.get_by_label("Lasting, minutes").fill("90")
    await page.get_by_role("button", name="Try it").click()
    await expect(page.locator(".tw-trial-toml")).to_contain_text('for = "90m"', timeout=60_000)
    await expect(page.locator(".tw-trial-result")).to_contain_text("On trial")
    await page.reload()
    await expect(page.locator(".tw-trial-toml")).to_contain_text('for = "90m"'), "kept for the session"


async def test_a_card_is_found_in_the_other_language_and_prints_alone(supervisor: Watched) -> None:
    page = await supervisor.open("cards?lang=en", ready=".tw-cards-one")
    await page.get_by_role("searchbox").first.fill("由电池供电")
    found = page.locator(".tw-cards-one", has_text="The UPS runs on battery")
    await expect(page.locator(".tw-count")).to_have_text("2 cards")
    await found.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("The UPS runs on battery")
    await page.emulate_media(media="print")
    await expect(page.get_by_role("button", name="Print")).to_be_hidden()
    await expect(page.locator(".tw-onecard-sheet")).to_be_visible()


async def test_nobody_on_duty_is_seen_and_a_number_is_shown_when_asked_for(supervisor: Watched) -> None:
    page = await supervisor.open("roster", ready=".tw-ros-told")
    await expect(page.locator(".tw-ros-now li", has_text="backup engineer")).to_contain_text("Nobody")
    await expect(page.locator(".tw-ros-gap").first).to_be_visible()
    duty = page.locator(".tw-ros-now li", has_text="duty engineer")
    await expect(duty).to_contain_text("+86 139 **** 0103")
    await duty.get_by_role("button", name="Show").click()
    await expect(duty).to_contain_text("+86 139 0000 0103")


async def test_the_auditor_checks_an_entry_and_the_chain(auditor: Watched) -> None:
    page = await auditor.open("audit", ready=".tw-audit-n")
    await page.get_by_label("All kinds").select_option("key")
    await expect(page.locator("tbody tr")).to_have_count(7)
    await page.locator(".tw-audit-n").first.click()
    await expect(page.locator(".tw-audit-proof")).to_contain_text("The entry is what its chain says.")
    await page.get_by_role("button", name="Follow the last").click()
    await expect(page.locator(".tw-audit-chain")).to_contain_text("hold")


async def test_what_is_not_known_of_the_monitoring_is_never_well(auditor: Watched) -> None:
    page = await auditor.open("monitoring", ready=".tw-mon-part")
    backup = page.locator("#part-backup")
    await expect(backup.locator(".tw-mark")).to_have_text("unknown")
    await expect(backup).to_contain_text("What to do")
    await expect(page.locator(".tw-mon-head")).to_contain_text("unknown")
