"""A fresh system in a folder, made by debootstrap and booted with systemd by systemd-nspawn, on the network of this machine or without any.
Nothing of it is outside its folder but the processes, which end with the one that started them, however that ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MIRRORS = {"bookworm": "http://deb.debian.org/debian", "noble": "http://archive.ubuntu.com/ubuntu"}
PARTS = "systemd,systemd-sysv,dbus,python3"
"""What the packages depend on, and nothing else: dpkg installs them without a network."""
CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}  # fmt: skip
BOOT_S = 120.0
END_S = 30.0
NOT_OURS = ("dev", "proc", "run", "sys", "tmp", "var/cache", "var/lib/dpkg", "var/lib/systemd", "var/log", "var/tmp")
"""What the system itself writes while it runs; the names in it are looked at all the same."""


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds:g} s"
        time.sleep(0.2)
    return value


def bootstrap(folder: Path, release: str) -> None:
    command = ("debootstrap", "--variant=minbase", f"--include={PARTS}", release, folder, MIRRORS[release])
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


class Tree:
    """folder: of bootstrap(). While it is booted, `call` is a command on that system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._leader = 0

    def call(self, *command: str | Path, check: bool = True, feed: str = "") -> subprocess.CompletedProcess[str]:
        assert self._leader, "not booted"
        inside = ("nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd=/", "--")  # fmt: skip
        done = subprocess.run((*inside, *command), env=CLEAN, input=feed, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done

    @contextmanager
    def booted(self, packages: Path, *, network: bool) -> Iterator[None]:
        """packages: the folder that /packages is. network: that of this machine; otherwise a loopback of its own."""
        # pdeathsig: a test that is killed leaves no system running.
        command = [
            *("setpriv", "--pdeathsig", "KILL", "systemd-nspawn", "--quiet", "--register=no", "--keep-unit"),
            *(f"--directory={self.folder}", f"--bind-ro={packages}:/packages", "--console=read-only"),
            *(() if network else ("--private-network",)),
            "--boot",
        ]
        console = self.folder.with_suffix(".console")
        with console.open("ab") as log:
            system = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._leader = until(lambda: self._booted(system, console), BOOT_S, f"the boot of {self.folder}")
            yield
        except BaseException:
            if self._leader:
                print(self.call("journalctl", "--no-pager", "--lines=60", check=False).stdout)
            raise
        finally:
            self._leader = 0
            system.send_signal(signal.SIGTERM)
            try:
                system.wait(END_S)
            except subprocess.TimeoutExpired:
                system.kill()
                system.wait()

    def _booted(self, system: subprocess.Popen[bytes], console: Path) -> int:
        assert system.poll() is None, console.read_text("utf-8", errors="replace")[-2000:]
        children = Path(f"/proc/{system.pid}/task/{system.pid}/children").read_text().split()
        for child in map(int, children):
            self._leader = child
            said = self.call("systemctl", "is-system-running", check=False).stdout.strip()
            self._leader = 0
            if said in {"running", "degraded"}:
                return child
        return 0

    def status(self, unit: str, *properties: str) -> dict[str, str]:
        said = self.call("systemctl", "show", unit, *(f"--property={name}" for name in properties)).stdout
        return dict(line.split("=", 1) for line in said.splitlines())

    def files(self) -> set[str]:
        """Every path that is not the running system's own."""
        found = set()
        for where, folders, names in os.walk(self.folder):
            relative = Path(where).relative_to(self.folder)
            folders[:] = [one for one in folders if (relative / one).as_posix() not in NOT_OURS]
            found |= {(relative / one).as_posix() for one in (*folders, *names)}
        return found

    def named(self, part: str) -> set[str]:
        """Every path on the disk with `part` in its name, whoever wrote it."""
        return {
            str(path.relative_to(self.folder)) for path in self.folder.rglob(f"*{part}*") if "proc" not in path.parts
        }
