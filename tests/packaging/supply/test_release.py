"""A release is believed by its signature alone: with OpenSSH and sha256sum, as VERIFY.md tells the receiver, and by a key made for this test."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def key_of(folder: Path, kind: str = "ed25519") -> Path:
    path = folder / f"{kind}.key"
    subprocess.run(("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path), check=True)
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return key_of(tmp_path)


@pytest.fixture
def sealed(tmp_path: Path, key: Path) -> Path:
    from release import seal

    folder = tmp_path / "tillwatch-0.1.0"
    folder.mkdir()
    (folder / "tillwatch-0.1.0-py3-none-any.whl").write_bytes(b"wheel")
    (folder / "LICENCES.md").write_text("# Licences\n")
    seal(folder, key)
    return folder


def as_told(folder: Path, line: str) -> int:
    """Exit code of the commands of VERIFY.md, run literally."""
    (folder / "allowed_signers").write_text(line + "\n")
    commands = re.findall(r"^    (ssh-keygen .+|sha256sum .+)$", (folder / "VERIFY.md").read_text(), re.MULTILINE)
    assert [shlex.split(one)[0] for one in commands] == ["ssh-keygen", "sha256sum"]
    done = subprocess.run(
        ("sh", "-e", "-c", "\n".join(commands)), cwd=folder, capture_output=True, text=True, check=False
    )
    return done.returncode


def test_what_was_released_is_believed(sealed: Path, key: Path) -> None:
    from release import public_line

    assert as_told(sealed, public_line(key)) == 0
    sums = (sealed / "SHA256SUMS").read_text()
    assert [line.split("  ")[1] for line in sums.splitlines()] == [
        "LICENCES.md",
        "VERIFY.md",
        "tillwatch-0.1.0-py3-none-any.whl",
    ]


def test_a_changed_file_is_not(sealed: Path, key: Path, tmp_path: Path) -> None:
    from release import ReleaseError, public_line, verify

    (sealed / "tillwatch-0.1.0-py3-none-any.whl").write_bytes(b"whee1")
    assert as_told(sealed, public_line(key)) != 0
    allowed = tmp_path / "allowed"
    allowed.write_text(public_line(key) + "\n")
    with pytest.raises(ReleaseError, match="sha256sum"):
        verify(sealed, allowed)


def test_changed_digests_are_not(sealed: Path, key: Path) -> None:
    from release import public_line, sha256

    wheel = sealed / "tillwatch-0.1.0-py3-none-any.whl"
    before = sha256(wheel)
    wheel.write_bytes(b"whee1")
    sums = sealed / "SHA256SUMS"
    sums.write_text(sums.read_text().replace(before, sha256(wheel)))
    assert as_told(sealed, public_line(key)) != 0


def test_neither_is_another_key_nor_a_signature_for_something_else(sealed: Path, key: Path, tmp_path: Path) -> None:
    from release import public_line

    other = tmp_path / "other"
    other.mkdir()
    assert as_told(sealed, public_line(key_of(other))) != 0
    (sealed / "SHA256SUMS.sig").unlink()
    subprocess.run(("ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", "file", sealed / "SHA256SUMS"), check=True)
    assert as_told(sealed, public_line(key)) != 0


def test_only_an_ed25519_key_signs(tmp_path: Path) -> None:
    from release import ReleaseError, public_line

    with pytest.raises(ReleaseError, match="is ecdsa-sha2-nistp256, not ssh-ed25519"):
        public_line(key_of(tmp_path, "ecdsa"))
    with pytest.raises(ReleaseError, match="No such file"):
        public_line(tmp_path / "none")


def test_papers_belong_to_it_and_packages_of_another_version_do_not(tmp_path: Path) -> None:
    from release import PAPERS, ReleaseError, collect

    dist, folder = tmp_path / "dist", tmp_path / "release"
    dist.mkdir()
    folder.mkdir()
    with pytest.raises(ReleaseError, match="make sbom licences"):
        collect(dist, folder, "0.1.0")
    for name in (*PAPERS, "tillwatch-agent_0.1.0+deb12_amd64.deb", "tillwatch-agent_0.1.10+deb12_amd64.deb"):
        (dist / name).write_text(name)
    assert collect(dist, folder, "0.1.0") == 1
    assert not (folder / "tillwatch-agent_0.1.10+deb12_amd64.deb").exists()


def test_the_archive_is_the_same_for_the_same_content(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from release import pack

    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1795367561")
    first = pack(sealed).read_bytes()
    (sealed / "LICENCES.md").touch()
    made = pack(sealed)
    assert made.read_bytes() == first
    with tarfile.open(made) as tar:
        assert {member.mtime for member in tar} == {1795367561}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_source_and_wheel_are_the_same_twice(tmp_path: Path) -> None:
    """Of the commit, by the backend that the lock pins."""
    from release import source_and_wheel

    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the history of the project is not here")
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        source_and_wheel(folder)
        made.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert sorted(made[0]) == ["tillwatch-0.1.0-py3-none-any.whl", "tillwatch-0.1.0.tar.gz"]
    assert made[0] == made[1]


def test_what_is_not_committed_is_not_released(tmp_path: Path) -> None:
    from release import ReleaseError, all_committed

    def git(*words: str) -> None:
        name = ("-c", "user.name=t", "-c", "user.email=t@example.test")
        subprocess.run(("git", *name, *words), cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "one").write_text("1")
    git("add", "one")
    git("commit", "-m", "one")
    all_committed(tmp_path)
    (tmp_path / "one").write_text("2")
    with pytest.raises(ReleaseError, match="M one"):
        all_committed(tmp_path)
