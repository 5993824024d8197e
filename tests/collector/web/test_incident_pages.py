"""The inbox and the page of an incident in a real browser, over a real store: what has one cause is one entry, what is silenced is still there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.collector.desk import Desk
from tests.collector.web.running import Serving, Watched
from tillwatch.collector.store.reader import SqliteReader

pytestmark = pytest.mark.asyncio(loop_scope="module")

BRANCH = [f"atm-{n}" for n in range(10, 17)]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A branch without mains, a fire that somebody is at, an alarm on the shelf, one that is over and was not seen, and a casing that was opened."""
    desk = Desk(tmp_path_factory.mktemp("bank"))
    desk.enrol("atm-1", "atm-2", "atm-3", "atm-4")
    desk.enrol(*BRANCH, branch="Hill")
    for name in BRANCH:
        desk.say(name, "ups", "ups.output.source", "battery", lasting=5)
    desk.say("atm-1", "env/smoke", "env.smoke", "alarm")
    desk.say("atm-2", "host/disk:/", "host.disk.percent", 93, lasting=130)
    desk.say("atm-3", "ups", "ups.battery.charge", 15)
    desk.say("atm-4", "camera", "camera.casing", "open", lasting=5)
    fire, disk = (next(alarm for alarm in alarms(desk) if alarm[1] == rule) for rule in ("env.fire", "disk.full"))
    desk.operate(action="acknowledge", terminal="atm-1", alarm=fire[0], note="fire brigade is there")
    desk.operate(
        action="shelve",
        terminal="atm-2",
        alarm=disk[0],
        until=desk.now + 3600 * 10**9,
        reason="disk is being replaced",
        second="",
    )
    desk.say("atm-2", "host/disk:/", "host.disk.percent", 20, lasting=400)
    desk.say("atm-2", "host/disk:/", "host.disk.percent", 93, lasting=130)
    desk.say("atm-3", "ups", "ups.battery.charge", 100, lasting=700)
    return desk


def alarms(desk: Desk) -> list[tuple[int, str]]:
    with closing(SqliteReader(desk.path)) as reader:
        return [(view.id, view.rule) for view in reader.alarms()]


@pytest.fixture(scope="module")
def serving(bank: Desk) -> Iterator[Serving]:
    running = Serving("-m", "tillwatch.collector.web", "--db", str(bank.path), "--port", "0")
    yield running
    assert running.stop()[0] == 0


@pytest_asyncio.fixture(loop_scope="module")
async def view(browser: Browser, serving: Serving) -> AsyncIterator[Watched]:
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    watched = Watched(await context.new_page(), serving.url)
    yield watched
    assert watched.troubles == []
    await context.close()


def entry(page: Page, text: str):
    return page.locator(".tw-incident", has=page.get_by_role("link", name=text))


async def test_one_cause_is_one_entry_with_all_it_explains(view: Watched, bank: Desk) -> None:
    page = await view.open("alarms", ready=".tw-incident")
    mains = entry(page, "The branch is without mains")
    await expect(mains).to_have_count(1)
    await expect(mains).to_contain_text("Hill")
    await expect(mains).to_contain_text(f"{len(BRANCH)} terminals")
    await expect(mains.locator(".tw-row")).to_have_count(4)
    await expect(mains.locator(".tw-isa").first).to_have_text("DSUPR")
    await mains.get_by_role("button", name=f"Show {len(BRANCH) - 4} more").click()
    await expect(mains.locator(".tw-row")).to_have_count(len(BRANCH))
    await mains.get_by_role("button", name="Show fewer").click()
    await expect(mains.locator(".tw-row")).to_have_count(4)
    await mains.get_by_role("button", name="Why?").first.click()
    await expect(mains.locator(".tw-why-head")).to_contain_text("Not told by itself: it is told with its cause")
    await expect(mains.locator(".tw-why")).to_contain_text("within 90 s")


async def test_what_somebody_has_taken_on_says_who_and_what_is_over_comes_last(view: Watched) -> None:
    page = await view.open("alarms", ready=".tw-incident")
    fire = page.locator(".tw-incident").first
    await expect(fire.locator(".tw-stage")).to_have_text("Taken on")
    await expect(fire).to_contain_text("li.wei")
    await expect(fire.locator(".tw-isa")).to_have_text("ACKED")
    await expect(fire.locator(".tw-clock")).to_have_count(1)  # the response is done
    await expect(page.locator(".tw-incident").last.locator(".tw-stage")).to_have_text("Over by its readings")
    await expect(page.locator(".tw-incident").last.locator(".tw-isa")).to_have_text("RTNUN")
    await expect(page.locator(".tw-incident", has_text="atm-4").locator(".tw-tag").first).to_contain_text("tampering")


async def test_what_is_silenced_is_listed_apart_and_says_by_whom(view: Watched) -> None:
    page = await view.open("alarms", ready=".tw-incident")
    loose = page.locator(".tw-loose .tw-row")
    await expect(loose).to_have_count(1)
    await expect(loose.locator(".tw-isa")).to_have_text("SHLVD")
    await expect(loose.locator(".tw-mask")).to_contain_text("disk is being replaced")
    await expect(loose.locator(".tw-mask")).to_contain_text("li.wei")
    await loose.get_by_role("button", name="Why?").click()
    await expect(loose.locator(".tw-why-head")).to_contain_text("Not told: li.wei shelved it until")


async def test_the_page_of_an_incident_shows_the_card_the_clocks_and_the_history(view: Watched) -> None:
    page = await view.open("alarms", ready=".tw-incident")
    await page.locator(".tw-incident").first.get_by_role("link").first.click()
    await page.wait_for_selector(".tw-file h1")
    await expect(page.locator(".tw-card-text:not(.tw-ticket)")).to_contain_text("What it means")
    await expect(page.locator(".tw-card-text:not(.tw-ticket)")).to_contain_text("The engineer brings")
    await expect(page.locator(".tw-clocks .tw-clock")).to_have_count(2)
    await expect(page.locator(".tw-clocks")).to_contain_text("done")
    history = page.locator(".tw-file-split > div:first-child .tw-history li")
    await expect(history.first).to_contain_text("Taken on · li.wei; fire brigade is there")
    await expect(history.last).to_contain_text("Found")
    await expect(page.locator(".tw-acts")).to_contain_text("repair HWM-")


async def test_chinese_says_the_alarms_in_chinese_too(view: Watched) -> None:
    page = await view.open("alarms?lang=zh", ready=".tw-incident")
    await expect(page.locator(".tw-incident").first.locator(".tw-stage")).to_have_text("已接手")
    title = await page.locator(".tw-incident h3").first.inner_text()
    assert any("\u4e00" <= sign <= "\u9fff" for sign in title), title
    await page.locator(".tw-incident").first.get_by_role("button", name="为什么？").click()
    await expect(page.locator(".tw-why-head").first).to_contain_text("已通知")
    rule = page.locator(".tw-why").first.locator("dd").first
    await expect(rule).to_contain_text(title)


async def test_a_change_shows_without_a_reload(view: Watched, bank: Desk) -> None:
    page = await view.open("alarms", ready=".tw-incident")
    await page.evaluate("window.stayed = true")
    await expect(entry(page, "The branch is without mains").locator(".tw-stage")).to_have_text("Open")
    name = await entry(page, "The branch is without mains").get_by_role("link").first.get_attribute("href")
    assert name is not None
    await asyncio.to_thread(bank.operate, action="assign", incident=name.rpartition("/")[2], to="zhang.min")
    await expect(entry(page, "The branch is without mains").locator(".tw-stage")).to_have_text("Taken on")
    await expect(entry(page, "The branch is without mains")).to_contain_text("zhang.min")
    assert await page.evaluate("window.stayed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["alarms", "incident"])
async def test_it_fits_a_phone_in_both_themes(view: Watched, scheme: str, path: str) -> None:
    await view.page.set_viewport_size({"width": 390, "height": 844})
    await view.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page = await view.open("alarms", ready=".tw-incident")
    if path == "incident":
        await entry(page, "The branch is without mains").get_by_role("link").first.click()
        await page.wait_for_selector(".tw-file h1")
    await page.get_by_role("button", name="Why?").first.click()
    await expect(page.locator(".tw-row .tw-why").first).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = await page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 391 && !e.closest('.tw-visually-hidden')).map(e => e.className)"
    )
    assert wide == []
