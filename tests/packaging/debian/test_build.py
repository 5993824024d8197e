"""The packages as files: small, of their own lock alone, without an error of lintian, and the same bytes wherever and whenever they are built."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.packaging.debian.conftest import BUILD, ROOT, Debs, build

LOCKS = ROOT / "packaging" / "locks"
SCRIPTS = ROOT / "packaging" / "debian" / "scripts"
MAX_AGENT = 25 << 20
"""Bytes of the agent's package, and of what it installs."""

long = pytest.mark.long


@pytest.fixture(scope="module")
def program() -> dict[str, object]:
    return runpy.run_path(str(BUILD))


def locked(name: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", (LOCKS / f"{name}.txt").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", ["agent", "collector"])
def test_every_line_of_a_lock_has_hashes(name: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", (LOCKS / f"{name}.txt").read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert entries
    assert [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", ["agent", "collector"])
def test_lock_holds_what_the_project_asks_for(name: str) -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = (*project["dependencies"], *project["optional-dependencies"][name])
    wanted = {re.split(r"[><=;\[ ]", one)[0].lower().replace("_", "-") for one in asked}
    assert wanted - locked(name) == set(), "run: make locks"


def test_the_agent_locks_nothing_that_it_does_not_need() -> None:
    """The collector's heavy parts by name, so that a dependency between libraries cannot bring them in unseen."""
    assert (
        locked("agent") & {"numpy", "scipy", "scikit-learn", "fastapi", "nicegui", "amqtt", "uvicorn", "jinja2"}
        == set()
    )


def test_no_word_of_a_script_stays_unfilled(program: dict[str, object]) -> None:
    text = "".join(path.read_text("utf-8") for path in SCRIPTS.iterdir())
    words = set(re.findall(r"@([A-Z_]+)@", text))
    assert words
    source = BUILD.read_text("utf-8")
    assert {word for word in words if f'"{word}":' not in source} == set()


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.iterdir()))
def test_scripts_are_sound_for_sh(script: str) -> None:
    done = subprocess.run(("sh", "-n", SCRIPTS / script), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_unit_and_user_belongs_to_one_package(program: dict[str, object]) -> None:
    packages = (program["AGENT"], program["COLLECTOR"])
    folder = ROOT / "packaging" / "systemd"
    shipped = sorted(unit for one in packages for unit in (*one.units, *one.optional))
    assert shipped == sorted(path.name for path in folder.glob("*.service"))
    assert sorted(user for one in packages for user in one.users) == sorted(
        path.stem for path in folder.glob("*.sysusers")
    )
    assert sorted(name for one in packages for name in one.dropins) == sorted(
        path.name for path in folder.glob("*.conf")
    )


def test_another_python_is_refused_with_the_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = runpy.run_path(str(BUILD))
    monkeypatch.setitem(module["prepare"].__globals__, "RELEASES", {})
    with pytest.raises(module["BuildError"], match="made by the Python of their release"):
        module["prepare"](ROOT, tmp_path)


@long
@pytest.mark.timeout(1800)
def test_agent_is_small_and_carries_its_own_lock_alone(debs: Debs, tmp_path: Path) -> None:
    package = debs.folder / debs.agent
    assert package.stat().st_size <= MAX_AGENT
    subprocess.run(("dpkg-deb", "-x", package, tmp_path), check=True)
    assert sum(path.lstat().st_size for path in tmp_path.rglob("*") if not path.is_dir()) <= MAX_AGENT
    (site,) = (tmp_path / "usr/lib/tillwatch/agent/lib").glob("python*/site-packages")
    found = {
        HeaderParser().parsestr((folder / "METADATA").read_text("utf-8"))["Name"].lower().replace("_", "-")
        for folder in site.glob("*.dist-info")
    }
    assert found - {"tillwatch"} <= locked("agent")
    assert {path.name for path in (site / "tillwatch").iterdir()} == {"agent", "device_profiles", "firmware_shims"}
    assert not [
        path for path in site.rglob("*") if path.suffix in {".pyc", ".h", ".pyx", ".pyi"} or path.name == "tests"
    ]


@long
@pytest.mark.timeout(1800)
def test_packages_hold_no_error_of_lintian(debs: Debs) -> None:
    packages = (debs.folder / debs.agent, debs.folder / debs.collector)
    done = subprocess.run(("lintian", "--fail-on=error", *packages), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "unused-override" not in done.stdout


@long
@pytest.mark.timeout(3600)
def test_built_elsewhere_and_later_they_are_the_same_bytes(debs: Debs, tmp_path: Path) -> None:
    """In another folder, with another umask, time zone and language, from files with other times."""
    elsewhere = tmp_path / "a folder elsewhere"
    for name in ("agent", "collector", "device_profiles", "firmware_shims", "packaging"):
        shutil.copytree(
            ROOT / name, elsewhere / name, ignore=shutil.ignore_patterns("__pycache__"), copy_function=shutil.copy
        )
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, elsewhere)
    before = os.umask(0o077)
    try:
        again = build(
            elsewhere,
            tmp_path / "out",
            program=elsewhere / BUILD.relative_to(ROOT),
            TZ="Asia/Shanghai",
            LC_ALL="C",
            COLUMNS="40",
        )
    finally:
        os.umask(before)
    for name in (debs.agent, debs.collector):
        assert (debs.folder / name).read_bytes() == (again.folder / name).read_bytes(), name


@pytest.mark.parametrize("program_name", ["tillwatch-agent", "tillwatch-collector"])
def test_manual_and_completion_name_every_command(program_name: str) -> None:
    manual = ROOT / "packaging" / "debian" / "manual.py"
    site = ROOT / "build" / "types"
    if not site.exists():
        pytest.skip("make types has not run")
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "0"}
    said = {
        kind: subprocess.run(
            (sys.executable, manual, site, program_name, kind),
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for kind in ("page", "completion")
    }
    shown = subprocess.run(
        (sys.executable, "-P", "-m", program_name.replace("-", "."), "--help"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    commands = set(re.findall(r"^\.SS (\S+)$", said["page"].replace("\\-", "-"), re.MULTILINE))
    assert {"run", "doctor"} <= commands
    assert {name for name in commands if not re.search(rf"\b{name}\b", shown)} == set()
    assert {name for name in commands if f"        {name}) words=" not in said["completion"]} == set()
    checked = subprocess.run(("bash", "-n"), input=said["completion"], text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    typed = f"{said['completion']}\nCOMP_WORDS=({program_name} doc) COMP_CWORD=1; _{program_name.replace('-', '_')}; echo ${{COMPREPLY[@]}}"
    assert subprocess.run(("bash", "-c", typed), capture_output=True, text=True, check=True).stdout.split() == [
        "doctor"
    ]
