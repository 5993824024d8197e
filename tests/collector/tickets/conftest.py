"""A store with the outbox's tables, the demo's ticket desk as a process, and a proxy before it that misbehaves as told."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.collector.tickets.desks.proxy import FaultProxy
from tillwatch.collector.tickets.delivery import SECOND
from tillwatch.collector.tickets.message import Evidence, Op, TicketMessage

ROOT = Path(__file__).parents[3]
RECEIVER = ROOT / "packaging/demo/ticket_receiver.py"
SCHEMA = sorted((ROOT / "collector/store").glob("schema_v*.sql"))
AT = 1_772_352_000 * SECOND
SECRET = "whsec_" + base64.b64encode(b"tillwatch-test-secret-0123456789").decode()


@pytest.fixture
def message() -> Callable[..., TicketMessage]:
    def make(incident: str = "HWM-0011-1", op: Op = Op.OPEN, seq: int = 1, **fields: Any) -> TicketMessage:
        given = {
            "level": 2,
            "terminal": "atm-017",
            "branch": "north",
            "region": "r1",
            "component": "ups",
            "what": "UPS runs on battery",
            "at": AT + seq * SECOND,
            "since": AT,
            "evidence": (Evidence("battery.charge", 41.5, "%", AT),),
            "cause": "mains failed",
            "consequence": "the terminal stops in 9 min",
            "action": "check the mains",
            "address": "http://127.0.0.1:8080/incident/HWM-0011-1",
        }
        return TicketMessage(incident, op, seq, **(given | fields))

    return make


def make_store(folder: Path) -> Path:
    """A database file with the collector's schema, in WAL as the collector sets it."""
    path = folder / "store.sqlite"
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA journal_mode = WAL")
    for step in SCHEMA:
        conn.executescript(step.read_text())
    conn.close()
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path)


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"# the demo's\n{SECRET}\n")
    return path


@dataclass
class Desk:
    """The running receiver."""

    address: str
    log: Path

    def tickets(self) -> list[dict[str, Any]]:
        status, body = ask(self.address, "GET", "/tickets")
        assert status == 200
        return json.loads(body)

    def received(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def ask(
    address: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    parts = urlsplit(address)
    conn = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        conn.request(method, path, body, headers or {})
        response = conn.getresponse()
        return response.status, response.read()
    finally:
        conn.close()


@pytest.fixture
def desk(tmp_path: Path, secret_file: Path) -> Iterator[Desk]:
    log = tmp_path / "desk.jsonl"
    command = [sys.executable, str(RECEIVER), "--port", "0", "--secret-file", str(secret_file), "--log", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Desk(process.stdout.readline().strip(), log)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


@pytest.fixture
def proxy(desk: Desk) -> Iterator[FaultProxy]:
    with FaultProxy(desk.address) as proxy:
        yield proxy


@pytest.fixture
def until() -> Callable[..., Any]:
    async def wait(condition: Callable[[], bool], within_s: float = 60.0) -> None:
        end = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < end, "the condition did not come true in time"
            await asyncio.sleep(0.01)

    return wait


@pytest.fixture
def states(store: Path) -> Iterator[Callable[[], dict[str, int]]]:
    """How many outbox rows are in which state, read over a connection of its own."""
    conn = sqlite3.connect(store)

    def count() -> dict[str, int]:
        return dict(conn.execute("SELECT state, COUNT(*) FROM outbox GROUP BY state"))

    yield count
    conn.close()
