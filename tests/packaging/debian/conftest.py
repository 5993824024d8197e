"""Packages of this state of the project and of the one before there were packages, and a system to install them on; each made once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.packaging.debian.tree import bootstrap

ROOT = Path(__file__).resolve().parents[3]
BUILD = ROOT / "packaging" / "debian" / "build.py"
BEFORE = "84c76170dbeef19a33dabce9848751318e453df4"
"""The last commit before there were packages: store of schema 7, spool of schema 3."""


@dataclass(frozen=True, slots=True)
class Debs:
    """The folder, and the names in it."""

    folder: Path
    agent: str
    collector: str


def build(root: Path, out: Path, *, program: Path = BUILD, **environment: str) -> Debs:
    command = [sys.executable, "-P", program, "--root", root, "--out", out]
    moment = {"SOURCE_DATE_EPOCH": "1795367561"}
    done = subprocess.run(
        command, env={**os.environ, **moment, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    names = {path.name.partition("_")[0]: path.name for path in out.glob("*.deb")}
    return Debs(out, names["tillwatch-agent"], names["tillwatch-collector"])


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> Debs:
    return build(ROOT, tmp_path_factory.mktemp("debs"))


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Debs:
    """The project as it was, as version 0.0.9."""
    past = tmp_path_factory.mktemp("past")
    if subprocess.run(("git", "cat-file", "-e", BEFORE), cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("the history of the project is not here")
    archive = subprocess.run(("git", "archive", BEFORE), cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(("tar", "-x", "-C", past), input=archive, check=True)
    project = past / "pyproject.toml"
    text = project.read_text("utf-8")
    assert text.count('version = "0.1.0"') == 1
    project.write_text(text.replace('version = "0.1.0"', 'version = "0.0.9"'), "utf-8")
    return build(past, tmp_path_factory.mktemp("older"))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Debian 12, to be copied."""
    if os.geteuid():
        pytest.skip("debootstrap and systemd-nspawn need root")
    folder = tmp_path_factory.mktemp("base") / "bookworm"
    bootstrap(folder, "bookworm")
    return folder
