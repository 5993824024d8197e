"""A private RabbitMQ node: an ordinary process of the distribution's package on ports of its own, in a process group that is ended by its id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

START_S = 90.0
"""A node takes some 20 s of a processor; the machine may have other things to do."""
HOMES = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*"))
COOKIE = "tillwatch-tests"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in listening]


class RabbitMq:
    """One node, whose `etc` holds what it is configured with: rabbitmq.conf with the listeners on `amqp` and `mqtt`, enabled_plugins, advanced.config.
    Nodes of one cluster share `base` and epmd, the first one's.
    """

    def __init__(self, base: Path, name: str, *, epmd: int = 0) -> None:
        assert HOMES, "rabbitmq-server is missing: make packages"
        self.home = HOMES[-1]
        self.name, self.base = name, base
        self.amqp, self.mqtt, self.dist, free = free_ports(4)
        self.epmd = epmd or free
        self._owns_epmd = not epmd
        folder = base / name
        self.etc = folder / "etc"
        self.etc.mkdir(parents=True, exist_ok=True)
        cookie = base / ".erlang.cookie"
        if not cookie.exists():
            cookie.write_text(COOKIE)
            cookie.chmod(0o400)
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(base),
            "ERL_EPMD_PORT": str(self.epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"{name}@localhost",
            "RABBITMQ_NODE_PORT": str(self.amqp),
            "RABBITMQ_DIST_PORT": str(self.dist),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.etc / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.etc / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.etc / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            # Two cores carry several nodes and the tests: no busy waiting of idle schedulers.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none +S 2:2",
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted((self.base / self.name).glob("log/*.log")))

    async def start(self) -> None:
        """Returns when it takes connections of both kinds."""
        self.launch()
        await self.wait()

    def launch(self) -> None:
        (self.base / self.name / "log").mkdir(exist_ok=True)
        with (self.base / self.name / "log" / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [self.home / "sbin/rabbitmq-server"],
                env=self.environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    async def wait(self) -> None:
        assert self.process is not None
        async with asyncio.timeout(START_S):
            for port in (self.amqp, self.mqtt):
                while True:
                    with contextlib.suppress(OSError):
                        _, writer = await asyncio.open_connection("127.0.0.1", port)
                        writer.close()
                        await writer.wait_closed()
                        break
                    assert self.process.poll() is None, self.log[-3000:]
                    await asyncio.sleep(0.1)

    def control(self, *arguments: str) -> str:
        """`rabbitmqctl`, which takes some seconds. The node may be any of the cluster."""
        done = subprocess.run(
            [self.home / "sbin/rabbitmqctl", "-n", f"{self.name}@localhost", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def signal(self, number: int) -> None:
        """To the whole node: the server runs below a shell."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def kill(self) -> None:
        """As when the machine's power goes. Its folder stays."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        self.process = None

    def end(self) -> None:
        """Kill it, and the epmd that it began: a daemon of its own, which listens on the private port only."""
        self.kill()
        if self._owns_epmd:
            _end_epmd(self.epmd)

    def remove(self) -> None:
        self.end()
        shutil.rmtree(self.base / self.name, ignore_errors=True)


def _end_epmd(port: int) -> None:
    """By the id of the process that was begun for this port: no other has the port on its command line or in its environment."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if (folder / "comm").read_text().strip() != "epmd":
                continue
            said = (folder / "environ").read_bytes().split(b"\0")
            if f"ERL_EPMD_PORT={port}".encode() in said:
                os.kill(int(folder.name), signal.SIGKILL)
