from __future__ import annotations

import json
from pathlib import Path

import pytest

from tillwatch.agent.__main__ import main
from tillwatch.device_profiles.catalogue import HERE


def test_what_is_shipped_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", *(str(path) for path in sorted(HERE.glob("*/*.yaml")))]) == 0
    assert "nothing wrong" in capsys.readouterr().out


def test_every_mistake_is_said_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile, overrides = tmp_path / "acme.yaml", tmp_path / "overrides.yaml"
    profile.write_text(
        "title: A device\nmatch: [{sysObjectID: 1.3.6.1.4.1.99999}]\nscalars:\n"
        "  - {signal: ups.batery.charge, oid: 1.3.1.0}\n  - {signal: ups.battery.charge, oid: 1.3.1.0, divisr: 10}\n"
        "tables:\n  - group: t\n    entry: 1.4\n    items:\n      - {signal: env.temperature, column: value}\n"
    )
    assert main(["lint", "--json", str(profile)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(each["file"], each["line"]) for each in found] == [(str(profile), line) for line in (4, 5, 10)]
    assert found[0] == {
        "file": str(profile),
        "line": 4,
        "text": "no signal 'ups.batery.charge' in the catalogue",
        "mend": "did you mean ups.battery.charge?",
    }
    overrides.write_text("- {signal: ups.battery.charge}\n")
    assert main(["lint", str(overrides)]) == 1
    assert capsys.readouterr().err == f"{overrides}:1: nothing is changed; write limits, name or life\n"


def test_a_profile_without_a_recording_is_untested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "acme.yaml"
    profile.write_text(
        "title: A device\nmatch: {sysObjectID: 1.3.6.1.4.1.99999}\nscalars: {signal: ups.mains, oid: 1.3.1.0, yes: failed}\n"
    )
    assert main(["lint", str(profile)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 files, nothing wrong",
        f"{profile}: untested; put what a device answered beside it, as acme.snmprec",
    ]
    (tmp_path / "acme.snmprec").write_text("1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.99999\n1.3.1.0|2|1\n")
    assert main(["lint", str(profile)]) == 0
    assert capsys.readouterr().out == "1 files, nothing wrong\n"


def test_a_file_that_is_not_there_is_a_mistake_like_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", str(tmp_path / "no.yaml")]) == 1
    assert "no.yaml:1: No such file or directory; give the path" in capsys.readouterr().err


def test_a_dialogue_with_a_serial_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "acme.yaml"
    path.write_text(
        "title: x\nline: {baud: 9600}\nqueries:\n  air: {read: {function: 4, register: 1}}\n"
        "readings:\n  - {signal: env.temprature, query: air, register: 1}\n  - {signal: env.humidity, query: air, register: 2}\n"
    )
    assert main(["lint", "--json", str(path)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [(each["file"], each["line"], each["mend"]) for each in found] == [
        (str(path), 6, "did you mean env.temperature?"),
        (str(path), 7, "read more of them, or mend the number"),
    ]


def test_shipped_dialogues_are_well(capsys: pytest.CaptureFixture[str]) -> None:
    shipped = sorted((HERE.parent / "firmware_shims").glob("*.yaml"))
    assert len(shipped) >= 3
    assert main(["lint", *map(str, shipped)]) == 0
    assert "nothing wrong" in capsys.readouterr().out
