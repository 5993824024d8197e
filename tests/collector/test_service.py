"""The running collector and running agents, as processes, over the embedded broker with TLS: keys that change, end, and are in two machines."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.collector.watch.running import until
from tillwatch.agent.wire import Opened
from tillwatch.collector.config import load_config
from tillwatch.collector.fold import Fold
from tillwatch.collector.journal import Kind
from tillwatch.collector.proof.rebuild import _open
from tillwatch.collector.store.log import Log

AGENT = """
import os, sys, json, time
from tillwatch.agent import clock, sealer, uplink
try:
    from tillwatch.agent.enrolment import renewal
except ModuleNotFoundError:  # a version before that room
    from tillwatch.agent import renewal
renewal.RETRY = float(os.environ.get("RETRY", renewal.RETRY))
uplink.FIRST_FLUSH, uplink.BACKOFF_MOST = 0.2, 2.0
if boot := os.environ.get("BOOT"):
    clock.boot_id = lambda: boot.encode()
if oracle := os.environ.get("ORACLE"):
    make = sealer.Sealer._seal
    def noted(self, taken, slot):
        made = make(self, taken, slot)
        with open(oracle, "a") as out:
            out.write("".join(f"{item.component} {item.signal} {item.up}\\n" for item in taken))
        return made
    sealer.Sealer._seal = noted
from tillwatch.agent.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
TOML = """
[terminal]
state_dir = "{state}"
[sampling]
fast = "0.5s"
normal = "0.5s"
seal = "0.5s"
[system]
name = "host"
only = ["cpu*", "memory*", ""]
"""


class Line:
    """A collector and its agents, each in a folder of its own; whatever runs is ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        broker, enrolment = (holder.getsockname()[1] for holder in holders)
        for holder in holders:
            holder.close()
        self.file = folder / "collector.toml"
        self.file.write_text(
            f'[collector]\ndata_dir = "data"\n[broker]\nhost = "127.0.0.1"\nport = {broker}\n'
            f'[enrolment]\nhost = "127.0.0.1"\nport = {enrolment}\naddress = "127.0.0.1"\n'
        )
        self.config = load_config(self.file)
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def _spawn(self, name: str, *command: str, **environment: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        process = self.running.pop(name)
        process.send_signal(number)
        process.wait(60)

    async def start(self) -> None:
        before = self.log("collector").count(" runs: ") if (self.folder / "collector.log").exists() else 0
        self._spawn(
            "collector",
            sys.executable,
            "-P",
            "-m",
            "tillwatch.collector",
            "run",
            "--no-console",
            "--config",
            str(self.file),
        )
        await until(lambda: self.log("collector").count(" runs: ") > before, what="the collector's start")

    def collector(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-P", "-m", "tillwatch.collector", *arguments, "--config", str(self.file))
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def agent(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = (sys.executable, "-P", "-m", "tillwatch.agent", *arguments, "--config", str(self.toml(name)))
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def toml(self, name: str) -> Path:
        file = self.folder / f"{name}.toml"
        file.write_text(TOML.format(state=self.folder / name))
        return file

    def enrol(self, name: str, *more: str) -> None:
        token = self.collector(
            "enrol-token", "till-1", "--branch", "B", "--region", "R", "--class", "atm"
        ).stdout.strip()
        done = self.agent(name, "enrol", *more, token)
        assert done.returncode == 0, done.stderr

    def run(self, name: str, **environment: str) -> None:
        self._spawn(name, sys.executable, "-P", "-c", AGENT, "run", "--config", str(self.toml(name)), **environment)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self.config.database}?mode=ro", uri=True, timeout=60)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    @property
    def stored(self) -> int:
        return int(self.rows("SELECT count(*) FROM journal WHERE kind = 3")[0][0])

    async def stores(self, more: int = 2) -> None:
        before = self.stored
        await until(lambda: self.stored >= before + more, what=f"{more} more batches")

    def keys(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT state FROM terminal_key ORDER BY since, state DESC")]

    def sealed(self) -> list[tuple[Any, Any]]:
        """Every batch of the journal, opened anew with the keys of its time: (header, columns)."""
        connection = sqlite3.connect(f"file:{self.config.database}?mode=ro", uri=True)
        try:
            fold, found = Fold({}), []
            for logged in Log(connection).walk(lambda fault: pytest.fail(fault.text)):
                content = _open(logged, fold)
                fold.apply(logged.entry, content)
                if logged.entry.kind is Kind.BATCH:
                    assert isinstance(content, Opened)
                    found.append((content.header, content.columns))
            return found
        finally:
            connection.close()

    def verified(self) -> str:
        """What `verify --log` says: the chain, every signature with the keys of its time, the authority's word for each key."""
        done = self.collector("verify", "--log")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    one = Line(tmp_path)
    yield one
    for process in one.running.values():
        process.kill()
        process.wait()


def chains(sealed: list[tuple[Any, Any]]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for header, _ in sealed:
        found.setdefault(header.epoch, []).append(header.seq)
    return found


async def test_a_collector_that_runs_has_put_what_it_loaded_into_huge_pages_or_says_why_not(line: Line) -> None:
    await line.start()
    await until(lambda: "huge pages" in line.log("collector"), what="a word about huge pages")


@pytest.mark.long
async def test_a_running_agent_changes_its_key_without_a_gap(line: Line) -> None:
    await line.start()
    line.enrol("one")
    line.run("one")
    await line.stores()
    certificate = (line.folder / "one" / "tls.crt").read_bytes()
    done = line.agent("one", "rotate")
    assert done.returncode == 0, done.stderr
    assert "the running agent signs with key" in done.stdout
    await until(lambda: line.keys() == ["active", "retiring"] or line.keys() == ["retiring", "active"])
    await line.stores(3)
    assert (line.folder / "one" / "tls.crt").read_bytes() != certificate
    shown = line.collector("show", "till-1")
    assert ": retiring since " in shown.stdout
    assert "proves up to batch" in shown.stdout
    assert line.agent("one", "doctor").returncode == 0, line.agent("one", "doctor").stdout
    # Once more, with nobody running: the next start takes it up.
    line.stop("one")
    done = line.agent("one", "rotate")
    assert (done.returncode, "from its next start on" in done.stdout) == (0, True)
    assert line.agent("one", "rotate").returncode == 1, "one at a time"
    line.run("one")
    await until(lambda: sorted(line.keys()) == ["active", "retiring", "retiring"])
    await line.stores()
    line.stop("one")
    line.stop("collector")
    sealed = line.sealed()
    assert len({header.key for header, _ in sealed}) == 3
    line.verified()
    ((_, seqs),) = chains(sealed).items()
    assert seqs == list(range(1, len(seqs) + 1)), "one epoch, no gap"
    for one in ("one", "collector"):
        assert "Traceback" not in line.log(one)
    assert "does not know" not in line.log("one")


async def test_an_old_key_is_rotated_by_the_agent_itself(line: Line) -> None:
    await line.start()
    line.enrol("one")
    file = line.folder / "one" / "identity.json"
    known = json.loads(file.read_text())
    file.write_text(json.dumps({**known, "since": known["since"] - 181 * 86_400 * 10**9}))
    line.run("one", RETRY="1")
    await until(lambda: sorted(line.keys()) == ["active", "retiring"], what="the rotation")
    await line.stores()
    assert "signs from now on" in line.log("one")
    assert "fails" not in line.log("one")


@pytest.mark.long
async def test_a_collector_from_an_old_backup_finds_todays_key(line: Line) -> None:
    await line.start()
    line.enrol("one")
    line.run("one")
    await line.stores()
    line.stop("collector")
    backup = line.folder / "backup.db"
    shutil.copy(line.config.database, backup)
    await line.start()
    for _ in range(2):
        assert line.agent("one", "rotate").returncode == 0
        await line.stores()
    assert len(line.keys()) == 3
    line.stop("collector", signal.SIGKILL)
    for old in line.config.database.parent.glob("collector.db*"):
        old.unlink()
    shutil.copy(backup, line.config.database)
    await line.start()
    await until(lambda: sorted(line.keys()) == ["active", "retiring", "retiring"], what="the chain of rotations")
    await line.stores()


async def test_a_revoked_terminal_is_cut_off_told_why_and_can_be_taken_back(line: Line) -> None:
    await line.start()
    line.enrol("one")
    line.run("one")
    await line.stores()
    assert line.collector("revoke", "till-2", "--reason", "x").returncode == 1
    done = line.collector("revoke", "till-1", "--reason", "stolen from the branch")
    assert (done.returncode, "is revoked" in done.stdout) == (0, True), done.stderr
    await until(lambda: "see tillwatch-agent doctor" in line.log("one"), what="the agent's notice")
    before = line.stored
    told = line.agent("one", "doctor", "--json")
    assert told.returncode == 5, told.stdout
    found = {finding["check"]: finding for finding in json.loads(told.stdout)}
    assert "has revoked key" in found["key"]["text"]
    assert "stolen from the branch" in found["key"]["text"]
    assert "enrol --force TOKEN" in found["key"]["mend"]
    done = line.agent("one", "rotate")
    assert (done.returncode, "revoked" in done.stderr) == (5, True), done.stderr
    assert "revoked: stolen from the branch" in line.collector("show", "till-1").stdout
    serial = x509.load_pem_x509_certificate((line.folder / "one" / "tls.crt").read_bytes()).serial_number
    crl = x509.load_pem_x509_crl((line.config.authority / "revoked.pem").read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(serial) is not None
    assert line.stored == before
    line.stop("one")
    line.enrol("one", "--force")
    line.run("one")
    await line.stores()
    assert sorted(line.keys()) == ["active", "revoked"]
    assert line.agent("one", "doctor").returncode == 0


@pytest.mark.long
async def test_two_machines_from_one_disk_image_are_both_shown_and_lose_nothing(line: Line) -> None:
    await line.start()
    line.enrol("one")
    oracle = {name: str(line.folder / f"{name}.oracle") for name in ("one", "two")}
    line.run("one", BOOT="1111boot", ORACLE=oracle["one"])
    await line.stores()
    line.stop("one")
    shutil.copytree(line.folder / "one", line.folder / "two")
    line.run("one", BOOT="2222boot", ORACLE=oracle["one"])
    await line.stores()
    line.run("two", BOOT="3333boot", ORACLE=oracle["two"])

    def told() -> str:
        found = line.rows("SELECT detail FROM alarm WHERE rule = 'delivery.fork' AND condition = 'active'")
        text = found[0][0].decode("utf-8", "replace") if found else ""
        return text if "two machines speak in turn" in text else ""

    text = await until(told, 60, "the alarm")
    assert b"2222boot"[:4].hex() in text
    assert b"3333boot"[:4].hex() in text
    await line.stores(6)
    shown = line.collector("show", "till-1").stdout
    assert "two machines under this identity" in shown
    assert b"2222boot"[:4].hex() in shown
    assert b"3333boot"[:4].hex() in shown
    # Each of them gets rid of what it holds once the other is gone.
    for name, other in (("one", "two"), ("two", "one")):
        line.stop(other)
        if name not in line.running:
            line.run(name, BOOT=f"{4444 if name == 'two' else 5555}boot", ORACLE=oracle[name])
        await until(lambda name=name: waiting(line, name) <= 1, 60, f"the spool of {name}")
    line.stop("two")
    line.run("one", BOOT="6666boot", ORACLE=oracle["one"])
    await until(lambda: waiting(line, "one") <= 1, 60, "the spool of one")
    line.stop("one")
    line.stop("collector")
    readings = sum(len(Path(name).read_text().splitlines()) for name in oracle.values())
    assert readings
    sealed = line.sealed()
    line.verified()
    stored = {(header.epoch, header.seq) for header, _ in sealed}
    assert len(stored) == len(sealed)
    held = [each for name in ("one", "two") for each in spooled(line.folder / name) if each[:2] not in stored]
    assert sum(header.n for header, _ in sealed) + sum(n for *_, n in held) == readings, "all of both, each once"
    for name in ("one", "two"):
        shown_spool = json.loads(line.agent(name, "show", "--json").stdout)["spool"]
        assert (shown_spool["lost_readings"], shown_spool["refused"]) == (0, []), name
    for epoch, seqs in chains(sealed).items():
        assert seqs == sorted(set(seqs)), epoch


def spooled(state: Path) -> list[tuple[bytes, int, int]]:
    """(epoch, seq, readings) of the batches that a stopped agent keeps for its next start."""
    connection = sqlite3.connect(f"file:{state / 'spool.db'}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT epoch, seq, n FROM sealed JOIN epochs USING (gen)").fetchall()
    finally:
        connection.close()


def waiting(line: Line, name: str) -> int:
    found = json.loads(line.agent(name, "show", "--json").stdout)["spool"]
    return int(found["waiting"])
