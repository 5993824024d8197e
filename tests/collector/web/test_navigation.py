"""The navigation: everybody sees their pages, the current one is marked, and all of it works by keyboard, wide and narrow."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tillwatch.collector.people.roles import Permission, Role, Visitor
from tillwatch.collector.web.messages import TEXTS
from tillwatch.collector.web.pages.navigation import GROUPS, current, shown

ALL = {place.address for group in GROUPS for place in group.places}
browsing = pytest.mark.asyncio(loop_scope="module")


def addresses(role: Role) -> set[str]:
    return {place.address for group in shown(Visitor("x", role), ALL) for place in group.places}


def test_a_role_sees_what_it_may() -> None:
    assert addresses(Role.VIEWER) == ALL - {"/my", "/audit", "/people"}
    assert addresses(Role.SUPERVISOR) == ALL - {"/audit", "/people"}
    assert addresses(Role.ADMINISTRATOR) == ALL - {"/my", "/audit"}
    assert addresses(Role.AUDITOR) == ALL - {"/my", "/people"}


def test_a_group_without_a_page_is_left_out() -> None:
    assert [group.label for group in shown(Visitor("x", Role.VIEWER), {"/", "/figures"})] == [
        "nav.watch",
        "nav.measure",
    ]


@pytest.mark.parametrize(
    ("path", "key"),
    [("/", "fleet"), ("/terminal/ATM-1", "fleet"), ("/branch/A/B", "regions"), ("/regions", "regions"), ("/incident/x", "inbox"), ("/nowhere", "")],
)  # fmt: skip
def test_the_address_says_where_one_is(path: str, key: str) -> None:
    assert current(path) == key


def test_every_place_has_its_words_and_its_own_address() -> None:
    places = [place for group in GROUPS for place in group.places]
    assert len({place.address for place in places}) == len({place.key for place in places}) == len(places)
    for text in TEXTS.values():
        assert all(text(place.label) for place in places)
    assert all(isinstance(place.permission, Permission) for place in places)


@browsing
async def test_menus_by_keyboard(watched) -> None:
    page = await watched.open("alarms", ready=".tw-incident")
    await expect(page.locator(".tw-nav-here")).to_have_text("Alarms")
    buttons = page.locator(".tw-nav-button")
    await buttons.first.focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".tw-nav a:focus")).to_have_text("Inbox")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".tw-nav a:focus")).to_have_attribute("aria-current", "page")
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".tw-nav a:focus")).to_have_text("Fleet")
    await page.keyboard.press("Escape")
    await expect(buttons.first).to_be_focused()
    await expect(page.locator(".tw-nav-list:visible")).to_have_count(0)


@browsing
async def test_slash_finds_and_enter_goes_there(watched) -> None:
    page = await watched.open("alarms", ready=".tw-incident")
    await page.keyboard.press("/")
    await page.keyboard.type("atm-00")
    await expect(page.locator("#tw-found [role=option]").first).to_contain_text("ATM-001")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/terminal/ATM-003")


@browsing
async def test_the_sheet_of_a_narrow_page(watched) -> None:
    await watched.page.set_viewport_size({"width": 390, "height": 844})
    page = await watched.open("alarms", ready=".tw-incident")
    await page.locator(".tw-burger").click()
    sheet = page.locator("dialog.tw-sheet")
    await expect(sheet).to_be_visible()
    assert await sheet.evaluate("e => [e.offsetWidth, e.offsetHeight]") == [390, 844]
    await page.keyboard.press("Escape")
    await expect(sheet).to_be_hidden()
    await page.keyboard.press("/")
    await expect(sheet).to_be_visible()
    await page.get_by_role("dialog").get_by_role("link", name="At risk").click()
    await page.wait_for_url("**/at-risk")
