"""What XFS4IoT services say of themselves (Common.Status, Common.Capabilities) as samples: pure. Only the members and fields that stand here are
read; free text, and whatever is about cards, cheques, keys or the person in front of the machine, is not among them.

A word that is not known is the state `unknown`, counted and shown by the name of its field; it never fails the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tillwatch.agent.model import Quality, Sample, State

MAX_POSITIONS = 16
"""XFS4IoT has 16 names of positions."""
MAX_UNREAD = 20
MAX_TEXT = 100

Words = Mapping[str, tuple[str, State]]
_BADNESS = (State.NONE, State.OK, State.UNKNOWN, State.WARN, State.CRIT)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{0,39}")


def words(ok: str = "", warn: str = "", crit: str = "", unknown: str = "unknown") -> Words:
    """XFS4IoT's word to the catalogue's and what it means; `jammed=stuck` where the two differ."""
    found: dict[str, tuple[str, State]] = {}
    for text, state in ((ok, State.OK), (warn, State.WARN), (crit, State.CRIT), (unknown, State.UNKNOWN)):
        for each in text.split():
            theirs, _, ours = each.partition("=")
            found[theirs] = (ours or theirs, state)
    return found


@dataclass(slots=True)
class Unread:
    """What was not understood: a field and its word, or a member. Values that are no word are never kept."""

    found: dict[str, None] = field(default_factory=dict)
    count: int = 0

    def add(self, where: str, value: object = "") -> None:
        self.count += 1
        word = f"={value}" if isinstance(value, str) and value and _WORD.fullmatch(value) else ""
        if len(self.found) < MAX_UNREAD:
            self.found[f"{where}{word}"] = None

    def samples(self, component: str) -> list[Sample]:
        return [
            Sample(component, "atm.unread", self.count),
            Sample(component, "atm.unread.all", ", ".join(self.found)[:500]),
        ]


@dataclass(frozen=True, slots=True)
class Row:
    """A field of the status. path: members with dots; the last one may be `*` for each of `keys`, its part is then `<part>:<key>`."""

    path: str
    signal: str
    words: Words
    part: str = ""
    keys: tuple[str, ...] = ()


DEVICE = words(
    ok="online deviceBusy=busy",
    warn="userError potentialFraud starting",
    crit="offline powerOff noDevice hardwareError fraudAttempt",
)
PART = words(ok="ok", crit="inoperable inoperative=inoperable inop=inoperable")
LAMP = words(ok="ok", warn="fading", crit="inoperative=inoperable inop=inoperable")
SHUTTER = words(ok="closed open", crit="jammedOpen jammedPartiallyOpen jammedClosed jammedUnknown jammed")
ITEMS = words(ok="empty notEmpty notEmptyCustomer", warn="foreignItems", unknown="unknown notEmptyUnknown=unknown")
STACKER = words(
    ok="empty notEmpty notEmptyCustomer", crit="full inoperative=inoperable", unknown="unknown notEmptyUnknown=unknown"
)
MEDIA = words(ok="present notPresent entering latched retracted position=present", crit="jammed")
SUPPLY = words(ok="full", warn="low", crit="out")
PAPER = words(ok="full", warn="low", crit="out jammed")
CASH = words(ok="ok", warn="attention state=attention", crit="stop")
ON_OFF = words(ok="off=clear", crit="on=alarm")
DOOR = words(
    ok="closed locked bolted=locked doorClosed=closed",
    warn="open doorOpened=open",
    crit="tampered=forced",
    unknown="unknown fault=unknown disabled=unknown",
)
LED_DISPLAY = words(ok="on off", crit="displayError")
PAPERS = ("upper", "lower", "external", "aux", "aux2", "park")
CAMERAS = ("room", "person", "exitSlot")
IBNS = words(
    ok="notTilted boltLocked notDetected notConfigured disabled ok initializing",
    warn="boltUnlocked partialWarningLevel warningLevel tooCold",
    crit="fault tilted detected partialCriticalLevel criticalLevel tooHot triggered",
)

ROWS = (
    Row("common.device", "atm.device", DEVICE),
    Row("common.devicePosition", "atm.placed", words(ok="inPosition", crit="notInPosition")),
    Row("common.antiFraudModule", "atm.antifraud", words(ok="ok", warn="inoperable", crit="deviceDetected")),
    Row("common.exchange", "atm.exchange", words(ok="active inactive")),
    Row("cardReader.media", "atm.media", MEDIA, "media"),
    Row("cardReader.security", "atm.security", words(ok="open", warn="notReady")),
    Row("cardReader.chipPower", "atm.chip", words(ok="online busy poweredOff noCard", crit="noDevice hardwareError")),
    *(
        Row(f"cardReader.{name}", "atm.part", PART, name)
        for name in ("chipModule", "magWriteModule", "frontImageModule", "backImageModule")
    ),
    Row("cashDispenser.intermediateStacker", "atm.stacker", STACKER, "dispenser"),
    Row("cashAcceptor.intermediateStacker", "atm.stacker", STACKER, "acceptor"),
    Row("cashAcceptor.banknoteReader", "atm.part", PART, "banknoteReader"),
    Row("cashManagement.dispenser", "atm.cash", CASH, "dispenser"),
    Row("cashManagement.acceptor", "atm.cash", CASH, "acceptor"),
    Row("printer.media", "atm.media", MEDIA, "media"),
    Row("printer.paper.*", "atm.paper", PAPER, "paper", PAPERS),
    Row("printer.toner", "atm.supply", SUPPLY, "toner"),
    Row("printer.ink", "atm.supply", SUPPLY, "ink"),
    Row("printer.lamp", "atm.lamp", LAMP),
    Row(
        "keyManagement.encryptionState",
        "atm.epp",
        words(ok="ready busy initialized", crit="notReady notInitialized", unknown="unknown undefined=unknown"),
    ),
    Row("keyManagement.certificateState", "atm.epp.certificate", words(ok="primary secondary", warn="notReady")),
    Row("check.acceptor", "atm.cash", CASH, "checkAcceptor"),
    Row("check.media", "atm.media", MEDIA, "media"),
    Row("check.toner", "atm.supply", SUPPLY, "toner"),
    Row("check.ink", "atm.supply", SUPPLY, "ink"),
    *(Row(f"check.{name}", "atm.lamp", LAMP, name) for name in ("frontImageScanner", "backImageScanner", "mICRReader")),
    *(Row(f"check.{name}", "atm.stacker", STACKER, name) for name in ("stacker", "rebuncher", "mediaFeeder")),
    Row("camera.media.*", "atm.recording", words(ok="ok", warn="high", crit="full"), "camera", CAMERAS),
    Row("camera.cameras.*", "atm.part", PART, "camera", CAMERAS),
    Row("barcodeReader.scanner", "atm.scanner", words(ok="on off", crit="inoperative=inoperable")),
    *(Row(f"deposit.{name}", "atm.part", PART, name) for name in ("depTransport", "envDispenser", "printer")),
    Row("deposit.toner", "atm.supply", SUPPLY, "toner"),
    Row("deposit.shutter", "atm.shutter", SHUTTER, "shutter"),
    Row("vendorMode.device", "atm.vendor.application", words(ok="online offline")),
    Row("vendorMode.service", "atm.vendor.mode", words(ok="inactive enterPending active exitPending")),
    Row("auxiliaries.operatorSwitch", "atm.mode", words(ok="run maintenance supervisor")),
    *(Row(f"auxiliaries.{name}", "env.tamper", ON_OFF, name) for name in ("tamperSensor", "internalTamperSensor")),
    Row("auxiliaries.seismicSensor", "env.vibration", ON_OFF, "seismicSensor"),
    Row("auxiliaries.heatSensor", "env.heat", ON_OFF, "heatSensor"),
    Row("auxiliaries.audibleAlarm", "atm.alarm", words(ok="off", crit="on")),
    Row("auxiliaries.consumerDisplaySensor", "atm.display", LED_DISPLAY),
    Row(
        "auxiliaries.vandalShield",
        "atm.shield",
        words(ok="closed open locked service keyboard", warn="partiallyOpen", crit="jammed tampered"),
    ),
    *(
        Row(f"auxiliaries.{name}", "env.door", DOOR, name)
        for name in (
            "cabinetDoor",
            "safeDoor",
            "cabinetFrontDoor",
            "cabinetRearDoor",
            "cabinetLeftDoor",
            "cabinetRightDoor",
        )
    ),
    Row(
        "banknoteNeutralization.state.mode",
        "atm.neutralization",
        words(ok="armed", warn="disarmed", crit="fault neutralizationTriggered=triggered"),
    ),
    Row("banknoteNeutralization.safeDoor", "env.door", DOOR, "safeDoor"),
    *(
        Row(f"banknoteNeutralization.{name}", "atm.neutralization.sensor", IBNS, name)
        for name in ("safeBolt", "tilt", "light", "gas", "temperature", "seismic")
    ),
    *(
        row
        for member in ("powerManagement", "banknoteNeutralization.powerSupply")
        for row in (
            Row(
                f"{member}.info.powerInStatus",
                "ups.mains",
                words(ok="powering=present", warn="noPower=failed", unknown=""),
                "power",
            ),
            Row(
                f"{member}.info.powerOutStatus",
                "ups.output.status",
                words(ok="powering=protected", crit="noPower=unpowered", unknown=""),
                "power",
            ),
            Row(
                f"{member}.info.batteryStatus",
                "ups.battery.status",
                words(ok="full=normal operational=normal", crit="low critical=depleted failure=fault"),
                "power",
            ),
            Row(
                f"{member}.info.batteryChargingStatus",
                "ups.battery.charger",
                words(ok="charging notCharging=resting", warn="discharging"),
                "power",
            ),
        )
    ),
)

POSITION_NAMES = frozenset(
    f"{way}{side}"
    for way in ("in", "out")
    for side in ("Default", "Left", "Right", "Center", "Top", "Bottom", "Front", "Rear")
)
POSITION_ROWS = (
    ("shutter", "atm.shutter", SHUTTER),
    ("positionStatus", "atm.items", ITEMS),
    ("transport", "atm.part", PART),
    ("transportStatus", "atm.transport.items", ITEMS),
    ("transportMediaStatus", "atm.transport.items", ITEMS),
)
WITH_POSITIONS = ("cashDispenser", "cashAcceptor")
CHECK_POSITIONS = ("input", "output", "refused")
WARNINGS = (
    "protectionArmingFault", "protectionDisarmingFault", "externalMainPowerOutage", "storageUnitLowPowerSupply", "armedAutonomous", "armedAlarm",
    "gasWarningLevel", "seismicActivityWarningLevel",
)  # fmt: skip
ERRORS = (
    "protectionEnablingFailure", "protectionDisarmingFailure", "storageUnitPowerSupplyFailure", "backupBatteryFailure", "gasCriticalLevel", "light",
    "tilted", "seismicActivityCriticalLevel",
)  # fmt: skip

MEMBERS = frozenset(
    [
        "common",
        "cardReader",
        "cashAcceptor",
        "cashDispenser",
        "cashManagement",
        "check",
        "mixedMedia",
        "keyManagement",
        "keyboard",
        "textTerminal",
        "printer",
        "barcodeReader",
        "biometric",
        "camera",
        "lights",
        "banknoteNeutralization",
        "auxiliaries",
        "deposit",
        "vendorMode",
        "vendorApplication",
        "powerManagement",
    ]
)
"""Of the status. Those without a row are known and not read: guidance lights, the text terminal, and biometric, which is about people."""


def at(payload: object, path: str) -> Any:
    """What stands there, or None."""
    for name in path.split("."):
        if not isinstance(payload, Mapping):
            return None
        payload = payload.get(name)
    return payload


def sample_of(component: str, signal: str, known: Words, value: object, where: str, unread: Unread) -> Sample:
    """The word, or `unknown` for one that is not known."""
    found = known.get(value) if isinstance(value, str) else None
    if found is None:
        unread.add(where, value)
        return unreadable(component, signal)
    return Sample(component, signal, *found)


def unreadable(component: str, signal: str, unit: str = "") -> Sample:
    return Sample(component, signal, None, State.UNKNOWN, Quality.ERROR, unit=unit)


def status(component: str, payload: Mapping[str, Any], unread: Unread) -> Iterator[Sample]:
    """Common.Status. component: `<device>/<service>`; parts of the service follow after a blank: `atm/Printer1 paper:upper`."""
    for member in payload:
        if member not in MEMBERS:
            unread.add(member if _WORD.fullmatch(member) else "a member")
    for row in ROWS:
        path, star, _ = row.path.partition(".*")
        value = at(payload, path)
        if value is None:
            continue  # the device does not have it
        if not star:
            yield sample_of(named(component, row.part), row.signal, row.words, value, row.path, unread)
        elif isinstance(value, Mapping):
            for key in row.keys:
                if value.get(key) is not None:
                    yield sample_of(
                        named(component, f"{row.part}:{key}"), row.signal, row.words, value[key], path, unread
                    )
        else:
            unread.add(path)
    yield from _positions(component, payload, unread)
    yield from _rest(component, payload)


def named(component: str, part: str) -> str:
    return f"{component} {part}" if part else component


def _positions(component: str, payload: Mapping[str, Any], unread: Unread) -> Iterator[Sample]:
    places: list[tuple[str, str, Any]] = []
    for member in WITH_POSITIONS:
        listed = at(payload, f"{member}.positions")
        for place in listed[:MAX_POSITIONS] if isinstance(listed, list) else ():
            name = at(place, "position")
            if isinstance(name, str) and name in POSITION_NAMES:
                places.append((member, name, place))
            else:
                unread.add(f"{member}.positions.position", name)
    places += [("check", name, at(payload, f"check.positions.{name}")) for name in CHECK_POSITIONS]
    for member, name, place in places:
        for key, signal, known in POSITION_ROWS:
            value = at(place, key)
            if value is not None:
                yield sample_of(named(component, name), signal, known, value, f"{member}.positions.{key}", unread)


def _rest(component: str, payload: Mapping[str, Any]) -> Iterator[Sample]:
    """Numbers, and words that several fields make together."""
    stacked = at(payload, "printer.mediaOnStacker")
    if is_count(stacked):
        yield Sample(component, "atm.stacked", stacked)
    supply = at(payload, "auxiliaries.UPS")
    if isinstance(supply, Mapping):
        part = named(component, "UPS")
        if (running := _either(supply, "engaged", "powering")) is not None:
            yield Sample(part, "ups.mains", *(("failed", State.WARN) if running else ("present", State.OK)))
        if (low := _either(supply, "low")) is not None:
            yield Sample(part, "ups.battery.status", *(("low", State.CRIT) if low else ("normal", State.OK)))
    protection = at(payload, "banknoteNeutralization")
    if isinstance(protection, Mapping):
        for member, names, signal, state in (
            ("warnings", WARNINGS, "atm.neutralization.warnings", State.WARN),
            ("errors", ERRORS, "atm.neutralization.errors", State.CRIT),
        ):
            flags = protection.get(member)
            if isinstance(flags, Mapping):
                raised = [name for name in names if flags.get(name) is True]
                yield Sample(component, signal, *(("present", state) if raised else ("none", State.OK)))
                yield Sample(component, f"{signal}.all", ", ".join(raised))


def worst(samples: Iterable[Sample]) -> list[Sample]:
    """Of two samples of one thing the worse one: a recycler tells of the same shutter as dispenser and as acceptor."""
    found: dict[tuple[str, str], Sample] = {}
    for sample in samples:
        key = (sample.component, sample.signal)
        if key not in found or _BADNESS.index(sample.state) > _BADNESS.index(found[key].state):
            found[key] = sample
    return list(found.values())


def _either(flags: Mapping[str, Any], *names: str) -> bool | None:
    said = [flags[name] for name in names if isinstance(flags.get(name), bool)]
    return any(said) if said else None


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**9


def identity(component: str, payload: Mapping[str, Any]) -> Iterator[Sample]:
    """Common.Capabilities: the first device of the service, as its label says it. Formats of keys and PINs, which stand there too, are not read."""
    listed = at(payload, "common.deviceInformation")
    first = listed[0] if isinstance(listed, list) and listed else None
    firmware = at(first, "firmware")
    version = at(firmware[0], "firmwareVersion") if isinstance(firmware, list) and firmware else None
    for signal, value in (
        ("identity.model", at(first, "modelName")),
        ("identity.serial", at(first, "serialNumber")),
        ("identity.firmware", version),
    ):
        if (said := plain(value)) != "":
            yield Sample(component, signal, said)


def plain(value: object) -> str:
    """A label's text, or empty."""
    return "".join(c for c in value if c.isprintable()).strip()[:MAX_TEXT] if isinstance(value, str) else ""


def versions(payload: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """Which commands the service knows, by its capabilities, and in which versions: `Common.Status` -> {"2.0"}."""
    found: dict[str, frozenset[str]] = {}
    listed = payload.get("interfaces")
    for interface in listed[:64] if isinstance(listed, list) else ():
        commands = at(interface, "commands")
        for name, command in commands.items() if isinstance(commands, Mapping) else ():
            said = at(command, "versions")
            if isinstance(said, list):
                found[name] = frozenset(version for version in said[:16] if isinstance(version, str))
    return found
