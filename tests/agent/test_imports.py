"""What the resident agent may import: memory on a terminal, and Windows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tillwatch.agent.service as service_module
from tillwatch.agent.deferred import UNUSED
from tillwatch.agent.prepared import HANDED_OVER

AGENT = Path(service_module.__file__).parent
MODULES = sorted(
    "tillwatch.agent." + ".".join(path.relative_to(AGENT).with_suffix("").parts)
    for path in AGENT.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py", "enrol.py")
)
POSIX_ONLY = ("fcntl", "termios", "tty", "pty", "pwd", "grp", "resource", "syslog", "crypt", "spwd", "posix_ipc")
HEAVY = (
    "argparse",
    "concurrent.futures.thread",
    "cryptography",
    "difflib",
    "email",
    "encodings.idna",
    "gettext",
    "gufo",
    "hashlib",
    "http.client",
    "multiprocessing",
    "pysnmp",
    "serial",
    "tillwatch.agent.command_line",
    "tillwatch.agent.config",
    "tillwatch.agent.tables",
    "tillwatch.agent.windows",
    "tillwatch.agent.write_filter",
    "tillwatch.device_profiles.compiled",
    "tillwatch.device_profiles.model",
    "tomllib",
    "unicodedata",
    "wsproto",
    "xml",
    "yaml",
)


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


SAYS_WHAT_IT_LOADED = """
import atexit, os, sys
if "{variable}" in os.environ:
    atexit.register(lambda: print("LOADED", *(n for n, m in sys.modules.items() if "__getattr__" not in vars(m)), file=sys.stderr))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one process prepares and stays")
@pytest.mark.parametrize("more", ["", "[bundles]\nenabled = true\n"], ids=["by default", "with bundles"])
async def test_the_resident_process_has_loaded_nothing_heavy(collector, until, tmp_path, more):
    """psutil stands for itself: the machine is read by default."""
    (tmp_path / "sitecustomize.py").write_text(SAYS_WHAT_IT_LOADED.format(variable=HANDED_OVER))
    (tmp_path / "agent.toml").write_text(
        '[terminal]\nstate_dir = "state"\n[sampling]\nfast = "0.5s"\nnormal = "0.5s"\nseal = "0.5s"\n' + more
    )
    log = tmp_path / "log"
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with log.open("w") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "tillwatch.agent", "run", "--config", tmp_path / "agent.toml"],
            stderr=file,
            env={**os.environ, "PYTHONPATH": path},
        )
    try:
        await until(lambda: len(collector.stored) >= 3, 60)
        child.terminate()
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
    loaded = next(line for line in log.read_text().splitlines() if line.startswith("LOADED")).split()
    assert "tillwatch.agent.service" in loaded
    # An editable install is found by a hook that loads modules before anything else runs.
    told = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not [name for name in (*HEAVY, *UNUSED) if name in loaded and name not in told.stdout.split()]


EACH_ALONE = """
import asyncio, importlib, subprocess, sys, traceback
import psutil, serial
for name in {posix}:
    sys.modules.pop(name, None); sys.modules[name] = None
for module in {modules}:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tillwatch"]:
        del sys.modules[name]
    try:
        importlib.import_module(module)
    except Exception:  # whatever a module raises is its failure: each is named, and the others are tried all the same
        print(module, traceback.format_exc())
"""


def test_no_module_needs_posix_to_import():
    """Nor that another was imported before. psutil, asyncio and subprocess have their own branches for other systems; they are loaded before the
    doors close.
    """
    assert len(MODULES) > 90
    assert python(EACH_ALONE.format(posix=POSIX_ONLY, modules=MODULES)) == ""
