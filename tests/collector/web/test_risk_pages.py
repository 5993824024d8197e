"""What is foreseen in a real browser, over a real store: terminals at risk, a finding, detectors, and what of it stands on a terminal's and an incident's page."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.collector.desk import Desk
from tests.collector.web.foreseen_bank import DISK, EVIL, ForeseenBank
from tests.collector.web.running import Serving, Watched
from tests.variants import long_after

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> ForeseenBank:
    bank = ForeseenBank(tmp_path_factory.mktemp("bank"))
    bank.stand()
    return bank


@pytest.fixture(scope="module")
def serving(bank: ForeseenBank) -> Iterator[Serving]:
    running = Serving("-m", "tillwatch.collector.web", "--db", str(bank.path), "--port", "0")
    yield running
    assert running.stop()[0] == 0


@pytest_asyncio.fixture(loop_scope="module")
async def view(browser: Browser, serving: Serving) -> AsyncIterator[Watched]:
    async for watched in watching(browser, serving):
        yield watched


async def watching(browser: Browser, serving: Serving) -> AsyncIterator[Watched]:
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    watched = Watched(await context.new_page(), serving.url)
    yield watched
    assert watched.troubles == []
    await context.close()


def risky(page: Page, terminal: str):
    return page.locator(".tw-risky", has=page.get_by_role("link", name=terminal, exact=True))


async def drawn(page: Page) -> list[bool]:
    """Of each chart, whether the browser could draw it."""
    await page.wait_for_function("[...document.querySelectorAll('.tw-foreseen-chart img')].every((i) => i.complete)")
    sizes = await page.evaluate(
        "[...document.querySelectorAll('.tw-foreseen-chart img')].map((i) => i.naturalWidth === 480)"
    )
    assert isinstance(sizes, list)
    return sizes


async def test_the_greatest_risk_comes_first_with_why_when_and_how_far_to_believe_it(view: Watched) -> None:
    page = await view.open("", ready="nav")
    await page.locator(".tw-nav-button").filter(has_text="Foresee").click()
    await page.locator(".tw-nav").get_by_role("link", name="At risk").click()
    await page.wait_for_selector(".tw-risky")
    assert await page.locator(".tw-risky h2").all_inner_texts() == ["atm-1", "atm-3", "atm-4"]
    first = risky(page, "atm-1")
    await expect(first.locator(".tw-grade")).to_have_text("high")
    assert await first.locator(".tw-grade-bars i").count() == 3
    await expect(first).to_contain_text("60 min")
    await expect(first).to_contain_text("hard faults of the last weeks")
    disk = first.locator(".tw-foreseen", has_text=DISK)
    await expect(disk).to_contain_text("Trend to a limit")
    await expect(disk).to_contain_text("rises by 0.71% a day, is 82.6% now")
    await expect(disk).to_contain_text("before the next visit")
    await expect(disk).to_contain_text(re.compile(r"right in 14 of 17 since \d+ \w+ \d{4}"))
    when = disk.get_by_role("img", name="Expected between")
    bar, span = when.locator(".tw-when-bar"), when.locator(".tw-when-span")
    whole, part = await bar.bounding_box(), await span.bounding_box()
    assert whole is not None
    assert part is not None
    assert (part["x"] - whole["x"]) / whole["width"] == pytest.approx(6 / 30, abs=0.02), "today is at the left"
    assert part["width"] / whole["width"] == pytest.approx(13 / 30, abs=0.02)
    await expect(risky(page, "atm-3")).to_contain_text("not judged yet")
    likely = risky(page, "atm-4").locator(".tw-foreseen", has_text="CardReader")
    await expect(likely).to_contain_text("38 %")
    assert await likely.locator(".tw-factors dt").first.inner_text() == "hardware alarms of this kind of part"
    for image in await page.locator(".tw-foreseen-chart img").all():
        await image.scroll_into_view_if_needed()
    assert await drawn(page) == [True] * 3
    await expect(page.locator(".tw-unlisted")).to_have_text(
        "2 more terminals are at low risk; nothing is foreseen of them."
    )
    await expect(page.get_by_text(EVIL).first).to_be_visible()
    assert await page.evaluate("window.pwned") is None


async def test_filters_narrow_it_and_stay_in_the_address(view: Watched) -> None:
    page = await view.open("at-risk", ready=".tw-risky")
    await page.get_by_label("All kinds").select_option(label="Runs out")
    await expect(page.locator(".tw-risky")).to_have_count(1)
    await expect(page.locator(".tw-count")).to_have_text("1 of 3 terminals")
    await expect(page).to_have_url(re.compile("family=runout"))
    await page.get_by_label("All grades").select_option("medium")
    await expect(page.get_by_text("Nothing matches the filters.")).to_be_visible()
    page = await view.open("at-risk?grade=medium&region=North", ready=".tw-risky")
    assert await page.locator(".tw-risky h2").all_inner_texts() == ["atm-4"]


async def test_every_number_leads_to_where_it_comes_from(view: Watched, bank: ForeseenBank) -> None:
    page = await view.open("at-risk", ready=".tw-risky")
    disk = risky(page, "atm-1").locator(".tw-foreseen", has_text=DISK)
    curve = await disk.locator(".tw-foreseen-chart").get_attribute("href")
    await disk.get_by_role("link", name="A disk fills up").click()
    await page.wait_for_url(f"**/findings/{bank.foreseen['disk'].id}")
    await page.wait_for_selector(".tw-finding h1")
    for told in (
        "Judged by (digest)",
        "3f6c0d208b1e",
        "It is open. It is judged when",
        "tillwatch-collector prove atm-1",
        "82.6 %",
    ):
        await expect(page.locator(".tw-finding")).to_contain_text(told)
    assert await drawn(page) == [True]
    around = await page.locator(".tw-table tbody tr").last.get_by_role("link").last.get_attribute("href")
    answer = await page.request.get(view.url.rstrip("/") + str(around))
    assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
    await page.get_by_role("link", name="right in 14 of 17").click()
    await expect(page.locator(".tw-marked")).to_contain_text("right in 14 of 17 since")
    assert curve is not None
    page = await view.open(curve.lstrip("/"), ready="#tw-chart canvas")
    await expect(page.locator(".tw-chart-title")).to_have_text(f"{DISK} · host.disk.percent")


async def test_a_finding_that_is_over_says_what_became_of_it(view: Watched, bank: ForeseenBank) -> None:
    page = await view.open(f"findings/{bank.over.id}", ready=".tw-finding h1")
    await expect(page.locator(".tw-finding-became")).to_contain_text("It came true")
    await expect(page.locator(".tw-when")).to_have_count(0)
    page = await view.open(f"findings/{bank.foreseen['reader'].id}", ready=".tw-finding h1")
    await expect(page.locator(".tw-table")).to_contain_text("its age")
    page = await view.open("findings/nothing", ready="h1")
    await expect(page.locator("h1")).to_have_text("There is no finding “nothing”.")
    view.troubles[:] = [text for text in view.troubles if "404" not in text]


async def test_a_demoted_detector_says_so_since_when_and_what_would_bring_it_back(view: Watched) -> None:
    page = await view.open("trends", ready=".tw-detector")
    demoted = page.locator(".tw-detector")
    await expect(demoted).to_contain_text(re.compile(r"Demoted on \d"))
    await expect(demoted).to_contain_text("right in 2 of 17, that is 12 %; its floor is 30 %")
    await expect(demoted).to_contain_text("after 5 more that do")
    await expect(page.locator(".tw-foreseen")).to_contain_text("host.fan.speed is 1,920 rpm")
    await expect(page.locator(".tw-foreseen")).to_contain_text("demoted")
    assert await drawn(page) == [True]
    await expect(page.locator(".tw-table tbody tr")).to_have_count(5)


async def test_rounds_are_told_by_branch(view: Watched) -> None:
    page = await view.open("at-risk", ready=".tw-risky")
    await page.get_by_role("button", name="Inspection rounds").click()
    await expect(page.locator(".tw-round")).to_have_count(2)
    assert await page.locator(".tw-round h2").all_inner_texts() == ["人民路支行", "Harbour Road"]
    await expect(page.locator(".tw-round .tw-late")).to_contain_text("inspection overdue since")
    await expect(page).to_have_url(re.compile("view=rounds"))


async def test_it_stands_on_the_pages_of_its_terminal_and_its_incident(view: Watched) -> None:
    page = await view.open("terminal/atm-1", ready=".tw-foretold")
    await expect(page.locator(".tw-foretold .tw-foreseen")).to_have_count(2)
    await page.locator(".tw-foretold").get_by_role("link", name="HWM-").first.click()
    await page.wait_for_selector(".tw-file h1")
    await expect(page.locator(".tw-foreseen")).to_have_count(1)
    await expect(page.locator(".tw-foreseen")).to_contain_text("Expected between")
    page = await view.open("terminal/atm-2", ready=".tw-components article")
    await expect(page.locator(".tw-foretold")).to_have_count(0)


async def test_charts_follow_the_theme(view: Watched) -> None:
    page = await view.open("at-risk", ready=".tw-foreseen-chart img")
    image = page.locator(".tw-foreseen-chart img").first
    await expect(image).to_have_attribute("src", re.compile("theme=light"))
    await page.emulate_media(color_scheme="dark")
    await expect(image).to_have_attribute("src", re.compile("theme=dark"))
    await page.emulate_media(color_scheme="light")
    await expect(image).to_have_attribute("src", re.compile("theme=light"))
    await page.locator(".tw-theme").click()
    await expect(image).to_have_attribute("src", re.compile("theme=dark"))


async def test_chinese_says_all_of_it_in_chinese(view: Watched, bank: ForeseenBank) -> None:
    page = await view.open("at-risk?lang=zh", ready=".tw-risky")
    first = risky(page, "atm-1")
    for told in ("高", "磁盘即将写满", "预计发生在", "17 次中 14 次属实", "现场工时"):
        await expect(first).to_contain_text(told)
    page = await view.open(f"findings/{bank.foreseen['disk'].id}", ready=".tw-finding h1")
    await expect(page.locator(".tw-finding")).to_contain_text("后续结果")
    page = await view.open("trends", ready=".tw-detector")
    await expect(page.locator(".tw-detector")).to_contain_text("因自身记录被降级")


@pytest.mark.parametrize(
    ("path", "scheme"),
    long_after(
        2,
        [
            ("at-risk", "dark"),
            ("terminal/atm-4", "light"),
            ("at-risk", "light"),
            ("at-risk?view=rounds", "light"),
            ("at-risk?view=rounds", "dark"),
            ("trends", "light"),
            ("trends", "dark"),
            ("findings", "light"),
            ("findings", "dark"),
            ("terminal/atm-4", "dark"),
        ],
    ),
)
async def test_it_fits_a_phone_in_both_themes(view: Watched, bank: ForeseenBank, path: str, scheme: str) -> None:
    await view.page.set_viewport_size({"width": 390, "height": 844})
    await view.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    if path == "findings":
        path = f"findings/{bank.foreseen['reader'].id}"
    ready = {"at-risk": ".tw-risky", "trends": ".tw-detector", "terminal/atm-4": ".tw-foretold"}.get(
        path, ".tw-main .tw-panel"
    )
    page = await view.open(path, ready=ready)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = await page.evaluate(
        "[...document.querySelectorAll('main *, header *')].filter(e => e.getBoundingClientRect().right > 391 && !e.closest('.tw-visually-hidden')).map(e => e.className)"
    )
    assert wide == []


async def test_the_keyboard_reaches_everything(view: Watched) -> None:
    page = await view.open("at-risk", ready=".tw-risky")
    await page.locator("#tw-main").focus()
    reached: list[str] = []
    for _ in range(12):
        await page.keyboard.press("Tab")
        reached.append(str(await page.evaluate("document.activeElement.textContent.trim().slice(0, 20)")))
    assert "Inspection rounds" in reached
    assert "atm-1" in reached
    assert "A disk fills up: hos" in reached
    assert any(each.startswith("right in 14 of 17") for each in reached)


async def test_a_change_shows_without_a_reload(view: Watched, bank: ForeseenBank) -> None:
    page = await view.open("at-risk", ready=".tw-risky")
    await page.evaluate("window.stayed = true")
    cash = bank.foreseen["cash"]
    nearer = replace(cash, at=cash.at + 10**9, values={**cash.values, "value": 120.0})
    await asyncio.to_thread(bank.say_foreseen, nearer)
    await expect(risky(page, "atm-3")).to_contain_text("atm.unit.count is 120")
    assert await page.evaluate("window.stayed")


async def test_predictions_that_stand_still_look_it(view: Watched, bank: ForeseenBank) -> None:
    bank.stand(behind=2, looked_ago=1200)
    page = await view.open("at-risk", ready=".tw-predicting-stale")
    await expect(page.locator(".tw-predicting-stale")).to_contain_text("do not move any more")
    await expect(page.locator(".tw-risk")).to_have_class("tw-risk tw-risk-stale")
    bank.stand(process=0)
    page = await view.open("at-risk", ready=".tw-predicting-stale")
    await expect(page.locator(".tw-predicting-stale")).to_contain_text(
        re.compile(r"are not running: what stands here is as of \d")
    )
    bank.stand()
    page = await view.open("at-risk", ready=".tw-risky")
    await expect(page.locator(".tw-predicting-stale")).to_have_count(0)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (
            (),
            (
                "Nothing is foreseen",
                re.compile(r"still learns, since \d"),
                "goes by a fixed rule",
                "have read nothing yet",
            ),
        ),
        (("--no-predictions",), ("Predictions are switched off: nothing is foreseen here",)),
    ],
)
@pytest.mark.long
async def test_an_empty_page_teaches(
    browser: Browser, tmp_path: Path, more: tuple[str, ...], told: tuple[str, ...]
) -> None:
    young = await asyncio.to_thread(Desk, tmp_path)
    await asyncio.to_thread(young.enrol, "atm-1")
    serving = Serving("-m", "tillwatch.collector.web", "--db", str(young.path), "--port", "0", *more)
    try:
        async for view in watching(browser, serving):
            page = await view.open("at-risk", ready=".tw-teach")
            for each in told:
                await expect(page.locator(".tw-risk")).to_contain_text(each)
    finally:
        assert serving.stop()[0] == 0
