"""The frozen agent of packaging/windows/tillwatch-agent.spec, built and started here: the same list of modules and files, another system. What Windows adds to it (the
service, its libraries) is not shown by this.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = ROOT / "packaging" / "windows" / "tillwatch-agent.spec"
FOLDERS = ("agent", "collector", "device_profiles", "firmware_shims")
LARGEST = 25 << 20
"""Bytes of the compressed folder: what travels to a terminal over a branch's line."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(900), pytest.mark.skipif(sys.platform != "linux", reason="Linux")]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """Out of a wheel, as the spec demands."""
    place = tmp_path_factory.mktemp("frozen")
    tree, site = place / "tree", place / "site"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    done(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", place, tree)
    (wheel,) = place.glob("tillwatch-*.whl")
    done(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel)
    # Before everything else: an editable install of the checkout would hide the wheel.
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    build = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "WARN"]
    done(*build, "--distpath", place / "dist", "--workpath", place / "work", SPEC, PYTHONPATH=path)
    return place / "dist" / "tillwatch-agent" / "tillwatch-agent"


def done(*command, **environment):
    said = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, **environment},
    )
    assert said.returncode == 0, said.stdout[-2_000:] + said.stderr[-4_000:]
    return said.stdout


def asked(frozen, *arguments):
    """As on a terminal that has no Python: nothing of this one's environment."""
    said = subprocess.run(
        [frozen, *arguments], capture_output=True, text=True, check=False, timeout=120, env={"PATH": "/usr/bin"}
    )
    return said.returncode, said.stdout, said.stderr


def test_it_says_its_version(frozen):
    code, said, _ = asked(frozen, "--version")
    assert code == 0
    assert re.fullmatch(r"tillwatch-agent \d+\.\d+\S*\n", said)


def test_every_command_explains_itself(frozen):
    code, said, _ = asked(frozen, "--help")
    assert code == 0
    for command in (
        "try",
        "lint",
        "walk",
        "record",
        "selftest",
        "smart",
        "bundle",
        "service",
        "decode",
        "enrol",
        "rotate",
    ):
        assert command in said
        assert asked(frozen, command, "--help")[0] == 0


def test_it_reads_a_recorded_device(frozen):
    code, said, wrong = asked(frozen, "try", ROOT / "tests" / "recordings" / "apc.snmprec")
    assert code == 0, wrong
    assert "ups.battery.charge" in said


def test_its_dialogues_and_profiles_are_all_there(frozen):
    code, said, wrong = asked(frozen, "selftest")
    assert code == 0, said[-2_000:] + wrong


def test_doctor_looks_at_everything(frozen, tmp_path):
    code, said, _ = asked(frozen, "doctor", "--json", "--state-dir", tmp_path)
    found = {finding["check"]: finding for finding in json.loads(said)}
    assert code == 1
    assert found["identity"]["result"] == "fail"
    assert found["source host"]["result"] == "ok"  # profiles were compiled, by a process of its own


def test_a_service_is_for_windows(frozen):
    code, _, wrong = asked(frozen, "service", "status")
    assert (code, "is for Windows" in wrong) == (2, True)


def test_only_modules_of_the_project_are_run(frozen):
    code, _, wrong = asked(frozen, "-P", "-m", "timeit")
    assert code == 2
    assert "usage: tillwatch-agent" in wrong


def test_it_runs_and_stops(frozen, tmp_path):
    from tillwatch.agent import identity

    state = tmp_path / "state"
    mqtt = {"host": "127.0.0.1", "port": 9, "tls": False}
    reply = {
        "terminal": "atm-1",
        "branch": "b",
        "region": "r",
        "ack_keys": [base64.b64encode(bytes(32)).decode()],
        "mqtt": mqtt,
    }
    identity.save(state, reply, {identity.SEED: os.urandom(32)})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(60)
        child = subprocess.Popen(
            [frozen, "run", "--state-dir", state],
            env={"PATH": "/usr/bin", "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stderr=subprocess.DEVNULL,
        )
        try:
            while told.recv(100) != b"READY=1":
                pass
            child.terminate()
            assert child.wait(60) == 0
        finally:
            child.kill()
            child.wait()
    assert (state / identity.SPOOL).stat().st_size > 0


def test_it_carries_nothing_of_the_collector_and_is_small(frozen):
    viewer = [sys.executable, "-m", "PyInstaller.utils.cliutils.archive_viewer", "--list", "--recursive", frozen]
    listed = done(*viewer)
    assert "'tillwatch.agent.service'" in listed
    for name in ("tillwatch.collector", "fastapi", "nicegui", "sklearn", "numpy", "tkinter", "unittest"):
        assert f"'{name}" not in listed, name
        assert not list(frozen.parent.rglob(f"{name}*"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in frozen.parent.rglob("*"):
            if path.is_file():
                archive.write(path, path.relative_to(frozen.parent))
    assert len(packed.getvalue()) <= LARGEST
