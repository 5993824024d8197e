"""Recordings of others, where they are there: real drives against the figures read straight from their JSON, and a recorded /sys and /proc against
the metrics that another program's own test expects from them.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.agent.counters import DATA, assert_catalogued, needs
from tillwatch.agent.model import State
from tillwatch.agent.sources import edac, hwmon, mdraid, power_supply
from tillwatch.agent.sources.smart_map import read_report

SMART = DATA / "smart"
NODE = DATA / "syscounters" / "node_exporter"
INDEX = (SMART / "index.tsv").read_text("utf-8") if SMART.is_dir() else ""
DRIVES = list(csv.DictReader(INDEX.splitlines(), delimiter="\t"))

COLUMNS = {
    "temp_c": "drive.temperature",
    "poh": "drive.hours",
    "nvme_pct_used": "drive.wear",
    "nvme_spare": "drive.spare",
    "nvme_media_err": "drive.errors.media",
    "realloc5": "drive.sectors.reallocated",
    "pending197": "drive.sectors.pending",
    "offline_unc198": "drive.sectors.uncorrectable",
    "crc199": "drive.link.errors",
    "ssd_wear_norm": "drive.wear.left",
    "scsi_grown_defects": "drive.defects.grown",
    "scsi_pct_used": "drive.wear",
}
DEFECTS = ("realloc5", "pending197", "offline_unc198", "nvme_media_err", "nvme_crit_warn", "scsi_grown_defects")
"""A drive with any of these, or that says itself that it fails, or with a fault in smartctl's exit status (bits 3 to 7), is ill. Not with checksum
errors of the cable (199), which no repair sets back."""
NO_SENSOR = {("scrutiny/smart-raid.json", "temp_c")}
"""The volume of a RAID controller that refused SMART: 0 C with a trip point of 0."""


@needs("smart")
def test_every_counter_of_every_drive():
    wrong, compared = [], 0
    for row in DRIVES:
        report = read_report("drives", json.loads((SMART / row["file"]).read_text()))
        assert_catalogued(report.samples)
        values = {sample.signal: sample.value for sample in report.samples}
        for column, signal in COLUMNS.items():
            if row[column] and (row["file"], column) not in NO_SENSOR:
                compared += 1
                if str(values.get(signal)) != row[column]:
                    wrong.append((row["file"], column, row[column], values.get(signal)))
        if row["nvme_crit_warn"]:
            compared += 1
            assert (values["drive.warning"] == "none") == (row["nvme_crit_warn"] == "0"), row
    print(f"{len(DRIVES)} files, {compared} figures, {len(wrong)} wrong")
    assert wrong == []
    assert compared > 700 or len(DRIVES) != 130


@needs("smart")
def test_every_ill_drive_is_flagged_and_no_healthy_one():
    table = Counter()
    for row in DRIVES:
        report = read_report("drives", json.loads((SMART / row["file"]).read_text()))
        status = int(row["exit_status"] or 0)
        if report.access == "failed":
            assert status & 7 or not row["passed"], row["file"]
            table["not read"] += 1
            continue
        ill = any(row[column] not in ("", "0") for column in DEFECTS) or bool(status & 0xF8) or row["passed"] == "False"
        flagged = report.state in (State.WARN, State.CRIT)
        assert flagged == ill, (row["file"], report.findings)
        assert bool(report.findings) == ill
        table["ill and flagged" if ill else "healthy and not flagged"] += 1
    print(dict(table))


def unpacked(archive: Path, root: Path) -> Path:
    """A ttar archive: a line of `Path:`, `Lines:` with so many lines after it, `Directory:` or `SymlinkTo:` a record."""
    lines = iter(archive.read_bytes().split(b"\n"))
    path = root
    for line in lines:
        key, _, value = line.decode("utf-8", "replace").partition(": ")
        if key == "Path":
            path = root / value
            path.parent.mkdir(parents=True, exist_ok=True)
        elif key == "Directory":
            (root / value).mkdir(parents=True, exist_ok=True)
        elif key == "SymlinkTo":
            path.symlink_to(value)
        elif key == "Lines":
            body = b"".join(
                next(lines).replace(b"\\0", b"\0").replace(b"NULLBYTE", b"\0") + b"\n" for _ in range(int(value))
            )
            path.write_bytes(body.removesuffix(b"\n"))
    return root


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = unpacked(NODE / "sys.ttar", tmp_path_factory.mktemp("recorded"))
    (root / "proc").mkdir()
    (root / "proc/mdstat").write_bytes((NODE / "mdstat").read_bytes())
    return root


Key = tuple[str, frozenset[tuple[str, str]]]


def expected() -> dict[Key, float]:
    text = (NODE / "expected_hwmon_edac_thermal_power_md.txt").read_text("utf-8", errors="replace")
    rows = re.findall(r"^(\w+)\{(.*)\} (\S+)$", text, re.MULTILINE)
    return {(name, frozenset(re.findall(r'(\w+)="([^"]*)"', labels))): float(value) for name, labels, value in rows}


def key(name: str, **labels: str) -> Key:
    return name, frozenset(labels.items())


ELSEWHERE = {
    "node_cooling_device": "how far something is throttled or cooled says nothing of health",
    "node_hwmon_chip_names": "a name, part of every component",
    "node_hwmon_sensor_label": "a name, part of every component",
    "node_hwmon_pwm": "settings of the fan control",
    "node_hwmon_freq": "clocks of a graphics card",
    "node_hwmon_intrusion": "latched, and set on every board without the switch",
    "node_hwmon_fan_manual": "a setting",
    "node_hwmon_fan_output": "a setting",
    "node_hwmon_fan_target_rpm": "a setting",
    "node_hwmon_fan_pulses": "a setting",
    "node_hwmon_fan_tolerance": "a setting",
    "node_hwmon_fan_beep_enabled": "a setting",
    "node_hwmon_in_beep_enabled": "a setting",
    "node_hwmon_fan_max_rpm": "compared as a limit",
    "node_md_degraded": "of arrays of another machine than /proc/mdstat; there it follows from required and active",
    "node_md_raid_disks": "the same",
    "node_nvme": "identity and size come from smartctl",
    "node_power_supply_energy_watthour": "in the runtime",
    "node_power_supply_energy_full": "in the capacity",
    "node_power_supply_power_watt": "in the runtime",
    "node_power_supply_voltage": "of a battery: not judged by anything",
    "node_power_supply_info": "words, compared one by one below",
    "node_power_supply_present": "a battery that is not there is left out",
}


@needs("syscounters")
def test_the_recorded_tree_gives_the_expected_lines(recorded):
    found: dict[Key, float] = {}
    chips = {
        "coretemp.0": "platform_coretemp_0",
        "coretemp.1": "platform_coretemp_1",
        "applesmc": "platform_applesmc_768",
        "nct6779": "nct6779",
        "hwmon4": "hwmon4",
        **{f"mt7996_phy0_{n}": f"ieee80211_phy0_mt7996_phy0_{n}" for n in range(3)},
    }
    units = {"temp": "celsius", "fan": "rpm", "in": "volts"}
    for sensor in hwmon.sensors(recorded):
        kind, where = sensor.kind, {"chip": chips[sensor.chip], "sensor": f"{sensor.kind}{sensor.number}"}
        found[key(f"node_hwmon_{kind}_{units[kind]}", **where)] = sensor.value
        for limit, value in sensor.limits.items():
            found[key(f"node_hwmon_{kind}_{limit}_{units[kind]}", **where)] = value
        for flag, raised in sensor.flags.items():
            name = f"node_hwmon_{kind}_{flag}" + ("_celsius" if flag == "crit_alarm" else "")
            found[key(name, **where)] = raised
    for kind, value in hwmon.zones(recorded):
        found[key("node_thermal_zone_temp", type=kind, zone="0")] = value
    for sample in edac.read(recorded):
        _, controller, place = re.fullmatch(r"(memory):mc(\d+)(?: (.*))?", sample.component).groups()
        what = (
            sample.signal.rpartition(".")[2].replace("uncorrected", "uncorrectable").replace("corrected", "correctable")
        )
        channel = re.fullmatch(r"csrow(\d+) ch(\d+)", place or "")
        if channel:
            found[
                key(
                    f"node_edac_channel_{what}_errors_total",
                    channel=channel[2],
                    controller=controller,
                    csrow=channel[1],
                    dimm_label=re.sub(
                        r"(?<=\d)(?=[a-z])", "_", sample.label.replace("#", "")
                    ),  # written mc0csrow0channel0
                )
            ] = sample.value
        elif place:
            row = place.removeprefix("csrow")
            found[key(f"node_edac_csrow_{what}_errors_total", controller=controller, csrow=row)] = sample.value
        else:
            found[key(f"node_edac_{what}_errors_total", controller=controller)] = sample.value
    states = {"recovering": "recovering", "resync": "resync", "check": "check", "inactive": "inactive"}
    for array in mdraid.arrays((recorded / "proc/mdstat").read_text()):
        device = array.name
        found[key("node_md_blocks", device=device)] = array.blocks
        found[key("node_md_blocks_synced", device=device)] = array.synced
        found[key("node_md_disks_required", device=device)] = array.required
        for state, count in (("active", array.active), ("failed", array.failed), ("spare", array.spare)):
            found[key("node_md_disks", device=device, state=state)] = count
        # Here an array that lacks a member is degraded, and the frame of a firmware RAID is a container.
        shown = states.get(array.state, "inactive" if array.state == "container" else "active")
        for state in ("active", "check", "inactive", "recovering", "resync"):
            found[key("node_md_state", device=device, state=state)] = state == shown
    battery = {sample.signal: sample.value for sample in power_supply.read(recorded)}
    found[key("node_power_supply_capacity", power_supply="BAT0")] = battery["host.battery.charge"]
    found[key("node_power_supply_cyclecount", power_supply="BAT0")] = battery["host.battery.cycles"]
    found[key("node_power_supply_online", power_supply="AC")] = battery["host.battery.plugged"] == "plugged"
    assert battery["host.battery.capacity"] == round(100 * 45.07 / 47.52, 1)
    assert battery["host.battery.status"] == "discharging"
    assert battery["host.battery.runtime"] == int(36.58 / 5.002 * 60)

    lines = expected()
    equal = {line for line, value in lines.items() if line in found and found[line] == value}
    wrong = {line: (value, found[line]) for line, value in lines.items() if line in found and found[line] != value}
    missing = {line for line in lines if line not in found and not line[0].startswith(tuple(ELSEWHERE))}
    reasons = Counter(next((k for k in ELSEWHERE if name.startswith(k)), "") for name, _ in set(lines) - set(found))
    print(f"{len(lines)} lines, {len(equal)} equal, {len(wrong)} wrong; not ours: {dict(reasons)}")
    assert (wrong, missing) == ({}, set())
    assert len(equal) > 250


@needs("syscounters")
def test_the_recorded_tree_gives_readings(recorded):
    samples = [*hwmon.read(recorded), *edac.read(recorded), *mdraid.read(recorded), *power_supply.read(recorded)]
    assert_catalogued(samples)
    state = {(sample.component, sample.signal): sample.state for sample in samples}
    assert len(state) == len(samples)
    assert state["memory:mc0", "memory.ecc.uncorrected"] is State.CRIT
    assert state["raid:md7", "raid.state"] is State.CRIT
    assert state["raid:md219", "raid.state"] is State.OK
    assert state["fan:applesmc Left side", "host.fan.speed"] is State.CRIT
    assert state["voltage:nct6779 1", "host.voltage"] is State.NONE
