"""A console under test: a process over the fake fleet, and a page whose troubles are kept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from playwright.async_api import Page

ROOT = Path(__file__).parents[3]


class Serving:
    """A process that serves a console and says where. what: its command behind the interpreter; some are told more by `tell`."""

    def __init__(self, *what: str) -> None:
        paths = [os.environ.get("PYTHONPATH", ""), str(ROOT)]
        self.process = subprocess.Popen(
            [sys.executable, "-P", *what],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": os.pathsep.join(paths)},
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + (self.process.stderr.read() if self.process.stderr else "")
        self.url = found.group(0)

    def tell(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def stop(self) -> tuple[int, str]:
        """Ends it with SIGTERM; its exit code and what it wrote to stderr."""
        self.process.terminate()
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors


class Running(Serving):
    """A console over the fake fleet. `change` is how its fleet moves on."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.changes = directory / "changes.json"
        self.revision = 1
        super().__init__("-m", "tests.collector.fake_fleet", "--changes", str(self.changes), *arguments)

    def change(self, **what: object) -> None:
        self.revision += 1
        fresh = self.changes.with_suffix(".new")
        fresh.write_text(json.dumps({"revision": self.revision, **what}))
        fresh.replace(self.changes)


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
