"""The command line as its users meet it: a process, its output and its exit code."""

from __future__ import annotations

import base64
import contextlib
import getpass
import http.client
import json
import os
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import psutil
import pytest

from tillwatch.agent.wire import SigningKey
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.config import load_config
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.refusals import Refusals
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.trust.authority import open_authority
from tillwatch.collector.trust.registry import Enrolment, EnrolRequest, operator_facts


class Site:
    def __init__(self, folder: Path) -> None:
        holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        self.broker, self.enrolment, self.console = (holder.getsockname()[1] for holder in holders)
        for holder in holders:
            holder.close()
        self.folder = folder
        self.file = folder / "collector.toml"
        self.file.write_text(
            f'[collector]\ndata_dir = "data"\n[broker]\nhost = "127.0.0.1"\nport = {self.broker}\n'
            f'[enrolment]\nhost = "127.0.0.1"\nport = {self.enrolment}\naddress = "127.0.0.1"\n'
            f"[console]\nport = {self.console}\n"
        )
        self.config = load_config(self.file)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "tillwatch.collector", *arguments, "--config", str(self.file)]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60, check=False)

    def token(self, *more: str) -> subprocess.CompletedProcess[str]:
        return self.call("enrol-token", "till-1", "--branch", "Harbour", "--region", "North", "--class", "atm", *more)

    async def enrol(self, *terminals: str) -> None:
        store = SqliteStore(self.config.database)
        pipeline = Pipeline(store, SigningKey(bytes(32)), {})
        await pipeline.start(shipped_text(), "")
        for number, terminal in enumerate(terminals):
            request = EnrolRequest(terminal, SigningKey(bytes([number] * 32)).public, 1, "10.0.0.1")
            await pipeline.operate(operator_facts(Enrolment(terminal, "Harbour", "North", "atm"), request))
        await pipeline.stop()
        store.close()


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_help_teaches(site):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tillwatch.collector", "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    for word in ("enrol-token till-0042 --branch", "doctor", "Exit codes", "NO_COLOR"):
        assert word in done.stdout
    done = site.call("show", "--help")
    assert "example:\n  tillwatch-collector show till-0042 --component ups" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("shw",), ("show",), ("revoke", "x"), ("terminals", "--jsn")])
def test_wrong_commands_exit_2(site, arguments):
    done = site.call(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: tillwatch-collector" in done.stderr


def test_a_wrong_configuration_is_one_line(site):
    site.file.write_text("[broker]\nprt = 1\n")
    done = site.call("terminals")
    assert done.returncode == 2
    assert done.stderr == (
        f"tillwatch-collector: {site.file}, line 2: [broker] unknown key 'prt'; did you mean 'port'?\n"
    )


def test_a_token_before_the_first_start(site):
    done = site.token()
    assert done.returncode == 0, done.stderr
    fields = msgpack.unpackb(base64.urlsafe_b64decode(done.stdout.strip()[4:] + "=="))
    assert done.stdout == done.stdout.strip() + "\n"
    assert (fields["h"], fields["p"], fields["t"]) == ("127.0.0.1", site.enrolment, "till-1")
    assert fields["f"] == open_authority(site.config.authority).fingerprint
    assert "Good once, for 24 hours. On the terminal: tillwatch-agent enrol TOKEN" in done.stderr
    assert site.config.collector.data_dir.stat().st_mode & 0o777 == 0o700
    with sqlite3.connect(site.config.database) as db:
        assert db.execute("SELECT terminal, branch, region, class, used_at FROM token").fetchall() == [
            ("till-1", "Harbour", "North", "atm", None)
        ]
    db.close()


def test_a_token_as_json_and_for_another_name(site):
    site.file.write_text(site.file.read_text().replace("[console]", 'hosts = ["tills.example"]\n[console]'))
    value = json.loads(site.token("--json", "--host", "tills.example").stdout)
    assert (value["terminal"], value["host"], value["port"]) == ("till-1", "tills.example", site.enrolment)
    assert value["expires"].endswith(("+00:00", "Z")) or value["expires"][-6] in "+-"
    assert msgpack.unpackb(base64.urlsafe_b64decode(value["token"][4:] + "=="))["h"] == "tills.example"


def test_a_token_for_a_name_that_the_certificate_lacks(site):
    done = site.token("--host", "10.9.9.9")
    assert (done.returncode, done.stdout) == (2, "")
    assert f'write hosts = ["10.9.9.9"] in [enrolment] of {site.file}' in done.stderr
    assert not site.config.collector.data_dir.exists()


def test_bad_names_for_tokens(site):
    done = site.call("enrol-token", "till 1", "--branch", "B", "--region", "R", "--class", "atm")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'till 1' is no terminal id: letters, digits, - and _" in done.stderr


def test_a_data_dir_that_cannot_be_made(site):
    (site.folder / "data").write_text("in the way")
    done = site.token()
    assert done.returncode == 1
    assert "set data_dir in [collector]" in done.stderr
    assert "Traceback" not in done.stderr


async def test_terminals_and_show(site):
    await site.enrol("till-1", "till-2")
    done = site.call("terminals")
    assert done.returncode == 0, done.stderr
    heading, *rows = done.stdout.splitlines()
    assert heading.split() == [
        "TERMINAL", "CONDITION", "CONNECTION", "LEVEL", "ALARMS", "BRANCH", "REGION", "CLASS", "HEARD", "REFUSED",
    ]  # fmt: skip
    assert {row.split()[0] for row in rows} == {"till-1", "till-2"}
    assert "Harbour" in rows[0]
    assert "\x1b" not in done.stdout
    views = json.loads(site.call("terminals", "--json").stdout)
    assert {view["id"] for view in views} == {"till-1", "till-2"}
    assert views[0]["last_received"] is None
    done = site.call("show", "till-1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("till-1: unknown")
    done = site.call("show", "till-3")
    assert done.returncode == 1
    assert "no terminal is called till-3; did you mean till-" in done.stderr
    done = site.call("show", "till-1", "--component", "ups")
    assert (done.returncode, done.stderr) == (1, "tillwatch-collector: no component of till-1 is called ups\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--since", "1h"), "--since is for the history of one signal"),
        (("--component", "a", "--signal", "b", "--since", "1 year"), "write a duration with its unit"),
    ],
)
def test_show_says_what_it_needs(site, arguments, text):
    done = site.call("show", "till-1", *arguments)
    assert done.returncode == 2
    assert text in done.stderr


def test_without_a_database_the_commands_say_so(site):
    for command in (("terminals",), ("show", "till-1")):
        done = site.call(*command)
        assert done.returncode == 1
        assert "collector.db" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error_text(site):
    site.token()
    process = subprocess.Popen(site.command("doctor"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(60)


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    return {one["subject"]: (one["state"], one["text"]) for one in json.loads(done.stdout)}


def test_doctor_before_the_first_start(site):
    done = site.call("doctor", "--json")
    found = findings(done)
    assert done.returncode == 0, done.stdout
    assert "made at the first start" in found["data directory"][1]
    assert found["collector"] == ("ok", "not running")
    assert found["broker port"] == ("ok", f"127.0.0.1 port {site.broker} is free")


def test_doctor_finds_what_is_wrong(site):
    site.token()
    data = site.config.collector.data_dir
    data.chmod(0o755)
    site.config.database.write_bytes(b"SQLite format 3\0" + bytes(5000))
    with socket.create_server(("127.0.0.1", site.broker)):
        done = site.call("doctor", "--json")
    found = findings(done)
    assert done.returncode == 1
    assert found["data directory"] == ("warn", f"{data} is open to other users (mode 0755); chmod 0700 {data}")
    assert found["database"][0] == "fail"
    assert "restore it from a backup" in found["database"][1]
    assert found["broker port"][0] == "fail"
    assert "held by another program; end it, or set port in [broker]" in found["broker port"][1]
    assert found["enrolment port"][0] == "ok"


async def test_culprits_are_named_everywhere(site):
    await site.enrol("till-1", "till-2")
    refusals = Refusals()
    refusals.add("flood", "till-1", time.time_ns(), n=4000)
    refusals.add("signature", "till-1", time.time_ns(), n=60)
    refusals.add("unknown_terminal", "", time.time_ns(), n=3)
    refusals.add("flood", "till-2", time.time_ns() - 7200 * 10**9)
    with sqlite3.connect(site.config.database) as db:
        refusals.keep(0)(db)
    db.close()
    counts = {row.split()[0]: row.split()[-1] for row in site.call("terminals").stdout.splitlines()[1:]}
    assert counts == {"till-1": "4060", "till-2": "1"}
    assert json.loads(site.call("terminals", "--json").stdout)[0]["refused"] == 4060
    shown = site.call("show", "till-1").stdout
    assert "4060 messages not taken since the collector's start: 4000 flood, 60 signature; last" in shown
    found = findings(site.call("doctor", "--json"))
    assert found["terminal till-1"][0] == "warn"
    assert "4060 messages not taken (4000 flood, 60 signature); look at that machine" in found["terminal till-1"][1]
    assert "3 unknown_terminal" in found["machines that are not enrolled"][1]
    assert "terminal till-2" not in found


def test_what_backup_and_restore_need(site):
    done = site.call("backup", "b.db")
    assert (done.returncode, "collector.db is not there" in done.stderr) == (1, True)
    done = site.call("restore", "b.db")
    assert (done.returncode, "b.db: no such file" in done.stderr) == (1, True)
    done = site.call("backup", "b.db", "--without-keys", "--passphrase-file", str(site.file))
    assert (done.returncode, "give one of them" in done.stderr) == (1, True)
    (site.folder / "empty").write_text("\n")
    done = site.call("backup", "b.db", "--passphrase-file", str(site.folder / "empty"))
    assert (done.returncode, "its first line is empty" in done.stderr) == (1, True)


def test_doctor_sees_a_clock_that_went_back(site):
    site.token()
    with sqlite3.connect(site.config.database) as db:
        late = time.time_ns() + 3600 * 10**9
        db.execute("INSERT INTO journal VALUES (1, ?, 1, '', x'80', NULL, x'', x'', NULL, NULL)", (late,))
    db.close()
    state, text = findings(site.call("doctor", "--json"))["clock"]
    assert state == "fail"
    assert "behind the last entry of the journal" in text


def test_doctor_asks_an_outside_broker(site):
    site.file.write_text(site.file.read_text().replace("[broker]", "[broker]\nembedded = false"))
    site.token()
    state, text = findings(site.call("doctor", "--json"))["broker"]
    assert state == "fail"
    assert f"127.0.0.1 port {site.broker} does not let the collector in" in text


def test_run_says_in_one_line_that_a_port_is_taken(site):
    with socket.create_server(("127.0.0.1", site.broker)):
        done = site.call("run")
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {site.broker} for MQTT" in done.stderr
    assert "Traceback" not in done.stderr


def test_run_answers_its_doctor_and_ends_on_a_signal(site, tmp_path):
    log = (tmp_path / "log").open("wb")
    status = os.fstat(log.fileno())
    journal = {**os.environ, "JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
    process = subprocess.Popen(site.command("run"), stdout=log, stderr=log, env=journal)
    try:
        deadline = time.monotonic() + 60
        while not _healthy(site):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
        assert site.token().returncode == 0
        while findings(done := site.call("doctor", "--json"))["console port"][0] != "ok":
            assert time.monotonic() < deadline, done.stdout
        found = findings(done)
        assert found["collector"] == ("ok", "running")
        assert found["server certificate"][0] == "ok"
        assert found["broker port"] == ("ok", f"127.0.0.1 port {site.broker} answers")
        second = site.call("run", "--no-console")
        assert second.returncode == 1
        assert f"another collector (process {process.pid}) writes {site.config.database}" in second.stderr
        done = site.call("backup", str(tmp_path / "b.db"), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["keys"] == "with"
        done = site.call("restore", str(tmp_path / "b.db"))
        assert done.returncode == 1
        assert f"another collector (process {process.pid}) writes" in done.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        done = site.call("restore", str(tmp_path / "b.db"))
        assert done.returncode == 0, done.stderr
        assert "what was there is in" in done.stdout
    finally:
        process.kill()
        process.wait()
        log.close()
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_run_without_the_console_starts_none(site, tmp_path):
    with running(site, tmp_path / "log", "run", "--no-console") as process:
        wait(lambda: "no console" in (tmp_path / "log").read_text(), process)
        assert not any("tillwatch.collector.web" in each.cmdline() for each in psutil.Process(process.pid).children())


def test_a_killed_collector_takes_its_console_with_it(site, tmp_path):
    for _ in range(2):
        with running(site, tmp_path / "log", "run") as process:
            wait(lambda: _listens(site.console), process)
            children = psutil.Process(process.pid).children()
            assert any("tillwatch.collector.web" in each.cmdline() for each in children)
        psutil.wait_procs(children, timeout=60)
        assert not any(each.is_running() for each in children)
        assert not _listens(site.console)


@contextlib.contextmanager
def running(site: Site, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the collector, killed at the end."""
    with log.open("wb") as out, subprocess.Popen(site.command(*arguments), stdout=out, stderr=out) as process:
        try:
            yield process
        finally:
            process.kill()


def wait(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _healthy(site: Site) -> bool:
    if not site.config.authority.exists():
        return False
    context = ssl.create_default_context(cafile=str(site.config.authority / "ca.pem"))
    connection = http.client.HTTPSConnection("127.0.0.1", site.enrolment, timeout=2, context=context)
    try:
        connection.request("GET", "/api/v1/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


async def test_a_broker_is_configured(site, tmp_path):
    out = tmp_path / "broker"
    arguments = ("broker-config", "mosquitto", "--out", str(out), "--user", getpass.getuser())
    done = site.call(*arguments)
    assert (done.returncode, "start the collector once" in done.stderr) == (1, True)
    site.token()
    done = site.call(*arguments, "--listen", "127.0.0.1")
    assert done.returncode == 0, done.stderr
    assert f"start it: mosquitto -c {out}/mosquitto.conf" in done.stdout
    assert "crl_file = " in done.stdout
    text = (out / "mosquitto.conf").read_text()
    assert f"listener {site.broker} 127.0.0.1\n" in text
    assert f"crlfile {out}/revoked.pem" in text
    done = site.call("broker-config", "mosquitto", "--out", str(out), "--user", "no such user")
    assert (done.returncode, "a user that exists with --user" in done.stderr) == (1, os.geteuid() == 0)


async def test_revoke_without_a_running_collector(site):
    await site.enrol("till-1")
    assert site.call("revoke", "till-1").returncode == 2
    done = site.call("revoke", "till-1", "--reason", "a\nb")
    assert (done.returncode, "printable characters" in done.stderr) == (1, True)
    done = site.call("revoke", "till-9", "--reason", "x")
    assert (done.returncode, "no terminal is called till-9" in done.stderr) == (1, True)
    done = site.call("revoke", "till-1", "--reason", "scrapped", "--json")
    assert json.loads(done.stdout) == {"terminal": "till-1", "state": "revoked", "reason": "scrapped"}
    assert "revoked: scrapped" in site.call("show", "till-1").stdout
    shown = json.loads(site.call("show", "till-1", "--json").stdout)["identity"]
    assert (shown["state"], shown["why"], [key["state"] for key in shown["keys"]]) == (
        "revoked",
        "scrapped",
        ["revoked"],
    )
