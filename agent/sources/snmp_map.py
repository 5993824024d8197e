"""From raw SNMP values to samples: pure, over a mapping of OID to value, so that a recording and a living device go the same way.

No raw value raises, whatever a device sends: what cannot be read as the profile says is no reading.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from tillwatch.agent.columns import MAX_NAME
from tillwatch.agent.model import Quality, Sample, State, Value
from tillwatch.agent.sources.snmp_quantity import Earlier, code_of, divides, edges, quantity, rise, words_of
from tillwatch.agent.sources.snmp_values import NO_VALUE, Raw, all_hold, at, number_of, stands_for_nothing, text_of
from tillwatch.device_profiles.model import (
    Absent,
    Condition,
    DeviceProfile,
    Edge,
    Field,
    Item,
    Kind,
    Piece,
    Signal,
    Table,
    Words,
)
from tillwatch.device_profiles.recognise import beneath

MAX_ROWS = 256
"""Of one table: the largest branch switch stack has about 200 ports; a VPN concentrator may show thousands of interfaces."""
_STATES = {"ok": State.OK, "warn": State.WARN, "crit": State.CRIT, "unknown": State.UNKNOWN}
_WORST = {"ok": 0, "unknown": 1, "warn": 2, "crit": 3}


def _judge(number: float, bounds: tuple[float | None, ...]) -> State:
    """bounds: warn below, critical below, warn above, critical above."""
    warn_below, crit_below, warn_above, crit_above = bounds
    if (crit_below is not None and number < crit_below) or (crit_above is not None and number > crit_above):
        return State.CRIT
    if (warn_below is not None and number < warn_below) or (warn_above is not None and number > warn_above):
        return State.WARN
    return State.OK


def _flags(words: Words, raw: Raw) -> list[str] | None:
    """Every word that holds, in the profile's order; None where the value is neither bits, a mask nor flags."""
    if words.bits:
        if not isinstance(raw, bytes) or not raw:
            return None
        return [word for bit, word in words.bits if bit // 8 < len(raw) and raw[bit // 8] & (0x80 >> bit % 8)]
    if words.flags:
        text = text_of(raw)
        if not text or set(text) - {"0", "1"}:
            return None
        return [word for place, word in words.flags if text[place - 1 : place] == "1"]
    number = number_of(raw)
    if not isinstance(number, int) or number < 0:
        return None
    return [word for mask, value, word in words.masks if number & mask == value]


def _word(words: Words, signal: Signal, field: Field, raw: Raw) -> str | None:
    """The word for one code; `unknown` or `other`, where the state has it, for a code that the profile does not know."""
    code = code_of(field, raw)
    if code in words.codes:
        return words.codes[code]
    number = number_of(raw, field.pattern)
    if number is not None:
        for least, most, word in words.ranges:
            if least <= number <= most:
                return word
    for pattern, word in words.patterns:
        if re.search(pattern, text_of(raw)):
            return word
    known = {word for word, _ in signal.states}
    return next((word for word in ("unknown", "other") if word in known), None)


def _worst(signal: Signal, words: Iterable[str]) -> str | None:
    """The first of the worst."""
    return max(words, key=lambda word: _WORST[signal.severity(word)], default=None)


@dataclass(frozen=True, slots=True)
class Bound:
    """An item of a profile on one device: its component, and the index behind its OIDs. rows: the conditions of a table that is read as a whole."""

    item: Item
    component: str
    label: str = ""
    suffix: str = ""
    rows: tuple[Condition, ...] | None = None

    @property
    def key(self) -> tuple[str, str]:
        return self.component, self.item.signal.name

    def oids(self) -> list[str]:
        """Every OID that evaluating it may look at; columns, where it is about all rows."""
        words, limits = self.item.words, self.item.limits
        fields = [*self.item.fields, *(f for each in (limits.edges() if limits else ()) for f in each.fields)]
        found = [oid for field in fields for oid in (field.oid, *field.beside())]
        found += [condition.oid for condition in (limits.conditions if limits else ()) if condition.oid]
        found += [c.oid for _, when in (words.overrides if words else ()) for c in when if c.oid]
        return [at(oid, self.suffix) for oid in dict.fromkeys(found)]

    def sample(self, signal: Signal, value: Value, state: State, oid: str) -> Sample:
        quality = Quality.ERROR if value is None else Quality.GOOD
        return Sample(self.component, signal.name, value, state, quality, self.label, signal.unit, oid)

    def missing(self) -> Sample:
        """Says that what could be read before cannot be read now."""
        return self.sample(self.item.signal, None, State.UNKNOWN, at(self.item.fields[0].oid, self.suffix))


def _state(bound: Bound, raws: Mapping[str, Raw], field: Field, raw: Raw) -> list[Sample]:
    item, oid = bound.item, at(field.oid, bound.suffix)
    words, signal = item.words, item.signal
    assert words is not None
    flags: list[str] | None = None
    if words.bits or words.masks or words.flags:
        flags = _flags(words, raw)
        word = None if flags is None else _worst(signal, flags) or words.none or None
    else:
        word = _word(words, signal, field, raw)
    word = next((w for w, when in words.overrides if all_hold(when, raws, bound.suffix)), word)
    if word is None:
        return []
    samples = [bound.sample(signal, word, _STATES[signal.severity(word)], oid)]
    if item.all:
        samples.append(bound.sample(item.all, ",".join(dict.fromkeys(flags)) if flags else word, State.NONE, oid))
    return samples


def _text(bound: Bound, field: Field, raw: Raw) -> list[Sample]:
    item = bound.item
    text = words_of(field, raw)
    if item.texts:
        text = item.texts.get(code_of(field, raw), text)
    if text.casefold() in NO_VALUE:
        return []
    return [bound.sample(item.signal, text, State.NONE, at(field.oid, bound.suffix))]


def _evaluate(bound: Bound, raws: Mapping[str, Raw], today: date | None, earlier: Earlier | None) -> list[Sample]:
    item, signal, suffix = bound.item, bound.item.signal, bound.suffix
    absent = first = False
    for place, field in enumerate(item.fields):
        raw = raws.get(at(field.oid, suffix))
        if raw is None or not all_hold(field.when, raws, suffix):
            continue
        if stands_for_nothing(raw, field.sentinels):
            absent = True
            continue
        if signal.kind is Kind.STATE or signal.kind is Kind.TEXT:
            samples = _state(bound, raws, field, raw) if signal.kind is Kind.STATE else _text(bound, field, raw)
            if samples:
                return samples
            continue
        number = (
            rise(field, signal, raws, suffix, earlier) if field.per else quantity(field, signal, raws, suffix, today)
        )
        if number is not None and (number >= 0 or signal.kind is not Kind.COUNTER):
            if divides(item.fields):
                number = float(number)
            state = State.NONE
            if item.limits:
                state = State.OK
                if all_hold(item.limits.conditions, raws, suffix):
                    state = _judge(number, edges(item.limits, place, signal, raws, suffix, today))
            return [bound.sample(signal, number, state, at(field.oid, suffix))]
        first = first or (bool(field.per) and earlier is None)
    if absent and item.absent is not Absent.IGNORE:
        return [replace(bound.missing(), state=State.CRIT if item.absent is Absent.FAULT else State.UNKNOWN)]
    return [] if item.optional or absent or first or suffix else [bound.missing()]


def _rows(item: Item, where: Sequence[Condition], raws: Mapping[str, Raw]) -> list[str]:
    """Indexes of the rows that a collected item is about, at most MAX_ROWS + 1."""
    indexes = _indexes(sorted(raws), (field.oid for field in item.fields))
    return list(itertools.islice((index for index in indexes if all_hold(where, raws, index)), MAX_ROWS + 1))


def _evaluate_rows(bound: Bound, raws: Mapping[str, Raw], where: Sequence[Condition]) -> list[Sample]:
    """A collected item: one sample about all rows that fulfil its field's conditions."""
    item, field = bound.item, bound.item.fields[0]
    rows = _rows(item, where, raws)[:MAX_ROWS]
    values = [raw for i in rows if (raw := raws.get(field.oid + i)) is not None and all_hold(field.when, raws, i)]
    if item.signal.kind is Kind.TEXT:
        text = text_of("; ".join(filter(None, (text_of(raw) for raw in values))))
        return [bound.sample(item.signal, text, State.NONE, field.oid)]
    if item.words is None:
        return [bound.sample(item.signal, len(values), State.NONE, field.oid)]
    signal = item.signal
    found = list(dict.fromkeys(word for raw in values if (word := _word(item.words, signal, field, raw)) is not None))
    worst = _worst(signal, found) or item.words.none
    samples = [bound.sample(signal, worst, _STATES[signal.severity(worst)], field.oid)]
    if item.all:
        samples.append(bound.sample(item.all, ",".join(found) or worst, State.NONE, field.oid))
    return samples


def today() -> date:
    """What `evaluate` counts ages to; in UTC, as every time is."""
    return datetime.now(UTC).date()


def evaluate(
    bounds: Iterable[Bound], raws: Mapping[str, Raw], today: date | None = None, earlier: Earlier | None = None
) -> list[Sample]:
    """The samples of what is bound, out of these raw values. Never raises on a raw value. today: for ages, earlier: for what rises per time; both
    are left out without it.
    """
    samples: list[Sample] = []
    for bound in bounds:
        samples += (
            _evaluate(bound, raws, today, earlier) if bound.rows is None else _evaluate_rows(bound, raws, bound.rows)
        )
    return samples


def _indexes(order: Sequence[str], columns: Iterable[str]) -> dict[str, None]:
    """The index of every cell of the columns, `.` in front, in the order of the columns' numbers. order: every OID, sorted as text."""
    found: set[str] = set()
    for column in columns:
        start, end = bisect.bisect_left(order, f"{column}."), bisect.bisect_left(order, f"{column}/")  # `/` follows `.`
        found.update(oid[len(column) :] for oid in order[start:end])
    return dict.fromkeys(sorted(found, key=lambda index: [int(n) for n in index[1:].split(".")]))


def _piece(piece: Piece, raws: Mapping[str, Raw], index: str) -> str:
    if piece.text:
        return piece.text
    suffix = index
    if piece.parts:
        numbers = index[1:].split(".")
        if max(piece.parts) > len(numbers):
            return ""
        suffix = "".join(f".{numbers[part - 1]}" for part in piece.parts)
    elif piece.by:
        suffix = f".{text_of(raws.get(at(piece.by, index), ''))}"
    text = text_of(raws.get(at(piece.oid, suffix), "")) if piece.oid else suffix[1:]
    return "" if text.casefold() in NO_VALUE else text


def _label(table: Table, raws: Mapping[str, Raw], index: str) -> str:
    for label in table.label:
        pieces = [_piece(piece, raws, index) for piece in label]
        text = "".join(pieces) if all(pieces) else ""
        if table.label_pattern and (found := re.search(table.label_pattern, text)):
            text = found[1] or ""
        if text := text.strip():
            return text
    return index[1:]


def _names(labels: Mapping[str, str], room: int) -> dict[str, str]:
    """One name for each index, at most `room` characters: the label; with the index behind it where several rows have the same."""
    labels = {index: label[:room].strip() for index, label in labels.items()}
    counts = Counter(labels.values())
    return {
        i: label if counts[label] == 1 else f"{label[: room - len(i)].strip()} {i[1:]}" for i, label in labels.items()
    }


def _found(edge: Edge, signal: Signal, raws: Mapping[str, Raw], order: Sequence[str], index: str) -> Edge:
    """A limit out of a table of limits, as a number: it is looked for once a walk, not at every poll."""
    field = edge.fields[0]
    for row in _indexes(order, [field.oid + index]):
        raw = raws[field.oid + index + row]
        if all_hold(field.find, raws, index + row) and not stands_for_nothing(raw, field.sentinels):
            beside = {at(oid, index): raws[at(oid, index)] for oid in field.beside() if at(oid, index) in raws}
            number = quantity(field, signal, {**beside, at(field.oid, index): raw}, index, None)
            if number is not None:
                return Edge(number)
    return Edge(edge.number)


def _limited(item: Item, raws: Mapping[str, Raw], order: Sequence[str], index: str) -> Item:
    """The item with the limits that stand in tables of their own."""
    limits = item.limits
    if limits is None or not any(field.find for edge in limits.edges() for field in edge.fields):
        return item
    found: dict[str, Any] = {
        name: _found(edge, item.signal, raws, order, index)
        for name in ("warn_below", "crit_below", "warn_above", "crit_above")
        if (edge := getattr(limits, name)) and any(field.find for field in edge.fields)
    }
    return replace(item, limits=replace(limits, **found))


@dataclass(frozen=True, slots=True)
class Binding:
    """A profile on one device. omitted: rows beyond MAX_ROWS, which are not read."""

    bounds: tuple[Bound, ...]
    omitted: int


def bind(device: str, profiles: Iterable[DeviceProfile], raws: Mapping[str, Raw]) -> Binding:
    """What the profiles read on a device of which `raws` was walked. Of two that give the same signal of the same component the first stands.

    device: the name of the source; components are `device`, `device/part` or `device/group:label`.
    """
    bounds: dict[tuple[str, str], Bound] = {}
    omitted = 0
    order = sorted(raws)
    for profile in profiles:
        for item in profile.scalars:
            bound = Bound(item, f"{device}/{item.part}" if item.part else device, item.name)
            bounds.setdefault(bound.key, bound)
        for table in profile.tables:
            found = _indexes(order, (f.oid for item in table.items for f in item.fields))
            rows = [index for index in found if all_hold(table.where, raws, index)]
            omitted += max(0, len(rows) - MAX_ROWS)
            labels = {index: _label(table, raws, index) for index in rows[:MAX_ROWS]}
            longest = max(map(len, (table.group, *(item.part for item in table.items))))
            for index, name in _names(labels, MAX_NAME - len(f"{device}/:") - longest).items():
                for item in table.items:
                    if any(at(field.oid, index) in raws for field in item.fields):
                        limited = _limited(item, raws, order, index)
                        bound = Bound(limited, f"{device}/{item.part or table.group}:{name}", item.name or name, index)
                        bounds.setdefault(bound.key, bound)
            for item in table.collect:
                rows = _rows(item, table.where, raws)
                if rows or (table.present and any(beneath(oid, table.present) for oid in raws)):
                    omitted += max(0, len(rows) - MAX_ROWS)
                    bound = Bound(item, device, rows=table.where)
                    bounds.setdefault(bound.key, bound)
    return Binding(tuple(bounds.values()), omitted)
