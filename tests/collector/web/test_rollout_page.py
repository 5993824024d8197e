"""The page of rollouts in a real browser: what it shows in both languages, on a desk and on a phone, and to whom it offers acts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.collector.web.running import Serving, Watched

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    running = Serving("-m", "tests.collector.fake_fleet")
    yield running
    assert running.stop()[0] == 0


@pytest.mark.parametrize(
    ("locale", "width", "said"),
    [
        ("en-GB", 1440, ["under way", "31 of 40 good", "fell back", "Ring pilot has passed", "Taken back"]),
        ("zh-CN", 390, ["进行中", "40 台中 31 台正常", "已自行回退", "批次 pilot 通过", "已回退"]),
    ],
)
async def test_rings_losses_and_history(
    browser: Browser, serving: Serving, locale: str, width: int, said: list[str]
) -> None:
    context = await browser.new_context(viewport={"width": width, "height": 900}, locale=locale)
    view = Watched(await context.new_page(), serving.url)
    page = await view.open("rollout", ready=".tw-ro-rings")
    for text in said:
        await expect(page.locator(".tw-rollout")).to_contain_text(text)
    await expect(page.get_by_role("link", name="ATM-003").first).to_be_visible()
    # What people write stays text.
    await expect(page.locator(".tw-rollout")).to_contain_text("<b>first</b> try")
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Somebody who only looks is offered nothing to do.
    assert await page.locator(".tw-ro-acts, .tw-ro-form").count() == 0
    await page.locator(".tw-rollout .tw-filters select").select_option("fallen-back")
    await expect(page.locator(".tw-ro-table tbody tr")).to_have_count(6)
    assert view.troubles == []
    await context.close()
