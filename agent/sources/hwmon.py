"""Temperatures, fans, voltages, currents and powers as the Linux kernel's hwmon and thermal drivers give them (sysfs-interface and
thermal-zone documentation of the kernel). Reads files below a root only; a drive is never asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tillwatch.agent.model import Quality, Sample, State
from tillwatch.agent.sources.sysfs import folders, number, text

SENSOR_C = (-40.0, 150.0)
"""An input without a sensor reads as -128, -55, 127.5 x 2 or the like; nothing in a terminal is outside of this."""

KINDS = {
    "temp": ("temperature", "host.temperature", "C", 1_000),
    "fan": ("fan", "host.fan.speed", "rpm", 1),
    "in": ("voltage", "host.voltage", "V", 1_000),
    "curr": ("current", "host.current", "A", 1_000),
    "power": ("power", "host.power", "W", 1_000_000),
}
"""File prefix: part, signal, unit, and how many of the file's counts make one of it."""

LIMITS = ("min", "max", "lcrit", "crit", "emergency")
FLAGS = ("alarm", "min_alarm", "max_alarm", "crit_alarm", "fault")
ASKS_DRIVES = "drivetemp"
"""This driver asks the drive for its temperature, which on some starts the spin-down timer anew; smartctl knows better."""
_INPUT = re.compile(r"(temp|fan|in|curr|power)(\d{1,3})_(?:input|average)")


@dataclass(frozen=True, slots=True)
class Sensor:
    """chip: its name, with its place where several have one name. value: None where the chip says `fault` or cannot read it."""

    chip: str
    kind: str
    number: int
    label: str
    value: float | None
    limits: dict[str, float] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)


def sensors(root: Path, *kinds: str) -> list[Sensor]:
    """kinds: some of KINDS, all if none is given."""
    places = sorted(folders(root / "sys/class/hwmon"), key=lambda path: int("0" + path.name.removeprefix("hwmon")))
    names = {path: text(path / "name") or text(path / "device/name") or _place(path) for path in places}
    often = Counter(names.values())
    found = []
    for path in places:
        if names[path] == ASKS_DRIVES:
            continue
        chip = _place(path) if often[names[path]] > 1 else names[path]
        seen: set[str] = set()
        # Before Linux 2.6 had the class, and still in some drivers, the files are those of the device.
        for folder in (path, path / "device"):
            for file in sorted(folder.glob("*_*"), key=lambda file: _order(file.name)):
                match = _INPUT.fullmatch(file.name)
                if match and (not kinds or match[1] in kinds) and match[1] + match[2] not in seen:
                    seen.add(match[1] + match[2])
                    found.append(_sensor(folder, chip, match[1], int(match[2]), file))
    return found


def zones(root: Path) -> Iterator[tuple[str, float]]:
    """(type, C) of the thermal zones that no hwmon chip shows too: where one does, the kernel names it after the zone."""
    shown = {text(path / "name") for path in folders(root / "sys/class/hwmon")}
    for path in folders(root / "sys/class/thermal", "thermal_zone"):
        kind = text(path / "type") or path.name
        value = number(path / "temp")
        if value is not None and kind.replace("-", "_") not in shown:
            yield kind, value / 1000


def read(root: Path, *kinds: str) -> Iterator[Sample]:
    """Samples whose component is the part of the machine: `temperature:coretemp Core 0`. An input without a sensor is left out."""
    names: Counter[str] = Counter()
    for sensor in sensors(root, *kinds):
        part, signal, unit, _ = KINDS[sensor.kind]
        if sensor.kind == "temp" and sensor.value is not None and not SENSOR_C[0] <= sensor.value <= SENSOR_C[1]:
            continue
        name = f"{part}:{sensor.chip} {sensor.label or sensor.number}"
        names[name] += 1
        if names[name] > 1:
            name += f" #{sensor.number}"
        yield _sample(name, signal, sensor.value, unit, judge(sensor))
    if "temp" in kinds or not kinds:
        for kind, value in zones(root):
            if SENSOR_C[0] <= value <= SENSOR_C[1]:
                names[kind] += 1
                again = f" #{names[kind]}" if names[kind] > 1 else ""
                yield _sample(f"temperature:{kind}{again}", "host.temperature", value, "C", State.NONE)


def judge(sensor: Sensor) -> State:
    """By limits that mean something. Those of voltages are often what the chip woke up with (`min` 0, `max` 0, alarm on): only the critical ones
    count there, which only supplies that measure themselves have.
    """
    value, limit = sensor.value, sensor.limits
    if value is None:
        return State.UNKNOWN
    if sensor.kind == "fan":
        least = limit.get("min", 0)
        return State.NONE if least <= 0 else State.CRIT if value == 0 else State.WARN if value < least else State.OK
    top = SENSOR_C[1] if sensor.kind == "temp" else float("inf")
    crit, high, low = (limit[key] if 0 < limit.get(key, 0) <= top else None for key in ("crit", "max", "lcrit"))
    if crit is None and (sensor.kind != "temp" or high is None) and low is None:
        return State.NONE
    if (crit is not None and (value >= crit or sensor.flags.get("crit_alarm"))) or (low is not None and value <= low):
        return State.CRIT
    return State.WARN if sensor.kind == "temp" and high is not None and value >= high else State.OK


def _sample(part: str, signal: str, value: float | None, unit: str, state: State) -> Sample:
    quality = Quality.GOOD if value is not None else Quality.ERROR
    return Sample(part, signal, value, state, quality, part.partition(":")[2], unit)


def _sensor(folder: Path, chip: str, kind: str, n: int, file: Path) -> Sensor:
    scale = KINDS[kind][3]
    stem = f"{kind}{n}_"
    limits = {key: value / scale for key in LIMITS if (value := number(folder / f"{stem}{key}")) is not None}
    flags = {key: value != 0 for key in FLAGS if (value := number(folder / f"{stem}{key}")) is not None}
    value = None if flags.get("fault") else number(file)
    scaled = None if value is None else value if scale == 1 else value / scale
    return Sensor(chip, kind, n, text(folder / f"{stem}label"), scaled, limits, flags)


def _order(name: str) -> tuple[str, int]:
    match = _INPUT.fullmatch(name)
    return (match[1], int(match[2])) if match else ("", 0)


def _place(path: Path) -> str:
    """The device that the chip belongs to: `coretemp.1`, `0000:45:00.0`; it stays where the hwmon number does not."""
    device = path / "device"
    return device.resolve().name if device.exists() else path.name
