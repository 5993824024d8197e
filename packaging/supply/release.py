"""The release archive: `make release KEY=FILE`. The source archive and the wheel, made from what is committed by the build backend that
packaging/locks/build.txt pins; the Debian packages of this version that `make deb` left in dist; bills of materials and licence report;
SHA256SUMS over all of it, and its signature by an Ed25519 key of OpenSSH. `ssh-keygen` and `sha256sum` are all that a receiver needs.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from locked import BUILT, ROOT, sha256
from sbom import moment, version

NAMESPACE = "tillwatch-release"
"""Of the signature: one that the same key made for something else does not count."""
SIGNER = "release@tillwatch"
"""What the receiver's file of allowed signers calls the key."""
SUMS = "SHA256SUMS"
PAPERS = ("LICENCES.md", "tillwatch-agent.cdx.json", "tillwatch-collector.cdx.json")
VERIFY = f"""\
# Is this what its makers released?

Get the line with their public key from them by another way than this archive, and keep it as the file `allowed_signers`:

    {SIGNER} namespaces="{NAMESPACE}" ssh-ed25519 AAAA...

Then, in this folder (OpenSSH 8.2 or newer, on Linux or Windows):

    ssh-keygen -Y verify -f allowed_signers -I {SIGNER} -n {NAMESPACE} -s {SUMS}.sig < {SUMS}
    sha256sum --check --strict {SUMS}

The first must say `Good "{NAMESPACE}" signature for {SIGNER}`, the second `OK` behind every name. Otherwise install nothing of it.
Files that `{SUMS}` does not name are not part of the release.
"""


class ReleaseError(Exception):
    """The text says what is missing and what to do."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key", type=Path, required=True, metavar="FILE", help="private Ed25519 key of OpenSSH: ssh-keygen -t ed25519 -f FILE")  # fmt: skip
    parser.add_argument("--out", type=Path, default=ROOT / "dist", metavar="DIR", help="default: dist")
    options = parser.parse_args()
    number = version()
    folder = options.out / f"tillwatch-{number}"
    try:
        public_line(options.key)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        all_committed(ROOT)
        source_and_wheel(folder)
        debs = collect(options.out, folder, number)
        seal(folder, options.key)
        archive = pack(folder)
    except ReleaseError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return 1
    print(
        f"{archive}: {len(list(folder.iterdir()))} files, {debs} Debian packages; signed by {public_line(options.key)}"
    )
    return 0


def all_committed(root: Path) -> None:
    """Raises ReleaseError where the tracked files under root are not those of its last commit."""
    dirty = _run(("git", "status", "--porcelain", "--untracked-files=no"), root).strip()
    if dirty:
        raise ReleaseError(f"changes that are not committed would not be in the release:\n{dirty}")


def source_and_wheel(folder: Path) -> None:
    """From an export of the commit, so that nothing of this folder's leftovers gets in."""
    backend = BUILT / "backend"
    shutil.rmtree(backend, ignore_errors=True)
    lock = ROOT / "packaging/locks/build.txt"
    pip = (sys.executable, "-P", "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
    _run(
        (
            *pip,
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            f"--target={backend}",
            "--requirement",
            str(lock),
        ),
        ROOT,
    )
    # The folder first: the backend puts arguments of its own into sys.argv.
    build = (
        "import sys; out = sys.argv[1]; from setuptools import build_meta as b; b.build_sdist(out); b.build_wheel(out)"
    )
    with tempfile.TemporaryDirectory(prefix="tillwatch-release-") as name:
        clean = Path(name)
        exported = subprocess.run(("git", "archive", "HEAD"), cwd=ROOT, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
            tar.extractall(clean, filter="data")
        # The backend's folder alone: what this Python has installed is not asked.
        settings = {"PYTHONPATH": str(backend), "PYTHONNOUSERSITE": "1", "SOURCE_DATE_EPOCH": _epoch()}
        _run((sys.executable, "-S", "-c", build, str(folder.absolute())), clean, settings)
    made = sorted(path.suffix for path in folder.iterdir())
    if made != [".gz", ".whl"]:
        raise ReleaseError(f"the build backend made {made} in place of a source archive and a wheel")
    for source in folder.glob("*.tar.gz"):
        level(source)


def collect(dist: Path, folder: Path, number: str) -> int:
    """Copy the papers, and the Debian packages of this version. Returns how many those are; none is no fault."""
    for name in PAPERS:
        if not (dist / name).exists():
            raise ReleaseError(f"{dist / name} is missing: make sbom licences")
        shutil.copy(dist / name, folder)
    debs = sorted(dist.glob(f"tillwatch-*_{number}+*.deb"))
    for path in debs:
        shutil.copy(path, folder)
    return len(debs)


def seal(folder: Path, key: Path) -> None:
    """Write how to verify, the digests of everything in the folder, and their signature; and verify it as a receiver would."""
    (folder / "VERIFY.md").write_text(VERIFY, "utf-8")
    names = sorted(path.name for path in folder.iterdir())
    (folder / SUMS).write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names), "utf-8")
    _run(("ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(folder / SUMS)), folder)
    with tempfile.TemporaryDirectory() as name:
        allowed = Path(name) / "allowed_signers"
        allowed.write_text(public_line(key) + "\n", "utf-8")
        verify(folder, allowed)


def verify(folder: Path, allowed: Path) -> None:
    """What VERIFY.md tells the receiver to do. Raises ReleaseError."""
    command = ("ssh-keygen", "-Y", "verify", "-f", str(allowed), "-I", SIGNER, "-n", NAMESPACE, "-s", f"{SUMS}.sig")
    with (folder / SUMS).open("rb") as signed:
        done = subprocess.run(command, cwd=folder, stdin=signed, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"the signature does not hold: {(done.stderr or done.stdout).strip()}")
    _run(("sha256sum", "--check", "--strict", "--quiet", SUMS), folder)


def public_line(key: Path) -> str:
    """The line for a file of allowed signers. Raises ReleaseError unless it is an Ed25519 key."""
    public = key.with_name(f"{key.name}.pub")
    try:
        kind, _, rest = public.read_text("utf-8").strip().partition(" ")
    except OSError as error:
        raise ReleaseError(f"{public}: {error.strerror}; ssh-keygen -t ed25519 -f {key} makes both halves") from None
    if kind != "ssh-ed25519":
        raise ReleaseError(f"{public} is {kind}, not ssh-ed25519: ssh-keygen -t ed25519 -f {key}")
    return f'{SIGNER} namespaces="{NAMESPACE}" {kind} {rest.partition(" ")[0]}'


def pack(folder: Path) -> Path:
    """One file for all of it, which is the same for the same content."""
    archive = folder.with_name(f"{folder.name}.release.tar")
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, f"{folder.name}/{path.name}", filter=_plain)
    return archive


def level(archive: Path) -> None:
    """Take out of a .tar.gz what differs between two builds and says nothing: times, owners, order."""
    made = io.BytesIO()
    with tarfile.open(archive) as old, tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            new.addfile(_plain(member), old.extractfile(member) if member.isfile() else None)
    archive.write_bytes(gzip.compress(made.getvalue(), 9, mtime=0))


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = int(_epoch())
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    member.pax_headers = {}
    return member


def _epoch() -> str:
    return str(int(moment().timestamp()))


def _run(command: tuple[str, ...], where: Path, settings: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=where, env={**os.environ, **(settings or {})}, capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise ReleaseError(f"{' '.join(command[:4])} ...: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
