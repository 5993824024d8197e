"""Every page of the console in a real browser, over a store in which everything happened once: wide and narrow, light and dark, in both languages. Nothing
overlaps, is cut, empty or half translated, axe-core finds no serious violation, and the keyboard reaches every control.

`make test` opens every second page once, with the widths, colours and languages taken in turn; `make test-long` opens each in all of them.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser
from playwright.async_api import Page as Tab

from tests.collector.web.quality.places import Page, pages
from tests.collector.web.quality.staffed import Staffed
from tests.collector.web.quality.whole_bank import WholeBank
from tests.collector.web.running import Watched
from tillwatch.collector.web.messages import TEXTS

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOKING = Path(__file__).with_name("looking.js").read_text()
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
READY = """() => {
    const main = document.querySelector("#tw-main");
    return document.readyState === "complete" && typeof tw === "object" && main?.innerText.trim() && [...tw.readers].every((reader) => !reader.busy)
        && ![...main.querySelectorAll("*")].some((e) => !e.children.length && LOADING.includes(e.textContent.trim()) && !e.matches("[aria-live]") && e.checkVisibility({ opacityProperty: true, visibilityProperty: true }));
}"""
LOADING = sorted({texts.texts[key] for texts in TEXTS.values() for key in texts.texts if key.endswith(".loading")})
PATIENCE_MS = 60_000
MOST_CONTROLS = 160
"""That Tab is pressed through to the end; of a page with more, the first so many."""
LONGER: frozenset[str] = frozenset()
"""Pages with more: lists that repeat themselves, whose first rows have shown by then how the others behave."""
SPARE_TABS = 12
"""Presses beside those for the controls: grids and the browser itself take some."""


@dataclass(frozen=True)
class Look:
    width: int
    colour: str
    language: str

    def __str__(self) -> str:
        return f"{self.width}-{self.colour}-{self.language}"


LOOKS = [Look(*each) for each in itertools.product((1440, 390), ("light", "dark"), ("en", "zh"))]
IN_SHORT = 3
"""Every so many-th page is opened by `make test`, for its time's sake; each has browser tests of its own beside these."""
IN_TURN = (0, 7, 5, 2, 3, 4, 6, 1)
"""So that two pages after each other differ in most."""


def chosen() -> Iterator[Any]:
    for number, page in enumerate(pages()):
        for which, look in enumerate(LOOKS):
            usual = which == IN_TURN[number % len(LOOKS)] and number % IN_SHORT == 0
            yield pytest.param(page, look, id=f"{page.route}-{look}", marks=[] if usual else [pytest.mark.long])


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> WholeBank:
    return WholeBank(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def staffed(bank: WholeBank) -> Iterator[Staffed]:
    running = Staffed(bank.path, "--config", str(bank.file))
    yield running
    code, errors = running.stop()
    assert (code, "Traceback" in errors) == (0, False), errors[-3000:]


async def settled(tab: Tab) -> None:
    """What the page fetches is there and drawn."""
    await tab.wait_for_function(READY.replace("LOADING", repr(LOADING)), timeout=PATIENCE_MS)
    await tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.fixture
def opened(browser: Browser, staffed: Staffed) -> Any:
    """Opens an address for a page's role in a look; what the browser complains of is in `troubles`."""

    async def open_(page: Page, look: Look, address: str) -> AsyncIterator[Watched]:
        context = await staffed.enter(
            browser, page.role, viewport={"width": look.width, "height": 900}, color_scheme=look.colour
        )
        await context.add_cookies(
            [
                {"name": "tw_lang", "value": look.language, "url": staffed.url},
                {"name": "tw_theme", "value": look.colour, "url": staffed.url},
            ]
        )
        watched = Watched(await context.new_page(), staffed.url)
        watched.page.on("dialog", lambda dialog: watched.troubles.append(f"a dialog: {dialog.message}"))
        answer = await watched.page.goto(staffed.url + address)
        assert answer is not None
        assert answer.status == 200
        await settled(watched.page)
        yield watched
        await context.close()

    return open_


@pytest.mark.parametrize(("page", "look"), list(chosen()))
async def test_a_page_is_whole_legible_and_for_everybody(opened: Any, bank: WholeBank, page: Page, look: Look) -> None:
    found = {}
    for address in page.addresses(bank):
        async for watched in opened(page, look, address):
            wrong = await objections(watched.page, look)
            wrong += await violations(watched.page)
            wrong += await out_of_reach(watched.page, page.route in LONGER)
            wrong += watched.troubles
            wrong += await watched.page.evaluate("[window.pwned].filter(Boolean).map((n) => `payload ${n} ran`)")
            if wrong:
                found[address] = wrong
    assert found == {}


async def objections(tab: Tab, look: Look) -> list[str]:
    """What looking.js sees."""
    mine, theirs = TEXTS[look.language].texts, TEXTS["zh" if look.language == "en" else "en"].texts
    own = set(mine.values())
    other = [text for key, text in theirs.items() if text not in own and mine[key] != text and len(text) > 3]
    keys, sections = sorted(mine), sorted({key.partition(".")[0] for key in mine})
    wrong: list[str] = await tab.evaluate(
        f"([keys, sections, other]) => ({LOOKING.rstrip()})({{ keys: new Set(keys), sections: new Set(sections), other: new Set(other) }})",
        [keys, sections, other],
    )
    return wrong


async def violations(tab: Tab) -> list[str]:
    """What axe-core calls serious or critical, by WCAG 2.2 AA and its best practices."""
    await tab.evaluate(AXE)  # past the page's own policy, which takes no script from elsewhere
    found = await tab.evaluate("""async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
        .filter((each) => ["serious", "critical"].includes(each.impact))
        .map((each) => `axe ${each.id} (${each.impact}): ` + each.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} ${node.any[0]?.message ?? node.all[0]?.message ?? ""}`).join("; "))""")
    return list(found)


async def out_of_reach(tab: Tab, longer: bool = False) -> list[str]:
    """Controls that Tab does not come to, and those of which one does not see that it did. longer: the page may have more than are pressed through."""
    await tab.evaluate("""() => {
        const look = (e) => { const s = getComputedStyle(e); return [s.outline, s.boxShadow, s.borderColor, s.backgroundColor, s.textDecoration].join(); };
        const controls = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")].filter((e) =>
            e.tabIndex >= 0 && !e.disabled && e.checkVisibility({ visibilityProperty: true }) && e.getClientRects().length && !e.closest("[inert], .ag-root-wrapper")
            && !(e.type === "radio" && !e.checked && document.querySelector(`input[name="${CSS.escape(e.name)}"]:checked`)));
        document.activeElement?.blur();
        window.lookedAt = { look, left: new Map(controls.map((e) => [e, look(e)])), unseen: [] };
    }""")
    controls = await tab.evaluate("lookedAt.left.size")
    whole = controls <= MOST_CONTROLS
    if not whole and not longer:
        return [f"{controls} controls: more than Tab is pressed through; a page that may have so many stands in LONGER"]
    for _ in range(min(controls, MOST_CONTROLS) + SPARE_TABS):
        await tab.keyboard.press("Tab")
        done = await tab.evaluate("""() => {
            const { look, left, unseen } = lookedAt, e = document.activeElement;
            if (left.has(e)) {
                if (look(e) === left.get(e) && !(e.closest("label, .tw-focus-within") && look(e.closest("label, .tw-focus-within")))) unseen.push(e);
                left.delete(e);
            }
            return left.size === 0;
        }""")
        if done:
            break
    name = "(e) => `${e.tagName.toLowerCase()}.${[...e.classList].join('.')} ${(e.innerText || e.getAttribute('aria-label') || e.name || '').slice(0, 40)}`"
    unseen = await tab.evaluate(f"lookedAt.unseen.slice(0, 5).map({name})")
    left = await tab.evaluate(f"[...lookedAt.left.keys()].slice(0, 5).map({name})") if whole else []
    return [f"no sign of the focus: {each}" for each in unseen] + [f"not reached by Tab: {each}" for each in left]


async def test_texts_that_run_into_each_other_are_found(browser: Browser) -> None:
    """Of two words in boxes too narrow for the first, and of two lines in too low a one: what is drawn at their middles is right."""
    page = await browser.new_page(viewport={"width": 390, "height": 800})
    narrow = "flex: 1; min-width: 0; padding: 0; white-space: nowrap"
    await page.set_content(
        f"""<main id="tw-main"><h1>All of it</h1><p style="display: flex; width: 160px"><span style="{narrow}">Needs attention</span><span style="{narrow}">Rest</span></p>
        <p style="display: flex; width: 320px"><span style="{narrow}">Needs patience</span><span style="{narrow}">None</span></p></main>"""
    )
    wrong = await objections(page, LOOKS[0])
    assert [each.partition(" in ")[0] for each in wrong] == ["over each other: Needs attention"]
    await page.close()
