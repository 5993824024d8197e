"""Which machine this is: the serial number that its maker gave it, and the id of its operating system. A serial says which of the expected machines
asks to be enrolled; it is no secret and proves nothing. Both together tell a copied disk from the machine that was enrolled.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tillwatch.agent.enrolment.serials import SerialError, normal_serial
from tillwatch.agent.keys import sha256

OVERRIDE = "serial"
"""Beside the configuration: what counts in the place of a firmware that has no serial number. One line."""
CREDENTIALS = "CREDENTIALS_DIRECTORY"
"""Set by systemd. The files of the firmware are root's alone; LoadCredential= of the unit lays them there for the agent."""
FIRMWARE = ("product_serial", "board_serial")
"""Of DMI, in this order: the label on the case has the first one, and boards without a maker of the whole have the second alone."""
DEVICE_TREE = Path("firmware/devicetree/base/serial-number")
"""Where machines without DMI have it: ARM boards."""
MAX_FILE = 256
"""Bytes that are read of any of these files."""
_SALT = b"tillwatch/machine/1\0"
"""The id of the operating system stays on the machine (machine-id(5)): only a digest is kept and compared."""


@dataclass(frozen=True, slots=True)
class Machine:
    """serial: in its normal form, empty where none can be told; system: digest of the operating system's id, empty likewise."""

    serial: str = ""
    system: str = ""

    def differs(self, now: Machine) -> str:
        """What of this machine is another one now, in words; empty where nothing is, or nothing can be told."""
        if self.serial and now.serial and self.serial != now.serial:
            return f"serial number {now.serial}, enrolled with {self.serial}"
        if self.system and now.system and self.system != now.system:
            return "another operating system's id than when it was enrolled"
        return ""


@dataclass(frozen=True, slots=True)
class Told:
    """serial: as it was told. source: where, for people."""

    serial: str
    source: str


def serial_of(folder: Path, *, sysfs: Path = Path("/sys"), environ: Mapping[str, str] = os.environ) -> Told:
    """The serial number in its normal form. folder: of the configuration. Raises SerialError: what each source says, and what to do."""
    reasons = []
    for told in _sources(folder, sysfs, environ):
        try:
            return Told(normal_serial(told.serial), told.source)
        except SerialError as error:
            if told.source == str(folder / OVERRIDE):
                raise SerialError(f"{told.source}: {error}") from None
            reasons.append(f"{told.source}: {error}")
    said = "; ".join(reasons) or "nothing tells one"
    raise SerialError(
        f"this machine has no serial number that can be used ({said}); write the one of its label into {folder / OVERRIDE}, or "
        "enrol it with a token of its own: tillwatch-agent enrol TOKEN"
    )


def here(folder: Path) -> Machine:
    """As far as this user may know it."""
    try:
        serial = serial_of(folder).serial
    except SerialError:
        serial = ""
    return Machine(serial, system_of())


def system_of(file: Path = Path("/etc/machine-id")) -> str:
    """A digest of the operating system's id, 16 hex digits; empty where it has none."""
    text = _registry() if sys.platform == "win32" else _text(file)
    known = text.strip().lower()
    return sha256(_SALT + known.encode()).hex()[:16] if known and known != "uninitialized" else ""


def _sources(folder: Path, sysfs: Path, environ: Mapping[str, str]) -> Iterator[Told]:
    if text := _text(folder / OVERRIDE):
        yield Told(text, str(folder / OVERRIDE))
    yield from _windows() if sys.platform == "win32" else _firmware(sysfs, environ)


def _firmware(sysfs: Path, environ: Mapping[str, str]) -> Iterator[Told]:
    given = environ.get(CREDENTIALS, "")
    folders = [Path(given)] if given else []
    for name in FIRMWARE:
        for place in (*folders, sysfs / "class/dmi/id"):
            if text := _text(place / name):
                yield Told(text, f"firmware, {name}")
                break
    if text := _text(sysfs / DEVICE_TREE):
        yield Told(text, "device tree")


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_FILE).decode("utf-8", "replace").strip("\0\r\n\t ")
    except OSError:
        return ""


def _windows() -> Iterator[Told]:
    import asyncio  # noqa: PLC0415 - of Windows only

    from tillwatch.agent.sources import SourceError  # noqa: PLC0415 - the same
    from tillwatch.agent.sources.windows_cim import CIMV2, PowerShell, Query  # noqa: PLC0415 - the same

    queries = [Query(of, CIMV2, of, ("SerialNumber",)) for of in ("Win32_BIOS", "Win32_BaseBoard")]
    try:
        said = asyncio.run(PowerShell().ask(queries))
    except SourceError:
        return
    for query in queries:
        for row in said[query.name].rows[:1]:
            if text := str(row.get("SerialNumber") or "").strip():
                yield Told(text, query.name)


def _registry() -> str:
    if sys.platform == "win32":
        import winreg  # noqa: PLC0415 - Windows only

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SOFTWARE\Microsoft\Cryptography") as key:
                return str(winreg.QueryValueEx(key, "MachineGuid")[0])
        except OSError:
            pass
    return ""
