"""From raw SNMP values to samples: pure, over a mapping of OID to value, so that a recording and a living device go the same way.

No raw value raises, whatever a device sends: what cannot be read as the profile says is no reading.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tillwatch.agent.columns import MAX_NAME
from tillwatch.agent.model import Quality, Sample, State, Value
from tillwatch.agent.sources.snmp_values import (
    MAX_NUMBER,
    MIN_NUMBER,
    NO_VALUE,
    Raw,
    all_hold,
    number_of,
    same,
    text_of,
)
from tillwatch.device_profiles.model import (
    Absent,
    Condition,
    DeviceProfile,
    Field,
    Item,
    Kind,
    Limits,
    Signal,
    Table,
    Words,
)

MAX_ROWS = 256
"""Of one table: the largest branch switch stack has about 200 ports; a VPN concentrator may show thousands of interfaces."""
_STATES = {"ok": State.OK, "warn": State.WARN, "crit": State.CRIT, "unknown": State.UNKNOWN}
_WORST = {"ok": 0, "unknown": 1, "warn": 2, "crit": 3}


def _is_sentinel(field: Field, raw: Raw) -> bool:
    return any(same(raw, sentinel) for sentinel in field.sentinels)


def _unsigned(number: float, field: Field) -> int | float:
    return number + 2**32 if field.unsigned32 and -(2**31) <= number < 0 else number


def _quantity(field: Field, raws: Mapping[str, Raw], suffix: str) -> int | float | None:
    """The number that a field gives, or None."""
    number = number_of(raws.get(field.oid + suffix), field.pattern)
    if number is None:
        return None
    number = _unsigned(number, field)
    if field.rescale_above and number > field.rescale_above:
        number = number / field.rescale_divisor
    if field.multiplier != 1:
        number *= field.multiplier
    if field.divisor != 1:
        number /= field.divisor
    number += field.offset
    if field.multiply_by:
        factor = number_of(raws.get(field.multiply_by + suffix))
        if factor is None:
            return None
        number *= factor
    if field.percent_of:
        whole = number_of(raws.get(field.percent_of + suffix))
        if whole is None or (whole := _unsigned(whole, field)) <= 0:
            return None
        number = round(100 * number / whole, 2)
    if isinstance(number, float):
        number = float(f"{number:.12g}")  # 7 / 10 * 3 is 2.1, not 2.0999999999999996
    return number if MIN_NUMBER <= number <= MAX_NUMBER else None


def _judge(limits: Limits, number: float, raws: Mapping[str, Raw], suffix: str) -> State:
    if not all_hold(limits.conditions, raws, suffix):
        return State.OK
    if (limits.crit_below is not None and number < limits.crit_below) or (
        limits.crit_above is not None and number > limits.crit_above
    ):
        return State.CRIT
    if (limits.warn_below is not None and number < limits.warn_below) or (
        limits.warn_above is not None and number > limits.warn_above
    ):
        return State.WARN
    return State.OK


def _flags(words: Words, raw: Raw) -> list[str] | None:
    """Every word that holds, in the profile's order; None where the value is neither bits nor a mask."""
    if words.bits:
        if not isinstance(raw, bytes) or not raw:
            return None
        return [word for bit, word in words.bits if bit // 8 < len(raw) and raw[bit // 8] & (0x80 >> bit % 8)]
    number = number_of(raw)
    if not isinstance(number, int) or number < 0:
        return None
    return [word for mask, value, word in words.masks if number & mask == value]


def _word(words: Words, signal: Signal, raw: Raw) -> str | None:
    """The word for one code; `unknown` or `other`, where the state has it, for a code that the profile does not know."""
    number = number_of(raw)
    text = str(int(number)) if number is not None and number == int(number) else text_of(raw).casefold()
    if text in words.codes:
        return words.codes[text]
    if number is not None:
        for least, most, word in words.ranges:
            if least <= number <= most:
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
        found = []
        words, limits = self.item.words, self.item.limits
        conditions = [
            *(limits.conditions if limits else ()),
            *(c for _, when in (words.overrides if words else ()) for c in when),
        ]
        for field in self.item.fields:
            found += [field.oid, *filter(None, (field.percent_of, field.multiply_by))]
            conditions += field.when
        found += [condition.oid for condition in conditions]
        return [oid + self.suffix for oid in dict.fromkeys(found)]

    def sample(self, signal: Signal, value: Value, state: State, oid: str) -> Sample:
        quality = Quality.ERROR if value is None else Quality.GOOD
        return Sample(self.component, signal.name, value, state, quality, self.label, signal.unit, oid)

    def missing(self) -> Sample:
        """Says that what could be read before cannot be read now."""
        return self.sample(self.item.signal, None, State.UNKNOWN, self.item.fields[0].oid + self.suffix)


def _state(bound: Bound, raws: Mapping[str, Raw], field: Field, raw: Raw) -> list[Sample]:
    item, oid = bound.item, field.oid + bound.suffix
    words, signal = item.words, item.signal
    assert words is not None
    flags: list[str] | None = None
    if words.bits or words.masks:
        flags = _flags(words, raw)
        word = None if flags is None else _worst(signal, flags) or words.none or None
    else:
        word = _word(words, signal, raw)
    word = next((w for w, when in words.overrides if all_hold(when, raws, bound.suffix)), word)
    if word is None:
        return []
    samples = [bound.sample(signal, word, _STATES[signal.severity(word)], oid)]
    if item.all:
        samples.append(bound.sample(item.all, ",".join(flags) if flags else word, State.NONE, oid))
    return samples


def _divides(item: Item) -> bool:
    """Whether any field can give a fraction: then all give floats, and the signal keeps its type whichever field is valid."""
    return any(
        f.divisor != 1 or f.percent_of or f.rescale_above or not float(f.multiplier).is_integer() for f in item.fields
    )


def _evaluate(bound: Bound, raws: Mapping[str, Raw]) -> list[Sample]:
    item = bound.item
    absent = False
    for field in item.fields:
        raw = raws.get(field.oid + bound.suffix)
        if raw is None or not all_hold(field.when, raws, bound.suffix):
            continue
        if _is_sentinel(field, raw):
            absent = True
            continue
        oid = field.oid + bound.suffix
        if item.signal.kind is Kind.STATE:
            if samples := _state(bound, raws, field, raw):
                return samples
        elif item.signal.kind is Kind.TEXT:
            text = text_of(raw)
            if field.pattern:
                found = re.search(field.pattern, text)
                text = (found[1] or "") if found else ""
            if text.casefold() not in NO_VALUE:
                return [bound.sample(item.signal, text, State.NONE, oid)]
        elif (number := _quantity(field, raws, bound.suffix)) is not None and (
            number >= 0 or item.signal.kind is not Kind.COUNTER
        ):
            if _divides(item):
                number = float(number)
            state = _judge(item.limits, number, raws, bound.suffix) if item.limits else State.NONE
            return [bound.sample(item.signal, number, state, oid)]
    if absent and item.absent is not Absent.IGNORE:
        return [replace(bound.missing(), state=State.CRIT if item.absent is Absent.FAULT else State.UNKNOWN)]
    return [] if item.optional or absent else [bound.missing()]


def _rows(item: Item, where: Sequence[Condition], raws: Mapping[str, Raw]) -> list[str]:
    """Indexes of the rows that a collected item is about, at most MAX_ROWS + 1."""
    indexes = (index for index in _indexes(raws, (field.oid for field in item.fields)) if all_hold(where, raws, index))
    return list(itertools.islice(indexes, MAX_ROWS + 1))


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
    found = list(dict.fromkeys(word for raw in values if (word := _word(item.words, signal, raw)) is not None))
    worst = _worst(signal, found) or item.words.none
    samples = [bound.sample(signal, worst, _STATES[signal.severity(worst)], field.oid)]
    if item.all:
        samples.append(bound.sample(item.all, ",".join(found) or worst, State.NONE, field.oid))
    return samples


def evaluate(bounds: Iterable[Bound], raws: Mapping[str, Raw]) -> list[Sample]:
    """The samples of what is bound, out of these raw values. Never raises on a raw value."""
    samples: list[Sample] = []
    for bound in bounds:
        samples += _evaluate(bound, raws) if bound.rows is None else _evaluate_rows(bound, raws, bound.rows)
    return samples


def _indexes(raws: Mapping[str, Raw], columns: Iterable[str]) -> dict[str, None]:
    """The index of every cell of the columns, `.` in front, in the order of the columns' numbers."""
    prefixes = tuple(f"{column}." for column in columns)
    found = {oid[len(prefix) - 1 :] for prefix in prefixes for oid in raws if oid.startswith(prefix)}
    return dict.fromkeys(sorted(found, key=lambda index: [int(n) for n in index[1:].split(".")]))


def _label(table: Table, raws: Mapping[str, Raw], index: str) -> str:
    for column in table.label:
        text = text_of(raws.get(column + index, ""))
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
    for profile in profiles:
        for item in profile.scalars:
            bound = Bound(item, f"{device}/{item.part}" if item.part else device)
            bounds.setdefault(bound.key, bound)
        for table in profile.tables:
            rows = [
                index
                for index in _indexes(raws, (f.oid for item in table.items for f in item.fields))
                if all_hold(table.where, raws, index)
            ]
            omitted += max(0, len(rows) - MAX_ROWS)
            labels = {index: _label(table, raws, index) for index in rows[:MAX_ROWS]}
            for index, name in _names(labels, MAX_NAME - len(f"{device}/{table.group}:")).items():
                for item in table.items:
                    if any(field.oid + index in raws for field in item.fields):
                        bound = Bound(item, f"{device}/{table.group}:{name}", name, index)
                        bounds.setdefault(bound.key, bound)
            for item in table.collect:
                rows = _rows(item, table.where, raws)
                if rows or (
                    table.present and any(oid == table.present or oid.startswith(f"{table.present}.") for oid in raws)
                ):
                    omitted += max(0, len(rows) - MAX_ROWS)
                    bound = Bound(item, device, rows=table.where)
                    bounds.setdefault(bound.key, bound)
    return Binding(tuple(bounds.values()), omitted)
