"""What the readings say of the power of a terminal or a branch: the words of UPSs, transfer switches, breakers, generators and a machine's own
battery, as one sentence per device. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tillwatch.agent.model import Value, device_of
from tillwatch.collector.incident.topology import node_of


class Told(NamedTuple):
    """One latest value. at: until when it is known to have held, UTC ns: when its device was last heard, since some tell states on change only.
    since: from when on, as the rule that watches it knows (LimitState.since); 0 where none does.
    """

    component: str
    signal: str
    value: Value
    at: int
    since: int = 0


class Reading(NamedTuple):
    """What decided. component: with the terminal before it where it is another's."""

    component: str
    signal: str
    at: int


MAINS, BATTERY, LOW, LEAVING, OFF = "mains", "battery", "low", "leaving", "off"
"""What a power supply said last, mildest first: leaving is about to switch its output off."""
GRAVITY = (MAINS, BATTERY, LOW, LEAVING, OFF)

POWER: Mapping[str, Mapping[str, str]] = {
    "ups.output.source": {
        **dict.fromkeys(
            ("normal", "booster", "reducer", "eco", "converter", "bypass", "maintenanceBypass", "faultBypass"), MAINS
        ),
        "battery": BATTERY,
        **dict.fromkeys(("none", "sleeping", "rebooting"), OFF),
    },
    "ups.mains": {"present": MAINS, "failed": BATTERY},
    "ups.input.source": {"primary": MAINS, "secondary": MAINS, "mains": MAINS, "battery": BATTERY, "none": BATTERY},
    "ups.input.status": {"good": MAINS, "bad": BATTERY},
    "ups.battery.status": {"low": LOW, "depleted": LOW},
    "ups.alarm": {
        "onBattery": BATTERY,
        "inputBad": BATTERY,
        "lowBattery": LOW,
        "depletedBattery": LOW,
        "shutdownPending": LEAVING,
        "shutdownImminent": LEAVING,
        "awaitingPower": OFF,
        "upsOutputOff": OFF,
        "upsSystemOff": OFF,
    },
    "ups.shutdown": {"pending": LEAVING, "active": LEAVING},
    "ups.output.status": {"unpowered": OFF},
    "pdu.source": {"a": MAINS, "b": MAINS, "none": OFF},
    "pdu.breaker": {"tripped": OFF},
    "gen.source": {"mains": MAINS, "none": OFF, "fault": OFF},
    "host.battery.plugged": {"plugged": MAINS, "unplugged": BATTERY},
}
"""Signals of the catalogue that tell of power, and what their words mean for what hangs on the device."""
CHARGE = ("ups.battery.charge", "host.battery.charge")
_NAMES = {"ups": "the UPS", "pdu": "the power distribution", "gen": "the generator"}
_WORDS = {
    MAINS: "had mains",
    BATTERY: "was on battery",
    LOW: "was on a low battery",
    LEAVING: "was switching its output off",
    OFF: "gave no power",
}
_PLAINER = {
    "pdu.breaker": "had a tripped breaker",
    "pdu.source": "had no source",
    "gen.source": "bore no load, nor did mains",
}


@dataclass(frozen=True, slots=True)
class Power:
    """What one device said last of the power. node: see topology.py; own: of the terminal itself, else of its branch; signal: that decided;
    since, at: from when and until when it held, UTC ns, since is 0 where nobody knows; charge: %, -1 if not told.
    """

    node: str
    own: bool
    signal: str
    said: str
    since: int
    at: int
    charge: float
    readings: tuple[Reading, ...]

    def __str__(self) -> str:
        family = self.signal.partition(".")[0]
        name = "the machine"
        if family in _NAMES:
            name = f"{_NAMES[family]} of the {'terminal' if self.own else 'branch'} ({self.node})"
        left = f" with {self.charge:.0f} % left" if self.charge >= 0 and self.said in (BATTERY, LOW) else ""
        said = _PLAINER.get(self.signal, "") if self.said == OFF else ""
        return f"{name} {said or _WORDS[self.said]}{left}"


def power_told(terminal: str, told: Iterable[Told], *, own: bool) -> tuple[Power, ...]:
    """One for each device of the terminal that tells of power. told: latest values of its components, others are passed over."""
    devices: dict[str, list[Told]] = {}
    for each in told:
        if each.signal in POWER or each.signal in CHARGE:
            devices.setdefault(device_of(each.component), []).append(each)
    found = (_power(node_of(terminal, device), rows, own=own) for device, rows in sorted(devices.items()))
    return tuple(each for each in found if each is not None)


def _power(node: str, rows: Sequence[Told], *, own: bool) -> Power | None:
    words = [(POWER[each.signal].get(str(each.value), ""), each) for each in rows if each.signal in POWER]
    said = {word for word, _ in words if word}
    # A worn battery is low on mains, too. Which battery it runs on during a test does not matter: one that fails it drops its load.
    if MAINS in said:
        said.discard(LOW)
    if not said:
        return None
    gravest = max(said, key=GRAVITY.index)
    deciding = [each for word, each in words if word == gravest]
    charges = [
        (float(each.value), each) for each in rows if each.signal in CHARGE and isinstance(each.value, int | float)
    ]
    charge, weakest = min(charges, default=(-1.0, None), key=lambda each: each[0])
    terminal = node.partition("/")[0]
    readings = tuple(
        Reading(each.component if own else f"{terminal}/{each.component}", each.signal, each.at)
        for each in [*deciding, *([weakest] if weakest else [])]
    )
    last = max(deciding, key=lambda each: each.at)
    since = min((each.since for each in deciding if each.since), default=0)
    return Power(node, own, last.signal, gravest, since, last.at, charge, readings)
