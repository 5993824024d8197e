"""What the resident agent may import: memory on a terminal, and Windows."""

import subprocess
import sys
from pathlib import Path

import pytest

import tillwatch.agent.service as service_module

AGENT = Path(service_module.__file__).parent
MODULES = sorted(
    "tillwatch.agent." + ".".join(path.relative_to(AGENT).with_suffix("").parts)
    for path in AGENT.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py", "enrol.py")
)
POSIX_ONLY = ("fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "syslog", "crypt", "spwd", "posix_ipc")
HEAVY = (
    "yaml",
    "cryptography",
    "pysnmp",
    "gufo",
    "wsproto",
    "serial",
    "http.client",
    "email",
    "argparse.no",
    "multiprocessing",
    "xml",
)


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_running_agent_imports_nothing_heavy():
    """psutil stands for itself: the machine is read by default."""
    loaded = python(
        "import tillwatch.agent.__main__ as main, sys; main._parser(['run']).parse_args(['run'])\n"
        "import tillwatch.agent.service, tillwatch.agent.sources.system; print(*sys.modules)"
    ).split()
    assert not [name for name in HEAVY if name in loaded]


@pytest.mark.parametrize("module", MODULES)
def test_no_module_needs_posix_to_import(module):
    """psutil, asyncio and subprocess have their own branches for other systems; they are loaded before the doors close."""
    python(
        "import sys, asyncio, subprocess, psutil, serial\n"
        f"for name in {POSIX_ONLY}:\n"
        "    sys.modules.pop(name, None); sys.modules[name] = None\n"
        f"import {module}"
    )
