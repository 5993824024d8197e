"""The console in a process of its own over the fake fleet, and a real browser before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.collector.web.running import Running, Watched

CHROMIUM = Path("/usr/bin/chromium")  # a Debian package; a machine without it fails here, it does not skip

ARGUMENTS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip
PATIENCE_MS = 60_000
"""What a page is waited for. It bounds a test that fails: a machine that does much else besides paints late, and nothing is said here of how fast."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("console"))
    yield running
    running.stop()


@pytest.fixture
def console(shared: Running) -> Running:
    """One console for all tests of a module; each gets the fleet as it is made."""
    if shared.revision > 1:
        shared.change()
    return shared


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One process for all tests of a module, which run on one loop; a context, with its own cookies and streams, is what each has for itself."""
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as player:
        chromium = await player.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def watched(browser: Browser, console: Running) -> AsyncIterator[Watched]:
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    view = Watched(await context.new_page(), console.url)
    yield view
    assert view.troubles == []
    await context.close()
