"""The device file of a terminal: what a bank writes down of it (serial numbers, custody, purchase, warranty, service), and what follows from that for
today. One closed list of fields, by which API, command line and page check what people write; the fold keeps what was journaled. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from typing import Any
from unicodedata import category

import msgpack

from tillwatch.agent.model import device_of

TEXT, LONG, DATE, DAYS, SERIALS = "text", "long", "date", "days", "serials"
"""Kinds of fields: a line; lines; an ISO 8601 day; a number of days; serial numbers by component."""

MAX_TEXT = 120
"""Characters of a line: an address with street, town and floor is within it."""
MAX_LONG = 2_000
"""Characters of a text with lines: a screenful."""
MAX_NOTE = 2_000
"""Characters of a note."""
MAX_DAYS = 3_660
"""Days of an interval: ten years, longer than a terminal lives."""
MAX_SERIALS = 64
"""Devices of one terminal with a number of their own: an ATM has some twenty."""
MAX_FACT = 36_525
"""Days of an interval that the fold takes, whatever may be written today: a hundred years. What it takes never changes."""
FIRST, LAST = date(1990, 1, 1), date(2099, 12, 31)
"""Days that a terminal can have been bought on, or be under warranty to: others are slips of the pen."""
MASK = "•"
"""What stands in place of the characters of a protected value: never part of one."""

WARRANTY, SERVICE, INSPECTION = "warranty", "service", "inspection"
DUES = (WARRANTY, SERVICE, INSPECTION)
"""What becomes due: the end of the warranty, the service, and the look for tampering that PCI DSS 9.5.1.2 asks for."""


@dataclass(frozen=True, slots=True)
class Field:
    """protected: shown in part only to who may not see it whole; group: where the page shows it."""

    name: str
    kind: str
    group: str
    protected: bool = False

    @property
    def limit(self) -> int:
        """Characters, days, or numbers."""
        return {LONG: MAX_LONG, DAYS: MAX_DAYS, SERIALS: MAX_SERIALS}.get(self.kind, MAX_TEXT)


FIELDS: Mapping[str, Field] = {
    each.name: each
    for each in (
        Field("asset_no", TEXT, "identity"),
        Field("maker", TEXT, "identity"),
        Field("model", TEXT, "identity"),
        Field("serial", TEXT, "identity", protected=True),
        Field("serials", SERIALS, "identity", protected=True),
        Field("address", TEXT, "custody", protected=True),
        Field("place", TEXT, "custody"),
        Field("custody", TEXT, "custody"),
        Field("installed", DATE, "custody"),
        Field("bought", DATE, "purchase"),
        Field("supplier", TEXT, "purchase"),
        Field("order_no", TEXT, "purchase"),
        Field("warranty_until", DATE, "purchase"),
        Field("contract", TEXT, "service"),
        Field("service_interval_days", DAYS, "service"),
        Field("last_service", DATE, "service"),
        Field("inspection_interval_days", DAYS, "service"),
        Field("last_inspection", DATE, "service"),
        Field("notes", LONG, "service"),
    )
}  # fmt: skip
"""In the order in which they are shown and exported. `serial` is that of the machine itself, `serials` those of devices in and at it."""

Asset = Mapping[str, Any]
"""Field -> value: str of TEXT and LONG, ISO 8601 of DATE, int of DAYS, component -> number of SERIALS. A field without a value is not in it."""

_PAIR = re.compile(r"\s*;\s*|\n")
_SEPARATORS = re.compile(r"[\s\-_./]+")


class FieldError(ValueError):
    """What is written in a field cannot be. field: its name; the text says what is wrong and what to write."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As it is journaled: each value in its one form, None for a field that is to be emptied. Raises FieldError."""
    return {name: _value(name, value) for name, value in fields.items()}


def _value(name: str, value: Any) -> Any:
    field = FIELDS.get(name)
    if field is None:
        raise FieldError(name[:MAX_TEXT], f"is no field of the device file; the fields are {', '.join(FIELDS)}")
    if value is None or value in ("", {}):
        return None
    match field.kind:
        case "days":
            return _days(name, value)
        case "date":
            return _date(name, value)
        case "serials":
            return _serials(name, value)
    if not isinstance(value, str):
        raise FieldError(name, f"{value!r} is no text")
    return _text(name, value, field.limit, lines=field.kind == LONG) or None


def _text(name: str, value: str, limit: int, *, lines: bool = False) -> str:
    said = value.strip()
    if len(said) > limit:
        raise FieldError(name, f"has {len(said)} characters; the limit is {limit}")
    for line in said.replace("\r\n", "\n").replace("\t", " ").split("\n") if lines else (said,):
        if not all(each.isprintable() or category(each) == "Zs" for each in line):
            raise FieldError(name, "has characters that cannot be printed; take them out")
    if FIELDS.get(name, Field("", TEXT, "")).protected and MASK in said:
        raise FieldError(name, f"{said!r} is what is shown in place of the value; write the value itself")
    return said


def _days(name: str, value: Any) -> int:
    try:
        days = int(str(value).strip()) if not isinstance(value, bool | float) else 0
    except ValueError:
        days = 0
    if not 1 <= days <= MAX_DAYS:
        raise FieldError(name, f"{value!r} is no number of days from 1 to {MAX_DAYS}")
    return days


def _date(name: str, value: Any) -> str:
    try:
        day = date.fromisoformat(str(value).strip())
    except ValueError:
        raise FieldError(name, f"{value!r} is no day; write it as 2026-11-21") from None
    if not FIRST <= day <= LAST:
        raise FieldError(name, f"{day} lies outside {FIRST} to {LAST}")
    return day.isoformat()


def _serials(name: str, value: Any) -> dict[str, str] | None:
    """From a mapping, or from `component=number; component=number` as a table has it."""
    shape = "write component=number; component=number"
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in _PAIR.split(value.strip()) if pair]
        if any(not (part.strip() and equals) for part, equals, _ in pairs):
            raise FieldError(name, f"{value[:MAX_TEXT]!r} is no list of numbers; {shape}")
        if len({part.strip() for part, _, _ in pairs}) < len(pairs):
            raise FieldError(name, f"names a component twice; {shape}")
        value = {part: number for part, _, number in pairs}
    if not isinstance(value, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in value.items()):
        raise FieldError(name, f"{value!r:.60} is no list of numbers; {shape}")
    if len(value) > MAX_SERIALS:
        raise FieldError(name, f"has {len(value)} numbers; the limit is {MAX_SERIALS}")
    found = {_text(name, part, MAX_TEXT): _text(name, number, MAX_TEXT) for part, number in value.items()}
    return {part: found[part] for part in sorted(found) if part and found[part]} or None


def note_text(text: str) -> str:
    """What a note says. Raises FieldError."""
    said = _text("text", text, MAX_NOTE, lines=True)
    if not said:
        raise FieldError("text", "is empty; a note says something")
    return said


def written(name: str, value: Any) -> str:
    """A value as a table has it: what `checked` reads back as the same."""
    if value is None:
        return ""
    if FIELDS[name].kind == SERIALS:
        return "; ".join(f"{part}={number}" for part, number in value.items())
    return str(value)


# What the fold keeps.


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote down of a terminal. n: its entry in the journal; at: UTC ns."""

    n: int
    terminal: str
    at: int
    by: str
    text: str


def changed(kept: bytes, facts: Mapping[str, Any]) -> bytes | None:
    """The record of a terminal after an act, packed; empty where nothing is left of it. None where the act changes nothing: it says the same, or it was
    made over another state (`was`, see `version`) than the one that there is.
    """
    fields = facts.get("fields")
    if not isinstance(fields, Mapping) or ("was" in facts and facts["was"] != version(kept)):
        return None
    after = {**unpack(kept), **{name: value for name, value in fields.items() if name in FIELDS}}
    packed = pack({name: value for name, value in after.items() if _fits(FIELDS[name], value)})
    return None if packed == kept else packed


def _fits(field: Field, value: Any) -> bool:
    """Whether it is a value of this kind at all. What may be written is checked before it is journaled; this never changes, or a rebuild would say otherwise."""
    match field.kind:
        case "days":
            return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_FACT
        case "serials":
            return (
                isinstance(value, Mapping)
                and bool(value)
                and all(isinstance(x, str) for x in (*value, *value.values()))
            )
    return isinstance(value, str) and bool(value)


def pack(asset: Asset) -> bytes:
    """One form for one content: fields in their order."""
    ordered = {name: asset[name] for name in FIELDS if name in asset}
    packed: bytes = msgpack.packb(ordered) if ordered else b""
    return packed


def unpack(packed: bytes) -> dict[str, Any]:
    """Fields that a later version wrote are left out."""
    found: Mapping[str, Any] = msgpack.unpackb(packed) if packed else {}
    return {name: value for name, value in found.items() if name in FIELDS}


def version(packed: bytes) -> str:
    """By which a change says over what it was made."""
    return sha256(packed).hexdigest()[:16]


# What follows from it.


@dataclass(frozen=True, slots=True)
class Due:
    """kind: of DUES; on: the day; last: the day from which it was reckoned, None for a warranty or where nothing was written down; days: from today on,
    negative when it is over.
    """

    kind: str
    on: date
    days: int
    last: date | None = None


def dues(asset: Asset, today: date) -> list[Due]:
    """What becomes due and when, the nearest first. A service or inspection that was never done counts from the day of installation or purchase; where
    neither is known it is due today.
    """
    found = []
    until = _day(asset, "warranty_until")
    if until is not None:
        found.append(Due(WARRANTY, until, (until - today).days))
    since = _day(asset, "installed") or _day(asset, "bought")
    for kind in (SERVICE, INSPECTION):
        interval = asset.get(f"{kind}_interval_days")
        if isinstance(interval, int):
            last = _day(asset, f"last_{kind}")
            from_day = last or since
            on = from_day + timedelta(days=interval) if from_day is not None else today
            found.append(Due(kind, on, (on - today).days, last))
    return sorted(found, key=lambda due: (due.on, due.kind))


def _day(asset: Asset, name: str) -> date | None:
    """None also for what an older version took and this one does not."""
    try:
        return date.fromisoformat(asset[name]) if name in asset else None
    except (TypeError, ValueError):
        return None


SAME, DIFFERS, UNLISTED, UNTOLD = "same", "differs", "unlisted", "untold"
"""What a device tells against what is listed: the same; another number (it may have been substituted); nothing is listed; nothing is told."""


@dataclass(frozen=True, slots=True)
class Told:
    """The serial number that a component tells. at: when it was last read, UTC ns."""

    component: str
    serial: str
    at: int


@dataclass(frozen=True, slots=True)
class SerialCheck:
    """One device. component: empty for the machine itself where nothing tells its number; state: SAME, DIFFERS, UNLISTED or UNTOLD; at: UTC ns, 0 where nothing
    is told.
    """

    component: str
    listed: str
    told: str
    state: str
    at: int = 0


def compare(asset: Asset, told: Iterable[Told], host: str = "host") -> list[SerialCheck]:
    """The numbers that devices tell against those of the device file (PCI DSS 9.5.1: substitution), what differs first. A number listed for a device is also
    that of its only part which tells one. `serial` is that of the machine, which `host` tells.
    """
    said = {each.component: each for each in told if each.serial.strip()}
    listed: dict[str, str] = {str(part): str(number) for part, number in (asset.get("serials") or {}).items()}
    if asset.get("serial"):
        listed.setdefault(host, str(asset["serial"]))
    checks = []
    for component, number in listed.items():
        tells = _teller(component, said, listed)
        if tells is None:
            checks.append(SerialCheck(component, number, "", UNTOLD))
        else:
            del said[tells.component]
            state = SAME if _plain(number) == _plain(tells.serial) else DIFFERS
            checks.append(SerialCheck(tells.component, number, tells.serial, state, tells.at))
    checks += [SerialCheck(each.component, "", each.serial, UNLISTED, each.at) for each in said.values()]
    order = (DIFFERS, SAME, UNLISTED, UNTOLD)
    return sorted(checks, key=lambda check: (order.index(check.state), check.component))


def _teller(component: str, said: Mapping[str, Told], listed: Mapping[str, str]) -> Told | None:
    if component in said:
        return said[component]
    parts = [each for name, each in said.items() if device_of(name) == component and name not in listed]
    return parts[0] if len(parts) == 1 else None


def _plain(number: str) -> str:
    """Spaces, dashes and case are ways of writing and no other device."""
    return _SEPARATORS.sub("", number).casefold()


def mask(value: Any) -> Any:
    """A protected value for who may not see it: its last two characters, so that two can be told apart."""
    if isinstance(value, Mapping):
        return {part: mask(number) for part, number in value.items()}
    said = str(value)
    return MASK * 4 + said[-2:] if len(said) > 4 else MASK * 4


def masked(asset: Asset) -> dict[str, Any]:
    return {name: mask(value) if FIELDS[name].protected else value for name, value in asset.items()}


def listing(assets: Mapping[str, Asset], today: date, kinds: Iterable[str] = DUES) -> Iterator[tuple[str, Due]]:
    """What is due on which terminal, over all of them, the nearest first."""
    wanted = set(kinds)
    found = [(name, due) for name, asset in assets.items() for due in dues(asset, today) if due.kind in wanted]
    yield from sorted(found, key=lambda each: (each[1].on, each[0], each[1].kind))
