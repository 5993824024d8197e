"""Stored and reflected script: what a device, a person, a ticket system or another monitoring wrote, and what stands in an address, is shown as the text that
it is, on every page. Nothing of it runs, and nothing of it becomes an element.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Browser
from playwright.async_api import TimeoutError as Timeout

from tests.collector.web.quality.places import LOOKERS, Page, pages
from tests.collector.web.quality.staffed import Staffed
from tests.collector.web.quality.test_every_page import settled
from tests.collector.web.quality.whole_bank import PAYLOADS, WholeBank

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.long,
]  # test_every_page.py opens the pages of what is written to hurt, too

ASKED = (
    "q",
    "branch",
    "region",
    "terminal",
    "class",
    "condition",
    "state",
    "component",
    "signal",
    "at",
    "scope",
    "period",
    "actor",
    "from",
    "rule",
    "next",
)
"""Names under which pages take something out of their address."""
WATCH = """
    window.policy = [];
    document.addEventListener("securitypolicyviolation", (event) => window.policy.push(`${event.violatedDirective} ${event.sourceFile} ${event.sample}`));
"""
GROWN = """() => [...document.querySelectorAll("#tw-main b, #tw-main img, #tw-main svg, #tw-main script, #tw-main a")].filter((e) =>
    /pwned/.test((e.getAttribute("src") ?? "") + (e.getAttribute("onerror") ?? "") + (e.getAttribute("onload") ?? "") + (e.getAttribute("onmouseover") ?? ""))
    || /^\\s*javascript:/i.test(e.getAttribute("href") ?? "")).map((e) => e.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> WholeBank:
    return WholeBank(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def staffed(bank: WholeBank) -> Iterator[Staffed]:
    running = Staffed(bank.path, "--config", str(bank.file))
    yield running
    assert running.stop()[0] == 0


async def visited(browser: Browser, staffed: Staffed, addresses: list[tuple[Page, str]]) -> dict[str, Any]:
    """What ran or grew at each address; and how often a payload stood there as text."""
    found: dict[str, Any] = {}
    contexts = {role: await staffed.enter(browser, role, viewport={"width": 1440, "height": 900}) for role in LOOKERS}
    for page, address in addresses:
        tab = await contexts[page.role].new_page()
        wrong: list[str] = []
        tab.on("dialog", lambda dialog, wrong=wrong: wrong.append(f"a dialog: {dialog.message}"))
        await tab.add_init_script(WATCH)
        answer = await tab.goto(staffed.url + address)
        assert answer is not None
        if answer.status >= 500:
            wrong.append(f"status {answer.status}")
        elif "text/html" in answer.headers["content-type"] and answer.ok:
            try:
                await settled(tab)
            except Timeout as error:
                wrong.append(f"does not come to rest: {error}")
        wrong += await tab.evaluate("[window.pwned].filter(Boolean).map((n) => `payload ${n} ran`)")
        wrong += await tab.evaluate("window.policy ?? []")
        wrong += await tab.evaluate(GROWN)
        found[address] = (wrong, "pwned" in await tab.inner_text("body"))
        await tab.close()
    for context in contexts.values():
        await context.close()
    return found


async def test_what_others_wrote_is_shown_as_they_wrote_it(browser, staffed, bank):
    addresses = [(page, page.addresses(bank)[-1]) for page in pages()]
    found = await visited(browser, staffed, addresses)
    assert {address: wrong for address, (wrong, _) in found.items() if wrong} == {}
    told = [address for address, (_, shown) in found.items() if shown]
    assert len(told) >= 12, f"texts of others stand on these pages only: {told}"


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
async def test_what_stands_in_an_address_is_no_markup(browser, staffed, bank, payload):
    asked = "&".join(f"{name}={quote(payload)}" for name in ASKED)
    plain = [page for page in pages() if "{" not in page.route]
    named = [
        (
            page,
            f"{page.route.partition('{')[0].removeprefix('/')}{quote(payload, safe='')}{page.route.partition('}')[2]}?{asked}",
        )
        for page in pages()
        if "{" in page.route
    ]
    found = await visited(
        browser, staffed, [(page, f"{page.route.removeprefix('/')}?{asked}") for page in plain] + named
    )
    assert {address: wrong for address, (wrong, _) in found.items() if wrong} == {}
