"""The panel of remote diagnosis in a browser: what was asked and what became of it; whoever may only look gets no form."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.collector.web.running import Watched

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_was_asked_is_told_in_words_and_nothing_of_it_is_markup(watched: Watched) -> None:
    page = watched.page
    await page.goto(f"{watched.url}terminal/ATM-001")
    rows = page.locator(".tw-diag-list > li")
    await expect(rows).to_have_count(5)
    await expect(rows.nth(0).locator(".tw-diag-state")).to_have_text("… Sent")
    await expect(rows.nth(1)).to_contain_text("<b>7</b> of 7 devices read")
    await expect(rows.nth(3)).to_contain_text("The terminal's configuration does not allow it.")
    await expect(rows.nth(4).locator(".tw-diag-state")).to_have_text("! Interrupted")
    await expect(page.locator(".tw-diag-form")).to_have_count(0)
    await expect(page.locator(".tw-diag-get")).to_have_count(0)
    await page.locator(".tw-diagnosis .tw-more").click()
    await expect(rows).to_have_count(6)
    await expect(rows.nth(5).locator(".tw-diag-state")).to_have_text("! Expired")
