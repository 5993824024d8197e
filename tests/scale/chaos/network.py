"""A small network of its own: one namespace a machine, all on one switch, each of which can be cut off. Needs root and iproute2; Linux."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HOSTS = 250
"""In one network of 24 bits, with room for the test's own address."""
NAMES = Path("/etc/netns")
"""Where `ip netns exec` looks for files that stand in the place of /etc's own in a namespace."""


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}"
        raise OSError(msg)


class Network:
    """address: of each machine by name; the test itself has `own` on the same switch. On the machines the names can be called."""

    def __init__(self, machines: Sequence[str], subnet: int) -> None:
        assert len(machines) <= HOSTS
        self._tag = f"tw{os.getpid():x}"
        self._net = f"10.{77 + subnet // 256}.{subnet % 256}"
        self.own = f"{self._net}.254"
        self.address = {name: f"{self._net}.{at}" for at, name in enumerate(machines, 1)}
        self._at = {name: at for at, name in enumerate(machines, 1)}
        self._switch = f"{self._tag}s"

    def space(self, machine: str) -> str:
        return f"{self._tag}-{self._at[machine]}"

    def inside(self, machine: str) -> tuple[str, ...]:
        """What a command line begins with that runs on this machine; the process is the command's own, with its id."""
        return ("ip", "netns", "exec", self.space(machine))

    def processes(self, machine: str) -> list[int]:
        """The ids of all that runs there: whoever is there was started there, or by one who was."""
        told = subprocess.run(("ip", "netns", "pids", self.space(machine)), capture_output=True, text=True, check=False)
        return [int(word) for word in told.stdout.split()]

    def cut(self, machine: str) -> None:
        """Nothing of it reaches anybody, and the other way round; nobody is told."""
        _run("ip", "link", "set", self._port(machine), "down")

    def mend(self, machine: str) -> None:
        _run("ip", "link", "set", self._port(machine), "up")

    @contextmanager
    def apart(self, one: str, other: str) -> Iterator[None]:
        """While the block runs these two do not reach each other; everybody else reaches both."""
        ways = [(self.space(here), self.address[there]) for here, there in ((one, other), (other, one))]
        for space, address in ways:
            _run("ip", "-n", space, "route", "add", "blackhole", f"{address}/32")
        try:
            yield
        finally:
            for space, address in ways:
                _run("ip", "-n", space, "route", "delete", "blackhole", f"{address}/32")

    def _port(self, machine: str) -> str:
        return f"{self._tag}p{self._at[machine]}"

    def up(self) -> None:
        _run("ip", "link", "add", self._switch, "type", "bridge")
        _run("ip", "address", "add", f"{self.own}/24", "dev", self._switch)
        _run("ip", "link", "set", self._switch, "up")
        names = "".join(f"{address} {name}\n" for name, address in self.address.items())
        for name, at in self._at.items():
            space, port, inner = self.space(name), self._port(name), f"{self._tag}i{at}"
            (NAMES / space).mkdir(parents=True)
            (NAMES / space / "hosts").write_text(f"127.0.0.1 localhost\n{self.own} test\n{names}")
            _run("ip", "netns", "add", space)
            _run("ip", "link", "add", port, "type", "veth", "peer", "name", inner)
            _run("ip", "link", "set", inner, "netns", space)
            _run("ip", "link", "set", port, "master", self._switch)
            _run("ip", "link", "set", port, "up")
            for words in (
                ("link", "set", "lo", "up"),
                ("address", "add", f"{self.address[name]}/24", "dev", inner),
                ("link", "set", inner, "up"),
            ):
                _run("ip", "-n", space, *words)

    def down(self) -> None:
        """The namespaces and what is left of the switch; whoever still runs inside was to be ended before."""
        for name in self._at:
            shutil.rmtree(NAMES / self.space(name), ignore_errors=True)
            subprocess.run(("ip", "netns", "delete", self.space(name)), capture_output=True, check=False)
            subprocess.run(("ip", "link", "delete", self._port(name)), capture_output=True, check=False)
        subprocess.run(("ip", "link", "delete", self._switch), capture_output=True, check=False)


@contextmanager
def network(machines: Sequence[str], subnet: int) -> Iterator[Network]:
    """subnet: 0 to 999, another one for each network at a time."""
    made = Network(machines, subnet)
    try:
        made.up()
        yield made
    finally:
        made.down()
