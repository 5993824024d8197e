"""A real VictoriaMetrics, private to a test: a folder and a port of its own, ended by its process id."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.collector.watch.running import free_ports

START_S = 90.0
Series = dict[tuple[tuple[str, str], ...], dict[int, list[float]]]
"""Labels, sorted -> UTC ms -> what is kept of that time."""


class VictoriaMetrics:
    def __init__(self, folder: Path, *, dedup: str = "1ms") -> None:
        self.folder, self._dedup = folder, dedup
        folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        program = shutil.which("victoria-metrics")
        assert program, "victoria-metrics is missing: make packages"
        command = [
            program, f"-storageDataPath={self.folder / 'data'}", f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=20y",
            f"-dedup.minScrapeInterval={self._dedup}", "-search.disableCache", "-search.latencyOffset=0s", "-memory.allowedBytes=128MiB", "-loggerLevel=WARN",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + START_S
        while True:
            try:
                self.get("/health")
                return
            except OSError:
                log_text = (self.folder / "log").read_text(errors="replace")
                assert self.process.poll() is None, log_text
                assert time.monotonic() < until, log_text
                time.sleep(0.02)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def get(self, path: str, question: Mapping[str, str] | None = None) -> bytes:
        asked = urllib.parse.urlencode(question) if question is not None else ""
        with urllib.request.urlopen(f"{self.url}{path}?{asked}", timeout=60) as answer:
            return bytes(answer.read())

    def post(self, path: str, body: bytes) -> None:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data=body), timeout=60) as answer:
            answer.read()

    def exported(self, match: str = '{__name__=~"till_.+"}') -> Series:
        """Every sample that is kept, all of those that were ever taken included."""
        self.get("/internal/force_flush")
        found: Series = {}
        for line in self.get("/api/v1/export", {"match[]": match, "reduce_mem_usage": "0"}).splitlines():
            one = json.loads(line)
            at = found.setdefault(tuple(sorted(one["metric"].items())), {})
            for ms, value in zip(one["timestamps"], one["values"], strict=True):
                at.setdefault(ms, []).append(value)
        return found

    def query(self, expression: str, at_s: float) -> list[dict[str, Any]]:
        """An instant query. An error of the server is one of the test."""
        return self._asked("/api/v1/query", {"query": expression, "time": f"{at_s:.3f}"})

    def query_range(self, expression: str, start_s: float, end_s: float, step: str) -> list[dict[str, Any]]:
        asked = {"query": expression, "start": f"{start_s:.3f}", "end": f"{end_s:.3f}", "step": step}
        return self._asked("/api/v1/query_range", asked)

    def _asked(self, path: str, question: Mapping[str, str]) -> list[dict[str, Any]]:
        try:
            said = json.loads(self.get(path, question))
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{question['query']}: {error.read().decode()}") from None
        assert said["status"] == "success", said
        return list(said["data"]["result"])
