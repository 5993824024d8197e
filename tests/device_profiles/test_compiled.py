from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tillwatch.device_profiles import compiled
from tillwatch.device_profiles.catalogue import load_catalogue
from tillwatch.device_profiles.compiled import FILE, CompiledError, Library, compile_folder, digest, open_library
from tillwatch.device_profiles.loader import load_yaml


def test_what_was_compiled_is_what_was_loaded() -> None:
    library = Library(compile_folder())
    profiles = load_yaml()
    assert [library.profile(each.id) for each in profiles] == list(profiles)
    assert library.recognitions == tuple(each.recognition for each in profiles)
    assert library.signals() == dict(load_catalogue().signals)
    with pytest.raises(KeyError):
        library.profile("no such profile")


def test_the_cache_is_used_while_the_yaml_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_library(tmp_path).digest == digest()
    monkeypatch.setattr(compiled, "_compile_in_child", lambda path: pytest.fail("compiled again"))
    assert open_library(tmp_path).digest == digest()


@pytest.mark.parametrize("damage", [b"", b"\x00", b"not msgpack", b"\x91\x63"])
def test_a_damaged_or_stale_cache_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / FILE).write_bytes(damage)
    assert open_library(tmp_path).recognitions


def test_other_yaml_has_another_digest(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x")
    one = digest(tmp_path)
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
    assert digest(tmp_path) != one


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(CompiledError, match=r"No such file or directory.*missing"):
        open_library(tmp_path / "missing")


def test_yaml_is_not_resident_in_the_process_that_reads(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tillwatch.device_profiles.compiled import open_library; "
        f"library = open_library(Path({str(tmp_path)!r})); library.profile('rfc1628'); "
        "print('yaml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
