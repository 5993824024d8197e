"""A real upsd with the driver dummy-ups, which says what a file says: both of Debian's nut-server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

NAME = "counter"


class Upsd:
    """NUT's programs look for everything in folders that the environment names: nothing of the machine's own is touched."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._file = folder / "counter.dev"
        self._stamp = int(time.time())
        self.say(variables)
        self.write(
            "ups.conf",
            f"maxretry = 1\n[{NAME}]\ndriver = dummy-ups\nport = {self._file}\nmode = dummy-once\npollinterval = 1\n",
        )
        self.write("upsd.conf", f"LISTEN 127.0.0.1 {self.port}\nMAXAGE 5\n")
        self.write("upsd.users", "")
        self._environment = {
            **os.environ,
            **dict.fromkeys(("NUT_CONFPATH", "NUT_STATEPATH", "NUT_ALTPIDPATH"), str(folder)),
        }
        self.driver: subprocess.Popen[bytes] | None = None
        self.server: subprocess.Popen[bytes] | None = None

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)

    def say(self, variables: Mapping[str, str]) -> None:
        """What the UPS says from now on; the driver sees within a second that the file changed."""
        text = "".join(f"{name}: {value}\n" for name, value in variables.items())
        beside = self._file.with_suffix(".new")
        beside.write_text(text)
        # The driver compares whole seconds; two changes within one would be one.
        self._stamp += 1
        os.utime(beside, (self._stamp, self._stamp))
        beside.replace(self._file)

    def start(self) -> None:
        self.driver = self._run("dummy-ups", "-a", NAME, "-F")
        self._wait((self.folder / f"dummy-ups-{NAME}").exists, "the driver's socket")
        self.server = self._run("upsd", "-F")
        self._wait(self._tells, "what the UPS says")

    def stop(self) -> None:
        for process in (self.server, self.driver):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait(60)

    def _tells(self) -> bool:
        """upsd listens before the driver has read its file; the charge is a variable that the driver has from nowhere else."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as link, link.makefile("r") as lines:
                link.sendall(f"GET VAR {NAME} battery.charge\n".encode())
                return lines.readline().startswith("VAR ")
        except OSError:
            return False

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        # Debian's /sbin/upsd is a script that asks the machine's own nut.conf whether it may start.
        found = shutil.which(program, path="/lib/nut:/usr/lib/nut:/usr/libexec/nut:/usr/sbin:/sbin")
        assert found, f"{program} is missing: make packages"
        user = ("-u", "root") if os.geteuid() == 0 else ()
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen([found, *arguments, *user], env=self._environment, stdout=log, stderr=log)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            for process in (self.driver, self.server):
                assert process is None or process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, f"{what} is not there: {(self.folder / 'log').read_text()}"
            time.sleep(0.02)
