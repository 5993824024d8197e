"""The pages of coming in, of one's own account and of everybody's, in a browser; and what a page shows when its session ends."""

from __future__ import annotations

import time

import pyotp
import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.collector.people.peopled import WORD
from tests.collector.web.running import Serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    console = Serving("-m", "tests.collector.people.serving", str(tmp_path_factory.mktemp("console")))
    yield console
    console.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser):
    made = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    yield made
    await made.close()


async def come_in(page, served, name: str, path: str = "") -> None:
    await page.goto(served.url + path)
    await page.fill("#name", name)
    await page.fill("#password", WORD)
    await page.click(".tw-gate-go")


async def test_without_a_script_one_comes_in_and_goes_where_one_wanted(browser, served):
    context = await browser.new_context(java_script_enabled=False, locale="zh-CN")
    page = await context.new_page()
    await page.goto(served.url + "terminal/ATM-001")
    assert await page.locator("h1").inner_text() == "登录"
    await page.fill("#name", "li.wei")
    await page.fill("#password", "wrong")
    await page.click(".tw-gate-go")
    assert "用户名或密码错误" in await page.locator("[role=alert]").inner_text()
    await page.fill("#password", WORD)
    await page.click(".tw-gate-go")
    await expect(page).to_have_url(served.url + "terminal/ATM-001")
    await context.close()


async def test_a_page_that_is_open_when_its_session_ends_shows_the_sign_in_page(context, served):
    page = await context.new_page()
    await come_in(page, served, "li.wei", "alarms")
    await page.wait_for_selector(".tw-main")
    await page.wait_for_function("window.socket?.connected")
    served.tell("li.wei active no")
    await expect(page).to_have_url(served.url + "sign-in?ended&next=%2Falarms")
    await expect(page.locator(".tw-gate")).to_contain_text("You have been signed out")
    served.tell("li.wei active yes")


async def test_somebody_is_added_and_their_name_stays_text(context, served):
    page = await context.new_page()
    await come_in(page, served, "zhao.lei", "people")
    await expect(page.locator(".tw-pp-list > li")).to_have_count(6)
    await expect(page.get_by_text("<b onclick=alert(1)>New</b>")).to_be_visible()
    await page.get_by_role("button", name="Add somebody").click()
    form = page.locator("dialog[open]")
    await form.get_by_label("Name", exact=True).fill("Chen.Jing")
    await form.get_by_label("Role").select_option("technician")
    await form.get_by_label("Only these regions (with commas)").fill("North, South")
    await form.get_by_role("button", name="Add, and make a link").click()
    link = await form.locator(".tw-pp-secret").inner_text()
    assert link.startswith(served.url + "sign-in/welcome?token=")
    await form.get_by_role("button", name="I have kept them").click()
    await expect(page.locator(".tw-pp-list > li")).to_have_count(7)
    await expect(page.locator(".tw-pp-list > li", has_text="chen.jing")).to_contain_text("North, South")


async def test_one_sets_up_a_second_factor_and_signs_in_with_it(context, served):
    page = await context.new_page()
    await come_in(page, served, "wang.fang", "profile")
    await page.get_by_role("button", name="Set up a second factor").click()
    secret = (await page.locator(".tw-pp-secret").inner_text()).replace(" ", "")
    code = pyotp.TOTP(secret).at(int(time.time()))
    await page.get_by_label("Code that the app shows").fill(code)
    await page.get_by_role("button", name="Switch it on").click()
    await expect(page.locator(".tw-pp-codes li")).to_have_count(10)
    recovery = await page.locator(".tw-pp-codes li").first.inner_text()
    await page.locator(".tw-account-button").click()
    await page.locator("#tw-account .tw-button").click()
    await expect(page).to_have_url(served.url + "sign-in")
    await come_in(page, served, "wang.fang", "sign-in")
    await page.fill("#code", recovery)
    await page.click(".tw-gate-go")
    await page.wait_for_selector(".tw-main")
