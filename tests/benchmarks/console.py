"""The console before a large fleet: how soon a browser shows it, how soon a change, and what viewers cost the collector and the console's memory."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from statistics import median
from typing import Any

from playwright.async_api import Browser, async_playwright

from tests.benchmarks.options import Options, progress
from tests.benchmarks.processes import Process, python
from tests.benchmarks.results import BenchError, Metric
from tests.collector.web.conftest import ARGUMENTS, CHROMIUM

_FLEET = "10,000 terminals in 200 branches, the real console over a real store"
_LOAD = "batches of 60 readings as fast as the pipeline takes them, in a process of its own"
METRICS = (
    Metric("console.paint_s", "s", f"from the call of the address to the first frame with rows, in Chromium with an empty cache: median of 5; {_FLEET}"),
    Metric("console.paint_again_s", "s", f"the same with the cache of the visit before; {_FLEET}"),
    Metric("console.change_s", "s", f"from a fault in the collector to the row that shows it: median of 5; {_FLEET}"),
    Metric("console.document_kib", "KiB", f"the list of the whole fleet, as sent; {_FLEET}"),
    Metric("console.visit_kib", "KiB", "all that a first visit fetches, as sent"),
    Metric("console.intake_batches_per_s", "1/s", f"without viewers; {_LOAD}"),
    Metric("console.intake_ratio", "1", f"with 50 viewers to without, in one run and on one machine, which also runs the viewers; {_LOAD}"),
    Metric("console.intake_ratio_flooded", "1", f"with a flood of requests against the console to without; {_LOAD}"),
    Metric("console.intake_cpu_ratio", "1", "processor time of the collector for a batch, with 50 viewers to without"),
    Metric("console.rss_mib", "MiB", f"RSS of the console without viewers; {_FLEET}"),
    Metric("console.rss_viewers_mib", "MiB", f"RSS with 50 viewers while batches come; {_FLEET}"),
    Metric("console.viewer_mib", "MiB", "the difference, for one viewer"),
)  # fmt: skip
ROWS = ".ag-center-cols-container .ag-row"
PAINTED = f"""
    new MutationObserver((_, watching) => {{
        if (!document.querySelector("{ROWS}")) return;
        watching.disconnect();
        requestAnimationFrame(() => requestAnimationFrame(() => (window.painted = performance.now())));
    }}).observe(document, {{ childList: true, subtree: true }});
"""


def measure(options: Options, folder: Path, _: int) -> dict[str, float]:
    terminals, branches, batches, viewers, seconds, visits = (
        (40, 4, 250, 3, 0.2, 1) if options.quick else (10_000, 200, 12, 50, 3.5, 5)
    )
    path = folder / "collector.db"
    with python(
        "fleet", "tests.benchmarks.watched_fleet", path, str(terminals), str(branches), str(batches), folder=folder
    ) as intake:
        _expect(intake, "ready")
        with python("console", "tillwatch.collector.web", "--db", path, "--port", "0", folder=folder) as console:
            found = re.search(r"http://\S+", console.hear())
            if found is None:
                raise console.failed("did not say where it is")
            figures = asyncio.run(_shown(found[0], intake, visits))
            figures |= _watched(found[0], intake, console, folder, viewers, seconds)
    progress(
        f"console: painted {figures['console.paint_s']:.2f} s, change {figures['console.change_s']:.2f} s,"
        f" intake x{figures['console.intake_ratio']:.2f} with {viewers} viewers, {figures['console.viewer_mib']:.2f} MiB a viewer"
    )
    return figures


async def _shown(address: str, intake: Process, visits: int) -> dict[str, float]:
    async with async_playwright() as player:
        browser = await player.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        seen = [await _visit(browser, address) for _ in range(visits)]
        changes = await _changes(browser, address, intake, visits)
        await browser.close()
    return {
        "console.paint_s": median(each["first"] for each in seen),
        "console.paint_again_s": median(each["again"] for each in seen),
        "console.document_kib": median(each["document"] for each in seen),
        "console.visit_kib": median(each["all"] for each in seen),
        "console.change_s": median(changes),
    }


async def _visit(browser: Browser, address: str) -> dict[str, float]:
    """Of a browser that was never here, and of the same one again. Seconds and KiB."""
    context = await browser.new_context(viewport={"width": 1440, "height": 900})
    page = await context.new_page()
    await page.add_init_script(PAINTED)
    sent, documents = [0], [0]
    inspector = await context.new_cdp_session(page)
    await inspector.send("Network.enable")
    lists: set[str] = set()

    def answered(said: dict[str, Any]) -> None:
        if "/console/fleet.json" in said["response"]["url"]:
            lists.add(said["requestId"])

    def loaded(said: dict[str, Any]) -> None:
        sent[0] += said["encodedDataLength"]
        documents[0] += said["encodedDataLength"] if said["requestId"] in lists else 0

    inspector.on("Network.responseReceived", answered)
    inspector.on("Network.loadingFinished", loaded)
    times = []
    for _ in range(2):
        await page.goto(address)
        await page.wait_for_function("window.painted", timeout=60_000)
        times.append(await page.evaluate("window.painted") / 1000)
        if len(times) == 1:
            whole, document = sent[0], documents[0]
    await context.close()
    return {"first": times[0], "again": times[1], "all": whole / 1024, "document": document / 1024}


async def _changes(browser: Browser, address: str, intake: Process, count: int) -> list[float]:
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    await page.goto(address)
    await page.wait_for_selector(ROWS)
    found = []
    for number in range(count):
        intake.say(f"fault {number}")
        begun = int(json.loads(await asyncio.to_thread(intake.hear)))
        row = f'.ag-row[row-id="ill-{number}"] .tw-chip.tw-crit'
        await page.wait_for_selector(row, timeout=60_000)
        found.append((await page.evaluate("Date.now()") - begun) / 1000)
    return found


def _watched(
    address: str, intake: Process, console: Process, folder: Path, viewers: int, seconds: float
) -> dict[str, float]:
    before, alone = console.rss_mib(), _taken(intake, seconds)
    with python("viewers", "tests.benchmarks.viewing", address, str(viewers), folder=folder) as viewing:
        _expect(viewing, "ready")
        beside, during = _taken(intake, seconds), console.rss_mib()
    flooding = [python(f"flood{n}", "tests.benchmarks.flooding_console", address, folder=folder) for n in range(2)]
    try:
        for each in flooding:
            _expect(each, "ready")
        flooded = _taken(intake, seconds)
    finally:
        for each in flooding:
            each.end()
    again = _taken(intake, seconds)
    usual, cost = ((one + other) / 2 for one, other in zip(alone, again, strict=True))
    return {
        "console.intake_batches_per_s": usual, "console.intake_ratio": beside[0] / usual, "console.intake_ratio_flooded": flooded[0] / usual,
        "console.intake_cpu_ratio": beside[1] / cost,
        "console.rss_mib": before, "console.rss_viewers_mib": during, "console.viewer_mib": max(0.0, during - before) / viewers,
    }  # fmt: skip


def _taken(intake: Process, seconds: float) -> tuple[float, float]:
    """Batches a second, and processor time of one."""
    intake.say(f"take {seconds}")
    said = json.loads(intake.hear())
    if not said["batches"]:
        raise BenchError("no batch was left to take: make more of them")
    return said["batches"] / said["seconds"], said["cpu"] / said["batches"]


def _expect(process: Process, word: str) -> None:
    if process.hear() != word:
        raise process.failed(f"did not say {word}")
