from __future__ import annotations

from tests.agent.counters import assert_catalogued, write_tree
from tillwatch.agent.model import State
from tillwatch.agent.sources import edac

MC = "sys/devices/system/edac/mc/mc0"


def found(root):
    samples = list(edac.read(root))
    assert_catalogued(samples)
    return {(sample.component, sample.signal.rpartition(".")[2]): (sample.value, sample.state) for sample in samples}


def test_by_module(tmp_path):
    write_tree(
        tmp_path,
        {
            f"{MC}/ce_count": "12",
            f"{MC}/ue_count": "1",
            f"{MC}/dimm0/dimm_label": "CPU_SrcID#0_DIMM#0",
            f"{MC}/dimm0/dimm_ce_count": "12",
            f"{MC}/dimm0/dimm_ue_count": "0",
            f"{MC}/dimm1/dimm_location": "channel 1 slot 0",
            f"{MC}/dimm1/dimm_ce_count": "0",
            f"{MC}/dimm1/dimm_ue_count": "1",
            f"{MC}/csrow0/ce_count": "12",
        },
    )
    assert found(tmp_path) == {
        ("memory:mc0", "corrected"): (12, State.NONE),
        ("memory:mc0", "uncorrected"): (1, State.CRIT),
        ("memory:mc0 CPU_SrcID#0_DIMM#0", "corrected"): (12, State.NONE),
        ("memory:mc0 CPU_SrcID#0_DIMM#0", "uncorrected"): (0, State.OK),
        ("memory:mc0 channel 1 slot 0", "corrected"): (0, State.NONE),
        ("memory:mc0 channel 1 slot 0", "uncorrected"): (1, State.CRIT),
    }


def test_modules_of_one_label(tmp_path):
    for n in (0, 1):
        write_tree(tmp_path, {f"{MC}/dimm{n}/dimm_label": "DIMM", f"{MC}/dimm{n}/dimm_ue_count": str(n)})
    assert [component for component, _ in found(tmp_path)] == ["memory:mc0 DIMM", "memory:mc0 DIMM dimm1"]


def test_old_drivers_know_rows_and_channels(tmp_path):
    write_tree(
        tmp_path,
        {
            f"{MC}/ce_noinfo_count": "2",
            f"{MC}/csrow0/ce_count": "3",
            f"{MC}/csrow0/ch1_ue_count": "4",
            f"{MC}/csrow0/ch1_dimm_label": "A1",
        },
    )
    assert found(tmp_path) == {
        ("memory:mc0 unknown", "corrected"): (2, State.NONE),
        ("memory:mc0 csrow0", "corrected"): (3, State.NONE),
        ("memory:mc0 csrow0 ch1", "uncorrected"): (4, State.CRIT),
    }


def test_a_machine_without_ecc(tmp_path):
    assert found(tmp_path) == {}


def test_corrected_errors_are_judged_by_the_days_since_the_start(tmp_path):
    counts = {f"{MC}/dimm0/dimm_label": "A1", f"{MC}/dimm1/dimm_label": "A2"}
    counts |= {f"{MC}/dimm0/dimm_ce_count": "30", f"{MC}/dimm1/dimm_ce_count": "31"}
    for up, expected in (
        ("259200.51 1000.00", (State.OK, State.WARN)),  # three days
        ("600.00 9.00", (State.WARN, State.WARN)),
        ("", (State.NONE, State.NONE)),
    ):
        write_tree(tmp_path, {**counts, "proc/uptime": up})
        said = found(tmp_path)
        assert (said["memory:mc0 A1", "corrected"][1], said["memory:mc0 A2", "corrected"][1]) == expected
