"""Batteries and mains of the machine itself, out of Linux' power_supply class: charge, and how much of the battery is left of what it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.sysfs import folders, number, text

STATUS = {
    "Charging": ("charging", State.OK),
    "Discharging": ("discharging", State.OK),
    "Not charging": ("notCharging", State.OK),
    "Full": ("full", State.OK),
    "Unknown": ("unknown", State.UNKNOWN),
}
HEALTH = {
    "Good": ("good", State.OK),
    "Warm": ("warm", State.OK),
    "Cool": ("cool", State.OK),
    "Cold": ("cold", State.WARN),
    "Hot": ("hot", State.WARN),
    "Overheat": ("overheat", State.CRIT),
    "Dead": ("dead", State.CRIT),
    "Over voltage": ("overVoltage", State.CRIT),
    "Over current": ("overCurrent", State.CRIT),
    "Unspecified failure": ("failed", State.CRIT),
    "Watchdog timer expire": ("failed", State.CRIT),
    "Safety timer expire": ("failed", State.CRIT),
    "Calibration required": ("calibrate", State.WARN),
}
"""Words of the kernel's sysfs-class-power; others are left out."""
CAPACITY_WARN = 60.0
"""Percent of the design capacity. 80 is the usual end of life of a battery that must bridge; one that only parks the machine is good for
longer. Assumed."""


def read(root: Path) -> Iterator[Sample]:
    """Parts: `battery`, and `battery:BAT1` for a second one. Batteries of mice and keyboards are not the machine's."""
    supplies = [each for each in folders(root / "sys/class/power_supply") if text(each / "scope") != "Device"]
    batteries = [each for each in supplies if text(each / "type") == "Battery"]
    online = [number(each / "online") for each in supplies if text(each / "type") in {"Mains", "USB"}]
    for n, battery in enumerate(batteries):
        if number(battery / "present") == 0:
            continue
        part = "battery" if n == 0 else f"battery:{battery.name}"
        yield from _battery(part, battery)
        if n == 0 and (known := [each for each in online if each is not None]):
            word, state = ("plugged", State.OK) if any(known) else ("unplugged", State.WARN)
            yield Sample(part, "host.battery.plugged", word, state, label=battery.name)


def _battery(part: str, battery: Path) -> Iterator[Sample]:
    label = battery.name
    charge = number(battery / "capacity")
    if charge is not None and 0 <= charge <= 100:
        yield Sample(part, "host.battery.charge", charge, label=label, unit="%")
    for what in ("energy", "charge"):
        full, design = number(battery / f"{what}_full"), number(battery / f"{what}_full_design")
        if full is not None and design is not None and full >= 0 and design > 0:
            left = round(100 * full / design, 1)
            state = State.WARN if left < CAPACITY_WARN else State.OK
            yield Sample(part, "host.battery.capacity", left, state, label=label, unit="%")
            break
    if (cycles := number(battery / "cycle_count")) is not None and cycles >= 0:
        yield Sample(part, "host.battery.cycles", cycles, label=label)
    for signal, words in (("host.battery.status", STATUS), ("host.battery.health", HEALTH)):
        if word := words.get(text(battery / signal.rpartition(".")[2])):
            yield Sample(part, signal, word[0], word[1], label=label)
    if text(battery / "status") == "Discharging":
        for amounts, rates in (("energy_now", "power_now"), ("charge_now", "current_now")):
            amount, rate = number(battery / amounts), number(battery / rates)
            # Some batteries give the current that flows out as a negative one.
            if amount is not None and amount >= 0 and rate:
                yield Sample(part, "host.battery.runtime", amount * 60 // abs(rate), label=label, unit="min")
                break
