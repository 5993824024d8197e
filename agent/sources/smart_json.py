"""Takes apart what `smartctl -j -x` prints: who the drive is, its attributes, and single values of the type and size that they should have.
Whatever else stands in their place reads as absent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

MAX_TEXT = 200
"""Characters of a text that a drive says of itself; the longest real model name has 40."""
MAX_ROWS = 256
"""Attributes of one drive: their numbers are bytes."""
MAX_COUNT = 2**63 - 1
WEAR_WARN, WEAR_CRIT = 90, 100
"""Percent of the rated writes. 100 is what the maker warrants: from there the data may fade when the power is off (JESD218)."""
DRIVE_C = (-40, 150)
UINT16, UINT32 = (1 << 16) - 1, (1 << 32) - 1

MAKERS = (
    (r"WDC?[ _-]|WD\d", "Western Digital"),
    (r"WU[HS]\d|HGST", "HGST"),
    (r"ST\d|SEAGATE|XT\d|ZA\d", "Seagate"),
    (r"SAMSUNG|MZ[0-9A-Z]{2}", "Samsung"),
    (r"INTEL", "Intel"),
    (r"SOLIDIGM", "Solidigm"),
    (r"TOSHIBA|MG\d\d|HDW|DT01", "Toshiba"),
    (r"KIOXIA|KCD|KPM|KXG", "Kioxia"),
    (r"HITACHI|HDS|HUA|HDT", "Hitachi"),
    (r"KINGSTON", "Kingston"),
    (r"MICRON|MTFD", "Micron"),
    (r"CT\d+[A-Z]|CRUCIAL", "Crucial"),
    (r"SANDISK|SD[0-9A-Z]{4,}", "SanDisk"),
    (r"TRANSCEND|TS\d+[GT]", "Transcend"),
    (r"APACER", "Apacer"),
    (r"M[BMK]\d{4}[A-Z]", "HP"),
    (r"FORCE |CORSAIR", "Corsair"),
    (r"SABRENT", "Sabrent"),
    (r"INNODISK", "Innodisk"),
    (r"SK ?HYNIX|HFS|HFM", "SK hynix"),
)
"""ATA and NVMe drives do not say who made them; the model's name begins with it."""
_MAKERS = tuple((re.compile(pattern, re.IGNORECASE), maker) for pattern, maker in MAKERS)

SIZES = {
    "LBAS": 0,
    "SECTORS": 0,
    "32MIB": 32 << 20,
    "MIB": 1 << 20,
    "MB": 10**6,
    "GIB": 1 << 30,
    "GB": 10**9,
    "TIB": 1 << 40,
}
"""Bytes of one count of attributes 241 and 242 by a word of their name; 0 is the drive's own block."""


@dataclass(frozen=True, slots=True)
class Drive:
    """Who it is. name: the device as smartctl was asked for it. protocol: `ATA`, `NVMe`, `SCSI` or empty."""

    name: str
    protocol: str
    maker: str
    model: str
    serial: str
    firmware: str

    @property
    def part(self) -> str:
        """What stays with the drive when cables and kernel names change: its serial number."""
        return f"drive:{self.serial or self.name.rpartition('/')[2] or '?'}"[:48]


def scanned(said: object) -> list[tuple[str, str]]:
    """(device, type) of each drive that `smartctl --scan-open -j` lists. Empty for anything else."""
    rows = said.get("devices") if isinstance(said, dict) else None
    found = []
    for row in rows if isinstance(rows, list) else ():
        name, kind = text_of(at(row, "name")), text_of(at(row, "type"))
        if name and not name.startswith("-") and not kind.startswith("-"):
            found.append((name, kind))
    return found


@dataclass(frozen=True, slots=True)
class Row:
    """One ATA attribute. value: normalised, mostly 100 or 200 at the start and falling."""

    name: str
    value: int
    raw: int
    text: str
    when_failed: str
    prefailure: bool


def attributes(said: dict[str, Any]) -> dict[int, Row]:
    table = at(said, "ata_smart_attributes", "table")
    found: dict[int, Row] = {}
    for row in table[:MAX_ROWS] if isinstance(table, list) else ():
        number, raw = count_of(at(row, "id")), count_of(at(row, "raw", "value"))
        if number is not None and raw is not None:
            value = count_of(at(row, "value"))
            found[number] = Row(
                text_of(at(row, "name")),
                -1 if value is None else value,
                raw,
                text_of(at(row, "raw", "string")),
                text_of(at(row, "when_failed")),
                at(row, "flags", "prefailure") is True,
            )
    return found


def drive_of(said: dict[str, Any], device: str) -> Drive:
    model = _first(said, "model_name", "scsi_model_name", "product", "scsi_product")
    maker = _first(said, "scsi_vendor", "vendor")
    if not maker or maker.upper() == "ATA":
        maker = next((maker for pattern, maker in _MAKERS if pattern.match(model)), "")
    return Drive(
        device or text_of(at(said, "device", "name")),
        text_of(at(said, "device", "protocol")),
        maker,
        model,
        _first(said, "serial_number"),
        _first(said, "firmware_version", "scsi_revision", "revision"),
    )


def _first(said: dict[str, Any], *keys: str) -> str:
    return next(filter(None, (text_of(said.get(key)) for key in keys)), "")


def at(said: object, *path: str) -> Any:
    for key in path:
        if not isinstance(said, dict):
            return None
        said = said.get(key)
    return said


def text_of(value: object) -> str:
    if not isinstance(value, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value[: 4 * MAX_TEXT]).split())[:MAX_TEXT]


def count_of(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT else None


def fit(value: int) -> int | None:
    return value if value <= MAX_COUNT else None


def number_of(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def percent_of(value: object) -> int | None:
    count = count_of(value)
    return count if count is not None and count <= 100 else None


def limit_of(said: object, *keys: str) -> int | None:
    """A limit of 0 is one that was not set."""
    return next((limit for limit in (count_of(at(said, key)) for key in keys) if limit and limit <= DRIVE_C[1]), None)


def raw_of(row: Row) -> int | None:
    """Six bytes in which some makers pack several counters; smartctl then prints the counter first: `2111 (12437 0)`."""
    if row.raw > UINT32 and (first := re.match(r"(\d{1,10}) ?\(", row.text)):
        return int(first[1])
    return row.raw


def hours_of(row: Row) -> int | None:
    """Where smartctl gives no power_on_time: `12345h+30m+04.512s`, `2725 (151 234 0)` or a number."""
    first = re.match(r"(\d{1,9})(?:h| ?\(|$)", row.text)
    return int(first[1]) if first else row.raw if row.raw <= UINT32 else None


def bytes_of(row: Row, block: int) -> int | None:
    size = next((size for word in re.split(r"[_ ]", row.name.upper()) if (size := SIZES.get(word)) is not None), None)
    return None if size is None else fit(row.raw * (size or block))


def gigabytes(text: object) -> int | None:
    if not isinstance(text, str) or not re.fullmatch(r"\d{1,12}(\.\d{1,3})?", text):
        return None
    whole, _, part = text.partition(".")
    return fit((int(whole) * 1000 + int(part.ljust(3, "0"))) * 10**6)


def statistic(said: dict[str, Any], name: str) -> int | None:
    """A value of the ATA device statistics log, if the drive calls it valid."""
    pages = at(said, "ata_device_statistics", "pages")
    for page in pages[:MAX_ROWS] if isinstance(pages, list) else ():
        rows = at(page, "table")
        for row in rows[:MAX_ROWS] if isinstance(rows, list) else ():
            if at(row, "name") == name and at(row, "flags", "valid") is not False:
                return count_of(at(row, "value"))
    return None


def messages(said: dict[str, Any]) -> str:
    rows = at(said, "smartctl", "messages")
    said_in_words = (text_of(at(row, "string")) for row in (rows[:4] if isinstance(rows, list) else ()))
    return "; ".join(filter(None, said_in_words))[:MAX_TEXT]
