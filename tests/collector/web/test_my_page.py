"""The technician's phone in a real browser, over a real store with a collector that takes acts: with a connection, without one, and with one that breaks in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Error, Page, Route, expect

from tests.collector.web.running import Serving, Watched

pytestmark = pytest.mark.asyncio(loop_scope="module")
V1 = "api/v1"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    running = Serving("-m", "tests.collector.web.bank", str(tmp_path_factory.mktemp("bank")))
    yield running
    running.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def phone(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport=PHONE, locale="en-GB", has_touch=True)
    page = await context.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    yield page
    assert broken == []
    await context.close()


async def name_of(page: Page, bank: Serving, terminal: str) -> str:
    answer = await page.request.get(f"{bank.url}{V1}/inbox")
    return str(next(each["id"] for each in (await answer.json())["items"] if each["terminal"] == terminal))


async def events(page: Page, bank: Serving, incident: str) -> list[str]:
    answer = await page.request.get(f"{bank.url}{V1}/incidents/{incident}")
    return [each["kind"] for each in (await answer.json())["events"]]


async def test_what_nobody_has_is_taken_on_and_is_mine(browser: Browser, bank: Serving) -> None:
    context = await browser.new_context(viewport=PHONE, locale="en-GB")
    view = Watched(await context.new_page(), bank.url)
    page = await view.open("my", ".tw-my-item")
    mine, unowned = (
        page.locator(".tw-section", has=page.get_by_role("heading", name="Mine")),
        page.locator(".tw-my-item", has_text="ATM-0101"),
    )
    await expect(mine).to_contain_text("You have taken nothing on.")
    await unowned.locator("summary").click()
    await expect(unowned.locator(".tw-bring")).to_contain_text("The device as a spare")
    await unowned.get_by_role("button", name="Acknowledge").click()
    await expect(mine.locator(".tw-my-item")).to_contain_text("ATM-0101")
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert view.troubles == []
    await context.close()


async def test_what_cannot_be_sent_waits_and_goes_in_its_order(phone: Page, bank: Serving) -> None:
    name = await name_of(phone, bank, "ATM-0102")
    await phone.goto(f"{bank.url}repair/{name}")
    await expect(phone.locator(".tw-mended")).to_contain_text("the fault is still there")
    await phone.context.set_offline(True)
    await phone.get_by_role("button", name="Acknowledge").click()
    await expect(phone.locator(".tw-unsent")).to_contain_text("Waiting to be sent (1)")
    await phone.get_by_role("button", name="Begin repair").click()
    await expect(phone.locator(".tw-unsent")).to_contain_text("Waiting to be sent (2)")
    await expect(phone.locator(".tw-steps-list")).to_be_visible()
    await phone.context.set_offline(False)
    await expect(phone.locator(".tw-unsent")).to_have_count(0)
    await expect(phone.locator(".tw-head .tw-stage")).to_contain_text("At work")
    await expect(phone.locator(".tw-repair-acts .tw-primary", has_text="Acknowledge")).to_have_count(0)
    told = [kind for kind in await events(phone, bank, name) if kind in ("acknowledged", "in_repair")]
    assert told == ["acknowledged", "in_repair"]


async def test_an_answer_that_is_lost_makes_nothing_twice(phone: Page, bank: Serving) -> None:
    """The act was done, and the phone does not know it: sent again with its key it is done once."""
    name = await name_of(phone, bank, "ATM-0201")
    await phone.goto(f"{bank.url}repair/{name}")
    keys: list[str] = []
    answers_come = False

    async def lose(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            await route.fetch()
        await (route.continue_() if answers_come else route.abort())

    await phone.route("**/acknowledge?*", lose)
    await phone.get_by_role("button", name="Acknowledge").click()
    await expect(phone.locator(".tw-unsent")).to_contain_text("Waiting to be sent (1)")
    answers_come = True
    await phone.get_by_role("button", name="Send now").click()
    await expect(phone.locator(".tw-unsent")).to_have_count(0)
    assert len(keys) > 1
    assert len(set(keys)) == 1
    assert (await events(phone, bank, name)).count("acknowledged") == 1


async def test_what_is_refused_is_shown_with_its_reason(phone: Page, bank: Serving) -> None:
    """Somebody else ended the hold meanwhile."""
    name = await name_of(phone, bank, "ATM-0103")
    await phone.goto(f"{bank.url}repair/{name}")
    await phone.get_by_role("button", name="Go on").wait_for()
    await phone.context.set_offline(True)
    await phone.get_by_role("button", name="Go on").click()
    await expect(phone.locator(".tw-unsent")).to_contain_text("Waiting to be sent (1)")
    other = await phone.context.browser.new_context() if phone.context.browser else None
    assert other is not None
    assert (await other.request.post(f"{bank.url}{V1}/incidents/{name}/resume", data={})).ok
    await other.close()
    await phone.context.set_offline(False)
    refused = phone.locator(".tw-waiting .tw-refused")
    await expect(refused).to_contain_text("is not on hold")
    await refused.get_by_role("button", name="Seen").click()
    await expect(refused).to_have_count(0)


async def test_what_is_written_outlives_the_page_and_ends_with_the_part(phone: Page, bank: Serving) -> None:
    name = await name_of(phone, bank, "ATM-0103")
    await phone.goto(f"{bank.url}repair/{name}")
    await phone.get_by_text("part changed").click()
    await phone.get_by_label("Part number").fill("01750109646")
    await phone.reload()
    await expect(phone.get_by_label("Part number")).to_have_value("01750109646")
    await phone.get_by_label("Serial of the new part").fill("CN24K7719")
    await phone.get_by_role("button", name="Say that it is mended").click()
    await expect(phone.locator(".tw-came")).to_contain_text("by its readings the fault is still there")
    await expect(phone.locator(".tw-bring")).to_contain_text("01750109646, S/N CN24K7719")


# Opened without a connection.


async def kept(page: Page) -> None:
    await page.locator("html[data-kept]").wait_for(state="attached")


async def caches(page: Page) -> list[str]:
    found: list[str] = await page.evaluate("caches.keys()")
    return sorted(name for name in found if name.startswith("tw-data-"))


async def test_both_pages_open_without_a_connection_after_one_visit(phone: Page, bank: Serving) -> None:
    name = await name_of(phone, bank, "ATM-0101")
    await phone.request.post(f"{bank.url}{V1}/incidents/{name}/acknowledge", data={})  # taken on, if nobody has yet
    await phone.goto(f"{bank.url}my")
    await phone.locator(".tw-my-item").first.wait_for()
    await kept(phone)
    await phone.goto(f"{bank.url}repair/{name}")
    await phone.locator(".tw-steps-list").wait_for()
    await kept(phone)
    await phone.context.set_offline(True)
    await phone.goto(f"{bank.url}my")
    await expect(phone.locator(".tw-my-item", has_text="ATM-0101").first).to_be_visible()
    await expect(phone.locator(".tw-offline")).to_be_visible()
    await phone.goto(f"{bank.url}repair/{name}")
    await expect(phone.locator(".tw-steps-list")).to_be_visible()
    await phone.get_by_role("button", name="Begin repair").click()
    await expect(phone.locator(".tw-unsent")).to_contain_text("Waiting to be sent (1)")
    await phone.context.set_offline(False)
    await expect(phone.locator(".tw-unsent")).to_have_count(0)
    assert (await events(phone, bank, name)).count("in_repair") == 1


async def test_what_was_kept_is_of_one_person_and_ends_with_the_session(phone: Page, bank: Serving) -> None:
    await phone.goto(f"{bank.url}my")
    await kept(phone)
    [own] = await caches(phone)
    await phone.context.set_extra_http_headers({"X-Who": "zhang:technician"})
    await phone.goto(f"{bank.url}my")
    await phone.locator(".tw-my-item").first.wait_for()
    await phone.wait_for_function("own => caches.keys().then((all) => !all.includes(own))", arg=own)
    assert len(await caches(phone)) == 1
    await phone.goto(f"{bank.url}terminal/ATM-0101")  # asks the same questions, and keeps nothing of them
    await phone.locator("h1").wait_for()
    kept_of = "async () => (await (await caches.open((await caches.keys()).find((n) => n.startsWith('tw-data-')))).keys()).map((r) => r.url)"
    assert not [address for address in await phone.evaluate(kept_of) if "/terminals/" in address]
    await phone.evaluate("fetch('/api/v1/sign-out', { method: 'POST' }).catch(() => {})")
    await phone.wait_for_function("() => caches.keys().then((all) => !all.some((name) => name.startsWith('tw-data-')))")
    await phone.context.set_offline(True)
    with pytest.raises(Error, match=r"ERR_INTERNET_DISCONNECTED|ERR_FAILED"):
        await phone.goto(f"{bank.url}my")
    await phone.context.set_offline(False)


async def test_the_worker_is_served_at_the_root_and_its_policy_is_strict(phone: Page, bank: Serving) -> None:
    answer = await phone.request.get(f"{bank.url}worker.js")
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    assert "worker-src 'self'" in answer.headers["content-security-policy"]
    marks = [
        (await phone.request.get(f"{bank.url}{V1}/my", headers={"X-Who": who})).headers["tw-visitor"]
        for who in ("chen:technician", "zhang:technician")
    ]
    assert len(set(marks)) == 2
    assert "tw-visitor" not in (await phone.request.get(f"{bank.url}{V1}/inbox")).headers
