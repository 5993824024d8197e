from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tillwatch.agent.__main__ import main

TESTS = Path(__file__).parents[1]
OWN = "1.3.6.1.4.1.32473"
PROFILE = f"title: Acme\nextends: _base\nmatch: [{{sysObjectID: {OWN}}}]\nscalars: [{{signal: ups.battery.charge, oid: {OWN}.2.0}}]\n"
DEVICE = f"1.3.6.1.2.1.1.2.0|6|{OWN}.9\n{OWN}.2.0|2|97\n"


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    folder = tmp_path / "bank"
    folder.mkdir()
    (folder / "acme.yaml").write_text(PROFILE)
    return folder


def judged(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, dict[str, dict[str, str]]]:
    """(exit code, name -> result), with the shipped ones as an installed agent has them: without recordings."""
    code = main(["selftest", *map(str, arguments), "--recordings", "nowhere", "--json"])
    return code, {each["name"]: each for each in json.loads(capsys.readouterr().out)["results"]}


def test_everything_that_is_shipped_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["failed"] == said["untested"] == 0
    assert {"apc", "rfc1628", "megatec_q1", "ebds"} <= {each["name"] for each in said["results"]}


def test_an_own_profile_from_untested_to_ok_to_failed(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = judged(capsys, bank)
    assert code == 0
    assert found["acme"]["result"] == found["apc"]["result"] == found["megatec_q1"]["result"] == "untested"
    assert judged(capsys, bank, "--strict")[0] == 1
    (bank / "acme.snmprec").write_text(DEVICE)
    code, found = judged(capsys, bank, "--strict")
    assert (code, found["acme"]["result"]) == (0, "ok")
    assert "no golden output" in found["acme"]["text"]
    assert main(["try", str(bank / "acme.snmprec"), "--profiles", str(bank), "--json"]) == 0
    (bank / "acme.json").write_text(capsys.readouterr().out)
    assert judged(capsys, bank)[1]["acme"] == {"name": "acme", "kind": "profile", "result": "ok", "text": ""}
    (bank / "acme.snmprec").write_text(DEVICE.replace("|97", "|96"))
    code, found = judged(capsys, bank)
    assert (code, found["acme"]["result"]) == (1, "failed")
    assert '"value": 97' in found["acme"]["text"]
    assert '"value": 96' in found["acme"]["text"]
    (bank / "acme.json").write_text("{}")
    assert "make it anew" in judged(capsys, bank)[1]["acme"]["text"]


def test_a_recording_of_another_device_fails(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(TESTS / "recordings" / "apc.snmprec", bank / "acme.snmprec")
    code, found = judged(capsys, bank)
    assert (code, found["acme"]["result"]) == (1, "failed")
    assert "recognised by apc" in found["acme"]["text"]


def test_a_profile_that_does_not_load_hides_no_other(bank: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bank / "acme.snmprec").write_text(DEVICE)
    (bank / "wrong.yaml").write_text(
        PROFILE.replace("ups.battery.charge", "ups.batery.charge").replace(OWN, f"{OWN}.1")
    )
    (bank / "broken.yaml").write_text("a: [")
    (bank / "overrides.yaml").write_text("- {signal: ups.battery.charge, limits: {warn_below: 40}}\n")
    code, found = judged(capsys, bank)
    assert code == 1
    assert "did you mean ups.battery.charge?" in found["wrong"]["text"]
    assert found["broken"]["result"] == "failed"
    assert found["acme"]["result"] == "ok"
    assert "overrides" not in found


def test_a_shipped_shim_whose_transcript_says_something_else_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "transcripts").mkdir()
    text = (TESTS / "transcripts" / "megatec_q1.txt").read_text()
    wrong = tmp_path / "transcripts" / "megatec_q1.txt"
    for change, why in (
        (("ups.output.load 23 %", "ups.output.load 24 %"), "instead of 24"),
        (("= - ups.mains", "- ups.mains"), "megatec_q1.txt:"),
    ):
        wrong.write_text(text.replace(*change, 1))
        assert main(["selftest", "--recordings", str(tmp_path)]) == 1
        out = capsys.readouterr().out
        assert "failed    shim megatec_q1" in out
        assert why in out


def test_a_folder_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "no-such-folder"]) == 1
    assert capsys.readouterr().err == "selftest: no-such-folder: no such folder; give the one with your profiles\n"
