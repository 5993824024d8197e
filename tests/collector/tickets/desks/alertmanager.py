"""A real Alertmanager, which tells a listener of every alert by its webhook."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CONFIG = """
global: {{ resolve_timeout: 1s }}
route: {{ receiver: us, group_by: [incident, alertname], group_wait: 10ms, group_interval: 50ms, repeat_interval: 1h }}
receivers:
  - name: us
    webhook_configs:
      - {{ url: "{url}", send_resolved: true{more} }}
"""
"""resolve_timeout: what is not said to last is over after a second, so that a test can see the difference."""

USER, PASSWORD = "tillwatch", "am-passw0rd"
HASHED = "$2b$04$abcdefghijklmnopqrstuuObWRdc2ZMMninkLq/e07UUPWikvF3yO"
"""The password by bcrypt at its lowest cost: it is checked at every request."""


class Alertmanager:
    def __init__(self, address: str, *, locked: bool) -> None:
        self.address = address
        known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Basic {known}"} if locked else {})

    def ask(self, path: str, body: Any = None, **params: str) -> Any:
        query = f"?{urllib.parse.urlencode(params)}" if params else ""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.address}/api/v2/{path}{query}", data, self._headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            said = response.read()
        return json.loads(said) if said else None

    def alerts(self) -> list[Any]:
        """What fires there."""
        return self.ask("alerts")


@contextmanager
def alertmanager(folder: Path, webhook: str, more: str = "", *, locked: bool = False) -> Iterator[Alertmanager]:
    """more: further settings of the webhook. locked: it asks for USER and PASSWORD."""
    program = shutil.which("prometheus-alertmanager")
    assert program, "prometheus-alertmanager is missing: make packages"
    config = folder / "alertmanager.yml"
    config.write_text(CONFIG.format(url=webhook, more=more))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    command = [
        program, f"--config.file={config}", f"--storage.path={folder / 'alertmanager'}", f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    if locked:
        (folder / "web.yml").write_text(f"basic_auth_users: {{ {USER}: {HASHED} }}\n")
        command.append(f"--web.config.file={folder / 'web.yml'}")
    log = folder / "alertmanager.log"
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        try:
            running, end = Alertmanager(f"http://{address}", locked=locked), time.monotonic() + 60
            while True:
                try:
                    running.ask("status")
                    break
                except OSError:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < end, log.read_text()
                    time.sleep(0.02)
            yield running
        finally:
            process.terminate()
            process.wait(60)
