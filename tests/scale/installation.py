"""A large installation on this machine: brokers, a database, and collectors as processes that read their configuration from files, as anybody's would."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.scale.broker import USER, VHOST
from tests.scale.servers.rabbitmq import free_ports
from tillwatch.collector.store.db import Postgres
from tillwatch.collector.trust.authority import Authority

BELOW = 5
"""Seconds for the processes of a collector that was killed to notice it by their standard input."""


class Collector:
    """One of them. amqp: ports of the nodes on this machine."""

    def __init__(
        self,
        folder: Path,
        name: str,
        authority: Authority,
        where: Postgres,
        amqp: Sequence[int],
        password: str,
        *,
        openers: int = 1,
    ) -> None:
        self.name, self.folder = name, folder / name
        data = self.folder / "data"
        data.mkdir(mode=0o700, parents=True)
        # The keys of an installation are the same at each collector: terminals pin them.
        shutil.copytree(authority.folder, data / "authority")
        (self.folder / "password").write_text(password + "\n")
        self.access, *more = free_ports(openers + 3)
        self.enrolment, self.console, self.mqtt = more[-3:]
        hosts = ", ".join(f'"127.0.0.1:{port}"' for port in amqp)
        self.config = self.folder / "collector.toml"
        self.config.write_text(f"""\
[collector]
data_dir = "{data}"
name = "{name}"
[broker]
embedded = false
host = "127.0.0.1"
[store]
postgres = "{where.url}"
[amqp]
hosts = [{hosts}]
vhost = "{VHOST}"
user = "{USER}"
password_file = "{self.folder / "password"}"
openers = {openers}
access_host = "127.0.0.1"
access_port = {self.access}
[enrolment]
host = "127.0.0.1"
port = {self.enrolment}
address = "localhost"
[console]
port = {self.console}
[predictions]
enabled = false
""")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tillwatch.collector", "run", "--no-console", "--config", self.config],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def openers(self) -> list[int]:
        """Process ids of its openers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [
            int(pid) for pid in children if b"tillwatch.collector.opening" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def holds(self) -> bool:
        """Whether it says that it folds, and goes on living."""
        running = self.process is not None and self.process.poll() is None
        return running and "it folds" in self.log.rpartition("--begun--")[2]

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            with (self.folder / "log").open("a") as log:
                log.write("--begun--\n")

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None
