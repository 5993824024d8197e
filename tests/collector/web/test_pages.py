"""The pages in a real browser: what an engineer sees, that it moves, and that nothing of a device becomes markup."""

from __future__ import annotations

import re

import httpx2
import pytest
from playwright.async_api import expect

from tests.collector.web.running import Running
from tests.variants import long_after

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHART = "Object.values(mounted_app.$refs).flat().find(r => r?.chart)?.chart"
ROW = ".ag-center-cols-container .ag-row"


async def names(page):
    """The terminals in the table, in the order shown."""
    return await page.evaluate(
        "() => { const out = []; tw.fleet.api.forEachNodeAfterFilterAndSort(n => out.push(n.data.id)); return out }"
    )


async def test_the_fleet_is_shown_worst_first(watched):
    page = await watched.open(ready=ROW)
    assert (await names(page))[:7] == ["ATM-001", "ATM-003", "ATM-013", "ATM-006", "POS-008", "ATM-051", "POS-014"]
    top = page.locator(f'{ROW}[row-index="0"]')
    await expect(top).to_contain_text("Critical")
    await expect(top).to_contain_text("The terminal runs on battery and the charge falls")
    await expect(page.locator("button.tw-tile.tw-crit .tw-figure")).to_have_text("2")
    await expect(page.locator("button.tw-tile.tw-unknown .tw-figure")).to_have_text("5")


async def test_unknown_has_its_own_word_and_look_and_silence_looks_stale(watched):
    page = await watched.open("?q=SRV-005", ready=ROW)
    row = page.locator(ROW)
    await expect(row).to_have_count(1)
    chip = row.locator(".tw-chip")
    await expect(chip).to_have_text("Unknown")
    assert "gradient" in await chip.evaluate("e => getComputedStyle(e).backgroundImage")
    await expect(row.locator(".tw-age")).to_have_class("tw-age tw-stale")


async def test_a_change_shows_without_a_reload(watched, console):
    page = await watched.open(ready=ROW)
    await page.evaluate("window.stayed = true")
    console.change(terminals={"ATM-011": {"condition": "crit", "level": 1, "open_alarms": 1}})
    await expect(page.locator("button.tw-tile.tw-crit .tw-figure")).to_have_text("3")
    await expect(page.locator(f'{ROW}[row-id="ATM-011"]')).to_contain_text("Fresh alarm of the test")
    assert "ATM-011" in (await names(page))[:2]
    assert await page.evaluate("window.stayed")


async def test_filters_are_in_the_address_and_say_when_nothing_matches(watched):
    page = await watched.open(ready=ROW)
    await page.locator("button.tw-tile.tw-crit").click()
    await expect(page.locator("#tw-count")).to_have_text("2 of 60 terminals")
    await expect(page).to_have_url(re.compile(r"\?condition=crit$"))
    await page.fill("#tw-q", "nothing like this")
    await expect(page.locator("#tw-nomatch")).to_be_visible()
    await page.locator("#tw-clear").click()
    await expect(page.locator("#tw-count")).to_have_text("60 of 60 terminals")
    await page.select_option("#tw-branch", "Central Station")
    await expect(page.locator("#tw-count")).to_have_text("10 of 60 terminals")


async def test_a_row_opens_its_terminal_by_mouse_and_by_keyboard(watched):
    page = await watched.open(ready=ROW)
    await page.locator(f'{ROW}[row-index="1"] [col-id="state"]').click()
    await page.wait_for_url("**/terminal/ATM-003")
    await page.go_back()
    await page.wait_for_selector(ROW)
    await page.locator(f'{ROW}[row-index="0"] [col-id="state"]').focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/terminal/ATM-003")


async def test_a_page_has_one_main_landmark_and_the_navigation_is_outside_of_it(watched):
    page = await watched.open(ready=ROW)
    await expect(page.locator("main, [role=main]")).to_have_count(1)
    await expect(page.locator("main#tw-main")).to_be_visible()
    await expect(page.locator("main header, main nav.tw-nav")).to_have_count(0)
    await expect(page.locator("header nav.tw-nav")).to_have_count(1)


async def test_ages_keep_counting(watched):
    page = await watched.open(ready=ROW)
    age = page.locator(f'{ROW}[row-index="0"] .tw-age')
    first = await age.inner_text()
    await expect(age).not_to_have_text(first)


async def test_a_terminal_shows_alarm_components_and_the_chart_of_what_is_wrong(watched, console):
    page = await watched.open("terminal/ATM-001", ready="#tw-chart canvas")
    await expect(page.locator(".tw-incident")).to_contain_text("Call the branch; check the mains fuse; bring a UPS")
    await expect(page.locator(".tw-incident")).to_contain_text("INC0012001")
    standing = page.locator(".tw-facts > div", has=page.locator(".tw-standing"))
    await expect(standing).to_contain_text("Degraded")
    since = "fetch('/api/v1/terminals/ATM-001').then(a => a.json()).then(found => Date.parse(found.state.since))"
    aged = "at => document.querySelector('.tw-facts > div:has(.tw-standing)').textContent.includes(tw.age(at))"
    await page.wait_for_function(aged, arg=await page.evaluate(since))
    await expect(standing).to_contain_text("The terminal runs on battery and the charge falls")
    await expect(page.locator(".tw-facts")).to_contain_text("withdrawal, deposit")
    await expect(page.locator(".tw-facts")).to_contain_text("Power")
    await expect(page.locator(".tw-chart-title")).to_have_text("ups/battery · battery.charge")
    await expect(page.locator(".tw-picked .tw-value")).to_have_text("23.5%")
    await expect(page.locator(".tw-component", has_text="environment").locator(".tw-none")).to_have_text("no value")
    console.change(values={"ATM-001 ups input.voltage": 118.5}, terminals={"ATM-001": {"lost": 4}})
    await expect(
        page.locator(".tw-component", has_text="input.voltage").locator("button", has_text="input.voltage")
    ).to_contain_text("118.5")
    await expect(page.locator(".tw-facts")).to_contain_text("4 readings")


async def test_the_chart_zooms_and_leaves_gaps_open(watched):
    page = await watched.open("terminal/ATM-001", ready="#tw-chart canvas")
    await expect(page.locator("#tw-shown")).to_contain_text("Shown:")
    whole = await page.locator("#tw-shown").inner_text()
    values = await page.evaluate(f"{CHART}.getOption().series[0].data.map(d => d[1])")
    assert values.count(None) == 2
    before, inside = await line_pixels(page)
    assert before > 0
    assert inside == 0
    await page.locator("#tw-chart canvas").hover()
    await page.mouse.wheel(0, -400)
    await expect(page.locator("#tw-shown")).not_to_have_text(whole)
    await page.locator("#tw-reset").click()
    await expect(page.locator("#tw-reset")).to_be_hidden()
    await page.locator("#tw-history").get_by_role("button", name="30 d").click()
    await expect(page.locator(".tw-chart-foot")).to_contain_text("hourly means with least and most")
    assert await page.evaluate(f"{CHART}.getOption().series.map(s => s.data.length > 0)") == [True, True, True]
    assert await page.evaluate(f"{CHART}.getOption().yAxis[0].name") == "%"


async def line_pixels(page):
    """How many pixels of the line are drawn, top to bottom: half an hour before the first gap, and in its middle."""
    return await page.evaluate(
        f"""() => {{
            const chart = {CHART}, canvas = document.querySelector('#tw-chart canvas');
            const [from, to] = chart.getOption().series[0].markArea.data[0].map((edge) => edge.xAxis);
            const bits = canvas.getContext('2d').getImageData(0, 0, canvas.width, Math.round(canvas.height * 0.8));
            const rgb = tw.colour('--tw-accent').match(/[0-9]+/g).map(Number);
            return [from - 1800000, (from + to) / 2].map((at) => {{
                const x = Math.round((chart.convertToPixel({{ xAxisIndex: 0 }}, at) * canvas.width) / canvas.clientWidth);
                let found = 0;
                for (let y = 0; y < bits.height; y += 1) {{
                    const [r, g, b, a] = bits.data.subarray((y * bits.width + x) * 4);
                    found += a > 120 && Math.hypot(r - rgb[0], g - rgb[1], b - rgb[2]) < 60;
                }}
                return found;
            }});
        }}"""
    )


async def test_words_are_drawn_as_steps_and_an_empty_chart_says_why(watched):
    page = await watched.open("terminal/ATM-001?component=ups&signal=output.source", ready="#tw-chart canvas")
    await page.wait_for_function(f"{CHART}?.getOption()?.yAxis?.[0]?.data?.length === 2")
    assert sorted(await page.evaluate(f"{CHART}.getOption().yAxis[0].data")) == ["battery", "normal"]
    before, inside = await line_pixels(page)
    assert before > 0
    assert inside == 0
    await page.get_by_label("Show the history of humidity").click()
    await expect(page.locator(".tw-chart-message")).to_contain_text("could not be read")
    await expect(page.locator("#tw-chart")).to_be_hidden()


INCIDENT = "3f6c{n}d20-8b1e-4c55-9d0a-77aa12f0c00{n}"
"""Of the alarm with this number."""


async def test_the_inbox_lists_open_incidents_with_their_alarms_and_all(watched):
    page = await watched.open("alarms", ready=".tw-incident")
    await expect(page.locator(".tw-incident")).to_have_count(5)
    assert await page.locator(".tw-incident-head .tw-level-badge").all_inner_texts() == ["1", "2", "2", "3", "3"]
    await expect(page.locator(".tw-count")).to_have_text("5 of 5 incidents, 5 alarms")
    first = page.locator(".tw-incident").first
    await expect(first.locator(".tw-row")).to_have_count(1)
    await expect(first.locator(".tw-isa")).to_have_text("UNACK")
    await expect(first).to_contain_text("Response")
    await expect(first.locator("[data-left]").first).to_contain_text("left")
    await page.get_by_role("button", name="All").click()
    await expect(page.locator(".tw-incident.tw-cleared")).to_have_count(5)
    await page.get_by_label("All levels").select_option("3")
    await expect(page.locator(".tw-incident")).to_have_count(4)
    await page.get_by_label("Find terminal").fill("inc0011003")
    await expect(page.locator(".tw-incident")).to_have_count(1)
    await expect(page).to_have_url(re.compile("q=inc0011003"))


async def test_every_alarm_answers_why(watched):
    page = await watched.open("alarms", ready=".tw-incident")
    ask = page.locator(".tw-incident").first.get_by_role("button", name="Why?")
    await expect(ask).to_have_attribute("aria-expanded", "false")
    await ask.click()
    why = page.locator(".tw-incident").first.locator(".tw-why")
    await expect(why.locator(".tw-why-head")).to_contain_text(
        f"Told: incident {INCIDENT.format(n=1)} was announced at "
    )
    for topic in ("What decided", "Which incident", "Who was told", "Deadlines", "Ticket"):
        await expect(why).to_contain_text(topic)
    assert "{" not in await why.inner_text()
    await ask.click()
    await expect(why).to_have_count(0)


async def test_an_incident_page_has_everything_about_it_and_moves(watched, console):
    page = await watched.open("alarms", ready=".tw-incident")
    await page.get_by_role("link", name="The disk of the terminal is nearly full").click()
    await page.wait_for_url(f"**/incident/{INCIDENT.format(n=2)}")
    await expect(page.locator("h1")).to_have_text("The disk of the terminal is nearly full")
    for heading in (
        "Targets",
        "What it means, what to do",
        "Alarms (1 open)",
        "Why was somebody told, why not",
        "What you can do now",
        "Escalation",
        "History",
    ):
        await expect(page.get_by_role("heading", name=heading)).to_be_visible()
    await expect(page.locator(".tw-acts")).to_contain_text(f"tillwatch-collector acknowledge {INCIDENT.format(n=2)}")
    await expect(page.locator(".tw-steps .tw-done")).to_contain_text("duty engineer")
    await expect(page.locator(".tw-history").first).to_contain_text("li.wei")
    await expect(page.locator(".tw-bar")).to_have_count(2)
    assert watched.troubles == []
    page = await watched.open("incident/HWM-nothing", ready="h1")
    await expect(page.locator("h1")).to_have_text("There is no incident “HWM-nothing”.")
    watched.troubles[:] = [text for text in watched.troubles if "404" not in text]


@pytest.mark.parametrize(
    "path",
    long_after(
        2,
        [
            "terminal/ATM-006",
            "terminal/%3Cimg%20src=x%20onerror=window.pwned=1%3E",
            "incident/%3Cimg%20src=x%20onerror=window.pwned=1%3E",
            "",
            "alarms?state=all",
            f"incident/{INCIDENT.format(n=5)}",
        ],
    ),
)
async def test_script_in_a_device_text_stays_text(watched, path):
    page = await watched.open(
        path,
        ready={"": ROW, "terminal/ATM-006": "#tw-chart canvas", "alarms?state=all": ".tw-incident"}.get(path, "h1"),
    )
    for ask in await page.get_by_role("button", name="Why?").all():
        await ask.click()
    await expect(page.get_by_text("onerror=window.pwned=1").first).to_be_attached()
    if "chart" in path or path == "terminal/ATM-006":
        await page.locator("#tw-chart canvas").hover()
    assert await page.evaluate("window.pwned") is None
    assert await page.locator('img[src="x"]').count() == 0
    assert await page.locator("b[onclick]").count() == 0
    watched.troubles[:] = [text for text in watched.troubles if "404" not in text]


@pytest.mark.parametrize(
    "path", long_after(1, ["terminal/ATM-006", "", "alarms?state=all", f"incident/{INCIDENT.format(n=5)}"])
)
async def test_a_phone_needs_no_sideways_scrolling(watched, path):
    await watched.page.set_viewport_size({"width": 390, "height": 844})
    page = await watched.open(path, ready={"": ROW, "terminal/ATM-006": "#tw-chart canvas"}.get(path, ".tw-row"))
    for ask in await page.get_by_role("button", name="Why?").all():
        await ask.click()
        await expect(page.locator(".tw-why").first).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    wide = await page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 391 && !e.closest('.ag-root, .tw-visually-hidden')).map(e => e.className)"
    )
    assert wide == []


async def test_chinese_by_address_stays_chosen(watched):
    page = await watched.open("?lang=zh", ready=ROW)
    await expect(page.locator(f'{ROW}[row-index="0"] .tw-chip')).to_have_text("严重")
    assert await page.evaluate("document.documentElement.lang") == "zh-CN"
    page = await watched.open("alarms", ready=".tw-incident")
    await expect(page.locator("h1")).to_have_text("告警")


async def test_figures_are_set_as_each_language_sets_them(watched):
    said = """() => [tw.date(Date.UTC(2026, 10, 5, 12)), tw.span(4 * 3600e3), tw.span(5 * 3600e3 + 60e3), tw.t("app.quiet", { age: tw.span(20 * 60e3) }),
        tw.t("incident.concerns", { n: 1 }), tw.t("incident.concerns", { n: 2 })]"""
    page = await watched.open("?lang=zh", ready=ROW)
    assert await page.evaluate(said) == [
        "2026-11-05",
        "4 小时",
        "5 小时 1 分",
        "采集端已有 20 分钟未收到任何数据：此处数值可能都已过时。",
        "1 台终端",
        "2 台终端",
    ]
    page = await watched.open("?lang=en", ready=ROW)
    assert await page.evaluate(said) == [
        "5 Nov 2026",
        "4 h",
        "5 h 1 min",
        "Nothing has reached the collector for 20 min: every value here may be old.",
        "1 terminal",
        "2 terminals",
    ]


@pytest.mark.long
async def test_the_theme_follows_the_system_until_chosen(watched):
    page = await watched.open(ready=ROW)
    light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.emulate_media(color_scheme="dark")
    await expect(page.locator("body")).not_to_have_css("background-color", light)
    await page.emulate_media(color_scheme="light")
    await page.locator(".tw-theme").click()
    await expect(page.locator("body")).not_to_have_css("background-color", light)
    page = await watched.open("alarms", ready=".tw-incident")
    await expect(page.locator("body")).not_to_have_css("background-color", light)


@pytest.mark.long
async def test_a_store_that_cannot_be_read_is_said_and_the_page_stays(watched, console):
    page = await watched.open(ready=ROW)
    console.change(fail="disk gone")
    await expect(page.get_by_text("The store cannot be read")).to_be_visible()
    assert len(await names(page)) == 60
    console.change()
    await expect(page.get_by_text("The store cannot be read")).to_be_hidden()


@pytest.mark.long
async def test_a_lost_console_is_said(browser, tmp_path):
    console = Running(tmp_path)
    async with await browser.new_page() as page:
        await page.goto(console.url)
        await page.wait_for_selector(ROW)
        assert console.stop()[0] == 0
        await expect(page.locator(".tw-lost")).to_contain_text("Connection to the console lost")


async def test_other_hosts_and_origins_are_refused(console):
    async with httpx2.AsyncClient() as client:
        answer = await client.get(console.url, headers={"Host": "evil.example"})
        assert answer.status_code == 421
        answer = await client.get(console.url + "api/v1/terminals", headers={"Origin": "http://evil.example"})
        assert answer.status_code == 421
        answer = await client.get(console.url)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"


async def test_shares_of_one_whole_add_up_and_less_than_all_is_never_all(watched):
    page = await watched.open("monitoring")
    said = "[tw.shares([1 / 3, 1 / 3, 1 / 3]), tw.shares([0.9996, 0.0004]), tw.shares([1]), tw.shares([0.5, 0.25], 0)]"
    assert await page.evaluate(said) == [
        ["33.4 %", "33.3 %", "33.3 %"],
        ["99.9 %", "0.1 %"],
        ["100.0 %"],
        ["50 %", "25 %"],
    ]


@pytest.mark.parametrize(
    ("zone", "day", "later"),
    [
        ("Asia/Shanghai", "2026-11-21T16:00:00.000Z", "2026-11-22T16:00:00.000Z"),
        ("America/New_York", "2026-11-22T05:00:00.000Z", "2026-11-23T05:00:00.000Z"),
    ],
)
async def test_what_is_typed_is_meant_by_the_clocks_that_one_chose(watched, zone, day, later):
    page = await watched.open("monitoring")
    await page.evaluate("zone => { window.TW.zone = zone; tw.clocks = {}; }", zone)
    typed = "at => [tw.midnight('2026-11-22'), tw.midnight('2026-11-22', 1), tw.local(tw.instant('2026-11-22T10:20'))]"
    assert await page.evaluate(typed) == [day, later, "2026-11-22T10:20:00"]


async def test_a_day_on_which_the_clocks_change_is_as_long_as_it_is(watched):
    page = await watched.open("monitoring")
    await page.evaluate("() => { window.TW.zone = 'Europe/Berlin'; tw.clocks = {}; }")
    hours = "days => days.map(day => (Date.parse(tw.midnight(day, 1)) - Date.parse(tw.midnight(day))) / 3600000)"
    assert await page.evaluate(hours, ["2026-03-29", "2026-06-01", "2026-10-25"]) == [23, 24, 25]
