"""A recorded device: `OID|TYPE|VALUE` lines, as an SnmpClient. What `walk` and `record` write and `try`
reads.

TYPE is the number of the ASN.1 tag: 2 integer, 4 octets, 5 null, 6 OID, 64 address, 65 Counter32, 66 Gauge32, 67 TimeTicks, 68 Opaque, 70 Counter64; an `x` behind
it means that the value is in hexadecimal, `:name` names a module of the recorder, whose value stands behind `value=`.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_budget import Budget
from tillwatch.agent.sources.snmp_client import SYS_UPTIME
from tillwatch.agent.sources.snmp_values import Raw
from tillwatch.device_profiles.recognise import beneath

MAX_BYTES = 64 * 2**20
"""Of a recording: a full walk of a large switch has 10 MB."""
_LINE = re.compile(r"\.?(\d+(?:\.\d+)*)\|(\d+)([a-z]?)(:[^|]*)?\|(.*)", re.DOTALL)
_MODULE_VALUE = re.compile(r"(?:^|,)(?:value|initial)=([^,]*)")
_NUMBERS = {2, 65, 66, 67, 70}


def _value(tag: int, hexadecimal: bool, text: str) -> Raw | None:  # noqa: FBT001 - one call, beside the parsing
    """None where the line holds no value. Raises ValueError."""
    if tag in _NUMBERS:
        return int(text) if text.strip() else None
    if tag == 5:
        return None
    octets = bytes.fromhex(text) if hexadecimal else text.encode("utf-8", "surrogateescape")
    if tag == 6:
        return text.strip().lstrip(".")
    if tag == 64:
        return ".".join(str(b) for b in octets) if hexadecimal else text
    return octets


def parse(data: bytes, name: str) -> dict[str, Raw]:
    """The values by OID. Empty lines and lines with `#` in front are left out. Raises SourceError with name and line."""
    found: dict[str, Raw] = {}
    for number, raw_line in enumerate(data.split(b"\n"), 1):
        line = raw_line.rstrip(b"\r").decode("utf-8", "surrogateescape")
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise SourceError(
                f"{name}:{number}: not a line of a recording; write OID|TYPE|VALUE, such as 1.3.6.1.2.1.1.5.0|4|ups1"
            )
        oid, tag, form, module, text = match.groups()
        if module:
            inner = _MODULE_VALUE.search(text)
            if not inner:
                continue  # a generator of numbers, not a recorded value
            text = inner[1]
        try:
            value = _value(int(tag), form == "x", text)
        except ValueError:
            raise SourceError(
                f"{name}:{number}: {text[:40]!r} is no value of type {tag}{form}; mend or delete the line"
            ) from None
        if value is not None:
            found[oid] = value
    return found


def _written(raw: Raw) -> str:
    """Type and value of a line. A client tells a number's value and not its type: only those too large for an INTEGER get another."""
    if isinstance(raw, bytes):
        text = raw.decode("ascii", "replace")
        return f"4|{text}" if text.isprintable() and "\ufffd" not in text else f"4x|{raw.hex()}"
    if isinstance(raw, float):
        return f"4|{raw}"
    if isinstance(raw, int):
        return f"{2 if -(2**31) <= raw < 2**31 else 66 if 0 <= raw < 2**32 else 70}|{raw}"
    return f"{64 if is_address(raw) else 6}|{raw}"


def is_address(raw: Raw) -> bool:
    """Whether a client's text is an IPv4 address: four bytes, and not the beginning of an OID of the Internet's tree."""
    return (
        isinstance(raw, str)
        and not raw.startswith("1.3.6.")
        and raw.count(".") == 3
        and all(part.isdigit() and int(part) < 256 for part in raw.split("."))
    )


def to_lines(raws: Mapping[str, Raw]) -> str:
    """What `parse` reads, sorted by OID. A finite float becomes text; sysUpTime keeps its type."""
    order = sorted(raws, key=_numbers)
    return "".join(f"{oid}|{_ticks(raws[oid]) if oid == SYS_UPTIME else _written(raws[oid])}\n" for oid in order)


def _ticks(raw: Raw) -> str:
    return f"67|{raw}" if isinstance(raw, int) else _written(raw)


def read_recording(path: Path) -> dict[str, Raw]:
    """Raises SourceError with the file's name, and the line where one is wrong."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SourceError(
                f"{path}: larger than {MAX_BYTES >> 20} MiB; cut the walk down to the tables that are needed"
            )
        data = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}; give the path of a .snmprec file") from error
    found = parse(data, path.name)
    if not found:
        raise SourceError(f"{path}: no values in it; write OID|TYPE|VALUE lines")
    return found


def _numbers(oid: str) -> tuple[int, ...]:
    return tuple(int(n) for n in oid.split("."))


class Replay:
    """An SnmpClient over recorded values."""

    def __init__(self, raws: dict[str, Raw]) -> None:
        self.raws = raws
        self.budget = Budget()  # nothing leaves
        self._order = sorted((_numbers(oid), oid) for oid in raws)

    async def get(self, oids: Sequence[str]) -> dict[str, Raw]:
        return {oid: self.raws[oid] for oid in oids if oid in self.raws}

    async def walk(self, base: str, limit: int) -> dict[str, Raw]:
        start = bisect.bisect_right(self._order, (_numbers(base), base))
        found: dict[str, Raw] = {}
        for _, oid in self._order[start : start + limit]:
            if not beneath(oid, base):
                break
            found[oid] = self.raws[oid]
        return found

    async def close(self) -> None:
        pass
