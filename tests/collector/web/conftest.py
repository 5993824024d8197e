"""The console in a process of its own over the fake fleet, and a real browser before it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

FLEET = Path(__file__).parent.parent / "fake_fleet.py"

CHROMIUM = Path("/usr/bin/chromium")  # a Debian package; a machine without it fails here, it does not skip

ARGUMENTS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]  # fmt: skip


class Running:
    """A console under test. `change` is how its fleet moves on."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.changes = directory / "changes.json"
        self.revision = 1
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(FLEET), "--changes", str(self.changes), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + (self.process.stderr.read() if self.process.stderr else "")
        self.url = found.group(0)

    def change(self, **what: object) -> None:
        self.revision += 1
        fresh = self.changes.with_suffix(".new")
        fresh.write_text(json.dumps({"revision": self.revision, **what}))
        fresh.replace(self.changes)

    def stop(self) -> tuple[int, str]:
        """Ends it with SIGTERM; its exit code and what it wrote to stderr."""
        self.process.terminate()
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as player:
        chromium = await player.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield chromium
        await chromium.close()


class Watched:
    """A page whose console errors and requests to other hosts are kept for the test to judge."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.troubles: list[str] = []
        host = url.removeprefix("http://").rstrip("/")
        page.on(
            "console",
            lambda message: self.troubles.append(message.text) if message.type in {"error", "warning"} else None,
        )
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("data:", "blob:")) or f"//{host}/" in request.url
                else self.troubles.append(request.url)
            ),
        )

    async def open(self, path: str = "", ready: str = ".tw-main") -> Page:
        await self.page.goto(self.url + path)
        await self.page.wait_for_selector(ready)
        return self.page


@pytest.fixture
async def watched(browser: Browser, console: Running) -> AsyncIterator[Watched]:
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    view = Watched(await context.new_page(), console.url)
    yield view
    assert view.troubles == []
    await context.close()
