"""Drafts a device profile out of what a walk gave, for a device that no profile knows. Pure.

What the walk proves stands as it is: how the device is recognised, which standard MIBs it has, values that carry their unit as text, sentinels. What it only
hints at stands as a comment with the value and a guess: a number without its MIB has no meaning, and a wrong one would be believed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tillwatch.agent.mib_groups import ENTERPRISES
from tillwatch.agent.sources.snmp_values import Raw, is_scalar, number_of, text_of
from tillwatch.device_profiles.recognise import SYS_DESCR, SYS_OBJECT_ID, beneath

MAX_HINTS = 300
"""Lines of guesses; whoever has more looks for the tables that matter in the maker's MIB."""
MAX_SHOWN = 40
"""Characters of a value in a comment."""
NET_SNMP = "1.3.6.1.4.1.8072.3"
"""sysObjectID of whatever device has the Net-SNMP agent: it tells nothing of the maker."""
_SHARED = ("1.3.6.1.4.1.8072", "1.3.6.1.4.1.2021")
_SENTINELS = (-1, 65535, 2147483647, 4294967295, -2147483648, -9999, 32767)
UNITS = {
    "c": ("C", "sensor.temperature"), "°c": ("C", "sensor.temperature"), "degc": ("C", "sensor.temperature"), "celsius": ("C", "sensor.temperature"),
    "f": ("F", "sensor.temperature"), "°f": ("F", "sensor.temperature"), "degf": ("F", "sensor.temperature"), "fahrenheit": ("F", "sensor.temperature"),
    "%rh": ("%", "sensor.humidity"), "%": ("%", "sensor.percent"), "percent": ("%", "sensor.percent"),
    "v": ("V", "sensor.voltage"), "vac": ("V", "sensor.voltage"), "vdc": ("V", "sensor.voltage"), "volt": ("V", "sensor.voltage"), "volts": ("V", "sensor.voltage"),
    "mv": ("mV", "sensor.voltage"), "a": ("A", "sensor.current"), "amp": ("A", "sensor.current"), "amps": ("A", "sensor.current"), "ma": ("mA", "sensor.current"),
    "w": ("W", "sensor.power"), "watt": ("W", "sensor.power"), "watts": ("W", "sensor.power"), "kw": ("kW", "sensor.power"), "va": ("VA", "sensor.apparent"),
    "kva": ("kVA", "sensor.apparent"), "kwh": ("kWh", "sensor.energy"), "hz": ("Hz", "sensor.frequency"), "rpm": ("rpm", "sensor.fan.speed"),
    "hpa": ("hPa", "sensor.pressure"), "ah": ("Ah", "sensor.capacity"),
}  # fmt: skip
"""How makers write units, in lower case: the unit of the profile language, and the general signal of that quantity."""
_MEASURED = re.compile(r"\s*[-+]?\d+(?:\.\d+)?\s*([^\d\s.:/,-][^\s\d]{0,9})\s*")
_VERSION = re.compile(r"(?i)v?\d+(?:\.\d+)+[\w.-]*(?:\s*\(.*\))?")


class Span(NamedTuple):
    """What a raw number may be that lies in it, and how the item would say so."""

    least: int
    most: int
    hint: str


SPANS = (
    Span(45, 65, "Hz (frequency)?"),
    Span(450, 650, "0.1 Hz (frequency, divisor: 10)?"),
    Span(100, 130, "V?"),
    Span(200, 255, "V?"),
    Span(1000, 1300, "0.1 V (divisor: 10)?"),
    Span(2000, 2550, "0.1 V (divisor: 10)?"),
    Span(0, 10, "a state (words: {1: ..., 2: ...})?"),
    Span(0, 100, "% (charge, load)?"),
    Span(15, 60, "C (temperature)?"),
    Span(150, 600, "0.1 C (divisor: 10)?"),
)
"""A UPS or a sensor says such numbers on an ordinary day; the words are for a person who has the device's own page before them."""


class Found(NamedTuple):
    """The makers' part of a walk. tables: entry -> column number -> index -> value, for tables with one number as index."""

    scalars: dict[str, Raw]
    tables: dict[str, dict[int, dict[str, Raw]]]
    other: int


def sort_out(raws: Mapping[str, Raw]) -> Found:
    """Scalars and tables beneath the makers' tree, without Net-SNMP's own. other: values that are neither."""
    own = {
        oid: raw
        for oid, raw in raws.items()
        if beneath(oid, ENTERPRISES) and not any(beneath(oid, each) for each in _SHARED)
    }
    scalars = {oid: raw for oid, raw in own.items() if is_scalar(oid)}
    rows: dict[str, dict[int, dict[str, Raw]]] = defaultdict(lambda: defaultdict(dict))
    for oid, raw in own.items():
        if not is_scalar(oid):
            column, _, index = oid.rpartition(".")
            entry, _, number = column.rpartition(".")
            rows[entry][int(number)][index] = raw
    tables = {entry: dict(columns) for entry, columns in rows.items() if entry.endswith(".1")}
    return Found(scalars, tables, sum(len(each) for e, c in rows.items() if e not in tables for each in c.values()))


def quoted(text: str) -> str:
    """A YAML scalar between single quotes, on one line."""
    return "'" + "".join(c if c.isprintable() else " " for c in text).replace("'", "''") + "'"


def _shown(raw: Raw) -> str:
    text = text_of(raw)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def hint_of(raw: Raw) -> str:
    """What a raw value may be; a text is just shown."""
    number = number_of(raw)
    if number is None:
        return ""
    if number in _SENTINELS:
        return "nothing measured (a sentinel)?"
    return " or ".join(span.hint.rstrip("?") for span in SPANS if span.least <= number <= span.most) + "?"


def unit_of(text: str) -> str:
    """The key of UNITS that a text such as `26.5 C` ends with; empty where it carries none."""
    found = _MEASURED.fullmatch(text)
    return found[1].lower() if found and found[1].lower() in UNITS else ""


def match_of(raws: Mapping[str, Raw]) -> tuple[str, str]:
    """(the `match` line, a remark). Raises ValueError where the device says nothing that could tell it from others."""
    object_id, description = text_of(raws.get(SYS_OBJECT_ID, "")), text_of(raws.get(SYS_DESCR, ""))
    words = re.findall(r"[A-Za-z]{3,}", description)
    if beneath(object_id, ENTERPRISES) and object_id != ENTERPRISES and not beneath(object_id, NET_SNMP):
        return f"match: [{{sysObjectID: {object_id}}}]", "cut numbers off its end if the whole family has the same"
    if not words:
        raise ValueError("neither sysObjectID nor sysDescr tells it from other devices")
    begin = quoted("^" + re.escape(description.split()[0]))
    if beneath(object_id, NET_SNMP):
        first = next((oid for oid in sort_out(raws).scalars), "") or next(iter(sort_out(raws).tables), "")
        present = f", present: {first}" if first else ""
        return (
            f"match: [{{sysObjectID: {object_id}, sysDescr: {begin}{present}}}]",
            "its sysObjectID is the Net-SNMP agent's: the rest must tell it from any other computer",
        )
    return f"match: [{{sysDescr: {begin}}}]", "it has no sysObjectID of its own"


def _identity(found: Found, description: str) -> dict[str, str]:
    """OID -> signal: what the device's own line repeats, and the first version number."""
    said: dict[str, str] = {}
    first = description.split(maxsplit=1)[0].casefold() if description else ""
    texts = {oid: text_of(raw) for oid, raw in found.scalars.items() if isinstance(raw, bytes)}
    for oid, text in texts.items():
        if "identity.maker" not in said.values() and first and text.split()[:1] == [description.split(maxsplit=1)[0]]:
            said[oid] = "identity.maker"
        elif "identity.model" not in said.values() and len(text) >= 3 and text in description and text.casefold() != first:  # fmt: skip
            said[oid] = "identity.model"
        elif "identity.firmware" not in said.values() and _VERSION.fullmatch(text):
            said[oid] = "identity.firmware"
    return said


def _part(oid: str) -> str:
    """The numbers behind the maker's own, so that two items of one signal have two components."""
    return "n" + "-".join(oid.split(".")[7:-1])


def _scalars(found: Found, description: str) -> tuple[list[str], list[str]]:
    """(items that stand, lines of guesses)."""
    stands: list[str] = []
    guesses: list[str] = []
    identity = _identity(found, description)
    for oid, raw in found.scalars.items():
        text = text_of(raw)
        if oid in identity:
            stands.append(f"  - {{signal: {identity[oid]}, oid: {oid}}}  # {_shown(raw)}")
        elif isinstance(raw, bytes) and (unit := unit_of(text)):
            raw_unit, signal = UNITS[unit]
            stands.append(
                f"  - {{signal: {signal}, part: {_part(oid)}, oid: {oid}, raw_unit: {quoted(raw_unit)}, pattern: '([-+\\d.]+)'}}  # {_shown(raw)}"
            )
        else:
            guesses.append(f"  # - {{signal: , oid: {oid}}}  # {_shown(raw)}: {hint_of(raw) or 'a text'}")
    return stands, guesses


def _texts(column: Mapping[str, Raw]) -> list[str]:
    """Of a column of texts that are no numbers; empty where it is none."""
    said = [text_of(raw) for raw in column.values() if isinstance(raw, bytes)]
    return said if len(said) == len(column) and not any(number_of(text) is not None for text in said) else []


def _table(entry: str, columns: Mapping[int, Mapping[str, Raw]]) -> tuple[list[str], list[str]]:
    """(the table with the items that stand, or nothing; lines of guesses)."""
    words = {number: said for number, column in columns.items() if (said := _texts(column))}
    unit = next((n for n, said in words.items() if {text.lower() for text in said} <= UNITS.keys()), 0)
    label = next((n for n, said in words.items() if n != unit and all(said) and len(set(said)) == len(said)), 0)
    numbers = [n for n, column in columns.items() if all(number_of(raw) is not None for raw in column.values())]
    indexes = [n for n in numbers if all(text_of(raw) == index for index, raw in columns[n].items())]
    guesses = [
        f"      # column {n}: {', '.join(_shown(raw) for raw in list(column.values())[:4])}: {hint_of(next(iter(column.values()))) or 'a text'}"
        for n, column in columns.items()
        if n not in (unit, label, *indexes)
    ]
    measured = [n for n in numbers if n not in indexes]
    if not (unit and label and measured):
        return [], [f"  # - entry {entry}, {max(map(len, columns.values()))} rows:", *guesses]
    written = sorted({text.lower() for text in words[unit]})
    known = ", ".join(f"{quoted(text)}: {quoted(UNITS[text][0])}" for text in written)
    head = [
        f"  - group: table-{'-'.join(entry.split('.')[7:-1])}",
        f"    entry: {entry}",
        f"    columns: {{label: {label}, unit: {unit}, value: {measured[0]}}}",
        "    label: label",
        "    items:",
    ]
    items = [
        f"      - {{signal: {signal}, column: value, raw_unit: {{column: unit, is: {{{known}}}}}}}"
        for signal in sorted({UNITS[text][1] for text in written})
    ]
    return [*head, *items, *guesses], []


def _sentinels(raws: Iterable[Raw]) -> list[int]:
    there = {raw for raw in raws if isinstance(raw, int)}
    return [each for each in _SENTINELS if each in there]


def draft(raws: Mapping[str, Raw], title: str, adds: Collection[str], groups: Sequence[str]) -> str:
    """The YAML of a profile that `lint` accepts. adds: generic profiles that fit. groups: names of the standard MIBs that are in the walk.

    Raises ValueError where nothing tells the device from others.
    """
    match, remark = match_of(raws)
    found = sort_out(raws)
    description = text_of(raws.get(SYS_DESCR, ""))
    stands, guesses = _scalars(found, description)
    tables: list[str] = []
    table_guesses: list[str] = []
    for entry, columns in found.tables.items():
        whole, rest = _table(entry, columns)
        tables += whole
        table_guesses += rest
    sentinels = _sentinels([*found.scalars.values(), *(v for t in found.tables.values() for c in t.values() for v in c.values())])  # fmt: skip
    lines = [
        f"title: {quoted(title)}",
        "# A draft out of one walk. What stands is what the walk proves; lines with # are guesses: give them a signal of the catalogue, or delete them.",
        f"# Standard MIBs in the walk: {', '.join(groups) or 'none'}.",
        "extends: _base",
        f"{match}  # {remark}",
        *([f"with: [{', '.join(adds)}]"] if adds else []),
        "optional: true",
        *([f"sentinels: {sentinels}  # there are such numbers; is something measured there?"] if sentinels else []),
        "",
        "scalars:" if stands else "# scalars:",
        *stands,
        *guesses[:MAX_HINTS],
        *_more(guesses),
        "",
        "tables:" if tables else "# tables:",
        *tables,
        *table_guesses[:MAX_HINTS],
        *_more(table_guesses),
    ]
    if found.other:
        lines.append(f"# {found.other} further values stand in tables with a longer index.")
    return "\n".join(lines) + "\n"


def _more(guesses: Sequence[str]) -> list[str]:
    left = len(guesses) - MAX_HINTS
    return [f"  # and {left} more; see the walk"] if left > 0 else []
