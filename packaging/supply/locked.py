"""What goes into a package, read from its lock and from the metadata of exactly those wheels: names, versions, hashes, licences as their
authors say them, licence texts, and the native libraries that a wheel brings along.

A tree of wheels is made from the lock the way the Debian packages make theirs (packaging/debian/bundle.py), hashes checked.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "packaging" / "debian"))
from bundle import BuildError, install  # noqa: E402 - beside the Debian packages, which are built of the same wheels

TREES = ("agent", "collector")
BUILT = ROOT / "build" / "supply"
LICENCE_FILE = re.compile(r"(licen[cs]e|copying|notice|authors)", re.IGNORECASE)
OWN = "tillwatch"


class SupplyError(Exception):
    """The text says what does not fit and what to do."""


@dataclass(frozen=True, slots=True)
class Locked:
    """One pin. hashes: SHA-256 of every file that may stand for it; needed_by: names of the pins, `tillwatch` for the project itself."""

    name: str
    version: str
    hashes: tuple[str, ...]
    needed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A pin as it was installed. about: its METADATA; texts: its licence files; natives: the shared libraries of its NAME.libs, which are
    other people's work; boms: SBOMs that its authors put in.
    """

    pin: Locked
    about: Message
    texts: tuple[Path, ...]
    natives: tuple[Path, ...]
    boms: tuple[Path, ...]


def read_lock(path: Path) -> list[Locked]:
    """The pins of a lock of `uv pip compile --generate-hashes` that hold for this Python on this platform. Raises SupplyError."""
    pins = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", path.read_text("utf-8")):
        if not re.match(r"[A-Za-z0-9]", block):
            continue
        requirement = Requirement(re.split(r"[\\#\n]", block, maxsplit=1)[0].strip())
        pinned = re.fullmatch(r"==([^,*]+)", str(requirement.specifier))
        hashes = tuple(sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", block)))
        if pinned is None or not hashes:
            raise SupplyError(f"{path}: {requirement.name} is not pinned to one version with hashes: make locks")
        if requirement.marker is None or requirement.marker.evaluate():
            said = re.findall(r"^ +#(?: via)? +([\w.-]+)", block, re.MULTILINE)
            needed_by = tuple(sorted({canonicalize_name(name) for name in said} - {"via"}))
            pins.append(Locked(canonicalize_name(requirement.name), pinned[1], hashes, needed_by))
    return pins


def parts(lock: Path, site: Path) -> list[Part]:
    """Every pin of the lock with what the folder `site` has of it. Raises SupplyError where the two differ."""
    found = {}
    for folder in sorted(site.glob("*.dist-info")):
        about = HeaderParser().parsestr((folder / "METADATA").read_text("utf-8"))
        found[canonicalize_name(about["Name"])] = (folder, about)
    whole = []
    for pin in read_lock(lock):
        folder, about = found.pop(pin.name, (None, None))
        if folder is None or about is None or about["Version"] != pin.version:
            has = "nothing" if about is None else about["Version"]
            raise SupplyError(
                f"{site}: the lock says {pin.name} {pin.version}, here is {has}: remove the folder and run this again"
            )
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        whole.append(
            Part(
                pin,
                about,
                tuple(path for path in files if LICENCE_FILE.search(path.name)),
                tuple(sorted((site / f"{folder.name.partition('-')[0]}.libs").glob("*"))),
                tuple(path for path in files if path.parent.name == "sboms" and path.suffix == ".json"),
            )
        )
    strays = found.keys() - {OWN}
    if strays:
        raise SupplyError(f"{site} has what no lock names: {', '.join(sorted(strays))}")
    return whole


def site_of(tree: str) -> Path:
    """The folder of the wheels of packaging/locks/TREE.txt; made anew when the lock has changed. Raises SupplyError."""
    lock, site = ROOT / "packaging/locks" / f"{tree}.txt", BUILT / tree
    mark = BUILT / f"{tree}.lock.sha256"
    digest = sha256(lock)
    if not mark.exists() or mark.read_text("utf-8") != digest:
        shutil.rmtree(site, ignore_errors=True)
        site.mkdir(parents=True)
        architecture = subprocess.run(("dpkg", "--print-architecture"), capture_output=True, text=True, check=True)
        try:
            install(lock, site, architecture.stdout.strip())
        except BuildError as error:
            raise SupplyError(str(error)) from error
        mark.write_text(digest, "utf-8")
    return site


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def library_name(path: Path) -> str:
    """`libgfortran-040039e1-0352e75f.so.5.0.0` -> `libgfortran`: auditwheel adds digests of the content."""
    return re.sub(r"(-[0-9a-f]{8}|_)*(-[0-9a-f]{8})*\.so.*$", "", path.name).rstrip("-_")
