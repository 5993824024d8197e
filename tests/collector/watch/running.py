"""A collector and a watchdog as processes, each in its own folder, and what an operator sees of them."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tillwatch.collector.config import load_config
from tillwatch.collector.watch.commands import status


async def until(condition: Callable[[], Any], seconds: float = 60.0, what: str = "the condition") -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        await asyncio.sleep(0.05)
    return value


def free_ports(count: int) -> list[int]:
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


class Site:
    """every, late: of the watchdog, in seconds; desk: address of the bank's ticket desk, which hears of complaints, too; receiver: where the
    collector sends drills, if not straight to the watchdog; embedded: False for a broker that the test runs on `broker`.
    """

    def __init__(
        self,
        folder: Path,
        desk: str,
        secret: Path,
        *,
        every: float,
        late: float,
        receiver: int = 0,
        embedded: bool = True,
    ) -> None:
        self.folder = folder
        self.broker, self.enrolment, self.receiver = free_ports(3)
        self.secret = folder / "drill.secret"
        self.secret.write_text(f"whsec_{base64.b64encode(b'the drills of this test and no more').decode()}\n")
        self.every, self.late = every, late
        common = (
            f'[collector]\ndata_dir = "data"\n[broker]\nembedded = {str(embedded).lower()}\nhost = "127.0.0.1"\nport = {self.broker}\n'
            f'[enrolment]\nhost = "127.0.0.1"\nport = {self.enrolment}\naddress = "127.0.0.1"\n'
            f'[tickets.webhook]\nurl = "{desk}/"\nsecret_file = "{secret}"\n'
            f'[watchdog]\nevery = "{every:g}s"\nlate = "{late:g}s"\nsecret_file = "drill.secret"\nstate_dir = "dog"\n'
            f'complain_url = "{desk}/"\ncomplain_secret_file = "{secret}"\n'
        )
        # Two files, as on two machines: only where drills are sent to differs.
        self.files = {"collector": folder / "collector.toml", "watchdog": folder / "watchdog.toml"}
        self.files["collector"].write_text(f'{common}receiver = "http://127.0.0.1:{receiver or self.receiver}/drill"\n')
        self.files["watchdog"].write_text(f'{common}receiver = "http://127.0.0.1:{self.receiver}/drill"\n')
        self.config = load_config(self.files["collector"])
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self, name: str) -> None:
        """The collector or the watchdog; it runs when this returns."""
        arguments = {"collector": ("run", "--no-console"), "watchdog": ("watchdog", "run")}[name]
        before = self.log(name).count(" runs: ")
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(self._command(*arguments, file=name), stdout=log, stderr=log)
        await until(lambda: self.log(name).count(" runs: ") > before, what=f"the start of the {name}")

    def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        process = self.running.pop(name)
        process.send_signal(number)
        return process.wait(60)

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()

    def log(self, name: str) -> str:
        file = self.folder / f"{name}.log"
        return file.read_text() if file.exists() else ""

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = self._command(*arguments, file="watchdog")
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def _command(self, *arguments: str, file: str) -> list[str]:
        return [sys.executable, "-P", "-m", "tillwatch.collector", *arguments, "--config", str(self.files[file])]

    def token(self, terminal_class: str = "watchdog") -> str:
        done = self.call(
            "enrol-token", "watchdog", "--branch", "monitoring", "--region", "monitoring", "--class", terminal_class
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def enrol(self) -> None:
        done = self.call("watchdog", "enrol", self.token())
        assert done.returncode == 0, done.stderr

    def status(self) -> dict[str, Any]:
        """As `watchdog status --json` says it, without a process for every look."""
        assert self.config.watchdog is not None
        return status(self.config.watchdog, time.time_ns())

    async def went(self, n: int) -> None:
        """Round n has gone the whole way, and nothing is complained of."""
        await until(lambda: (said := self.status())["ok"] and said["whole"] >= n, what=f"round {n}")

    async def goes_round(self, more: int = 1) -> None:
        """So many more rounds go the whole way, and nothing is complained of."""
        before = self.status()["whole"]
        await until(
            lambda: (said := self.status())["ok"] and said["whole"] >= before + more, what=f"round {before + more}"
        )

    async def misses(self, *stages: str) -> None:
        """One of them: what is taken away in the middle of a round may be missed by the fault or by its end."""
        await until(lambda: self.status()["missing"] in stages, what=f"the complaint of {' or '.join(stages)}")

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self.config.database}?mode=ro", uri=True, timeout=60)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def told(self) -> dict[str, Any]:
        done = self.call("watchdog", "status", "--json")
        said = json.loads(done.stdout)
        assert (done.returncode == 0) is said["ok"]
        return said
