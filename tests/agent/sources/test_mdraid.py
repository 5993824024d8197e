from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.counters import assert_catalogued, write_tree
from tillwatch.agent.model import State
from tillwatch.agent.sources import mdraid

HEAD = "Personalities : [raid1]\n"


def one(text):
    (array,) = mdraid.arrays(HEAD + text + "\nunused devices: <none>\n")
    return array


@pytest.mark.parametrize(
    ("text", "state", "members", "progress"),
    [
        ("md0 : active raid1 sda1[0] sdb1[1]\n      248896 blocks [2/2] [UU]\n", "active", (2, 2, 0, 0), None),
        ("md0 : active raid1 sda1[0]\n      248896 blocks super 1.2 [2/1] [U_]\n", "degraded", (2, 1, 0, 0), None),
        (
            "md0 : active raid1 sda1[0] sdb1[2](F) sdc1[1]\n      9 blocks [2/1] [U_]\n      [=>]  recovery =  8.5% (1/9) speed=2K/sec\n",
            "recovering",
            (2, 1, 1, 0),
            8.5,
        ),
        (
            "md0 : active raid1 sda1[0] sdb1[1]\n      9 blocks [2/2] [UU]\n      [=>..]  check =  5.7% (1/9) finish=1min\n",
            "check",
            (2, 2, 0, 0),
            5.7,
        ),
        (
            "md0 : active raid1 sda1[0] sdb1[1]\n      9 blocks [2/2] [UU]\n      resync=DELAYED\n",
            "resync",
            (2, 2, 0, 0),
            0.0,
        ),
        (
            "md0 : active (auto-read-only) raid0 sda1[0] sdb1[1]\n      9 blocks 64k chunks\n",
            "active",
            (2, 2, 0, 0),
            None,
        ),
        ("md0 : inactive raid1 sda1[0](F) sdb1[1](S)\n      9 blocks\n", "inactive", (0, 0, 1, 1), None),
        ("md0 : inactive sdb[1](S) sda[0](S)\n      9 blocks super external:imsm\n", "container", (0, 0, 0, 2), None),
        ("md0 : active raid1 sda1[0](W)(S) sdb1[1]\n      9 blocks [1/1] [U]\n", "active", (1, 1, 0, 1), None),
    ],
)
def test_arrays(text, state, members, progress):
    array = one(text)
    assert (array.state, array.progress) == (state, progress)
    assert (array.required, array.active, array.failed, array.spare) == members


def test_readings(tmp_path):
    write_tree(tmp_path, {"proc/mdstat": HEAD + "md0 : active raid1 sda1[0] sdb1[2](F)\n      9 blocks [2/1] [U_]\n"})
    samples = list(mdraid.read(tmp_path))
    assert_catalogued(samples)
    assert {sample.component for sample in samples} == {"raid:md0"}
    assert {sample.signal: sample.state for sample in samples if sample.state is not State.NONE} == {
        "raid.state": State.CRIT,
        "raid.members.failed": State.WARN,
    }


def test_a_machine_without_arrays(tmp_path):
    assert list(mdraid.read(tmp_path)) == []
    assert mdraid.arrays("Personalities : \nunused devices: <none>\n") == []


@given(st.text(alphabet="md01 :acteivnr\n[]_U/()FS=%.kblocs\t", max_size=300))
def test_any_text_is_read_without_a_fall(text):
    for array in mdraid.arrays("md0 : active " + text):
        assert array.state in mdraid.STATES
