"""The source against a program that answers as ipmitool does, and against ipmitool itself where it is installed."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

from tests.agent.counters import assert_catalogued, by_signal
from tillwatch.agent.model import PollClass, State
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.ipmi import IpmiSource

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs of the test are shell scripts")
NORMAL, SLOW = PollClass.NORMAL, PollClass.SLOW
SDR = "Inlet Temp       | 04h | ok  |  7.1 | 25 degrees C\n"
DCMI = "    Instantaneous power reading:                   167 Watts\n"
ROW = "   {:x} | 08/21/2020 | 22:30:11 | Power Supply #0x64 | {} | Asserted\n"
INFO = "Firmware Revision         : 2.40\nManufacturer Name         : DELL Inc\nProduct Name              : Unknown (0x100)\n"


@pytest.fixture
def bmc(tmp_path):
    """Files by the first word of the command; one that is not there fails as ipmitool does."""
    path = tmp_path / "ipmitool"
    path.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/asked\nif [ -e {tmp_path}/$1 ]; then cat {tmp_path}/$1; else\n'
        'echo "Could not open device at /dev/ipmi0" >&2; exit 1; fi\n'
    )
    path.chmod(0o755)
    for name, text in (("sdr", SDR), ("dcmi", DCMI), ("sel", ROW.format(1, "Presence detected")), ("mc", INFO)):
        (tmp_path / name).write_text(text)
    return tmp_path


def source(bmc, bookmark=None):
    return IpmiSource("bmc", program=str(bmc / "ipmitool"), bookmark=bookmark)


async def test_sensors_power_and_log(bmc):
    read = source(bmc)
    samples = await read.poll(NORMAL)
    assert_catalogued(samples)
    found = {(sample.component, sample.signal): sample.value for sample in samples}
    assert found["bmc/sensor:Inlet Temp", "ipmi.temperature"] == 25.0
    assert found["bmc", "ipmi.power"] == 167
    assert (found["bmc/sel", "ipmi.sel"], found["bmc/sel", "ipmi.sel.new"]) == ("none", 0)
    assert (bmc / "asked").read_text().splitlines() == ["sdr elist", "dcmi power reading", "sel elist last 64"]
    identity = by_signal(await read.poll(SLOW))
    assert {signal: sample.value for signal, sample in identity.items()} == {
        "identity.maker": "DELL Inc",
        "identity.firmware": "2.40",
    }
    await read.close()


async def test_rows_of_the_log_are_told_once_and_across_a_restart(bmc):
    mark = bmc / "bookmark"
    await source(bmc, mark).poll(NORMAL)
    log = bmc / "sel"
    log.write_text(log.read_text() + ROW.format(2, "Power Supply AC lost") + ROW.format(3, "Redundancy Lost"))
    after = source(bmc, mark)
    found = by_signal(await after.poll(NORMAL))
    assert (found["ipmi.sel"].value, found["ipmi.sel"].state, found["ipmi.sel.new"].value) == (
        "critical",
        State.CRIT,
        2,
    )
    assert found["ipmi.sel.text"].value.startswith("08/21/2020 | 22:30:11 | Power Supply #0x64 | Power Supply AC lost")
    assert by_signal(await after.poll(NORMAL))["ipmi.sel.new"].value == 0
    log.write_text(ROW.format(1, "Log area reset/cleared"))
    assert by_signal(await after.poll(NORMAL))["ipmi.sel.new"].value == 1


async def test_a_bookmark_that_cannot_be_kept_is_told_once(bmc, caplog):
    read = source(bmc, Path("/proc/nowhere/bookmark"))
    for number in (2, 3):
        (bmc / "sel").write_text(ROW.format(number, "Presence detected"))
        await read.poll(NORMAL)
    assert len([record for record in caplog.records if "bookmark" in record.getMessage()]) == 1


async def test_a_bmc_without_log_and_power_is_read_without_them(bmc, caplog):
    caplog.set_level(logging.INFO)
    (bmc / "sel").unlink()
    (bmc / "dcmi").unlink()
    read = source(bmc)
    for _ in range(2):
        assert {sample.component for sample in await read.poll(NORMAL)} == {"bmc/sensor:Inlet Temp"}
    assert len(caplog.records) == 2
    (bmc / "dcmi").write_text(DCMI)
    await read.poll(NORMAL)
    assert caplog.records[-1].getMessage() == "bmc: power can be read again"


async def test_a_bmc_that_does_not_answer(bmc):
    (bmc / "sdr").unlink()
    with pytest.raises(SourceError, match=r"^ipmitool sdr elist: Could not open device at /dev/ipmi0; the modules"):
        await source(bmc).poll(NORMAL)
    (bmc / "sdr").write_text("\n")
    with pytest.raises(SourceError, match=r"^ipmitool sdr elist lists no sensor"):
        await source(bmc).poll(NORMAL)


async def test_not_installed_is_one_clear_error():
    with pytest.raises(
        SourceError, match=r"^no-ipmitool is not installed; install ipmitool, or give its path: \[ipmi\]"
    ):
        await IpmiSource("bmc", program="no-ipmitool").poll(NORMAL)


async def test_ipmitool_itself():
    """The BMC of this machine, or the error that says what is missing."""
    try:
        assert_catalogued(await IpmiSource("bmc").poll(NORMAL))
    except SourceError as error:
        assert "ipmi_devintf" in str(error) or "no sensor" in str(error)  # noqa: PT017 - both ends are right
