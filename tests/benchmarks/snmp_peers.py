"""What others take for the same values of the same snmpd: Prometheus' snmp_exporter as Debian has it, asked over HTTP, and net-snmp's snmpbulkwalk,
one process a poll. Their processor time is taken of their own processes; whoever asks them is not counted.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.processes import Process, free_port, listens, program
from tests.benchmarks.results import BenchError
from tests.benchmarks.rig import AUTH_KEY, FORTY, HOST, OIDS, PRIV_KEY, USER

ASKING = 8
"""Connections to the exporter, each kept open. One of its cores is busy with fewer."""
AT_ONCE = 4
UPS_MIB = "1.3.6.1.2.1.33"
TEXTS = ("1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.1.5.0", *(oid for oid, (kind, _) in OIDS.items() if kind == "octet_str"))
V3 = (*("-u", USER, "-l", "authPriv", "-a", "SHA-256", "-A", AUTH_KEY, "-x", "AES", "-X", PRIV_KEY),)


def _modules() -> str:
    """Each of FORTY a metric, in one GET; texts are labels, as the exporter's own generator writes them."""
    lines = []
    for name, version in (
        ("v2c", "version: 2\n  auth: {community: public}"),
        (
            "v3",
            f"version: 3\n  auth: {{security_level: authPriv, username: {USER}, auth_protocol: SHA256, password: {AUTH_KEY}, priv_protocol: AES, priv_password: {PRIV_KEY}}}",
        ),
    ):
        lines += [f"{name}:", f"  {version}", f"  max_repetitions: {len(FORTY)}", "  retries: 1", "  timeout: 5s"]
        lines += [f"  get: [{', '.join(FORTY)}]", "  metrics:"]
        for n, oid in enumerate(FORTY):
            column, _, index = oid.rpartition(".")
            indexes = "" if index == "0" else ", indexes: [{labelname: row, type: gauge}]"
            kind = "DisplayString" if oid in TEXTS else "gauge"
            lines.append(f"    - {{name: value_{n}, oid: {column}, type: {kind}, help: one of forty{indexes}}}")
    return "\n".join(lines) + "\n"


@contextmanager
def exporter(folder: Path) -> Iterator[tuple[Process, int]]:
    """On one core: with two it takes more processor time for the same."""
    port = free_port()
    config = folder / "exporter.yml"
    config.write_text(_modules())
    options = (f"--config.file={config}", f"--web.listen-address={HOST}:{port}", "--log.level=error")
    with Process(
        "exporter", program("prometheus-snmp-exporter"), *options, folder=folder, env={"GOMAXPROCS": "1"}
    ) as process:
        process.wait_for(lambda: listens(port), "listening")
        yield process, port


def of_exporter(process: Process, port: int, device: int, module: str, count: int) -> tuple[float, float]:
    """Polls a second, and us of its processor time a poll. The first poll of each connection is not counted."""
    path = f"/snmp?target={HOST}:{device}&module={module}"

    def ask(connection: http.client.HTTPConnection, times: int) -> None:
        for _ in range(times):
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            values = body.count(b"\nvalue_")
            if answer.status != 200 or values != len(FORTY):
                raise process.failed(f"answered {answer.status} with {values} of {len(FORTY)} values: {body[:300]!r}")

    connections = [http.client.HTTPConnection(HOST, port, timeout=30) for _ in range(ASKING)]
    each = max(1, count // ASKING)
    try:
        with ThreadPoolExecutor(ASKING) as threads:
            list(threads.map(lambda connection: ask(connection, 1), connections))
            wall, cpu = time.monotonic(), process.cpu_s()
            list(threads.map(lambda connection: ask(connection, each), connections))
            wall, cpu = time.monotonic() - wall, process.cpu_s() - cpu
    finally:
        for connection in connections:
            connection.close()
    return each * ASKING / wall, cpu / (each * ASKING) * 1e6


def of_bulkwalk(folder: Path, device: int, version: str, count: int) -> tuple[float, float]:
    """Polls a second, and us of processor time of the processes a poll, their start included. Walks UPS_MIB: all of OIDS, 37 of the 40."""
    secret = V3 if version == "3" else ("-c", "public")
    command = [program("snmpbulkwalk"), f"-v{version}", *secret, "-Cr40", "-On", f"{HOST}:{device}", UPS_MIB]
    env = {**os.environ, "MIBS": "", "SNMP_PERSISTENT_DIR": str(folder)}
    cpu = 0.0
    wall = time.monotonic()
    running: list[int] = []
    for _ in range(count):
        if len(running) == AT_ONCE:
            cpu += _ended(running.pop(0))
        out, errors = folder / f"bulkwalk-{version}", folder / "bulkwalk.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        said = [(os.POSIX_SPAWN_OPEN, n, str(file), flags, 0o600) for n, file in ((1, out), (2, errors))]
        running.append(os.posix_spawn(command[0], command, env, file_actions=said))
    for pid in running:
        cpu += _ended(pid)
    wall = time.monotonic() - wall
    values = out.read_bytes().count(b" = ")
    if values != count * len(OIDS):
        raise BenchError(f"snmpbulkwalk gave {values} of {count} times {len(OIDS)} values")
    return count / wall, cpu / count * 1e6


def _ended(pid: int) -> float:
    """Seconds of processor time that the process took."""
    _, status, used = os.wait4(pid, 0)
    if status:
        raise BenchError(f"snmpbulkwalk ended with {os.waitstatus_to_exitcode(status)}")
    return used.ru_utime + used.ru_stime
