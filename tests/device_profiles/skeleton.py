"""A first recording for a profile: every item once, with values that its own rules accept. A person then gives it the values of a real day.

PYTHONSAFEPATH= python -m tests.device_profiles.skeleton ID > tests/recordings/ID.snmprec
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable

from tillwatch.device_profiles.loader import load_yaml
from tillwatch.device_profiles.model import Condition, DeviceProfile, Field, Form, Item, Kind, Match, Table, Test

SYSTEM = "1.3.6.1.2.1.1"
INTEGER, OCTETS, HEXADECIMAL, OBJECT, TICKS = "2", "4", "4x", "6", "67"
Line = tuple[str, str]
"""Type and value of a recording's line."""


def _line(value: str) -> Line:
    if value.lstrip("-").isdigit():
        return INTEGER, value
    return (OBJECT if value.startswith("1.3.6.") else OCTETS), value


def _fulfilling(condition: Condition) -> Line | None:
    """A value for which the condition holds; None where there must be none, or where only a person can find one."""
    first = condition.values[0]
    match condition.test:
        case Test.IN:
            return _line(first)
        case Test.NOT_IN:
            free = next(n for n in range(1, 1000) if str(n) not in condition.values)
            return INTEGER, str(free)
        case Test.ABOVE:
            return INTEGER, str(int(float(first)) + 1)
        case Test.BELOW:
            return INTEGER, str(int(float(first)) - 1)
        case Test.EXISTS:
            return (INTEGER, "1") if first == "true" else None
        case Test.LACKS:
            return OCTETS, "-"
    return OCTETS, first.strip("^$")


def _value(item: Item, field: Field) -> Line:
    """What the item reads as something other than nothing."""
    if field.dates:
        return OCTETS, (
            field.dates[0].replace("yyyy", "2024").replace("yy", "24").replace("mm", "05").replace("dd", "17").replace("mon", "May")
        )  # fmt: skip
    if item.words:
        words = item.words
        if words.codes:
            well = [code for code, word in words.codes.items() if item.signal.severity(word) == "ok"]
            return _line((well or list(words.codes))[0])
        if words.ranges:
            least, most, _ = words.ranges[0]
            return INTEGER, str(int(least if least > float("-inf") else most))
        if words.bits:
            return HEXADECIMAL, "0000"
        if words.flags:
            return OCTETS, "0" * 64
        return (OCTETS, words.patterns[0][0].strip("^$")) if words.patterns else (INTEGER, "0")
    if item.signal.kind is Kind.TEXT:
        return _line(next(iter(item.texts))) if item.texts else (OCTETS, item.signal.name.rpartition(".")[2])
    if field.form is Form.DURATION:
        return OCTETS, "01:02:03"
    if field.form is Form.FLOAT:
        return HEXADECIMAL, "41bc0000"
    return INTEGER, str(int(20 * field.divisor / (field.multiplier or 1)) or 20)


def _put(lines: dict[str, Line], oid: str, line: Line | None, index: str) -> None:
    if line and oid:
        lines.setdefault(oid if oid.endswith(".0") else oid + index, line)


def _conditions(lines: dict[str, Line], conditions: Iterable[Condition], index: str) -> None:
    for condition in conditions:
        _put(lines, condition.oid, _fulfilling(condition), index)


def _item(lines: dict[str, Line], item: Item, index: str) -> None:
    field = item.fields[0]
    _conditions(lines, field.when, index)
    _put(lines, field.oid, _value(item, field), index)
    for oid in (*field.plus, *field.minus, field.multiply_by):
        _put(lines, oid, (INTEGER, "1"), index)
    for oid in field.percent_of:
        _put(lines, oid, (INTEGER, "100"), index)
    _put(lines, field.scale, (INTEGER, "9"), index)
    _put(lines, field.precision, (INTEGER, "0"), index)
    if field.unit_column:
        _put(lines, field.unit_column, _line(next(iter(field.units))), index)


def _row(table: Table, item: Item, index: str) -> dict[str, Line]:
    """A row that the table keeps and the item reads."""
    row: dict[str, Line] = {}
    _conditions(row, table.where, index)
    _item(row, item, index)
    for label in table.label[:1]:
        for piece in label:
            if piece.oid:
                under = (
                    "".join(f".{index.split('.')[part]}" for part in piece.parts if part <= index.count(".")) or index
                )
                _put(row, piece.by, (INTEGER, index[1:]), index)
                _put(row, piece.oid, (OCTETS, f"{table.group} {index[1:]}"), under)
    return row


def _tail(table: Table) -> str:
    """What the table's condition on the index asks at its end: a row of one kind of measurement."""
    asked = (condition.values[0] for condition in table.where if not condition.oid)
    found = (re.fullmatch(r"((?:\\\.\d+)+)\$", pattern) for pattern in asked)
    return next((each[1].replace("\\", "") for each in found if each), "")


def _table(lines: dict[str, Line], table: Table, number: int) -> None:
    """As few rows as the items' conditions allow; no two tables share a row."""
    tail = _tail(table)
    for item in (*table.items, *table.collect):
        for place in range(1, 10):
            row = _row(table, item, f".{number}{place}{tail}")
            if all(lines.get(oid, line) == line for oid, line in row.items()):
                lines |= row
                break


def _system(rule: Match) -> dict[str, Line]:
    description = "".join(c for c in rule.description if c not in "^$\\()[]?:|*+") or "made for a test"
    return {
        f"{SYSTEM}.1.0": (OCTETS, description),
        f"{SYSTEM}.2.0": (OBJECT, f"{rule.object_id or '1.3.6.1.4.1.99999'}.1"),
        f"{SYSTEM}.3.0": (TICKS, "864000"),
        f"{SYSTEM}.5.0": (OCTETS, "device-1"),
        f"{SYSTEM}.6.0": (OCTETS, "Branch 12"),
    }


def skeleton(profile: DeviceProfile) -> str:
    """The lines, sorted by OID."""
    lines = _system(profile.recognition.matches[0])
    for item in profile.scalars:
        _item(lines, item, "")
    for number, table in enumerate(profile.tables, 1):
        _table(lines, table, number)
    for oid in profile.recognition.matches[0].present:
        if not any(known == oid or known.startswith(f"{oid}.") for known in lines):
            lines[oid if oid.endswith(".0") else f"{oid}.1"] = (INTEGER, "1")
    order = sorted(lines, key=lambda oid: [int(n) for n in oid.split(".")])
    return "".join(f"{oid}|{lines[oid][0]}|{lines[oid][1]}\n" for oid in order)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.device_profiles.skeleton", description="A first recording for a profile.")  # fmt: skip
    parser.add_argument("id", help="the profile: its file's name without .yaml")
    wanted = parser.parse_args(argv).id
    for profile in load_yaml():
        if profile.id == wanted:
            sys.stdout.write(skeleton(profile))
            return 0
    print(f"no profile {wanted!r}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
