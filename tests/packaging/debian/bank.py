"""The collector that terminals of a tree enrol at: outside the tree, on loopback, of this state of the project."""

from __future__ import annotations

import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.packaging.debian.tree import until

UP_S = 180.0


class Bank:
    def __init__(self, folder: Path) -> None:
        holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        broker, enrolment = (holder.getsockname()[1] for holder in holders)
        for holder in holders:
            holder.close()
        self._folder = folder
        self._config = folder / "collector.toml"
        self._config.write_text(
            f'[collector]\ndata_dir = "data"\n[broker]\nhost = "127.0.0.1"\nport = {broker}\n'
            f'[enrolment]\nhost = "127.0.0.1"\nport = {enrolment}\naddress = "127.0.0.1"\n'
        )
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self._folder / "collector.log"
        before = log.read_text().count(" runs: ") if log.exists() else 0
        with log.open("ab") as out:
            self._running = subprocess.Popen(self._command("run", "--no-console"), stdout=out, stderr=out)
        until(lambda: self._runs(log) > before, UP_S, "the start of the collector")

    def _runs(self, log: Path) -> int:
        assert self._running is not None
        assert self._running.poll() is None, log.read_text()
        return log.read_text().count(" runs: ")

    def stop(self) -> None:
        if self._running is not None:
            self._running.send_signal(signal.SIGTERM)
            try:
                self._running.wait(30)
            except subprocess.TimeoutExpired:
                self._running.kill()
                self._running.wait()
            self._running = None

    def token(self, terminal: str) -> str:
        place = ("--branch", "Harbour", "--region", "North", "--class", "atm")
        command = self._command("enrol-token", terminal, *place)
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def stored(self, terminal: str) -> dict[str, int]:
        """How far each stream of the terminal is stored without a hole, by its epoch."""
        database = self._folder / "data" / "collector.db"
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)) as db:
            rows = db.execute("SELECT epoch, mark FROM stream WHERE terminal = ?", (terminal,)).fetchall()
        return {epoch.hex(): mark for epoch, mark in rows}

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "tillwatch.collector", *arguments, "--config", str(self._config)]
