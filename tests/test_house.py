"""Rules that keep the house in order where no linter looks. Each names the offender and what to do instead."""

from __future__ import annotations

import ast
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agent", "collector", "device_profiles", "firmware_shims")
FOLDERS = (*PACKAGES, "tests", "packaging", ".ci")
TEXT = {
    "",
    ".py",
    ".md",
    ".toml",
    ".yaml",
    ".sql",
    ".json",
    ".service",
    ".sysusers",
    ".conf",
    ".txt",
    ".snmprec",
    ".sh",
}

RECORDED = {"recordings", "transcripts", "golden"}
"""What devices said is theirs."""

CATCH_ALL = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc|stuff)$|(Utils?|Helpers?|Manager)$")
MACHINE_PATH = re.compile(r"(?<![\w.)}\]-])/(home|Users|root|work|mnt|media|srv|opt)/\w|[A-Z]:\\\\?Users\\")
MARKER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|^(<<<<<<<|>>>>>>>) ", re.MULTILINE)

MAX_LINES = 500
"""Past some 400 lines a file usually holds two rooms."""
LONG: dict[str, str] = {}

MAY_PRINT = frozenset(
    {
        "agent/commands.py",
        "agent/decode.py",
        "agent/doctor.py",
        "agent/enrolment/image.py",
        "agent/lint.py",
        "agent/record.py",
        "agent/selftest.py",
        "agent/walk.py",
        "agent/enrolment/rotate.py",
        "agent/show.py",
        "agent/smart_file.py",
        "agent/trial.py",
        "agent/windows/command.py",
        "collector/proof/evidence.py",
        "collector/figures/command.py",
        "collector/commands/alarm_commands.py",
        "collector/commands/asset_commands.py",
        "collector/commands/authority_command.py",
        "collector/commands/backtest_command.py",
        "collector/commands/correction_commands.py",
        "collector/commands/diagnose_command.py",
        "collector/commands/enrol_commands.py",
        "collector/commands/expect_commands.py",
        "collector/commands/export_command.py",
        "collector/commands/handling_commands.py",
        "collector/commands/identity_commands.py",
        "collector/commands/incident_commands.py",
        "collector/commands/lifetimes_command.py",
        "collector/commands/maintenance_commands.py",
        "collector/commands/move_command.py",
        "collector/commands/output.py",
        "collector/commands/people_commands.py",
        "collector/commands/prediction_commands.py",
        "collector/commands/progress.py",
        "collector/commands/rollout_commands.py",
        "collector/commands/route_commands.py",
        "collector/commands/ticket_commands.py",
        "collector/commands/train_command.py",
        "collector/commands/service_commands.py",
        "collector/commands/terminal_commands.py",
        "collector/commands/recovery.py",
        "collector/watch/commands.py",
        "collector/fleet_load/command.py",
        "collector/simulate/command.py",
    }
)
"""Modules beside `__main__.py`, and outside a function `main`, that speak to a person at a command line."""

POSIX_ONLY = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
NOT_RESIDENT = ("yaml", "cryptography", "pysnmp", "email", "http.client")
"""What the running agent has no use for; each costs 1 to 7 MiB of the 30."""

FRAGMENT = re.compile(r"[0-9]+\.(added|changed|fixed|removed|security)\.md")


def files(*folders: str) -> list[Path]:
    found = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def modules() -> list[Path]:
    return [path for path in files(*PACKAGES) if path.suffix == ".py"]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_catch_all_names() -> None:
    """Such a file takes in whatever nobody found a name for. Name the thing that it is about."""
    paths = {
        part
        for path in files(*FOLDERS)
        for part in path.relative_to(ROOT).parts
        if CATCH_ALL.search(part.partition(".")[0])
    }
    classes = {
        f"{name(path)}: {node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and CATCH_ALL.search(node.name)
    }
    assert paths | classes == set()


def test_no_module_holds_two_rooms() -> None:
    long = {name(path) for path in modules() if path.read_text("utf-8").count("\n") > MAX_LINES}
    assert long == set(LONG), (
        f"over {MAX_LINES} lines: split it, or give the reason in LONG; take out of LONG what was split"
    )


def test_every_module_says_what_it_promises() -> None:
    silent = [name(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert silent == []


def test_every_protocol_states_its_contract() -> None:
    """Who calls it, when, from which task, what it raises: no signature says that."""
    silent = [
        f"{name(path)}: {node.name}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases)
        and not ast.get_docstring(node)
    ]
    assert silent == []


def test_only_commands_print() -> None:
    """A service logs. What is printed there ends where nobody reads it, and blocks when the pipe is full."""
    printing = {
        f"{name(path)}:{line}"
        for path in modules()
        if path.name != "__main__.py" and name(path) not in MAY_PRINT
        for line in prints(path)
    }
    assert printing == set()


def prints(path: Path) -> Iterator[int]:
    tree = ast.parse(path.read_text("utf-8"))
    commands = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    allowed = {id(node) for command in commands for node in ast.walk(command)}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
            and id(node) not in allowed
        ):
            yield node.lineno


@pytest.mark.parametrize(
    ("pattern", "mend"),
    [(MACHINE_PATH, "a path of one person's machine"), (MARKER, "work that is left belongs in the tracker")],
    ids=["machine paths", "markers"],
)
def test_no_traces_of_the_workshop(pattern: re.Pattern[str], mend: str) -> None:
    top = [
        path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".git") and path.suffix in TEXT
    ]
    written = [path for path in files(*FOLDERS) if not RECORDED & set(path.parts)]
    read = [path for path in [*top, *written] if path.suffix in TEXT and path != Path(__file__)]
    found = {
        f"{name(path)}: {match[0]!r}"
        for path in read
        for match in pattern.finditer(path.read_text("utf-8", errors="replace"))
    }
    assert found == set(), mend


def test_agent_imports_without_posix() -> None:
    """Most ATMs run Windows. Only the project's own imports are held to this: libraries choose by platform themselves."""
    program = """
import builtins, importlib, pkgutil, sys
blocked, imported = set(sys.argv[1].split(",")), builtins.__import__
def guard(name, globals=None, locals=None, fromlist=(), level=0):
    if name.partition(".")[0] in blocked and (globals or {}).get("__name__", "").startswith("tillwatch."):
        raise ImportError(f"{globals['__name__']} imports {name}, which Windows does not have: import it in the function that needs it")
    return imported(name, globals, locals, fromlist, level)
builtins.__import__ = guard
for folder in ("device_profiles", "firmware_shims", "agent"):
    package = importlib.import_module(f"tillwatch.{folder}")
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(found.name)
        print(found.name)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, ",".join(POSIX_ONLY)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    import tillwatch.agent

    expected = {f"tillwatch.agent.{found.name}" for found in pkgutil.iter_modules(tillwatch.agent.__path__)}
    assert expected <= set(done.stdout.split())


def test_running_agent_carries_no_dead_weight() -> None:
    program = (
        "import sys, tillwatch.agent.service; print(*(name for name in sys.argv[1].split(',') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program, ",".join(NOT_RESIDENT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_readme_names_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {target for block in readme_code() for target in re.findall(r"\bmake ([a-z][a-z-]*)", block)}
    assert {"demo", "test", "bench"} <= named
    assert named <= targets


@pytest.mark.parametrize(
    "script", sorted(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"])
)
def test_readme_names_commands_that_exist(script: str) -> None:
    named = {command for block in readme_code() for command in re.findall(rf"\b{script} ([a-z][a-z-]*)", block)}
    package = script.replace("tillwatch-", "tillwatch.")
    done = subprocess.run(
        [sys.executable, "-P", "-m", package, "--help"], env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "run" in named
    assert {command for command in named if not re.search(rf"\b{command}\b", done.stdout)} == set()


def test_readme_shows_folders_that_exist() -> None:
    shown = set(re.findall(r"^\| `([\w./-]+)/` \|", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE))
    assert set(PACKAGES) <= shown
    assert {folder for folder in shown if not (ROOT / folder).is_dir()} == set()


def test_changelog_fragments_are_named_for_what_they_are() -> None:
    """`packaging/changelog.d/README.md` has the convention."""
    fragments = [path for path in files("packaging/changelog.d") if path.name != "README.md"]
    assert fragments
    assert [path.name for path in fragments if not FRAGMENT.fullmatch(path.name)] == []
    assert [path.name for path in fragments if not path.read_text("utf-8").strip()] == []


def readme_code() -> list[str]:
    """Fenced blocks and inline code."""
    text = (ROOT / "README.md").read_text("utf-8")
    return re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL) + re.findall(r"`([^`\n]+)`", text)
