"""One machine of the installation: a namespace and whatever runs in it. It is struck as a whole, as when its power goes or its hypervisor stops it, or one
process of it is. What ends by itself is begun again, as a service manager would, and remembered.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.scale.chaos.network import Network

LOOK_S = 0.1
UP_S = 180.0
"""For a part to come up: a RabbitMQ node takes 20 s of a processor of its own, and here several start on two."""
STOP_S = 40.0
AGAIN_S = 1.0
"""Before a process that ended by itself is begun again: RestartSec of the unit is of this order."""


class Machine:
    """command: what is its service, environment: beside this process's own. again: whether it is begun anew when it ends by itself. ended: the exit codes of
    all that ended by itself, in order.
    """

    def __init__(
        self,
        net: Network,
        name: str,
        folder: Path,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        again: bool = False,
    ) -> None:
        self.net, self.name, self.folder = net, name, folder
        self.log = folder / f"{name}.log"
        self.ended: list[int] = []
        self._command, self._environment = command, {**os.environ, **(environment or {})}
        self._again = again
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._watcher: threading.Thread | None = None

    @property
    def address(self) -> str:
        return self.net.address[self.name]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        with self._lock:
            return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        with self._lock, self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.net.inside(self.name), *self._command],
                env=self._environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        if self._again and self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name=self.name, daemon=True)
            self._watcher.start()

    def _watch(self) -> None:
        while not self._over.wait(LOOK_S):
            with self._lock:
                code = self._process.poll() if self._process is not None else None
                if code is None:
                    continue
                self._process = None
                self.ended.append(code)
                with self.log.open("a") as log:
                    log.write(f"-- {self.name} has ended by itself with {code} --\n")
            if not self._over.wait(AGAIN_S):
                with self._lock:
                    if self._process is None and not self._over.is_set():
                        self.start()

    # Struck.

    def processes(self, holding: str = "") -> list[int]:
        """Of this machine those whose command line has these words."""
        found = []
        for pid in self.net.processes(self.name):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                if holding in line:
                    found.append(pid)
        return found

    def send(self, number: int, holding: str = "") -> int:
        """To all of its processes, or those alone. How many there were."""
        pids = self.processes(holding)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(pids)

    def kill(self) -> None:
        """Everything on it, with SIGKILL: the power is gone. What it wrote to its files stays. It stays off until start()."""
        with self._lock:
            process, self._process = self._process, None
            deadline = time.monotonic() + STOP_S
            while self.send(signal.SIGKILL):
                assert time.monotonic() < deadline, f"{self.name} does not die"
                time.sleep(0.01)
            if process is not None:
                process.wait(STOP_S)

    def pause(self) -> None:
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def cut(self) -> None:
        self.net.cut(self.name)

    def mend(self) -> None:
        self.net.mend(self.name)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """As a service manager does: the exit code of the service; what is left on the machine is ended."""
        with self._lock:
            process, self._process = self._process, None
            assert process is not None, f"{self.name} does not run"
            process.send_signal(number)
            try:
                code = process.wait(STOP_S)
            finally:
                self.kill()
        return code

    def end(self) -> None:
        """For good, whatever state it is in."""
        self._over.set()
        self.kill()
        if self._watcher is not None:
            self._watcher.join()

    def tail(self, size: int = 2000) -> str:
        return self.log.read_text("utf-8", "replace")[-size:] if self.log.exists() else ""


def until(condition: Callable[[], object], bound_s: float, what: str, report: Callable[[], str] = str) -> float:
    """Seconds until the condition held. Looks often, and no longer than the bound."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < bound_s, f"waited {bound_s:g} s for {what}\n{report()}"
        time.sleep(LOOK_S)
    return time.monotonic() - began
