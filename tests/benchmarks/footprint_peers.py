"""Other agents as Debian has them, each as it would run beside tillwatch: a configuration of its own in a folder of its own, the same interval,
and somebody over loopback who takes what it gives. Nothing of theirs outside the folder is read but their programs and plugins.
"""

from __future__ import annotations

import contextlib
import getpass
import http.client
import json
import random
import socket
import socketserver
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.processes import Process, free_port, program
from tests.benchmarks.rig import FORTY, HOST, OIDS

LINK = next((path.name for path in sorted(Path("/sys/class/net").iterdir()) if path.name != "lo"), "lo")
KEYS = (
    *(f"system.cpu.load[all,{span}]" for span in ("avg1", "avg5", "avg15")),
    *(f"system.cpu.util[,{kind}]" for kind in ("user", "system", "iowait", "idle", "interrupt")),
    *("system.cpu.num", "system.cpu.switches", "system.cpu.intr", "system.uptime", "system.localtime"),
    *(f"vm.memory.size[{kind}]" for kind in ("total", "available", "pavailable", "cached", "buffers")),
    *(f"system.swap.size[,{kind}]" for kind in ("total", "free", "pfree")),
    *(f"vfs.fs.size[/,{kind}]" for kind in ("total", "used", "pused", "free")),
    *("vfs.fs.inode[/,pfree]", "kernel.maxfiles", "kernel.maxproc"),
    *(f"net.if.in[{LINK}]", f"net.if.out[{LINK}]"),
)
"""Thirty active items, each every interval."""
NUMBERS = tuple(oid for oid in FORTY if oid not in OIDS or OIDS[oid][0] != "octet_str")[1:]
"""What collectd can take of the forty: it has no values that are text."""
_HEADER = struct.Struct("<4sBII")
_COMPRESSED = 2
_SHORT_S = 2.0


@dataclass(frozen=True, slots=True)
class Peer:
    """start_s: from exec to the first values; given: how many values, answers or messages were taken from it so far, or with netdata the second up to which it has values."""

    process: Process
    start_s: float
    given: Callable[[], int]


class _Trapper(socketserver.ThreadingTCPServer):
    """As much of a Zabbix server as an active agent talks to: it is told what to read, and its values are counted."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, interval: float) -> None:
        super().__init__((HOST, 0), _Taking)
        self.checks = [
            {"key": key, "key_orig": key, "itemid": 100 + n, "delay": f"{interval:g}s", "lastlogsize": 0, "mtime": 0}
            for n, key in enumerate(KEYS)
        ]
        self.values = 0


class _Taking(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        assert isinstance(self.server, _Trapper)
        _, flags, size, _ = _HEADER.unpack(self.rfile.read(_HEADER.size))
        body = self.rfile.read(size)
        asked = json.loads(zlib.decompress(body) if flags & _COMPRESSED else body)
        if asked["request"] == "active checks":
            answer: dict[str, object] = {"response": "success", "data": self.server.checks}
        else:
            # state 1: the key is not supported, and nothing was read.
            self.server.values += sum(not value.get("state") for value in asked["data"])
            answer = {"response": "success", "info": f"processed: {len(asked['data'])}; failed: 0; seconds spent: 0.0"}
        said = json.dumps(answer).encode()
        self.wfile.write(_HEADER.pack(b"ZBXD", 1, len(said), 0) + said)


@contextmanager
def zabbix_agent2(folder: Path, interval: float, _: int) -> Iterator[Peer]:
    """Active checks of KEYS; buffered for five seconds, as it comes, where the interval leaves room for that."""
    with _Trapper(interval) as trapper:
        listening = threading.Thread(target=trapper.serve_forever, args=(0.05,))
        listening.start()
        config = folder / "agent2.conf"
        config.write_text(
            f"LogFile={folder / 'own.log'}\nPidFile={folder / 'pid'}\nControlSocket={folder / 'control'}\nPluginSocket={folder / 'plugin'}\n"
            f"Hostname=bench\nServer={HOST}\nListenIP={HOST}\nListenPort={_low_port()}\nServerActive={HOST}:{trapper.server_address[1]}\n"
            f"BufferSend={5 if interval > _SHORT_S else 1}\n"
        )
        try:
            began = time.monotonic()
            with Process("zabbix-agent2", program("zabbix_agent2"), "-f", "-c", config, folder=folder) as process:
                process.wait_for(lambda: trapper.values > 0, "sending values")
                yield Peer(process, time.monotonic() - began, lambda: trapper.values)
        finally:
            trapper.shutdown()
            listening.join()


@contextmanager
def node_exporter(folder: Path, interval: float, _: int) -> Iterator[Peer]:
    """Its collectors as they come, scraped every interval over one connection that is kept, as Prometheus does."""
    port = free_port()
    options = (f"--web.listen-address={HOST}:{port}", "--log.level=error")
    began = time.monotonic()
    with Process("node_exporter", program("prometheus-node-exporter"), *options, folder=folder) as process:
        process.wait_for(lambda: _answers(port, "/metrics", b"node_load1"), "answering")
        start_s = time.monotonic() - began
        over, answers = threading.Event(), [0]

        def scrape() -> None:
            connection = http.client.HTTPConnection(HOST, port, timeout=30)
            while not over.is_set():
                connection.request("GET", "/metrics")
                answers[0] += b"node_load1" in connection.getresponse().read()
                over.wait(interval)
            connection.close()

        scraping = threading.Thread(target=scrape)
        scraping.start()
        try:
            yield Peer(process, start_s, lambda: answers[0])
        finally:
            over.set()
            scraping.join()


@contextmanager
def collectd(folder: Path, interval: float, device: int) -> Iterator[Peer]:
    """The machine, and NUMBERS of a device; sent in its own protocol over UDP. It asks for each number in a message of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind((HOST, 0))
        ear.settimeout(0.1)
        over, messages = threading.Event(), [0]

        def hear() -> None:
            while not over.is_set():
                try:
                    messages[0] += bool(ear.recv(65_536))
                except TimeoutError:
                    continue

        plugins = ("logfile", "cpu", "memory", "disk", "df", "load", "interface", "snmp", "network")
        data = "".join(
            f'<Data "v{n}">\nType "gauge"\nTypeInstance "v{n}"\nTable false\nValues "{oid}"\n</Data>\n'
            for n, oid in enumerate(NUMBERS)
        )
        wanted = " ".join(f'"v{n}"' for n in range(len(NUMBERS)))
        config = folder / "collectd.conf"
        config.write_text(
            f'Hostname "bench"\nFQDNLookup false\nBaseDir "{folder}"\nPIDFile "{folder / "pid"}"\nTypesDB "/usr/share/collectd/types.db"\n'
            f"Interval {interval:g}\n"
            + "".join(f"LoadPlugin {name}\n" for name in plugins)
            + f'<Plugin logfile>\nLogLevel err\nFile "{folder / "own.log"}"\n</Plugin>\n'
            f'<Plugin network>\nServer "{HOST}" "{ear.getsockname()[1]}"\n</Plugin>\n'
            f'<Plugin snmp>\n{data}<Host "ups">\nAddress "{HOST}:{device}"\nVersion 2\nCommunity "public"\nCollect {wanted}\nInterval {interval:g}\n'
            "</Host>\n</Plugin>\n"
        )
        hearing = threading.Thread(target=hear)
        hearing.start()
        try:
            began = time.monotonic()
            with Process("collectd", program("collectd"), "-f", "-C", config, folder=folder) as process:
                process.wait_for(lambda: messages[0] > 0, "sending values")
                yield Peer(process, time.monotonic() - began, lambda: messages[0])
        finally:
            over.set()
            hearing.join()


@contextmanager
def netdata(folder: Path, interval: float, _: int) -> Iterator[Peer]:
    """As it comes, with its interval; no word to its maker's cloud."""
    port = free_port()
    for name in ("etc", "cache", "lib/cloud.d", "log"):
        (folder / name).mkdir(parents=True)
    (folder / "etc" / ".opt-out-from-anonymous-statistics").touch()
    (folder / "lib" / "cloud.d" / "cloud.conf").write_text("[global]\nenabled = no\n")
    config = folder / "netdata.conf"
    config.write_text(
        f"[global]\nrun as user = {getpass.getuser()}\n[db]\nupdate every = {max(1, round(interval))}\n[web]\nbind to = {HOST}:{port}\n"
        f"[directories]\nconfig = {folder / 'etc'}\ncache = {folder / 'cache'}\nlib = {folder / 'lib'}\nlog = {folder / 'log'}\n"
    )
    began = time.monotonic()
    options = ("-D", "-c", config, "-P", folder / "pid")
    with Process("netdata", program("netdata"), *options, folder=folder, env={"DISABLE_TELEMETRY": "1"}) as process:
        process.wait_for(lambda: _answers(port, "/api/v1/charts", b'"system.load"'), "having charts")
        start_s = time.monotonic() - began
        yield Peer(
            process, start_s, lambda: int(json.loads(_asked(port, "/api/v1/chart?chart=system.load"))["last_entry"])
        )


def _low_port() -> int:
    """Of those that agent2 allows itself to listen on: up to 32,767."""
    while True:
        port = random.randrange(20_000, 32_768)
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port


def _asked(port: int, path: str) -> bytes:
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=_SHORT_S)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read()


def _answers(port: int, path: str, wanted: bytes) -> bool:
    try:
        return wanted in _asked(port, path)
    except (OSError, http.client.HTTPException):
        return False


PEERS = {
    "zabbix_agent2": zabbix_agent2,
    "node_exporter": node_exporter,
    "collectd": collectd,
    "netdata": netdata,
}
