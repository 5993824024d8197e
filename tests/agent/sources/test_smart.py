"""The source against a program that answers as smartctl does, and against smartctl itself where it is installed."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from tests.agent.counters import assert_catalogued
from tillwatch.agent.model import PollClass
from tillwatch.agent.sources import SourceError, smart
from tillwatch.agent.sources.smart import SmartSource

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs of the test are shell scripts")
SLOW = PollClass.SLOW


def disk(serial="S1", **other):
    return {
        "smartctl": {"exit_status": 0},
        "device": {"name": "/dev/x", "protocol": "ATA"},
        "model_name": "WDC WD10",
        "serial_number": serial,
        "ata_smart_attributes": {"table": [{"id": 5, "name": "Reallocated", "raw": {"value": 0, "string": "0"}}]},
        **other,
    }


ASLEEP = {"smartctl": {"exit_status": 3}, "device": {"name": "/dev/sda", "protocol": "ATA"}}


class Smartctl:
    """Answers by the last argument and its -d, and keeps how it was asked."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "smartctl"
        self.path.write_text(
            "#!/bin/sh\n"
            f'echo "$*" >> {folder}/asked\n'
            'if [ "$1" = --scan-open ]; then name=scan; else\n'
            '  for last; do :; done; if [ "$5" = -d ]; then last="${last}_$6"; fi; name=$(echo "$last" | tr -c "a-z0-9\\n" _); fi\n'
            f"if [ -e {folder}/hang_$name ]; then exec sleep 60; fi\n"
            f"cat {folder}/$name\n"
        )
        self.path.chmod(0o755)

    def answers(self, name, said):
        (self.folder / name).write_text(said if isinstance(said, str) else json.dumps(said))

    def scan(self, *drives):
        self.answers("scan", {"smartctl": {}, "devices": [{"name": name, "type": kind} for name, kind in drives]})

    @property
    def asked(self):
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture
def smartctl(tmp_path):
    return Smartctl(tmp_path)


def source(smartctl, *drives):
    return SmartSource("drives", program=str(smartctl.path), drives=drives)


async def test_drives_are_looked_for_once_and_asked_without_waking_them(smartctl):
    smartctl.scan(("/dev/sda", "sat"), ("/dev/nvme0", "nvme"))
    smartctl.answers("_dev_sda_sat", disk("S1"))
    smartctl.answers("_dev_nvme0_nvme", disk("S2"))
    drives = source(smartctl)
    for _ in range(2):
        samples = await drives.poll(SLOW)
        assert_catalogued(samples)
        assert {sample.component for sample in samples} == {"drives/drive:S1", "drives/drive:S2"}
    assert smartctl.asked == [
        "--scan-open -j",
        *("-j -x -n standby,3 -d sat /dev/sda", "-j -x -n standby,3 -d nvme /dev/nvme0") * 2,
    ]
    await drives.close()


async def test_drives_behind_a_controller_and_one_that_is_reached_twice(smartctl):
    smartctl.answers("_dev_sda", disk("S1"))
    smartctl.answers("_dev_bus_0_megaraid_8", disk("S8"))
    smartctl.answers("_dev_bus_0_megaraid_9", disk("S8"))
    drives = source(smartctl, ("/dev/sda", ""), ("/dev/bus/0", "megaraid,8"), ("/dev/bus/0", "megaraid,9"))
    samples = await drives.poll(SLOW)
    assert [sample.component for sample in samples if sample.signal == "drive.access"] == [
        "drives/drive:S1",
        "drives/drive:S8",
    ]


async def test_a_sleeping_drive_keeps_its_component(smartctl):
    smartctl.answers("_dev_sda", ASLEEP)
    drives = source(smartctl, ("/dev/sda", ""))
    assert await drives.poll(SLOW) == []
    smartctl.answers("_dev_sda", disk("S1"))
    await drives.poll(SLOW)
    smartctl.answers("_dev_sda", ASLEEP)
    (access,) = [sample for sample in await drives.poll(SLOW) if sample.signal == "drive.access"]
    assert (access.component, access.value) == ("drives/drive:S1", "asleep")


async def test_a_drive_that_hangs_takes_no_other_with_it(smartctl, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(smart, "ONE_DRIVE_S", 1.0)
    for name in ("_dev_sda", "_dev_sdb"):
        smartctl.answers(name, disk(name))
    drives = source(smartctl, ("/dev/sda", ""), ("/dev/sdb", ""))
    await drives.poll(SLOW)
    hang = smartctl.folder / "hang__dev_sda"
    hang.touch()
    for _ in range(2):
        found = {sample.component: sample for sample in await drives.poll(SLOW) if sample.signal == "drive.access"}
        assert {component: sample.value for component, sample in found.items()} == {
            "drives/drive:_dev_sda": "failed",
            "drives/drive:_dev_sdb": "read",
        }
    hang.unlink()
    await drives.poll(SLOW)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "drives: /dev/sda: " in said[0]
    assert "no answer within 1 s" in said[0]
    assert said[1] == "drives: /dev/sda can be read again"


async def test_what_time_did_not_allow_is_declared_and_comes_first_the_next_time(smartctl, monkeypatch):
    monkeypatch.setattr(smart, "ALL_DRIVES_S", smart.ONE_DRIVE_S)
    for letter in "abc":
        smartctl.answers(f"_dev_sd{letter}", disk(letter))
    drives = source(smartctl, *((f"/dev/sd{letter}", "") for letter in "abc"))
    seen = []
    for _ in range(3):
        samples = await drives.poll(SLOW)
        assert_catalogued(samples)
        seen += [sample.component for sample in samples if sample.signal == "drive.access"]
        assert [(s.component, s.value) for s in samples if s.signal == "monitor.omitted"] == [("drives", 2)]
    assert seen == ["drives/drive:a", "drives/drive:b", "drives/drive:c"]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("smartctl 6.5 has no JSON", r"7\.0 or newer is needed.*6\.5 has no JSON"),
        ("", "prints no JSON but: nothing"),
        ("[" * 100_000, "prints no JSON"),
        (
            {"smartctl": {"exit_status": 2, "messages": [{"string": "Permission denied"}]}},
            "/dev/sda: Permission denied",
        ),
    ],
)
async def test_no_drive_at_all_is_the_sources_own_error(smartctl, said, error):
    smartctl.answers("_dev_sda", said)
    with pytest.raises(SourceError, match=error):
        await source(smartctl, ("/dev/sda", "")).poll(SLOW)


async def test_a_machine_without_drives(smartctl):
    smartctl.scan()
    with pytest.raises(SourceError, match=r"^smartctl --scan-open finds no drive"):
        await source(smartctl).poll(SLOW)


async def test_more_drives_than_are_read_are_declared(smartctl, monkeypatch):
    monkeypatch.setattr(smart, "MAX_DRIVES", 1)
    smartctl.scan(("/dev/sda", ""), ("/dev/sdb", ""))
    smartctl.answers("_dev_sda", disk())
    samples = await source(smartctl).poll(SLOW)
    assert ("drives", "monitor.omitted", 1) in [(s.component, s.signal, s.value) for s in samples]


async def test_not_installed_is_one_clear_error(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tillwatch.agent.sources.program.SYSTEM_PATH", ())
    with pytest.raises(
        SourceError, match=r"^smartctl is not installed; install smartmontools, or give its path: \[smart\]"
    ):
        await SmartSource("drives").poll(SLOW)


async def test_smartctl_itself():
    """It answers a device that is no drive with JSON that says so; whatever drives this machine has are read."""
    try:
        assert_catalogued(await SmartSource("drives").poll(SLOW))
    except SourceError as error:
        logging.getLogger(__name__).info("no drive here: %s", error)
    with pytest.raises(SourceError, match=r"^/dev/null: .*Unable to detect device type"):
        await SmartSource("drives", drives=[("/dev/null", "")]).poll(SLOW)
