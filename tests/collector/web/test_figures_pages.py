"""The pages of figures, supplies and readings before a real browser, over real stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.collector.web.foreseen_bank import CASH, ForeseenBank
from tests.collector.web.rest.test_figures_api import EVIL, NOW, store
from tests.collector.web.running import Serving, Watched
from tillwatch.collector.web.messages import TEXTS

pytestmark = pytest.mark.asyncio(loop_scope="module")
MONTH = "month=2026-10"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    path = store(tmp_path_factory.mktemp("site"))
    serving = Serving("-m", "tests.collector.web.figured", "--db", str(path), "--now", str(NOW))
    yield serving
    serving.stop()


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = ForeseenBank(tmp_path_factory.mktemp("bank"))
    serving = Serving("-m", "tests.collector.web.figured", "--db", str(made.path), "--now", str(made.now))
    yield serving
    serving.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def view(browser: Browser, site: Serving, request: pytest.FixtureRequest) -> AsyncIterator[Watched]:
    width, language = getattr(request, "param", (1440, "en-GB"))
    context = await browser.new_context(viewport={"width": width, "height": 900}, locale=language)
    watched = Watched(await context.new_page(), site.url)
    yield watched
    assert watched.troubles == []
    assert await watched.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await context.close()


async def figures(view: Watched, path: str) -> Page:
    return await view.open(path, ".tw-fig-tiles")


async def test_downtime_leads_to_its_cause_party_and_interval_in_three_clicks(view):
    page = await figures(view, f"figures?{MONTH}")
    await expect(page.locator(".tw-fig-tile").first).to_contain_text("0.3")
    await page.locator("#causes .tw-fig-open", has_text="jammed").click()
    row = page.locator("#causes .tw-fig-behind tbody tr")
    await expect(row).to_contain_text("ATM-1")
    await expect(row).to_contain_text("4 h")
    await row.locator("a").first.click()
    await page.wait_for_url("**/figures/ATM-1?*")
    marked = page.locator(".tw-time-meant")
    await expect(marked).to_contain_text("Hardware")
    await marked.locator(".tw-source").click()
    await page.wait_for_url("**/terminal/ATM-1/readings?*")


async def test_what_ran_out_is_told_with_its_downtime(view):
    page = await figures(view, f"figures?{MONTH}")
    row = page.locator("#ran-out tbody", has_text="cassette")
    await expect(row).to_contain_text("3 h")
    await row.locator(".tw-fig-open").click()
    await expect(row.locator(".tw-fig-behind tbody tr")).to_contain_text("ATM-2")


async def test_parts_of_the_fleet_lead_on_and_the_address_can_be_shared(view):
    page = await figures(view, f"figures?{MONTH}")
    await page.locator("#parts .tw-ranges button", has_text="Branch").click()
    await page.locator("#parts a", has_text="滨海支行").click()
    await page.wait_for_url("**scope=branch**")
    await expect(page.locator(".tw-fig-head h2")).to_contain_text("滨海支行")
    await expect(page.locator("#parts tbody tr")).to_have_count(2)


async def test_the_report_is_taken_away_with_its_sheets(view):
    page = await figures(view, f"figures?{MONTH}")
    await page.locator(".tw-fig-take summary").click()
    for name, end in (("Page", "report-2026-10.html"), ("All sheets", "report-2026-10.xlsx"), ("Incidents", ".csv")):
        async with page.expect_download() as taken:
            await page.locator(".tw-fig-take").get_by_role("button", name=name).click()
        assert (await taken.value).suggested_filename.endswith(end)
    view.troubles.clear()  # until it is made the answer is 503


async def test_text_of_people_stays_text(view):
    page = await figures(view, f"figures?{MONTH}")
    await expect(page.locator("#corrections")).to_contain_text(EVIL)
    assert await page.evaluate("window.pwned") is None


async def test_a_correction_is_asked_for_with_its_reason(view):
    page = await view.open(f"figures/ATM-1?{MONTH}", ".tw-time-strip")
    await page.locator(".tw-time-row", has_text="jammed").get_by_role("button", name="Correct").click()
    form = page.locator("dialog[open]")
    await expect(form).to_contain_text("signed by the collector")
    await form.locator("input[maxlength]").fill("move of the branch")
    async with page.expect_request(lambda request: request.method == "POST") as asked:
        await form.get_by_role("button", name="Sign and record").click()
    sent = (await asked.value).post_data_json
    assert sent == {"from": "2026-10-01T22:00:00Z", "to": "2026-10-02T02:00:00Z", "counts_as": "planned", "party": "unknown", "reason": "move of the branch"}  # fmt: skip
    await expect(form.locator("[role=alert]")).to_contain_text("this console only shows")
    view.troubles.clear()  # nothing takes it here, which is what it says


@pytest.mark.parametrize("view", [(390, "zh-CN")], indirect=True)
async def test_a_telephone_shows_all_of_it_in_chinese(view):
    page = await figures(view, f"figures?{MONTH}&lang=zh")
    text = TEXTS["zh"]
    await expect(page.locator("h1")).to_have_text(text("figures.title"))
    await expect(page.locator("#causes")).to_contain_text("硬件")
    await page.locator("#causes .tw-fig-open").first.click()
    await expect(page.locator("#causes .tw-fig-behind tbody tr").first).to_be_visible()


async def test_supplies_and_the_route_to_them(browser, bank):
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    try:
        watched = Watched(await context.new_page(), bank.url)
        page = await watched.open("supplies", ".tw-sup-table")
        row = page.locator(".tw-sup-table tbody", has_text="atm-3")
        await expect(row).to_contain_text("in 2.")
        await row.get_by_role("button", name="Details").click()
        await expect(row).to_contain_text("a day since then")
        await page.get_by_role("button", name="Route list").click()
        stop = page.locator(".tw-sup-stop")
        await expect(stop).to_contain_text("人民路支行")
        await expect(stop).to_contain_text(CASH)
        assert watched.troubles == []
    finally:
        await context.close()
