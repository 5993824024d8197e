"""What may stand in a configuration bundle: the closed list, and what somebody might try to bring in beside it."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.device_profiles.bundle import (
    BOUNDS,
    MAX_CONTENT,
    MAX_FILE,
    BundleError,
    Content,
    pack,
    problems,
    read_folder,
    unpack,
    write,
)

PROFILE = """
title: UPS of the house
match: [{sysObjectID: 1.3.6.1.4.1.99999.7}]
scalars:
  - {signal: identity.maker, oid: 1.3.6.1.2.1.33.1.1.1.0}
"""
OVERRIDE = "- signal: ups.battery.charge\n  limits: {warn_below: 40}\n"


def folder_of(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def wrong(root: Path) -> list[str]:
    try:
        content = read_folder(root)
    except BundleError as error:
        return error.problems
    return problems(root, content)


def test_a_folder_becomes_a_bundle_and_a_folder_again(tmp_path: Path) -> None:
    root = folder_of(
        tmp_path / "in",
        bundle_DOT_toml='[sampling]\nnormal = "2m"\nby_risk = false\n',
        profiles__ups__house_DOT_yaml=PROFILE,
        profiles__ups__house_DOT_snmprec="1.3.6.1.2.1.33.1.1.1.0|4|Voltwerk\n",
        overrides_DOT_yaml=OVERRIDE,
    )
    content = read_folder(root)
    assert problems(root, content) == []
    assert unpack(pack(content)) == content
    assert pack(content) == pack(read_folder(root))
    assert (content.sampling, content.tested) == ({"normal": "2m", "by_risk": False}, ("ups/house.yaml",))
    out = tmp_path / "out"
    write(content, out)
    assert (out / "profiles/ups/house.yaml").read_text() == PROFILE
    assert (out / "profiles/ups/house.snmprec").exists()
    assert problems(out, content) == []


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"agent_DOT_toml": "[collector]\nhost = 'evil'\n"}, "agent.toml:1: nothing that a bundle can carry"),
        ({"bundle_DOT_toml": "[collector]\nhost = 'evil'\n"}, "bundle.toml:1: a bundle carries no `collector`"),
        ({"bundle_DOT_toml": "[commands]\nenabled = true\n"}, "bundle.toml:1: a bundle carries no `commands`"),
        ({"bundle_DOT_toml": "[smart]\nprogram = '/tmp/x'\n"}, "bundle.toml:1: a bundle carries no `smart`"),
        ({"bundle_DOT_toml": "[[snmp]]\nhost = 'x'\n"}, "bundle.toml:1: a bundle carries no `snmp`"),
        ({"bundle_DOT_toml": '[sampling]\n\nfats = "10s"\n'}, "bundle.toml:3: a bundle carries no `fats`"),
        ({"bundle_DOT_toml": '[sampling]\nfast = "1s"\n'}, "bundle.toml:2: `fast` is a time from 5 s"),
        ({"bundle_DOT_toml": "[sampling]\nfast = 10\n"}, "bundle.toml:2: `fast` is a time"),
        ({"bundle_DOT_toml": "[sampling]\nby_risk = 1\n"}, "bundle.toml:2: `by_risk` is true or false"),
        ({"bundle_DOT_toml": "[sampling\n"}, "bundle.toml:1: "),
        ({"profiles__Evil_DOT_yaml": PROFILE}, "Evil.yaml:1: nothing that a bundle can carry"),
        ({"profiles__a__b__c_DOT_yaml": PROFILE}, "c.yaml:1: nothing that a bundle can carry"),
        ({"profiles__run_DOT_py": "import os"}, "run.py:1: nothing that a bundle can carry"),
        ({"profiles__till_DOT_yaml": "queries:\n  - {send: 'Q1\\r', signal: ups.status}\n"}, "till.yaml:"),
        ({"profiles__x_DOT_yaml": PROFILE + "host: 192.0.2.1\n"}, "x.yaml:6: unknown key 'host'"),
        ({"profiles__x_DOT_yaml": PROFILE + "community: private\n"}, "x.yaml:6: unknown key 'community'"),
        ({"profiles__x_DOT_yaml": "a: &a [x]\nb: *a\n"}, "x.yaml:2: an alias of YAML"),
        ({"profiles__x_DOT_yaml": "title: !!python/object/apply:os.system [id]\n"}, "x.yaml:1: "),
        ({"overrides_DOT_yaml": "- signal: ups.battery.charge\n  command: reboot\n"}, "overrides.yaml:2: unknown key"),
        (
            {"overrides_DOT_yaml": "- signal: ups.batery.charge\n  limits: {warn_below: 1}\n"},
            "overrides.yaml:1: no profile reads",
        ),
        ({"overrides_DOT_yaml": "x" * (MAX_FILE + 1)}, "overrides.yaml:1: 65537 bytes"),
        ({}, "an empty bundle"),
    ],
)
def test_what_does_not_belong_there_is_said_with_its_line(tmp_path: Path, files: dict[str, str], says: str) -> None:
    found = wrong(folder_of(tmp_path, **files)) if files else wrong(tmp_path)
    assert any(says in line for line in found), found


def test_links_out_of_the_folder_are_no_files_of_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    root = folder_of(tmp_path / "in", overrides_DOT_yaml=OVERRIDE)
    (root / "profiles").mkdir()
    (root / "profiles" / "x.yaml").symlink_to(tmp_path / "secret")
    assert any("not a file of its own" in line for line in wrong(root))


MEMBERS: dict[str, Any] = {"form": 1, "sampling": {"normal": "2m"}, "profiles": {}, "tested": [], "overrides": ""}


@pytest.mark.parametrize(
    "changes",
    [
        {"commands": {"enabled": True}},
        {"form": 2},
        {"sampling": {"host": "evil"}},
        {"sampling": {"fast": "1s"}},
        {"sampling": {"seal": "1ms"}},
        {"sampling": {"normal": 60}},
        {"sampling": [1]},
        {"profiles": {"../../../etc/cron.d/x.yaml": "x"}},
        {"profiles": {"/etc/passwd.yaml": "x"}},
        {"profiles": {"x.py": "x"}},
        {"profiles": {"x.yaml": b"x"}},
        {"profiles": {f"p{n}.yaml": "x" for n in range(65)}},
        {"profiles": {"x.yaml": "x" * (MAX_FILE + 1)}},
        {"tested": ["x.yaml"]},
        {"overrides": 7},
        {"overrides": "x" * (MAX_FILE + 1)},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_hostile_bundle_is_not_unpacked(changes: dict[str, Any]) -> None:
    assert unpack(zlib.compress(msgpack.packb(MEMBERS))).sampling == {"normal": "2m"}
    with pytest.raises(BundleError):
        unpack(zlib.compress(msgpack.packb({**MEMBERS, **changes})))


def test_a_bomb_stops_at_the_limit() -> None:
    bomb = zlib.compress(b"\0" * (MAX_CONTENT * 1000))
    with pytest.raises(BundleError, match="too long"):
        unpack(bomb)
    with pytest.raises(BundleError, match="at most"):
        pack(Content(profiles={f"p{n}.yaml": "#" * MAX_FILE for n in range(8)}))


@given(st.binary(max_size=300))
def test_noise_is_an_error_and_nothing_else(noise: bytes) -> None:
    for packed in (noise, zlib.compress(noise)):
        with pytest.raises(BundleError):
            unpack(packed)


def test_no_interval_is_below_what_a_device_bears() -> None:
    assert all(least >= 5 for least, _ in BOUNDS.values())
