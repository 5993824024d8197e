"""The three guards that the folder mapping needs: the package list, the types, and the double import.

The wheel is built once from a copy of the tree, so that a build leaves nothing behind in the checkout, and it is judged where a
user meets it: installed in an environment of its own that holds the project's dependencies but not the checkout.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("agent", "collector", "device_profiles", "firmware_shims")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_every_folder_with_python_in_it_is_in_the_package_list() -> None:
    """An editable install finds a new sub-package by itself, the wheel leaves it out: the list is kept by hand."""
    found = {
        f"tillwatch.{'.'.join(module.parent.relative_to(ROOT).parts)}" for module in sources() if module.suffix == ".py"
    }
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    assert found == set(listed)
    assert listed == sorted(listed)
    missing = [name for name in listed if not (ROOT.joinpath(*name.split(".")[1:]) / "__init__.py").is_file()]
    assert missing == []


def test_wheel_holds_every_file_of_the_four_folders_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    expected = {f"tillwatch/{path.relative_to(ROOT).as_posix()}": path.read_bytes() for path in sources()}
    assert sorted(packed) == sorted(expected)
    assert [name for name, content in expected.items() if packed[name] != content] == []


def test_wheel_says_that_it_is_typed(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"tillwatch/{folder}/py.typed" for folder in FOLDERS} <= names


def test_installed_modules_import_and_come_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    """Every module, so that one which the wheel lacks is missed here and not on a terminal."""
    listing = """
import importlib, json, pkgutil, sys
origins = {}
for folder in sys.argv[1:]:
    package = importlib.import_module(f"tillwatch.{folder}")
    origins[package.__name__] = package.__file__
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        origins[found.name] = importlib.import_module(found.name).__file__
print(json.dumps(origins))
"""
    origins = json.loads(run([installed / "bin/python", "-c", listing, *FOLDERS], cwd=tmp_path))
    expected = {module_name(path) for path in sources() if path.suffix == ".py"}
    assert set(origins) == expected
    assert [origin for origin in origins.values() if not Path(origin).is_relative_to(installed)] == []


def test_installed_resources_are_readable(installed: Path, tmp_path: Path) -> None:
    data = [path.relative_to(ROOT) for path in sources() if path.suffix != ".py"]
    reading = """
import hashlib, json, sys
from importlib.resources import files
names = json.loads(sys.argv[1])
print(json.dumps({n: hashlib.sha256(files(f"tillwatch.{n.split('/')[0]}").joinpath(*n.split('/')[1:]).read_bytes()).hexdigest() for n in names}))
"""
    names = [path.as_posix() for path in data]
    read = json.loads(run([installed / "bin/python", "-c", reading, json.dumps(names)], cwd=tmp_path))
    assert read == {path.as_posix(): hashlib.sha256((ROOT / path).read_bytes()).hexdigest() for path in data}


@pytest.mark.parametrize("script", sorted(PYPROJECT["project"]["scripts"]))
def test_installed_entry_point_explains_itself(installed: Path, tmp_path: Path, script: str) -> None:
    said = run([installed / "bin" / script, "--help"], cwd=tmp_path)
    assert script in said
    assert "run" in said


@pytest.mark.parametrize("folder", FOLDERS)
def test_installed_nothing_has_the_bare_folder_name(installed: Path, tmp_path: Path, folder: str) -> None:
    looking = "import importlib.util, sys; print(importlib.util.find_spec(sys.argv[1]))"
    assert run([installed / "bin/python", "-c", looking, folder], cwd=tmp_path).strip() == "None"


def test_types_target_links_each_folder_where_mypy_looks(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for folder in FOLDERS:
        (tmp_path / folder).mkdir()
    for _ in range(2):
        run(["make", "--no-print-directory", "types"], cwd=tmp_path)
    place = tmp_path / PYPROJECT["tool"]["mypy"]["mypy_path"] / "tillwatch"
    assert {link.name: link.resolve() for link in place.iterdir()} == {folder: tmp_path / folder for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS)
def test_linter_refuses_the_bare_folder_name(folder: str) -> None:
    for line in (f"import {folder}", f"from {folder} import model", f"import {folder}.model"):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--no-cache",
            "--select",
            "TID251",
            "--stdin-filename",
            "collector/probe.py",
            "-",
        ]
        done = subprocess.run(ruff, cwd=ROOT, input=line + "\n", capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "TID251" in done.stdout


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_checkout_is_no_import_path(folder: str) -> None:
    """Without -P the same file loads under two names, and its classes are no longer equal to themselves."""
    plain = [sys.executable, "-c", f"import {folder}; print({folder}.__file__)"]
    assert Path(run(plain, cwd=ROOT).strip()).is_relative_to(ROOT), (
        "the trap that this guards against is gone: so is the need for -P"
    )
    safe = subprocess.run(
        [sys.executable, "-P", *plain[1:]],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert safe.returncode == 1
    assert f"No module named '{folder}'" in safe.stderr


def test_make_runs_python_without_the_checkout_on_its_path() -> None:
    recipe = f"probe:\n\t@{sys.executable} -c 'import agent'"
    probe = ["make", "--no-print-directory", f"--eval={recipe}", "probe"]
    done = subprocess.run(probe, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "No module named 'agent'" in done.stderr


def test_tests_of_a_dependency_do_not_hide_these() -> None:
    """`make bench` runs `python -m tests.benchmarks`; in site-packages lies another package of the name."""
    assert Path(run([sys.executable, "-c", "import tests; print(tests.__file__)"], cwd=ROOT).strip()).is_relative_to(
        ROOT
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tree / "dist", tree], cwd=tree)
    (built,) = (tree / "dist").glob("tillwatch-*-py3-none-any.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in a new environment. A .pth lends it the dependencies of this one: site does not read the .pth files that lie
    there in turn, so the editable install of the checkout stays out.
    """
    place = tmp_path_factory.mktemp("installed")
    venv.create(place, symlinks=True)
    python = place / "bin/python"
    run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel],
        cwd=place,
    )
    site = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], cwd=place).strip()
    lent = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    Path(site, "dependencies.pth").write_text("".join(f"{path}\n" for path in sorted(lent)))
    return place


def sources() -> list[Path]:
    """What the four folders hold, bytecode apart."""
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*"))
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("tillwatch", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") and name != "MAKEFLAGS"}


def run(command: Sequence[str | Path], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
