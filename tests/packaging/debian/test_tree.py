"""The packages on a fresh system with systemd: from the installation to a purge that leaves nothing, over an upgrade that loses nothing and
a downgrade that does no harm. The network is this machine's own for the agent, whose collector is outside; the collector has none.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.debian.bank import Bank
from tests.packaging.debian.conftest import Debs
from tests.packaging.debian.tree import Tree, until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]

AGENT, COLLECTOR, CONSOLE = "tillwatch-agent.service", "tillwatch-collector.service", "tillwatch-console.service"
IDENTITY = "var/lib/tillwatch-agent/identity.json"
TERMINAL = "till-1"
FAST = '[sampling]\nfast = "1s"\nnormal = "1s"\nseal = "0.2s"\n'
"""Batches as fast as they may come, so that a spool holds hundreds within a minute."""
SPOOLED = 200
STOPPED_S = 5.0
STARTED_S = 1.0
"""Of one processor, from the first instruction to the word that the agent is ready. The time by the clock is printed: it is as long on a
machine that does nothing else.
"""
AS_AGENT = ("runuser", "-u", "tillwatch-agent", "--")
AS_COLLECTOR = ("runuser", "-u", "tillwatch-collector", "--")
AUTOMATIC = ("dpkg", "--force-confdef", "--force-confold", "--install")
"""As a fleet's own tool calls it: nobody is asked, a changed configuration stays."""


@pytest.fixture
def tree(base: Path, tmp_path: Path) -> Tree:
    folder = tmp_path / "tree"
    subprocess.run(("cp", "--archive", "--reflink=auto", base, folder), check=True)
    return Tree(folder)


@pytest.fixture
def bank(tmp_path: Path) -> Iterator[Bank]:
    bank = Bank(tmp_path)
    bank.start()
    try:
        yield bank
    finally:
        bank.stop()


@pytest.fixture
def packages(debs: Debs, older: Debs, tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    for made in (debs, older):
        for name in (made.agent, made.collector):
            shutil.copy(made.folder / name, folder)
    return folder


def test_agent_from_installation_to_purge(tree: Tree, bank: Bank, debs: Debs, packages: Path) -> None:
    with tree.booted(packages, network=True):
        before, people = tree.files(), accounts(tree)
        tree.call(*AUTOMATIC, f"/packages/{debs.agent}")
        assert tree.status(AGENT, "UnitFileState", "ActiveState", "NRestarts", "ConditionResult") == {
            "UnitFileState": "enabled",
            "ActiveState": "inactive",
            "NRestarts": "0",
            "ConditionResult": "no",
        }
        assert tree.call("tillwatch-agent", "run", check=False).returncode == 3
        assert "tillwatch-agent enrol" in tree.call("tillwatch-agent", "doctor", check=False).stdout

        (tree.folder / "etc/tillwatch/agent.toml").write_text(FAST)
        enrol(tree, bank)
        owner = tree.call("stat", "--format=%U:%G %a", f"/{IDENTITY}").stdout.strip()
        assert owner == "tillwatch-agent:tillwatch-agent 600"
        tree.call("systemctl", "start", AGENT)
        until(lambda: any(mark > 1 for mark in bank.stored(TERMINAL).values()), 60, "the first batches")
        confined(tree)
        starts_and_stops(tree)

        tree.call("dpkg", "--remove", "tillwatch-agent")
        assert (tree.folder / IDENTITY).exists(), "what the agent knows stays until a purge"
        assert tree.status(AGENT, "ActiveState")["ActiveState"] == "inactive"
        assert not [path for path in tree.files() if "__pycache__" in path and "tillwatch" in path]
        tree.call("dpkg", "--purge", "tillwatch-agent")
        assert tree.files() - before == set()
        assert before - tree.files() == set()
        assert accounts(tree) == people
        assert tree.named("tillwatch") == set()


def test_agent_is_upgraded_and_downgraded_and_nothing_is_lost(
    tree: Tree, bank: Bank, debs: Debs, older: Debs, packages: Path
) -> None:
    with tree.booted(packages, network=True):
        tree.call(*AUTOMATIC, f"/packages/{older.agent}")
        (tree.folder / "etc/tillwatch/agent.toml").write_text(FAST)
        # Its enrolment by root leaves a lock of root's.
        enrol(tree, bank, *AS_AGENT)
        tree.call("systemctl", "restart", AGENT)
        until(lambda: figures(tree)["stored"] > 1, 60, "the first batches")

        bank.stop()
        until(lambda: figures(tree)["waiting"] >= SPOOLED, 180, f"{SPOOLED} batches in the spool")
        old = figures(tree)
        tree.call(*AUTOMATIC, f"/packages/{debs.agent}")
        assert version(tree, "tillwatch-agent").startswith("0.1.0")
        assert tree.status(AGENT, "ActiveState")["ActiveState"] == "active"
        assert (tree.folder / "etc/tillwatch/agent.toml").read_text() == FAST
        new = until(lambda: (now := figures(tree))["sealed"] > old["sealed"] and now, 60, "a batch after the upgrade")
        assert (new["epoch"], new["stored"], new["lost_readings"]) == (old["epoch"], old["stored"], 0)
        assert new["waiting"] == new["sealed"] - new["stored"], "none of them is missing"

        bank.start()
        until(lambda: bank.stored(TERMINAL).get(old["epoch"], 0) >= new["sealed"], 180, "every batch in the store")
        assert set(bank.stored(TERMINAL)) == {old["epoch"]}, "one stream, without a beginning anew"

        upgraded = figures(tree)
        tree.call(*AUTOMATIC, f"/packages/{older.agent}")
        assert version(tree, "tillwatch-agent").startswith("0.0.9")
        until(lambda: bank.stored(TERMINAL)[old["epoch"]] > upgraded["sealed"], 60, "a batch of the older agent")
        assert figures(tree)["lost_readings"] == 0

        # A spool that the older agent does not know: no downgrade to it, and what is there goes on.
        tree.call(*AUTOMATIC, f"/packages/{debs.agent}")
        tree.call("systemctl", "stop", AGENT)
        schema(tree, "PRAGMA user_version = 99")
        refused = tree.call(*AUTOMATIC, f"/packages/{older.agent}", check=False)
        assert refused.returncode != 0
        assert "was written by a newer version and has schema 99" in refused.stderr
        assert "Nothing was changed." in refused.stderr
        assert version(tree, "tillwatch-agent").startswith("0.1.0")
        assert tree.call("dpkg", "--verify", "tillwatch-agent").stdout.splitlines() in (
            [],
            ["??5?????? c /etc/tillwatch/agent.toml"],
        )
        tree.call("systemctl", "stop", AGENT)
        schema(tree, f"PRAGMA user_version = {upgraded_schema()}")
        tree.call("systemctl", "start", AGENT)
        last = figures(tree)
        assert (last["epoch"], last["lost_readings"]) == (old["epoch"], 0)


def test_collector_from_installation_to_purge(tree: Tree, debs: Debs, older: Debs, packages: Path) -> None:
    with tree.booted(packages, network=False):
        before, people = tree.files(), accounts(tree)
        tree.call(*AUTOMATIC, f"/packages/{older.collector}")
        for unit in (COLLECTOR, CONSOLE):
            until(lambda unit=unit: tree.status(unit, "ActiveState")["ActiveState"] == "active", 60, unit)
        assert tree.status("tillwatch-watchdog.service", "UnitFileState")["UnitFileState"] == "disabled"
        authority = tree.folder / "var/lib/tillwatch-collector/authority"
        keys = {authority / name: (authority / name).read_bytes() for name in ("ack.seed", "ca.key", "ca.pem")}

        tree.call(*AUTOMATIC, f"/packages/{debs.collector}")
        until(lambda: tree.status(COLLECTOR, "ActiveState")["ActiveState"] == "active", 90, COLLECTOR)
        assert {path: path.read_bytes() for path in keys} == keys
        page = "import urllib.request as request; print(request.urlopen('http://127.0.0.1:8080/', timeout=60).status)"
        until(lambda: tree.call("python3", "-I", "-c", page, check=False).stdout == "200\n", 90, "the console's page")
        for unit in (COLLECTOR, CONSOLE):
            assert tree.status(unit, "NRestarts")["NRestarts"] == "0"
        said = tree.call(*AS_COLLECTOR, "tillwatch-collector", "doctor", "--json", check=False).stdout
        assert [row for row in json.loads(said) if row["state"] == "fail"] == []

        refused = tree.call(*AUTOMATIC, f"/packages/{older.collector}", check=False)
        assert refused.returncode != 0
        assert "was written by a newer version" in refused.stderr
        assert version(tree, "tillwatch-collector").startswith("0.1.0")
        assert tree.call("dpkg", "--verify", "tillwatch-collector").stdout == ""
        until(lambda: tree.status(COLLECTOR, "ActiveState")["ActiveState"] == "active", 90, COLLECTOR)

        tree.call("dpkg", "--purge", "tillwatch-collector")
        assert tree.files() - before == set()
        assert before - tree.files() == set()
        assert accounts(tree) == people
        assert tree.named("tillwatch") == set()


def enrol(tree: Tree, bank: Bank, *user: str) -> None:
    said = tree.call(*user, "tillwatch-agent", "enrol", "-", feed=bank.token(TERMINAL) + "\n").stdout
    assert f"enrolled: terminal {TERMINAL}" in said


def confined(tree: Tree) -> None:
    """What the unit asks for is in force: read from the kernel, not from systemd's own word."""
    process = tree.status(AGENT, "MainPID")["MainPID"]
    lines = (line.split(":", 1) for line in tree.call("cat", f"/proc/{process}/status").stdout.splitlines())
    status = {name: value.split() for name, value in lines}
    user = tree.call("id", "--user", "tillwatch-agent").stdout.strip()
    assert set(status["Uid"]) == {user}
    assert {name: status[name] for name in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp", "Threads")} == {
        "CapEff": ["0" * 16],
        "CapPrm": ["0" * 16],
        "CapBnd": ["0" * 16],
        "NoNewPrivs": ["1"],
        "Seccomp": ["2"],
        "Threads": ["1"],
    }
    limits = tree.call("cat", f"/proc/{process}/limits").stdout
    assert [line.split()[-3:-1] for line in limits.splitlines() if "open files" in line or "core file" in line] == [
        ["0", "0"],
        ["512", "512"],
    ]
    held = {}
    for line in tree.call("cat", f"/proc/{process}/cgroup").stdout.splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(",") if controllers else ["memory", "pids", "cpu"]:
            held.setdefault(name, path)
    if AGENT in held["pids"]:
        assert group(tree, held["pids"], "pids/{}/pids.max", "{}/pids.max") == "32"
        assert group(tree, held["memory"], "memory/{}/memory.limit_in_bytes", "{}/memory.max") == str(96 << 20)
    else:
        print(
            "not in force: MemoryMax=, TasksMax=, CPUQuota=; this machine hands its control groups to no system inside it"
        )
    mounted = tree.call("cat", f"/proc/{process}/mounts").stdout
    root = [line.split()[3].split(",") for line in mounted.splitlines() if line.split()[1] == "/"]
    assert "ro" in root[-1], "nothing outside its state can be written"
    loaded = tree.call("cat", f"/proc/{process}/maps").stdout
    assert "/dist-packages/" not in loaded
    assert "/usr/lib/tillwatch/agent/" in loaded
    listening = tree.call("cat", f"/proc/{process}/net/tcp", f"/proc/{process}/net/tcp6").stdout
    mine = {row.split()[9] for row in listening.splitlines() if len(row.split()) > 9 and row.split()[3] == "0A"}
    sockets = tree.call("sh", "-c", f"ls -l /proc/{process}/fd").stdout
    assert not [inode for inode in mine if f"socket:[{inode}]" in sockets]


def group(tree: Tree, path: str, first: str, second: str) -> str:
    """The value of a control group, of a machine with the first version of them or with the second."""
    files = " ".join(f"/sys/fs/cgroup/{one.format(path.strip('/'))}" for one in (first, second))
    return tree.call("sh", "-c", f"cat {files} 2>/dev/null || true").stdout.strip()


def starts_and_stops(tree: Tree) -> None:
    took, used, ended = [], [], []
    stamps = ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    for _ in range(5):
        tree.call("systemctl", "stop", AGENT)
        left, gone = (
            int(tree.status(AGENT, name)[name])
            for name in ("ActiveExitTimestampMonotonic", "InactiveEnterTimestampMonotonic")
        )
        ended.append((gone - left) / 1e6)
        tree.call("systemctl", "start", AGENT)
        begun, ready = (int(tree.status(AGENT, name)[name]) for name in stamps)
        took.append((ready - begun) / 1e6)
        used.append(processor_time(tree, tree.status(AGENT, "MainPID")["MainPID"]))
        assert tree.status(AGENT, "ExecMainStatus", "Result") == {"ExecMainStatus": "0", "Result": "success"}
    print(f"start-up {min(took):.2f} s of the clock, {min(used):.2f} s of a processor; stop {max(ended):.2f} s")
    assert min(used) <= STARTED_S
    assert max(ended) <= STOPPED_S


def processor_time(tree: Tree, process: str) -> float:
    """Seconds of the process and of what it has waited for: utime, stime, cutime, cstime of proc(5)."""
    fields = tree.call("cat", f"/proc/{process}/stat").stdout.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def figures(tree: Tree) -> Any:
    """As the service's user: a reader leaves locks beside the database."""
    return json.loads(tree.call(*AS_AGENT, "tillwatch-agent", "show", "--json").stdout).get(
        "spool", {"stored": 0, "waiting": 0, "sealed": 0}
    )


def schema(tree: Tree, statement: str) -> None:
    code = f"import sqlite3; sqlite3.connect('/var/lib/tillwatch-agent/spool.db').execute('{statement}')"
    tree.call(*AS_AGENT, "python3", "-I", "-c", code)


def upgraded_schema() -> int:
    from tillwatch.agent.spool_file import SCHEMA_VERSION

    return SCHEMA_VERSION


def version(tree: Tree, package: str) -> str:
    return tree.call("dpkg-query", "--show", "--showformat=${Version}", package).stdout


def accounts(tree: Tree) -> list[str]:
    return [(tree.folder / "etc" / name).read_text() for name in ("passwd", "group", "shadow")]
