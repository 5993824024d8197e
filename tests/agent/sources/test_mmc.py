from __future__ import annotations

import pytest

from tests.agent.counters import assert_catalogued, by_signal, write_tree
from tillwatch.agent.model import State
from tillwatch.agent.sources import mmc

DEVICE = "sys/block/mmcblk0/device"


@pytest.mark.parametrize(
    ("life", "used", "state"),
    [
        ("0x01 0x01", 0, State.OK),
        ("0x02 0x09", 80, State.OK),
        ("0x0a 0x01", 90, State.WARN),
        ("0x01 0x0B", 100, State.CRIT),
        ("0x00 0x03", 20, State.OK),
    ],
)
def test_wear(tmp_path, life, used, state):
    write_tree(tmp_path, {f"{DEVICE}/life_time": life, f"{DEVICE}/name": "DG4016", f"{DEVICE}/serial": "0x1a2b"})
    samples = list(mmc.read(tmp_path))
    assert_catalogued(samples)
    found = by_signal(samples)
    assert (found["drive.wear"].value, found["drive.wear"].state) == (used, state)
    assert found["identity.serial"].value == "0x1a2b"
    assert {sample.component for sample in samples} == {"drive:mmcblk0"}


@pytest.mark.parametrize(
    ("info", "word", "state"),
    [("0x01", "normal", State.OK), ("0x02", "warning", State.WARN), ("0x03", "urgent", State.CRIT)],
)
def test_reserve(tmp_path, info, word, state):
    write_tree(tmp_path, {f"{DEVICE}/pre_eol_info": info})
    found = by_signal(mmc.read(tmp_path))
    assert (found["drive.reserve"].value, found["drive.reserve"].state) == (word, state)


@pytest.mark.parametrize("life", ["0x00 0x00", "0x0c", "", "noise"])
def test_a_card_that_does_not_tell(tmp_path, life):
    write_tree(tmp_path, {f"{DEVICE}/life_time": life, f"{DEVICE}/pre_eol_info": "0x00", f"{DEVICE}/name": "SD16G"})
    assert list(mmc.read(tmp_path)) == []
