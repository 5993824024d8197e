"""The tutorial does what it says: its commands, as they stand, in a copy of the checkout, against a real snmpd."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "packaging" / "docs" / "new-device.md"
COPIED = ("agent", "device_profiles", "firmware_shims", "tests", "packaging")
BOUND_S = 280
"""For all commands of the page, on a machine that is busy with other tests; alone they take some 25 s. A newcomer's hour is spent with the manual."""


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy, so that the page's own edits stay there, with the commands where an activated environment has them."""
    for program, path in (("snmpd", "/usr/sbin"), ("git", None)):
        assert shutil.which(program, path=path), f"{program} is missing: make packages"
    copy = tmp_path / "checkout"
    for folder in COPIED:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    package = copy / "build" / "types" / "tillwatch"
    package.mkdir(parents=True)
    for folder in ("agent", "device_profiles", "firmware_shims"):
        (package / folder).symlink_to(copy / folder)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, command in (("python", ""), ("tillwatch-agent", "-P -m tillwatch.agent")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        (programs / name).chmod(0o755)
    for arguments in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "as it is")):
        subprocess.run(["git", *arguments], cwd=copy, env=environment(copy), check=True, capture_output=True)
    return copy


def environment(copy: Path) -> dict[str, str]:
    who = {f"GIT_{role}_{what}": "newcomer" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {
        "PATH": f"{copy.parent / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(copy / "build" / "types"),
        "HOME": str(copy.parent),
        "GIT_CONFIG_GLOBAL": os.devnull,
        **who,
    }


@pytest.mark.timeout(300)
def test_a_newcomer_who_follows_the_page_ends_with_a_profile_that_passes(checkout: Path) -> None:
    script = "\n".join(blocks())
    try:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=checkout,
            env=environment(checkout) | {"HOST": f"127.0.0.1:{free_port()}"},
            capture_output=True,
            text=True,
            timeout=BOUND_S,
            check=False,
        )
    finally:
        end_snmpd(checkout / "build" / "new-device" / "snmpd.pid")
    said = done.stdout
    assert done.returncode == 0, said[-3000:] + done.stderr[-3000:]
    assert "no profile fits" in said
    assert "neither is left" in said
    assert "draft of a profile: voltana-s1.yaml\n  lint finds nothing wrong in it" in said
    assert re.search(r"voltana-s1/probe:rack +env\.temperature +23\.0 C +ok", said)
    assert "ok        profile voltana-s1" in said
    assert "0 untested, 0 failed" in said
    kept = (checkout / "tests" / "recordings" / "voltana-s1.snmprec").read_text()
    for secret in ("VT2209A1187", "noc-traps", "10.20.30.40", "ups-branch-17", "Li Wei", "Renmin", "practice-only"):
        assert secret not in kept
    log = subprocess.run(["git", "log", "--stat", "-1"], cwd=checkout, env=environment(checkout), capture_output=True, text=True, check=True)  # fmt: skip
    assert "4 files changed" in log.stdout


def end_snmpd(pid_file: Path) -> None:
    """Where the page did not come to its last command."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    if Path(f"/proc/{pid}/comm").exists() and Path(f"/proc/{pid}/comm").read_text().strip() == "snmpd":
        os.kill(pid, 15)


def test_the_page_is_linked_and_its_commands_exist() -> None:
    assert "packaging/docs/new-device.md" in (ROOT / "README.md").read_text("utf-8")
    assert len(blocks()) >= 8
