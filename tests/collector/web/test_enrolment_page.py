"""The page of the installation before a real browser, over the fake fleet, and the version of agents in the fleet."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_waits_for_a_person_stands_first(watched) -> None:
    page = await watched.open("enrolment", ready=".tw-panel table")
    panels = page.locator("section.tw-panel")
    await expect(panels.first).to_contain_text("The serial number was claimed by another machine before")
    await expect(panels.first.get_by_role("link", name="ATM-0001")).to_have_attribute("href", "/terminal/ATM-0001")
    await expect(panels.first).not_to_contain_text("5CG9231X4K")
    await expect(panels.nth(1)).to_contain_text("1 of 2")
    machines = panels.last
    await expect(machines.locator("tbody tr")).to_have_count(2)
    await machines.locator("select").select_option("expected")
    await expect(machines.locator("tbody tr")).to_have_count(1)
    await expect(machines).to_contain_text("ATM-9001")
    await expect(page).to_have_url(re.compile("state=expected"))
    await watched.open("enrolment?state=nonsense", ready=".tw-panel table")
    await expect(machines.locator("tbody tr")).to_have_count(2)
    assert watched.troubles == []
