"""UnifiedPOS statistics of the devices of a till, as samples: pure, but for the program that asks Windows for them. No device is claimed, enabled or
written to, so the till's own application keeps what it has. Whether a figure is there depends on the maker's driver.

Asked is Windows.Devices.PointOfService in a short-lived process of its own (windows_pos_child.py), so that the projection of WinRT and
the makers' drivers, which it loads, do not stay in the resident agent and cannot end it. OPOS and POS for .NET are no way in: both give statistics to the application that has claimed the device.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tillwatch.agent.model import Sample, State, Value
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.program import Program
from tillwatch.agent.sources.windows_cim import part, plain
from tillwatch.agent.sources.windows_xml import elements

MAX_DEVICES = 32
"""A till has five or six."""
MAX_XML = 200_000
MAX_COUNT = (1 << 53) - 1
"""Statistics are text without a bound; this one every reader of JSON keeps exactly."""
ASK_S = 60.0
KINDS = {
    "PosPrinter": "printer",
    "CashDrawer": "drawer",
    "MagneticStripeReader": "msr",
    "BarcodeScanner": "scanner",
}
"""Class of Windows.Devices.PointOfService -> what its component is called. A line display gives statistics only to who has claimed it."""
STATISTICS = {
    "HoursPoweredCount": ("pos.hours", "h"),
    "CommunicationErrorCount": ("pos.errors.communication", ""),
    "PaperCutCount": ("printer.cuts", ""),
    "FailedPaperCutCount": ("printer.cuts.failed", ""),
    "ReceiptLineFeedCount": ("printer.lines", ""),
    "ReceiptLinePrintedCount": ("printer.lines.printed", ""),
    "ReceiptCharacterPrintedCount": ("printer.characters", ""),
    "ReceiptCoverOpenCount": ("printer.cover.openings", ""),
    "PrinterFaultCount": ("printer.faults", ""),
    "HomeErrorCount": ("printer.errors.home", ""),
    "MaximumTempReachedCount": ("printer.overheats", ""),
    "FormInsertionCount": ("printer.forms", ""),
    "NVRAMWriteCount": ("printer.memory.writes", ""),
    "DrawerGoodOpenCount": ("drawer.openings", ""),
    "DrawerFailedOpenCount": ("drawer.openings.failed", ""),
    "GoodReadCount": ("cardreader.reads", ""),
    "FailedReadCount": ("cardreader.reads.failed", ""),
    "UnreadableCardCount": ("cardreader.unreadable", ""),
    "MissingStartSentinelTrack1Count": ("cardreader.track1.missing", ""),
    "ParityLRCErrorTrack1Count": ("cardreader.track1.parity", ""),
    "MissingStartSentinelTrack2Count": ("cardreader.track2.missing", ""),
    "ParityLRCErrorTrack2Count": ("cardreader.track2.parity", ""),
    "GoodScanCount": ("scanner.scans", ""),
}
"""Names of the UnifiedPOS standard (UPOSStat.xsd, release 1.8 and later) -> signal and unit. What counts authentications, PINs or keys that were
pressed is not read: it is about people. HoursPowered and the like are written without `Count` by some drivers."""
EQUIPMENT = {
    "ManufacturerName": "identity.maker",
    "ModelName": "identity.model",
    "SerialNumber": "identity.serial",
    "FirmwareRevision": "identity.firmware",
}
MEND = "give the agent the package for it: pip install tillwatch[windows-pos]"


@dataclass(frozen=True, slots=True)
class Reported:
    """One device. kind: a key of KINDS. id: of Windows, which stays. statistics: UPOSStat XML. error: why there are none."""

    kind: str
    id: str
    name: str
    statistics: str
    error: str


class PosStatistics(Protocol):
    """What has the devices of a till: Windows, or a recording. Called by one poll at a time."""

    async def ask(self) -> Sequence[Reported]:
        """All devices, those without statistics with the reason. SourceError: none can be asked."""


class PosChild:
    """A PosStatistics: the agent's own interpreter, started for one question."""

    def __init__(self, program: str = sys.executable) -> None:
        self._program = Program(program, MEND)

    async def ask(self) -> Sequence[Reported]:
        done = await self._program.run("-P", "-m", "tillwatch.agent.sources.windows_pos_child", seconds=ASK_S)
        if done.status:
            words = plain(" ".join(done.errors.split()[-40:]))[-300:] or f"exit status {done.status}"
            raise SourceError(f"Windows.Devices.PointOfService cannot be asked: {words}; {MEND}")
        try:
            return reported(json.loads(done.output))
        except (ValueError, RecursionError):
            raise SourceError("Windows.Devices.PointOfService: the answer is none of ours") from None


def reported(said: object) -> list[Reported]:
    """What the child printed. Raises ValueError if it is no list; members that are odd are empty."""
    if not isinstance(said, list):
        raise ValueError("not a list")  # noqa: TRY004 - what a program printed
    found = []
    for row in said[:MAX_DEVICES]:
        if isinstance(row, Mapping) and plain(row.get("kind")) in KINDS:
            xml = row.get("statistics")
            statistics = xml if isinstance(xml, str) and len(xml) <= MAX_XML else ""
            kind, id_, name, error = (plain(row.get(key))[:200] for key in ("kind", "id", "name", "error"))
            found.append(Reported(kind, id_, name, statistics, error))
    return found


def samples(source: str, devices: Sequence[Reported]) -> Iterator[Sample]:
    """One component a device, such as `<source>/printer:<id>`."""
    for device in devices:
        component = f"{source}/{part(KINDS[device.kind], _instance(device.id) or device.name or '?')}"
        error, said = device.error, dict[str, str]()
        if not error:
            try:
                said = statistics(device.statistics)
            except ValueError as fault:
                error = f"its statistics cannot be read: {fault}"
        label = device.name[:80]
        yield Sample(component, "pos.statistics", "missing" if error else "read", State.OK, label=label)
        yield Sample(component, "pos.statistics.reason", error, label=label)
        for signal, value, unit in _values(said):
            yield Sample(component, signal, value, label=label, unit=unit)


def _instance(id_: str) -> str:
    r"""Of the path of an interface, `\\?\USB#VID_04B8&PID_0E15#X7F40#{class}\POSPrinter`, what names the device."""
    return id_.removeprefix("\\\\?\\").partition("#{")[0]


def statistics(document: str) -> dict[str, str]:
    """Name -> value of a UPOSStat document: its parameters, and what it says of the equipment. Values that are empty are left out. Raises ValueError."""
    found: dict[str, str] = {}
    name = ""
    for element in elements(document):
        where, _, last = element.path.rpartition("/")
        if where.endswith("Parameter") and last == "Name":
            name = plain(element.text)
        elif where.endswith("Parameter") and last == "Value":
            if name and element.text:
                found.setdefault(name, plain(element.text)[:100])
            name = ""
        elif where.endswith("Equipment") and element.text:
            found.setdefault(last, plain(element.text)[:100])
    return found


def _values(said: Mapping[str, str]) -> Iterator[tuple[str, Value, str]]:
    for key, signal in EQUIPMENT.items():
        if text := said.get(key):
            yield signal, text, ""
    for key, (signal, unit) in STATISTICS.items():
        text = said.get(key) or said.get(key.removesuffix("Count"), "")
        if re.fullmatch(r"[0-9]{1,16}", text) and (value := int(text)) <= MAX_COUNT:
            yield signal, value, unit
