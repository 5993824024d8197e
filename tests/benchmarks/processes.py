"""Processes that a benchmark starts, what they take, and their end: each by its own pid, whatever happens."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.benchmarks.results import BenchError

PATIENCE_S = 60.0
"""For anything that is waited for, on a machine that has other things to do."""
END_S = 10.0
LOOK_S = 0.02


class Process:
    """A child with its log in `folder`. CPU and memory are those of the whole process with all its threads, also those that ended."""

    def __init__(self, name: str, *command: str | Path, folder: Path, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**_environment(), **(env or {})},
                start_new_session=True,  # a Ctrl-C is for the benchmark, which ends its children in order
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def pid(self) -> int:
        return self._child.pid

    def cpu_s(self) -> float:
        """Processor time since the start."""
        return _clock_s(self.pid)

    def rss_mib(self) -> float:
        return self._kib("status", "VmRSS:") / 1024

    def pss_mib(self) -> float:
        return self._kib("smaps_rollup", "Pss:") / 1024

    def threads(self) -> int:
        return self._kib("status", "Threads:")

    def _kib(self, file: str, field: str) -> int:
        for line in Path(f"/proc/{self.pid}/{file}").read_text("ascii", "replace").splitlines():
            if line.startswith(field):
                return int(line.split()[1])
        raise BenchError(f"/proc/{self.pid}/{file} has no {field}")

    def say(self, line: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(f"{line}\n".encode())
        self._child.stdin.flush()

    def hear(self) -> str:
        """The next line of its standard output; it blocks, so that hearing takes no processor time from what is measured."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise self.failed("ended before it was done")
        return line.decode().strip()

    def hear_all(self) -> str:
        """All that it still says, until it has ended."""
        assert self._child.stdout is not None
        return self._child.stdout.read().decode()

    def failed(self, what: str) -> BenchError:
        return BenchError(f"{self.name} {what}; it said:\n{self.log.read_text('utf-8', 'replace')[-2000:]}")

    def wait_for(self, condition: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
        """Until the condition holds. Raises BenchError when the process ends before, or takes too long."""
        deadline = time.monotonic() + patience_s
        while not condition():
            if self._child.poll() is not None:
                raise self.failed(f"ended with {self._child.returncode}, before {what}")
            if time.monotonic() > deadline:
                raise self.failed(f"has not come to this in {patience_s:.0f} s: {what}")
            time.sleep(LOOK_S)

    def kill(self) -> None:
        """As a power cut ends it."""
        self._child.kill()
        self._child.wait()

    def end(self) -> None:
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(END_S)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def _environment() -> dict[str, str]:
    """As an installed program finds it: byte code is there. Compiling at each start would be measured as the agent's own 0.8 MiB."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def python(name: str, module: str, *arguments: str | Path, folder: Path, env: dict[str, str] | None = None) -> Process:
    return Process(name, sys.executable, "-m", module, *arguments, folder=folder, env=env)


def program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/usr/bin")
    if found is None:
        raise BenchError(f"{name} is not installed: make packages")
    return found


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def readiness() -> Iterator[tuple[dict[str, str], Callable[[Process], None]]]:
    """What systemd would be told: an environment for a service, and a wait until it has said READY=1."""
    # Not in the rig's folder: the path of a socket has 107 bytes.
    with (
        tempfile.TemporaryDirectory(prefix="tw-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear,
    ):
        path = Path(folder) / "notify"
        ear.bind(str(path))
        ear.setblocking(False)
        heard = bytearray()

        def ready() -> bool:
            with contextlib.suppress(BlockingIOError):
                heard.extend(ear.recv(4096))
            return b"READY=1" in heard

        yield {"NOTIFY_SOCKET": str(path)}, lambda process: process.wait_for(ready, "saying that it is ready")


def cpu_s(pid: int) -> float:
    """Of a process, of its children that live, and of those that have ended."""
    return sum(map(_own, _tree(pid)))


def rss_kib(pid: int) -> int:
    """Resident memory of a process, without its children."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            for child in (task / "children").read_text().split():
                yield from _tree(int(child))


def _own(pid: int) -> float:
    """With its ended children's, which are known to a tick only."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own = _clock_s(pid)
    except OSError:
        return 0.0  # it has ended; its parent has its time
    return own + sum(map(int, fields[13:15])) / os.sysconf("SC_CLK_TCK")


def _clock_s(pid: int) -> float:
    """To the nanosecond: the clock that clock_getcpuclockid(3) names for a pid."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
