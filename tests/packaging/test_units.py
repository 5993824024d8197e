"""The units: sound for systemd, as closed as promised, fitting what they start, and what they start works inside the filter."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
UNITS = ROOT / "packaging" / "systemd"
CONFINE = HERE / "confine.py"
settings = runpy.run_path(str(CONFINE))["settings"]
EXPOSURE = {
    "tillwatch-agent.service": 1.5,
    "tillwatch-collector.service": 2.0,
    "tillwatch-console.service": 2.0,
    "tillwatch-watchdog.service": 2.0,
}
"""The most that `systemd-analyze security` may find, 0 (closed) to 10."""
NEWER = ("RestartSteps", "RestartMaxDelaySec")
"""Keys since systemd 254; Debian 12 has 252, says that it ignores them, and goes on."""

CONTROL = """
import ctypes, mmap, os, socket
def refused(call):
    try:
        call()
    except OSError as error:
        return error.errno == 1
    return False
print(*(refused(call) for call in (
    lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM),
)))
"""
AGENT = """
import asyncio, os, pty, sqlite3, ssl, sys
import gmqtt, msgpack, nacl.signing, psutil, serial
from gufo.snmp.aio import SnmpSession

key = nacl.signing.SigningKey.generate()
key.verify_key.verify(key.sign(b"frame"))
ssl.create_default_context()
assert psutil.cpu_times().idle > 0 and psutil.virtual_memory().total > 0 and psutil.disk_usage("/").total > 0
assert "lo" in psutil.net_if_addrs() and "lo" in psutil.net_io_counters(pernic=True) and psutil.boot_time() > 0
psutil.sensors_temperatures(), psutil.sensors_fans(), psutil.sensors_battery(), psutil.disk_io_counters()
spool = sqlite3.connect(sys.argv[1])
assert spool.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
spool.execute("PRAGMA synchronous=FULL")
with spool:
    spool.execute("CREATE TABLE sealed(bytes BLOB)")
master, line = pty.openpty()
port = serial.Serial(os.ttyname(line), 2400, timeout=1)
os.write(master, b"(220.0\\r")
assert port.read(7) == b"(220.0\\r"

async def network():
    await asyncio.get_running_loop().getaddrinfo("localhost", 161)
    async with SnmpSession(addr="127.0.0.1", port=9, timeout=0.1) as session:
        try:
            await session.get("1.3.6.1.2.1.1.1.0")
        except (OSError, TimeoutError):
            return "nobody answered"

print(asyncio.run(network()))
"""
COLLECTOR = """
import asyncio, datetime, sqlite3, ssl, sys
import amqtt.broker, fastapi, gmqtt, httpx2, msgpack, nacl.signing, nicegui, uvicorn, yaml, zstandard
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "collector")])
now = datetime.datetime.now(datetime.UTC)
builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(1))
builder.sign(key, hashes.SHA256())
ssl.create_default_context()
assert zstandard.decompress(zstandard.compress(b"segment")) == b"segment"
store = sqlite3.connect(sys.argv[1])
assert store.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
with store:
    store.execute("CREATE TABLE journal(bytes BLOB)")

async def listen():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await reader.read()
    writer.close()
    server.close()
    return "answered"

print(asyncio.run(listen()))
"""

units = pytest.mark.parametrize("unit", sorted(EXPOSURE))


def test_every_unit_has_a_bound() -> None:
    assert {path.name for path in UNITS.glob("*.service")} == set(EXPOSURE)


@units
def test_systemd_takes_the_unit(unit: str, tmp_path: Path) -> None:
    """The program is not installed where the unit looks for it; another stands in."""
    text = (UNITS / unit).read_text("utf-8")
    (tmp_path / unit).write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / unit], capture_output=True, text=True, check=False
    )
    said = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if unit in line and not any(f"'{key}'" in line for key in NEWER)
    ]
    assert (done.returncode, said) == (0, [])


@units
def test_exposure_is_as_promised(unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE[unit] * 10:.0f}", UNITS / unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    rows = json.loads(analyse("--json=short", UNITS / unit))
    open_doors = {row["json_field"] for row in rows if float(row["exposure"] or 0) >= 0.2}
    assert open_doors <= {"PrivateNetwork", "RestrictAddressFamilies_AF_INET_INET6", "IPAddressDeny", "PrivateDevices"}


@units
def test_program_is_an_entry_point_and_knows_its_arguments(unit: str) -> None:
    """The configuration file of the unit is the one that the program looks for by itself, too."""
    (command,) = settings(UNITS / unit)["ExecStart"]
    program, subcommand, *arguments = command.split()
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    module = scripts[Path(program).name].partition(":")[0]
    help_text = subprocess.run(
        [sys.executable, "-P", "-m", module.removesuffix(".__main__"), subcommand, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(re.findall(r"--[a-z-]+", " ".join(arguments))) <= set(re.findall(r"--[a-z-]+", help_text.stdout))


def test_state_is_kept_where_the_programs_look_for_it() -> None:
    from tillwatch.agent.config import default_state_dir
    from tillwatch.collector.config import Config
    from tillwatch.collector.sections import WatchdogSection

    assert [str(default_state_dir())] == [
        f"/var/lib/{name}" for name in settings(UNITS / "tillwatch-agent.service")["StateDirectory"]
    ]
    for unit in ("tillwatch-collector.service", "tillwatch-console.service"):
        assert [str(Config().collector.data_dir)] == [
            f"/var/lib/{name}" for name in settings(UNITS / unit)["StateDirectory"]
        ]
    assert [str(WatchdogSection().state_dir)] == [
        f"/var/lib/{name}" for name in settings(UNITS / "tillwatch-watchdog.service")["StateDirectory"]
    ]


def test_collector_may_bind_the_ports_of_its_defaults() -> None:
    from tillwatch.collector.config import Config
    from tillwatch.collector.sections import WatchdogSection

    config = Config()
    assert settings(UNITS / "tillwatch-collector.service")["SocketBindAllow"] == [
        f"tcp:{port}" for port in (config.broker.port, config.enrolment.port)
    ]
    assert settings(UNITS / "tillwatch-console.service")["SocketBindAllow"] == [f"tcp:{config.console.port}"]
    receiver = urlsplit(WatchdogSection().receiver)
    assert settings(UNITS / "tillwatch-watchdog.service")["SocketBindAllow"] == [f"tcp:{receiver.port}"]


@units
def test_user_of_the_unit_is_declared_with_its_home(unit: str, tmp_path: Path) -> None:
    (user,) = settings(UNITS / unit)["User"]
    (state,) = settings(UNITS / unit)["StateDirectory"]
    (tmp_path / "etc").mkdir()
    subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", UNITS / f"{user}.sysusers"], capture_output=True, check=True
    )
    (line,) = (tmp_path / "etc" / "passwd").read_text().splitlines()
    name, _, uid, _, _, home, shell = line.split(":")
    assert (name, home, shell) == (user, f"/var/lib/{state}", "/usr/sbin/nologin")
    assert 0 < int(uid) < 1000


@units
def test_filter_refuses(unit: str) -> None:
    """The control of the tests below: the filter is in force."""
    assert confined(unit, CONTROL).split() == ["True"] * 3


def test_agent_works_inside_its_filter(tmp_path: Path) -> None:
    assert confined("tillwatch-agent.service", AGENT, tmp_path / "spool.db").strip() == "nobody answered"


@pytest.mark.parametrize(
    "unit", ["tillwatch-collector.service", "tillwatch-console.service", "tillwatch-watchdog.service"]
)
def test_collector_works_inside_its_filter(unit: str, tmp_path: Path) -> None:
    assert confined(unit, COLLECTOR, tmp_path / "store.db").strip() == "answered"


@pytest.mark.parametrize("module", ["web", "figures.worker"])
def test_console_and_its_workers_start_inside_the_filter(module: str, tmp_path: Path) -> None:
    """Priorities cannot be changed there. Without a store they end, but not by a traceback of their start."""
    more = {"web": [], "figures.worker": ["--out", tmp_path / "out", "--from", "0", "--to", "1"]}[module]
    program = [sys.executable, "-P", "-m", f"tillwatch.collector.{module}", "--db", tmp_path / "none.db", *more]
    command = [sys.executable, CONFINE, "tillwatch-console.service", *program]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "PermissionError" not in done.stderr
    assert "usage:" not in done.stderr


def confined(unit: str, code: str, *arguments: Path) -> str:
    command = [sys.executable, CONFINE, unit, sys.executable, "-W", "ignore", "-c", code, *arguments]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def analyse(*arguments: str | Path) -> str:
    return subprocess.run(
        ["systemd-analyze", "security", "--offline=true", *arguments], capture_output=True, text=True, check=True
    ).stdout
