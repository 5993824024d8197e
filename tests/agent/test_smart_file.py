"""The command, as a person and as a program would use it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tillwatch.agent import smart_file

DISK = {
    "smartctl": {"exit_status": 0},
    "device": {"name": "/dev/sda", "protocol": "ATA"},
    "model_name": "WDC WD10",
    "serial_number": "WD-1",
    "firmware_version": "82",
    "smart_status": {"passed": True},
    "ata_smart_attributes": {
        "table": [{"id": 5, "name": "Reallocated_Sector_Ct", "value": 90, "raw": {"value": 304, "string": "304"}}]
    },
}


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tillwatch.agent", "smart", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_drive_and_readings_as_json(tmp_path):
    path = tmp_path / "till-7.json"
    path.write_text(json.dumps(DISK))
    done = command(path, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["drive"] == {
        "name": "/dev/sda",
        "protocol": "ATA",
        "maker": "Western Digital",
        "model": "WDC WD10",
        "serial": "WD-1",
        "firmware": "82",
        "access": "read",
        "reason": "",
        "state": "warn",
        "findings": ["304 reallocated sectors"],
    }
    (sectors,) = [row for row in said["readings"] if row["signal"] == "drive.sectors.reallocated"]
    assert sectors == {
        "component": "till-7/drive:WD-1",
        "label": "WDC WD10 (/dev/sda)",
        "signal": "drive.sectors.reallocated",
        "value": 304,
        "unit": "",
        "state": "warn",
        "oid": "",
    }


def test_a_table_for_people(tmp_path):
    path = tmp_path / "till-7.json"
    path.write_text(json.dumps(DISK))
    assert "till-7/drive:WD-1" in command(path).stdout


def test_a_drive_that_could_not_be_read_is_an_answer(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"smartctl": {"exit_status": 2, "messages": [{"string": "Permission denied"}]}}))
    said = json.loads(command(path, "--json").stdout)
    assert (said["drive"]["access"], said["drive"]["state"]) == ("failed", "unknown")
    assert said["drive"]["reason"] == "Permission denied"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("smartctl 6.5", "Expecting value"),
        ("[" * 100_000, "nested too deeply"),
        ("{}", "not what `smartctl -j -x` prints"),
        ("\ufeff\0", "x.json: "),
    ],
)
def test_what_is_not_smartctls_is_one_clear_error(tmp_path, text, why):
    path = tmp_path / "x.json"
    path.write_text(text)
    done = command(path)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert "smartctl -j -x DEVICE > FILE.json" in done.stderr


def test_a_file_that_is_not_there(tmp_path):
    done = command(tmp_path / "none.json")
    assert (done.returncode, "No such file" in done.stderr) == (1, True)


def test_a_huge_file_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(smart_file, "MAX_FILE", 10)
    (tmp_path / "x.json").write_text(json.dumps(DISK))
    with pytest.raises(ValueError, match="over 10 bytes"):
        smart_file.read(tmp_path / "x.json")
