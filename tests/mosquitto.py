"""A real mosquitto under exactly the configuration that `tillwatch-collector broker-config mosquitto` writes."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import shutil
import signal
import subprocess
from pathlib import Path

from tillwatch.collector.intake.mosquitto import CRL, publish, write_mosquitto
from tillwatch.collector.trust.authority import Authority

HOSTS = ("localhost", "127.0.0.1")


class Mosquitto:
    def __init__(self, folder: Path, port: int, authority: Authority) -> None:
        self.folder, self.port, self._authority = folder, port, authority
        self.config = write_mosquitto(
            folder, authority, {}, hosts=HOSTS, port=port, listen="127.0.0.1", user=getpass.getuser()
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def start(self) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
        assert program, "mosquitto is missing: make packages"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([program, "-c", self.config], stderr=log, stdout=log)
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    await writer.wait_closed()
                    return
                assert self.process.poll() is None, self.log
                await asyncio.sleep(0.02)

    async def reload(self, revoked: dict[str, int]) -> None:
        """What the collector does when it revokes, and SIGHUP."""
        publish(self.folder / CRL, self._authority.crl(revoked))
        assert self.process is not None
        before = self.log.count("Reloading config")
        self.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(60):
            while self.log.count("Reloading config") == before:
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
