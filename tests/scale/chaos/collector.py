"""A collector of the installation on a machine of its own: main process and openers, begun again when it ends by itself, as its unit has it."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

from tests.scale.chaos.cluster import ACCESS, AMQP, MQTT, USER, VHOST
from tests.scale.chaos.machine import UP_S, Machine
from tests.scale.chaos.network import Network

OPENER = "tillwatch.collector.opening"
"""On the command line of an opener."""
MAIN = "tillwatch.collector run"
DOCTOR_S = 120.0
"""It asks three nodes 140 questions each, on a machine that is busy."""


class Collector(Machine):
    """Its data directory holds the one authority of the installation when it starts."""

    def __init__(self, net: Network, name: str, folder: Path, settings: str) -> None:
        self.config = folder / f"{name}.toml"
        self.config.write_text(settings)
        self._ca = folder / name / "authority" / "ca.pem"
        command = [
            sys.executable,
            "-P",
            "-m",
            "tillwatch.collector",
            "run",
            "--no-console",
            "--config",
            str(self.config),
        ]
        super().__init__(net, name, folder, command, again=True)

    def doctor(self) -> dict[str, tuple[str, str]]:
        """State and text of each subject, as an administrator of this machine hears them."""
        told = [
            *self.net.inside(self.name),
            sys.executable,
            "-P",
            "-m",
            "tillwatch.collector",
            "doctor",
            "--json",
            "--config",
            str(self.config),
        ]
        done = subprocess.run(told, capture_output=True, text=True, timeout=DOCTOR_S, check=False)
        assert done.stdout, done.stderr
        return {found["subject"]: (found["state"], found["text"]) for found in json.loads(done.stdout)}

    def metric(self, name: str) -> int:
        """Of its first opener."""
        # Asked by address, which its certificate does not name.
        trust = ssl.create_default_context(cafile=str(self._ca))
        trust.check_hostname = False
        with urlopen(f"https://{self.address}:{ACCESS}/metrics", context=trust, timeout=UP_S) as said:
            text = said.read().decode()
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def settings(name: str, folder: Path, store: str, nodes: Sequence[str], password: Path, more: str) -> str:
    """The configuration file. more: sections that all collectors have alike."""
    hosts = ", ".join(f'"{node}"' for node in nodes)
    return (
        f'[collector]\nname = "{name}"\ndata_dir = "{folder / name}"\n[store]\npostgres = "{store}"\n'
        f'[amqp]\nhosts = [{hosts}]\nport = {AMQP}\nvhost = "{VHOST}"\nuser = "{USER}"\npassword_file = "{password}"\n'
        f'openers = 1\naccess_host = "0.0.0.0"\naccess_port = {ACCESS}\n'
        f'[enrolment]\nhost = "0.0.0.0"\naddress = "{name}"\nhosts = ["test"]\n'
        f'[broker]\nembedded = false\nhost = "test"\nport = {MQTT}\n'
        f"[predictions]\nenabled = false\n{more}"
    )
