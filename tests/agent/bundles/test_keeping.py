"""The memory and the content of bundles on a disk that is damaged, full, or was written to by somebody else; and what a start then chooses."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.agent.conftest import Terminal
from tillwatch.agent.bundles import keeping
from tillwatch.agent.bundles.choosing import prepare_chosen
from tillwatch.agent.bundles.keeping import DamagedError
from tillwatch.agent.bundles.machine import Before, Kept, Memory
from tillwatch.agent.keys import sha256
from tillwatch.agent.wire import Running
from tillwatch.device_profiles.bundle import Content, pack

OVERRIDE = "- signal: ups.battery.charge\n  limits: {warn_below: 40}\n"
PACKED = pack(Content({"normal": "2m"}, {}, (), OVERRIDE))
KEPT = Kept(7, "winter", sha256(PACKED))
SLOW = pack(Content({"normal": "3m"}))
OTHER = Kept(8, "other", sha256(SLOW))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bundles"
    keeping.keep(made, KEPT.digest, PACKED)
    return made


def test_a_memory_comes_back_as_it_was(folder: Path) -> None:
    assert keeping.load(folder) == Memory()
    memory = Memory(9, KEPT, OTHER, checked=True, starts=1, before=Before({"ups": 3}, 5), outcome="none", words="w")
    keeping.save(folder, memory)
    assert keeping.load(folder) == memory


@pytest.mark.parametrize(
    "noise", [b"", b"\x00", b"\x93\x01", b"\x92\x02\x80", b"\x92\x01\xc0", b"\x92\x01\x81\x63\x01", b"x" * 99]
)
def test_a_memory_that_is_none_is_none(folder: Path, noise: bytes) -> None:
    (folder / keeping.MEMORY).write_bytes(noise)
    assert keeping.load(folder) == Memory()


def test_one_bit_of_a_memory_is_enough_to_be_none(folder: Path) -> None:
    keeping.save(folder, Memory(9, KEPT, OTHER, checked=True))
    whole = (folder / keeping.MEMORY).read_bytes()
    for place in range(len(whole)):
        (folder / keeping.MEMORY).write_bytes(whole[:place] + bytes((whole[place] ^ 4,)) + whole[place + 1 :])
        assert keeping.load(folder) == Memory(), place


def test_what_is_not_what_was_signed_is_not_laid_out(folder: Path) -> None:
    root, content = keeping.lay_out(folder, KEPT)
    assert (root / "overrides.yaml").read_text() == OVERRIDE
    # Files that somebody changed or added are made anew, or taken away.
    (root / "overrides.yaml").write_text("- signal: x\n")
    (root / "profiles").mkdir()
    (root / "profiles" / "stray.yaml").write_text("title: x\n")
    assert keeping.lay_out(folder, KEPT) == (root, content)
    assert (root / "overrides.yaml").read_text() == OVERRIDE
    assert not (root / "profiles" / "stray.yaml").exists()
    file = root.with_suffix(keeping.PACKED)
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    with pytest.raises(DamagedError, match="not what was signed"):
        keeping.lay_out(folder, KEPT)
    file.unlink()
    with pytest.raises(DamagedError, match="No such file"):
        keeping.lay_out(folder, KEPT)


def test_only_what_is_needed_stays(folder: Path) -> None:
    keeping.keep(folder, OTHER.digest, SLOW)
    for kept in (KEPT, OTHER):
        keeping.lay_out(folder, kept)
    keeping.save(folder, Memory(8, OTHER))
    keeping.tidy(folder, Memory(8, OTHER))
    stem = OTHER.digest[:16].hex()
    assert sorted(path.name for path in folder.iterdir()) == sorted([stem + keeping.PACKED, keeping.MEMORY])


@pytest.fixture
def terminal(tmp_path: Path) -> Path:
    """A state directory with one bundle that is good and one on probation."""
    state_dir = Terminal(tmp_path, 9).state_dir
    folder = keeping.folder_of(state_dir)
    keeping.keep(folder, KEPT.digest, PACKED)
    keeping.keep(folder, OTHER.digest, SLOW)
    keeping.save(folder, Memory(8, KEPT, OTHER, checked=True, outcome="none"))
    return state_dir


def chosen(state_dir: Path) -> tuple[float, bytes, Memory]:
    prepared = prepare_chosen(None, state_dir, state_dir, verbose=False)
    return prepared.config.intervals.normal, prepared.bundle, keeping.load(keeping.folder_of(state_dir))


def test_the_one_on_probation_has_one_start(terminal: Path) -> None:
    normal, bundle, memory = chosen(terminal)
    assert (normal, bundle, memory.starts) == (180.0, OTHER.digest, 1)
    normal, bundle, memory = chosen(terminal)
    assert (normal, bundle, memory.report().state) == (120.0, KEPT.digest, Running.FALLEN_BACK)


def test_what_is_damaged_is_given_up_one_after_the_other(terminal: Path) -> None:
    folder = keeping.folder_of(terminal)
    for kept in (OTHER, KEPT):
        (folder / f"{kept.digest[:16].hex()}{keeping.PACKED}").write_bytes(b"damaged")
    normal, bundle, memory = chosen(terminal)
    assert (normal, bundle, memory.good, memory.candidate) == (60.0, b"", None, None)
    assert "not what was signed" in memory.report().words


def test_a_disk_that_is_full_tries_nothing(terminal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keeping, "_last", full)
    normal, bundle, memory = chosen(terminal)
    assert (normal, bundle) == (120.0, KEPT.digest)
    assert memory.checked, (
        "what is on the disk is as it was: the agent that runs sees that it is not what it was prepared with"
    )
