"""The environment that a package carries: the locked wheels, checked by their hashes, and the project's own folders, without what no program
reads at run time. Files of the wheels are not changed, but for debugging symbols, which are most of their native code.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

STRAY = ("bin", "examples", "share", "test", "testing", "tests")
"""What wheels leave beside their packages: their own programs and tests, which belong to nobody once several wheels share a folder."""
UNUSED_FOLDERS = ("test", "tests", "__pycache__")
"""Wherever they stand: tests of libraries, which need test libraries."""
UNUSED_SUFFIXES = (
    *(".a", ".c", ".cpp", ".f", ".f90", ".h", ".hpp", ".pxd", ".pxi", ".pyx", ".tp"),  # to compile against a library
    *(
        ".pyi",
        ".pyc",
    ),  # types for checkers; bytecode is made where the package is installed, by the interpreter that is there
)
UNUSED_FILES = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")
"""Of *.dist-info, for pip alone; METADATA, licences, entry points and the libraries' own SBOMs stay."""
PLATFORMS = (
    "manylinux_2_34",
    "manylinux_2_28",
    "manylinux_2_17",
    "manylinux2014",
    "manylinux_2_12",
    "manylinux_2_5",
    "manylinux1",
)
"""C libraries that wheels may be made for, whatever the machine of the build has: Debian 12 has glibc 2.36."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's name of an architecture -> the wheels'."""


class BuildError(Exception):
    """The text says what is missing or wrong and what to do."""


def fill(site: Path, root: Path, lock: Path, folders: Iterable[str], version: str, architecture: str) -> None:
    """Fill the folder `site`, which is made: the wheels of `lock`, then `folders` of the project at `root` as tillwatch.*."""
    install(lock, site, architecture)
    prune(site)
    strip(site)
    for folder in folders:
        shutil.copytree(root / folder, site / "tillwatch" / folder, ignore=shutil.ignore_patterns("__pycache__"))
    own = site / f"tillwatch-{version}.dist-info"
    own.mkdir()
    (own / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: tillwatch\nVersion: {version}\nLicense-Expression: Apache-2.0\n", "utf-8"
    )


def install(lock: Path, site: Path, architecture: str) -> None:
    """Wheels only, and none whose hash is not in the lock. Markers of the lock are read for the interpreter that runs this."""
    major, minor = sys.version_info[:2]
    platforms = (f"--platform={platform}_{MACHINES[architecture]}" for platform in PLATFORMS)
    target = (f"--python-version={major}.{minor}", "--implementation=cp", *platforms)
    done = subprocess.run(
        (sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps", "--no-compile", "--require-hashes", "--only-binary=:all:", *target, f"--target={site}", "--requirement", lock),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise BuildError(f"pip could not install what {lock} names:\n{done.stderr.strip()}")


def prune(site: Path) -> None:
    for name in STRAY:
        shutil.rmtree(site / name, ignore_errors=True)
    for path in sorted(site.rglob("*"), reverse=True):
        if path.is_dir():
            if path.name in UNUSED_FOLDERS:
                shutil.rmtree(path)
            elif not any(path.iterdir()):
                path.rmdir()
        elif (
            path.suffix in UNUSED_SUFFIXES
            or path.name == ".DS_Store"
            or (path.name in UNUSED_FILES and path.parent.suffix == ".dist-info")
        ):
            path.unlink()


def strip(site: Path) -> None:
    """Not the libraries of *.libs: they are laid out anew for their wheel, which strip of some versions spoils."""
    objects = [path for path in sorted(site.rglob("*.so*")) if path.is_file() and path.parent.suffix != ".libs"]
    if objects:
        subprocess.run(("strip", "--strip-unneeded", "--", *objects), check=True)


def distributions(site: Path) -> list[Path]:
    """The *.dist-info of `site`, by name."""
    return sorted(site.glob("*.dist-info"), key=lambda path: path.name.lower())
