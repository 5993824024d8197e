"""Builds tillwatch-agent and tillwatch-collector as Debian packages: `make deb`.

For the release whose Python runs this: 3.11 is Debian 12, 3.12 is Ubuntu 24.04. What goes in are the files of the project, the wheels that
packaging/locks names with their hashes, and one moment (SOURCE_DATE_EPOCH, else that of the last commit): the same three give the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bundle import MACHINES, BuildError, distributions, fill
from papers import changelog, copyright_of

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MAINTAINER = "tillwatch maintainers <maintainers@tillwatch.invalid>"
"""$DEBFULLNAME and $DEBEMAIL, where they are set: who builds the packages answers for them."""
SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
EXECUTABLE = 0o755
"""Also of folders."""


@dataclass(frozen=True, slots=True)
class Release:
    """suffix: of the version: packages of two releases differ, and the newer release's must be the higher."""

    name: str
    suffix: str


RELEASES = {(3, 11): Release("bookworm", "deb12"), (3, 12): Release("noble", "ubuntu24.04")}


@dataclass(frozen=True, slots=True)
class Package:
    """tree: its name below /usr/lib/tillwatch, of its lock and of its configuration. units: enabled and started when it is installed; optional:
    for an administrator to enable. dropins: for an administrator to copy. schema: module and database file of the state that a downgrade must
    not meet. secrets: files of an administrator that a purge takes, too. docs: of packaging/docs, None for all. squeeze: how dpkg-deb compresses it.
    """

    name: str
    tree: str
    folders: tuple[str, ...]
    units: tuple[str, ...]
    optional: tuple[str, ...]
    users: tuple[str, ...]
    dropins: tuple[str, ...]
    database: str
    schema: str
    way_back: str
    depends: tuple[str, ...]
    suggests: tuple[str, ...]
    secrets: tuple[str, ...]
    docs: tuple[str, ...] | None
    squeeze: tuple[str, ...]
    synopsis: str
    description: str


AGENT = Package(
    name="tillwatch-agent",
    tree="agent",
    folders=("agent", "device_profiles", "firmware_shims"),
    units=("tillwatch-agent.service",),
    optional=(),
    users=("tillwatch-agent",),
    dropins=("tillwatch-agent-hardware.conf", "tillwatch-agent-traps.conf"),
    database="spool.db",
    schema="tillwatch.agent.spool_file",
    way_back="Stay with the newer version; or let it send what waits (tillwatch-agent show), stop it, and move the file away.",
    depends=(),
    suggests=("smartmontools (>= 7.0)", "ipmitool"),
    secrets=("/etc/tillwatch/image-token",),
    docs=(
        "new-device.md",
        "packages.md",
        "profile-language.md",
        "remote-diagnosis.md",
        "rollout.md",
        "serial-dialogues.md",
    ),
    squeeze=("-Zxz",),
    synopsis="hardware health of an ATM, POS or branch server: the terminal's part",
    description="""
        Reads the hardware health of this terminal over SNMP, XFS4IoT, serial lines and system counters, seals the readings into signed
        batches, keeps them until the collector has stored them, and hands them over MQTT.
        .
        It only reads: there is no code in it that could change a device. It listens on no port. Before `tillwatch-agent enrol` it does
        nothing.
    """,
)
COLLECTOR = Package(
    name="tillwatch-collector",
    tree="collector",
    folders=("agent", "collector", "device_profiles", "firmware_shims"),
    units=("tillwatch-collector.service", "tillwatch-console.service"),
    optional=("tillwatch-watchdog.service",),
    users=("tillwatch-collector", "tillwatch-watchdog"),
    dropins=("tillwatch-console-network.conf",),
    database="collector.db",
    schema="tillwatch.collector.store.sqlite",
    way_back="Stay with the newer version; or stop it, and restore a backup that the older one made, into an empty folder.",
    depends=(),
    suggests=("mosquitto", "libpq5"),
    secrets=(),
    docs=None,
    squeeze=("-Zxz", "-z1"),  # a few servers fetch its 65 MiB; the last tenth would cost minutes
    synopsis="hardware health of ATMs, POS and branch servers: the bank's part",
    description="""
        Takes the signed readings of every terminal, keeps them in a chained journal, folds them into alarms and incidents, opens, follows
        and closes tickets, and shows the fleet.
        .
        The package brings the collector, the console and the watchdog, each a service of its own; the watchdog is enabled by hand once it
        is configured.
    """,
)


@dataclass(frozen=True, slots=True)
class Build:
    """root: the project's files; at: the moment that every file carries."""

    root: Path
    out: Path
    at: datetime
    architecture: str
    release: Release
    maintainer: str

    @property
    def upstream(self) -> str:
        with (self.root / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])

    @property
    def version(self) -> str:
        return f"{self.upstream}+{self.release.suffix}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=ROOT, metavar="DIR", help="the project's files (default: these)")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="where the packages go (default: dist)")  # fmt: skip
    parser.add_argument("--only", choices=("agent", "collector"), help="one of the two packages")
    options = parser.parse_args()
    try:
        build = prepare(options.root.resolve(), options.out.resolve())
        for package in (AGENT, COLLECTOR):
            if options.only in {None, package.tree}:
                print(make(build, package))
    except BuildError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(root: Path, out: Path) -> Build:
    release = RELEASES.get(sys.version_info[:2])
    if release is None or platform.system() != "Linux":
        known = ", ".join(f"{major}.{minor} ({one.name})" for (major, minor), one in RELEASES.items())
        raise BuildError(
            f"packages are made by the Python of their release: {known}; this is {platform.python_version()}"
        )
    missing = [program for program in ("dpkg-deb", "dpkg", "strip") if shutil.which(program) is None]
    if missing:
        raise BuildError(f"{', '.join(missing)} missing: apt-get install dpkg binutils")
    architecture = _said(("dpkg", "--print-architecture"), root)
    if architecture not in MACHINES:
        raise BuildError(f"no wheels are locked for {architecture}; there are {', '.join(MACHINES)}")
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _said(("git", "log", "-1", "--format=%ct"), root)
    name, address = os.environ.get("DEBFULLNAME"), os.environ.get("DEBEMAIL")
    maintainer = f"{name} <{address}>" if name and address else MAINTAINER
    return Build(root, out, datetime.fromtimestamp(int(epoch), UTC), architecture, release, maintainer)


def make(build: Build, package: Package) -> Path:
    """The .deb, in build.out. It is put together in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix=f"{package.name}-") as name:
        stage = Path(name) / "stage"
        site = stage_tree(build, package, stage)
        stage_files(build, package, stage, site)
        stage_control(build, package, stage, site)
        level(stage, build.at)
        build.out.mkdir(parents=True, exist_ok=True)
        made = build.out / f"{package.name}_{build.version}_{build.architecture}.deb"
        # One thread: what several compress depends on how many they are.
        subprocess.run(
            ("dpkg-deb", "--root-owner-group", "--threads-max=1", *package.squeeze, "--build", stage, made),
            env={**os.environ, "SOURCE_DATE_EPOCH": _epoch(build)}, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        return made


def stage_tree(build: Build, package: Package, stage: Path) -> Path:
    """The bundled environment: what python -m venv would make, with the release's own interpreter behind a link. Returns its site-packages."""
    tree = stage / "usr/lib/tillwatch" / package.tree
    site = tree / "lib" / _python() / "site-packages"
    site.mkdir(parents=True)
    lock = build.root / "packaging/locks" / f"{package.tree}.txt"
    if not lock.exists():  # an older state of the project, whose packages are made for a test of the upgrade
        lock = ROOT / "packaging/locks" / lock.name
    fill(site, build.root, lock, package.folders, build.upstream, build.architecture)
    (tree / "bin").mkdir()
    (tree / "bin/python3").symlink_to(Path("../../../../bin") / _python())
    (tree / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n", "utf-8")
    return site


def stage_files(build: Build, package: Package, stage: Path, site: Path) -> None:
    units = build.root / "packaging/systemd"
    doc = stage / "usr/share/doc" / package.name
    _write(
        stage / f"usr/lib/tillwatch/bin/{package.name}", _template("launcher", _words(build, package, 0)), EXECUTABLE
    )
    _link(stage / f"usr/bin/{package.name}", f"../lib/tillwatch/bin/{package.name}")
    for unit in (*package.units, *package.optional):
        _copy(units / unit, stage / "usr/lib/systemd/system" / unit)
    for user in package.users:
        _copy(units / f"{user}.sysusers", stage / f"usr/lib/sysusers.d/{user}.conf")
    states = "".join(f"d /var/lib/{user} 0700 {user} {user} -\n" for user in package.users)
    _write(
        stage / f"usr/lib/tmpfiles.d/{package.name}.conf",
        "# Also without the service having run: enrolment and the command line write there first.\n" + states,
    )
    for dropin in package.dropins:
        _copy(units / dropin, stage / "usr/share" / package.name / dropin)
    example = build.root / "packaging" / f"{package.tree}.example.toml"
    _copy(example, stage / f"etc/tillwatch/{package.tree}.toml", 0o640)
    _copy(example, stage / "usr/share" / package.name / example.name)
    if package is COLLECTOR:
        for name in ("policy", "routes"):
            _copy(
                build.root / f"packaging/{name}.example.toml", stage / f"usr/share/{package.name}/{name}.example.toml"
            )
    for page in sorted((build.root / "packaging/docs").glob("*.md")):
        if package.docs is None or page.name in package.docs:
            _copy(page, doc / page.name)
    _write(doc / "copyright", copyright_of(build.root / "LICENSE", distributions(site)))
    news = changelog(build.root / "packaging/changelog.d", package.name, build.version, build.release.name)
    _squeeze(doc / "changelog.gz", f"{news}\n -- {build.maintainer}  {format_datetime(build.at)}\n")
    _squeeze(stage / f"usr/share/man/man8/{package.name}.8.gz", _manual(build, package, site, "page"))
    _write(stage / f"usr/share/bash-completion/completions/{package.name}", _manual(build, package, site, "completion"))
    overrides = (HERE / "overrides" / package.name).read_text("utf-8")
    _write(stage / "usr/share/lintian/overrides" / package.name, overrides)


def stage_control(build: Build, package: Package, stage: Path, site: Path) -> None:
    control = stage / "DEBIAN"
    size = sum(-(-path.lstat().st_size // 1024) for path in stage.rglob("*") if not path.is_dir())
    major, minor = sys.version_info[:2]
    depends = (
        f"python3 (>= {major}.{minor}~), python3 (<< {major}.{minor + 1}~)",
        *("libc6 (>= 2.34), libgcc-s1, libstdc++6", "systemd", "passwd"),
        *package.depends,
    )
    fields = {
        "Package": package.name,
        "Version": build.version,
        "Architecture": build.architecture,
        "Maintainer": build.maintainer,
        "Installed-Size": str(size),
        "Depends": ", ".join(depends),
        "Suggests": ", ".join(package.suggests),
        "Section": "admin",
        "Priority": "optional",
        "Description": package.synopsis + "\n" + _flowing(package.description),
    }
    _write(control / "control", "".join(f"{name}: {value}\n" for name, value in fields.items()))
    _write(control / "conffiles", f"/etc/tillwatch/{package.tree}.toml\n")
    words = _words(build, package, _schema(package, site))
    for script in SCRIPTS:
        _write(control / script, _template(script, words), EXECUTABLE)
    digests = (
        path
        for path in sorted(stage.rglob("*"))
        if path.is_file() and not path.is_symlink() and control not in path.parents
    )
    _write(control / "md5sums", "".join(f"{_md5(path)}  {path.relative_to(stage)}\n" for path in digests))


def level(stage: Path, at: datetime) -> None:
    """What differs between two builds and says nothing: times, and modes by the umask. conffiles keep theirs."""
    moment = at.timestamp()
    for path in (stage, *stage.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            if "etc" not in path.relative_to(stage).parts or path.is_dir():
                path.chmod(EXECUTABLE if path.is_dir() or _runs(path, mode) else 0o644)
        os.utime(path, (moment, moment), follow_symlinks=False)


def _runs(path: Path, mode: int) -> bool:
    """Shared objects are not run, whatever their wheel says."""
    return bool(mode & 0o100) and "site-packages" not in path.parts


def _flowing(text: str) -> str:
    """A description in the form of the control file; its paragraphs stand apart by a line with a dot."""
    paragraphs = text.strip().split("\n        .\n")
    return "\n .\n".join(
        textwrap.fill(" ".join(one.split()), 78, initial_indent=" ", subsequent_indent=" ") for one in paragraphs
    )


def _words(build: Build, package: Package, schema: int) -> Mapping[str, str]:
    return {
        "PACKAGE": package.name,
        "PROGRAM": package.name,
        "TREE": package.tree,
        "MODULE": f"tillwatch.{package.tree}",
        "PYTHON": _python(),
        "VERSION": build.version,
        "DATABASE": package.database,
        "SCHEMA": str(schema),
        "WAY_BACK": package.way_back,
        "ENABLED": " ".join(package.units),
        "OPTIONAL": " ".join(package.optional),
        "USERS": " ".join(package.users),
        "SYSUSERS": " ".join(f"{user}.conf" for user in package.users),
        "REMAINS": " ".join((*(f"/var/lib/{user}" for user in package.users), *package.secrets)),
    }


def _template(name: str, words: Mapping[str, str]) -> str:
    text = (HERE / "scripts" / name).read_text("utf-8")
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return text


def _schema(package: Package, site: Path) -> int:
    code = f"import sys; sys.path.insert(0, sys.argv[1]); from {package.schema} import SCHEMA_VERSION; print(SCHEMA_VERSION)"
    return int(_said((sys.executable, "-I", "-B", "-S", "-c", code, str(site)), site))


def _manual(build: Build, package: Package, site: Path, kind: str) -> str:
    """By an interpreter that sees the bundled environment alone: what is missing in it shows here first."""
    command = (sys.executable, "-I", "-B", "-S", str(HERE / "manual.py"), str(site), package.name, kind)
    return _said(command, site, {"SOURCE_DATE_EPOCH": _epoch(build)}) + "\n"


def _said(command: tuple[str, ...], where: Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=where, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise BuildError(f"{' '.join(command[:3])} ...: {done.stderr.strip()}")
    return done.stdout.strip()


def _python() -> str:
    return "python{}.{}".format(*sys.version_info[:2])


def _epoch(build: Build) -> str:
    return str(int(build.at.timestamp()))


def _md5(path: Path) -> str:
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(mode)


def _copy(source: Path, path: Path, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
    path.chmod(mode)


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _squeeze(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


if __name__ == "__main__":
    sys.exit(main())
