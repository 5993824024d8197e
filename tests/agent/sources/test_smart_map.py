"""Drives written after the documented JSON of smartctl: healthy, ill in each way that is judged, asleep, absent, and hostile."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.counters import assert_catalogued, by_signal
from tillwatch.agent.model import State
from tillwatch.agent.sources.smart_map import read_report, unread


def attribute(number, name, raw, *, value=100, text=None, failed="", prefail=False):
    return {
        "id": number,
        "name": name,
        "value": value,
        "worst": value,
        "thresh": 10,
        "when_failed": failed,
        "flags": {"prefailure": prefail},
        "raw": {"value": raw, "string": str(raw) if text is None else text},
    }


def ata(*rows, status=0, **other):
    table = [attribute(5, "Reallocated_Sector_Ct", 0), attribute(9, "Power_On_Hours", 700), *rows]
    return {
        "smartctl": {"exit_status": status},
        "device": {"name": "/dev/sda", "type": "sat", "protocol": "ATA"},
        "model_name": "ST1000NM0008-2F2100",
        "serial_number": "ZA10001",
        "firmware_version": "SN02",
        "logical_block_size": 512,
        "rotation_rate": 7200,
        "smart_status": {"passed": True},
        "ata_smart_attributes": {"table": list({row["id"]: row for row in table}.values())},
        "power_on_time": {"hours": 12345, "minutes": 30},
        "power_cycle_count": 55,
        "temperature": {"current": 34},
        **other,
    }


def nvme(**log):
    health = {
        "critical_warning": 0,
        "temperature": 41,
        "available_spare": 100,
        "available_spare_threshold": 10,
        "percentage_used": 3,
        "data_units_read": 2,
        "data_units_written": 3,
        "power_cycles": 12,
        "power_on_hours": 900,
        "unsafe_shutdowns": 7,
        "media_errors": 0,
        "num_err_log_entries": 8382,
        "warning_temp_time": 4,
        "critical_comp_time": 0,
        **log,
    }
    return {
        "smartctl": {"exit_status": 0},
        "device": {"name": "/dev/nvme0", "type": "nvme", "protocol": "NVMe"},
        "model_name": "SAMSUNG MZVL21T0HCLR",
        "serial_number": "S67",
        "smart_status": {"passed": True},
        "nvme_smart_health_information_log": health,
        "temperature": {"current": 41},
    }


def scsi(**other):
    return {
        "smartctl": {"exit_status": 0},
        "device": {"name": "/dev/sdb", "type": "scsi", "protocol": "SCSI"},
        "scsi_vendor": "SEAGATE",
        "scsi_model_name": "SEAGATE ST600MM",
        "scsi_revision": "0003",
        "serial_number": "W7",
        "rotation_rate": 10000,
        "smart_status": {"passed": True},
        "temperature": {"current": 30, "drive_trip": 60},
        "scsi_grown_defect_list": 0,
        "scsi_error_counter_log": {
            "read": {"total_uncorrected_errors": 0, "gigabytes_processed": "1.5"},
            "write": {"total_uncorrected_errors": 0, "gigabytes_processed": "0.250"},
        },
        "scsi_start_stop_cycle_counter": {"accumulated_start_stop_cycles": 9, "accumulated_load_unload_cycles": 80},
        **other,
    }


def read(said):
    report = read_report("drives", said)
    assert_catalogued(report.samples)
    return report, by_signal(report.samples)


def test_a_healthy_disk():
    report, found = read(
        ata(
            attribute(197, "Current_Pending_Sector", 0),
            attribute(198, "Offline_Uncorrectable", 0),
            attribute(199, "UDMA_CRC_Error_Count", 3118119),
            attribute(188, "Command_Timeout", 0x0004_0003_0002),
            attribute(187, "Reported_Uncorrect", 1),
            attribute(194, "Temperature_Celsius", 0x1500_1B00_0022, text="34 (Min/Max 21/27)"),
            attribute(241, "Total_LBAs_Written", 1000),
            attribute(242, "Host_Reads_32MiB", 2),
            user_capacity={"bytes": 10**12},
        )
    )
    assert (report.state, report.access, report.findings) == (State.OK, "read", ())
    assert {sample.component for sample in report.samples} == {"drives/drive:ZA10001"}
    assert {signal: sample.value for signal, sample in found.items()} == {
        "drive.access": "read",
        "drive.access.reason": "",
        "drive.findings": "",
        "identity.maker": "Seagate",
        "identity.model": "ST1000NM0008-2F2100",
        "identity.serial": "ZA10001",
        "identity.firmware": "SN02",
        "drive.smart": "passed",
        "drive.hours": 12345,
        "drive.power.cycles": 55,
        "drive.capacity": 10**12,
        "drive.temperature": 34,
        "drive.sectors.reallocated": 0,
        "drive.sectors.pending": 0,
        "drive.sectors.uncorrectable": 0,
        "drive.errors.reported": 1,
        "drive.link.errors": 3118119,
        "drive.timeouts": 2,
        "drive.written": 512_000,
        "drive.read": 64 << 20,
        "drive.thresholds": "ok",
    }


@pytest.mark.parametrize(
    ("said", "signal", "value", "state"),
    [
        (ata(attribute(5, "Reallocated_Sector_Ct", 1)), "drive.sectors.reallocated", 1, State.WARN),
        (ata(attribute(197, "Current_Pending_Sector", 8)), "drive.sectors.pending", 8, State.WARN),
        (ata(attribute(198, "Offline_Uncorrectable", 2)), "drive.sectors.uncorrectable", 2, State.WARN),
        (ata(attribute(187, "Reported_Uncorrect", 10)), "drive.errors.reported", 10, State.WARN),
        (ata(smart_status={"passed": False}), "drive.smart", "failing", State.CRIT),
        (ata(status=8), "drive.smart", "failing", State.CRIT),
        (ata(status=16), "drive.thresholds", "below", State.CRIT),
        (ata(status=32), "drive.thresholds", "past", State.WARN),
        (ata(status=64), "drive.errorlog", "entries", State.WARN),
        (ata(status=128), "drive.selftest", "failed", State.WARN),
        (ata(ata_smart_error_log={"summary": {"count": 2}}), "drive.errorlog", "entries", State.WARN),
        (ata(attribute(1, "Rate", 1, failed="now", prefail=True)), "drive.thresholds", "below", State.CRIT),
        (ata(attribute(9, "Hours", 1, failed="now")), "drive.thresholds", "usage", State.WARN),
        (ata(attribute(9, "Hours", 1, failed="past")), "drive.thresholds", "past", State.WARN),
        (ata(temperature={"current": 61, "op_limit_max": 60, "limit_max": 70}), "drive.temperature", 61, State.WARN),
        (ata(temperature={"current": 70, "op_limit_max": 60, "limit_max": 70}), "drive.temperature", 70, State.CRIT),
        (nvme(critical_warning=16), "drive.warning", "backup", State.CRIT),
        (nvme(critical_warning=2), "drive.warning", "temperature", State.WARN),
        (nvme(critical_warning=11), "drive.warning", "readOnly", State.CRIT),
        (nvme(critical_warning=64), "drive.warning", "other", State.WARN),
        (nvme(media_errors=7), "drive.errors.media", 7, State.WARN),
        (nvme(available_spare=9), "drive.spare", 9, State.CRIT),
        (nvme(available_spare=50), "drive.spare", 50, State.WARN),
        (nvme(percentage_used=90), "drive.wear", 90, State.WARN),
        (nvme(percentage_used=130), "drive.wear", 130, State.CRIT),
        (scsi(scsi_grown_defect_list=260), "drive.defects.grown", 260, State.WARN),
        (scsi(temperature={"current": 60, "drive_trip": 60}), "drive.temperature", 60, State.CRIT),
        (
            scsi(scsi_error_counter_log={"read": {"total_uncorrected_errors": 3}}),
            "drive.errors.uncorrected",
            3,
            State.WARN,
        ),
        (scsi(scsi_self_test_0={"result": {"value": 5}}), "drive.selftest", "failed", State.WARN),
        (scsi(scsi_percentage_used_endurance_indicator=99), "drive.wear", 99, State.WARN),
    ],
)
def test_each_defect_is_flagged_whatever_the_drive_calls_itself(said, signal, value, state):
    report, found = read(said)
    assert (found[signal].value, found[signal].state) == (value, state)
    assert report.state is state
    assert report.findings
    assert found["drive.findings"].value


@pytest.mark.parametrize(
    "said",
    [
        ata(),
        nvme(),
        scsi(),
        nvme(available_spare=100, available_spare_threshold=100),
        nvme(available_spare=98),
        ata(attribute(197, "Bogus_Current_Pend_Sect", 1)),
        ata(temperature={"current": 62}),
        ata(ata_smart_self_test_log={"standard": {"count": 21, "error_count_total": 2, "error_count_outdated": 2}}),
        scsi(scsi_self_test_0={"result": {"value": 2}}),
    ],
)
def test_a_healthy_drive_is_not_flagged(said):
    report, _ = read(said)
    assert (report.state, report.findings) == (State.OK, ())


def test_an_nvme_drive():
    _, found = read(nvme())
    values = {signal: sample.value for signal, sample in found.items()}
    assert values["drive.hours"] == 900
    assert values["drive.written"] == 3 * 512_000
    assert values["drive.shutdowns.unsafe"] == 7
    assert (values["drive.temperature.warm"], values["drive.temperature"]) == (4, 41)
    assert (values["drive.warning"], values["drive.warning.all"]) == ("none", "")
    assert read(nvme(critical_warning=11))[1]["drive.warning.all"].value == "spare,temperature,readOnly"


def test_a_scsi_drive():
    _, found = read(scsi())
    assert found["identity.maker"].value == "SEAGATE"
    assert (found["drive.read"].value, found["drive.written"].value) == (1_500_000_000, 250_000_000)
    assert (found["drive.starts"].value, found["drive.loads"].value) == (9, 80)


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        ([attribute(177, "Wear_Leveling_Count", 9, value=91), attribute(202, "Exception_Mode_Status", 0)], 91),
        ([attribute(233, "Media_Wearout_Indicator", 0, value=22)], 22),
        ([attribute(233, "Flash_Writes_GiB", 0), attribute(231, "SSD_Life_Left", 98, value=98)], 98),
        ([attribute(173, "Avg_Write/Erase_Count", 3)], None),
        ([attribute(177, "Wear_Leveling_Count", 9, value=200)], None),
    ],
)
def test_wear_by_the_name_of_the_attribute(rows, left):
    _, found = read(ata(*rows, rotation_rate=0))
    assert (found["drive.wear.left"].value if "drive.wear.left" in found else None) == left
    assert (found["drive.wear"].value if "drive.wear" in found else None) == (None if left is None else 100 - left)


def test_the_drives_own_percentage_wins():
    page = {
        "number": 7,
        "table": [{"name": "Percentage Used Endurance Indicator", "value": 17, "flags": {"valid": True}}],
    }
    said = ata(attribute(177, "Wear_Leveling_Count", 9, value=91), rotation_rate=0)
    _, found = read({**said, "ata_device_statistics": {"pages": [page]}})
    assert (found["drive.wear"].value, found["drive.wear.left"].value) == (17, 91)


@pytest.mark.parametrize(
    ("raw", "text", "hours"),
    [
        (9023116403587028, "12345h+30m", 12345),
        (9023116403587028, "47060h+35m+00.858s", 47060),
        (167031278144165, "2725 (151 234 0)", 2725),
        (700, "700", 700),
        (2**40, "noise", None),
    ],
)
def test_hours_where_smartctl_gives_none(raw, text, hours):
    said = ata(attribute(9, "Power_On_Hours", raw, text=text))
    del said["power_on_time"]
    _, found = read(said)
    assert (found["drive.hours"].value if "drive.hours" in found else None) == hours


def test_a_packed_counter_is_taken_apart():
    _, found = read(ata(attribute(5, "Reallocated_Sector_Ct", 53416508262463, text="2111 (12437 0)")))
    assert found["drive.sectors.reallocated"].value == 2111


@pytest.mark.parametrize(
    ("said", "access", "reason"),
    [
        (
            {"smartctl": {"exit_status": 2, "messages": [{"string": "Permission denied"}]}},
            "failed",
            "Permission denied",
        ),
        ({"smartctl": {"exit_status": 1}}, "failed", "did not understand"),
        ({"smartctl": {"exit_status": 2}}, "failed", "could not be opened"),
        ({**scsi(), "smartctl": {"exit_status": 2}}, "failed", "could not be opened"),
        ({"smartctl": {"exit_status": 4}, "device": {"name": "/dev/sdb"}}, "failed", "-d megaraid,0"),
        ({"smartctl": {"exit_status": 0}, "devices": []}, "failed", "list of devices"),
        ({"smartctl": {"exit_status": 0}, "model_name": "X"}, "failed", "ask with -x"),
        ({"smartctl": {"exit_status": 3}, "device": {"name": "/dev/sdb"}}, "asleep", "sleeps"),
        (ata(status=4), "partial", "refused"),
    ],
)
def test_why_there_is_no_reading(said, access, reason):
    report, found = read(said)
    assert report.access == found["drive.access"].value == access
    assert reason in found["drive.access.reason"].value
    assert ("drive.sectors.reallocated" in found) == (access == "partial")
    assert report.state is (State.UNKNOWN if access == "failed" else State.OK)


def test_the_volume_of_a_raid_controller_has_no_temperature():
    _, found = read(scsi(temperature={"current": 0, "drive_trip": 0}))
    assert "drive.temperature" not in found


def test_a_drive_of_which_nothing_was_said():
    report = unread("drives", "/dev/bus/0 megaraid,8", "no answer within 30 s")
    assert_catalogued(report.samples)
    assert {sample.component for sample in report.samples} == {"drives/drive:0 megaraid,8"}


@pytest.mark.parametrize("said", [None, 3, [], {}, {"a": 1}, {"smartctl": 7}, "smartctl"])
def test_what_is_not_smartctls(said):
    with pytest.raises(ValueError, match="smartctl -j"):
        read_report("drives", said)


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=300), st.just(2**200), st.just("\ud800\x00")
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def places(said, path=()):
    """Every place of a document."""
    yield path
    items = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_hostile_documents_give_readings_that_can_be_sent(data):
    """Any value in any place of three drives: never a fall, no value outside of the catalogue or the wire."""
    said = copy.deepcopy(data.draw(st.sampled_from([ata(attribute(177, "Wear_Leveling_Count", 1)), nvme(), scsi()])))
    for place in data.draw(st.lists(st.sampled_from([path for path in places(said) if path]), max_size=4)):
        target = said
        try:
            for key in place[:-1]:
                target = target[key]
            target[place[-1]] = data.draw(values)
        except (KeyError, IndexError, TypeError):
            continue
    try:
        report = read_report("drives", said)
    except ValueError:
        return
    assert_catalogued(report.samples)
    json.dumps([sample.value for sample in report.samples], allow_nan=False).encode()
    assert all(len(sample.label) < 500 for sample in report.samples)


@settings(max_examples=200, deadline=None)
@given(values)
def test_any_document_is_read_or_refused(said):
    try:
        assert_catalogued(read_report("drives", said).samples)
    except ValueError as error:
        assert "smartctl" in str(error)  # noqa: PT017 - both ends are right
