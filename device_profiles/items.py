"""From the YAML of one item, condition or label to the values of model.py. Every error is a ProfileError that names file, line and the mend."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tillwatch.device_profiles import language, units
from tillwatch.device_profiles.catalogue import EXPERIMENTAL, Catalogue, read_signal
from tillwatch.device_profiles.dates import DATE_AND_TIME, compiled
from tillwatch.device_profiles.model import (
    Absent,
    Condition,
    Edge,
    Field,
    Form,
    Item,
    Kind,
    Life,
    Limits,
    Piece,
    Poll,
    Signal,
    Stress,
    Test,
    Words,
)
from tillwatch.device_profiles.yaml_nodes import Spot, nearest

_OID = re.compile(r"[0-2](\.\d+)+")
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)?\.\.(-?\d+(?:\.\d+)?)?")
_INDEX = "index"
_YES, _NO = ("1", "yes", "true", "on"), ("2", "0", "no", "false", "off")
_EDGES = ("warn_below", "crit_below", "warn_above", "crit_above")
_ITEM = (*language.ITEM, *language.FIELD, *language.WORDS, *language.OWN)
_SOURCES = ("counter", "hours", "calendar", "device_percent")
_PER = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
_NUMERIC = (
    "divisor",
    "multiplier",
    "offset",
    "raw_unit",
    "scale",
    "precision",
    "plus",
    "minus",
    "percent_of",
    "multiply_by",
    "per",
)


def read_oid(spot: Spot) -> str:
    """Raises ProfileError."""
    if not _OID.fullmatch(spot.text()):
        spot.wrong(
            f"{spot.text()!r} is not an OID; write numbers with dots, without a leading dot, such as 1.3.6.1.2.1.33.1.2.1.0"
        )
    return spot.text()


def read_pattern(spot: Spot, groups: int) -> str:
    """A regular expression with so many groups; 0: with any. Raises ProfileError."""
    try:
        found = re.compile(spot.text()).groups
    except re.error as error:
        spot.wrong(f"not a regular expression: {error}; put it in single quotes and double nothing")
    if groups and found != groups:
        spot.wrong(
            f"the expression has {found} groups; put parentheses round the one part that is wanted, (?:...) round others"
        )
    return spot.text()


def texts(spot: Spot | None) -> tuple[str, ...]:
    return tuple(each.text() for each in spot.items()) if spot else ()


def _truth(keys: Mapping[str, Spot], name: str) -> bool:
    return name in keys and keys[name].truth()


@dataclass(frozen=True, slots=True)
class Columns:
    """How a table's file names its columns: by a word of `columns`, by number under `entry`, or by full OID."""

    entry: str
    names: Mapping[str, str]

    def __call__(self, spot: Spot) -> str:
        text = spot.text()
        if text in self.names:
            return self.names[text]
        if text.isdigit() and self.entry:
            return f"{self.entry}.{text}"
        if _OID.fullmatch(text):
            return text
        return spot.wrong(
            f"no column {text!r} in `columns`; {nearest(text, self.names) if self.names else 'write its number under `entry`'}"
        )


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the items of one scalars list or one table: where an OID comes from is all that differs. in_table: `column` is the word for it."""

    catalogue: Catalogue
    oid: Callable[[Spot], str]
    in_table: bool
    sentinels: tuple[str, ...]
    optional: bool = False

    def _place(self, keys: Mapping[str, Spot]) -> Spot | None:
        if "column" in keys and not self.in_table:
            keys["column"].wrong("a scalar has no columns; write `oid: ...` with the instance")
        if "oid" in keys and "column" in keys:
            keys["column"].wrong("`oid` and `column` are two places; keep one")
        return keys.get("column") or keys.get("oid")

    def _missing(self) -> str:
        key = "column" if self.in_table else "oid"
        return f"{key!r} is missing; say where the value comes from with `{key}: ...`"

    def conditions(self, spot: Spot | None) -> tuple[Condition, ...]:
        return tuple(self._condition(each) for each in spot.items()) if spot else ()

    def _condition(self, spot: Spot) -> Condition:
        keys = spot.mapping(language.CONDITION)
        place = self._place(keys) or spot.wrong(self._missing())
        tests = [name for name in keys if name in language.TESTS]
        if len(tests) != 1:
            spot.wrong(f"a condition asks one thing; write one of {', '.join(language.TESTS)}")
        test, value = Test(tests[0]), keys[tests[0]]
        if test in {Test.MATCHES, Test.LACKS}:
            read_pattern(value, 0)
        elif test is Test.EXISTS:
            value.truth()
        elif test in {Test.ABOVE, Test.BELOW}:
            value.number()
        oid = "" if self.in_table and place.text() == _INDEX else self.oid(place)
        return Condition(oid, test, texts(value))

    def _oids(self, spot: Spot | None) -> tuple[str, ...]:
        return tuple(self.oid(each) for each in spot.items()) if spot else ()

    def _raw_unit(self, spot: Spot | None, signal: Signal) -> tuple[str, str, dict[str, str]]:
        """unit, unit_column, units."""
        if spot is None:
            return "", "", {}

        def unit(at: Spot) -> str:
            return at.choice(units.KNOWN, "unit of a device")

        if not spot.is_mapping():
            if not units.convertible(unit(spot), signal.unit):
                spot.wrong(
                    f"{spot.text()} cannot become {signal.unit or 'a pure number'}, the unit of {signal.name}; take another signal or unit"
                )
            return spot.text(), "", {}
        keys = spot.mapping(("column", "oid", "is"), ("is",))
        place = self._place(keys) or spot.wrong(self._missing())
        known = {value.text().casefold(): unit(name) for value, name in keys["is"].pairs()}
        if not any(units.convertible(each, signal.unit) for each in known.values()):
            spot.wrong(
                f"none of these units can become {signal.unit or 'a pure number'}, the unit of {signal.name}; take another signal"
            )
        return "", self.oid(place), known

    def field(self, spot: Spot, keys: Mapping[str, Spot], signal: Signal) -> Field:
        place = self._place(keys) or spot.wrong(self._missing())

        def number(name: str, default: float) -> float:
            return keys[name].number() if name in keys else default

        def oid(name: str) -> str:
            return self.oid(keys[name]) if name in keys else ""

        if number("divisor", 1) == 0:
            keys["divisor"].wrong("nothing can be divided by 0; write another number or leave it out")
        for each in keys["date"].items() if "date" in keys else ():
            try:
                _ = each.text() == DATE_AND_TIME or compiled(each.text())
            except ValueError:
                each.wrong(
                    "a date needs year, month and day: write such as mm/dd/yyyy, dd.mm.yy, dd mon yyyy or DateAndTime"
                )
        form = Form(keys["form"].choice([f.value for f in Form], "form of a number")) if "form" in keys else Form.NUMBER
        if form is Form.AGE and "date" not in keys:
            keys["form"].wrong(
                "an age needs the date that it is counted from; add `date: mm/dd/yyyy` or as the device writes it"
            )
        if "date" in keys and form is not Form.AGE and signal.kind is not Kind.TEXT:
            keys["date"].wrong(
                f"a date is a text, and {signal.name} is a {signal.kind}; for days since then add `form: age`"
            )
        own_unit = {Form.AGE: "d", Form.DURATION: "s"}.get(form, "")
        unit, unit_column, known = self._raw_unit(keys.get("raw_unit"), signal)
        if own_unit and not unit and own_unit != signal.unit:
            if not units.convertible(own_unit, signal.unit):
                keys["form"].wrong(
                    f"it gives {own_unit}, and {signal.name} is in {signal.unit or 'nothing'}; take a signal in {own_unit}"
                )
            unit = own_unit
        wraps = keys["wraps"].whole() if "wraps" in keys else 0
        if "per" in keys and signal.kind is not Kind.GAUGE:
            keys["per"].wrong(f"what rises per time is a gauge, and {signal.name} is a {signal.kind}; leave `per` out")
        if wraps not in {0, 32, 64} or (wraps and signal.kind is not Kind.COUNTER and "per" not in keys):
            keys["wraps"].wrong("a counter wraps at 32 or 64 bits; other signals do not wrap")
        if wraps and {"multiply_by", "percent_of", "raw_unit"} & set(keys):
            keys["wraps"].wrong("the turns of what is computed from several values cannot be joined; leave `wraps` out")
        return Field(
            oid=self.oid(place),
            divisor=number("divisor", 1),
            multiplier=number("multiplier", 1),
            offset=number("offset", 0),
            sentinels=texts(keys["sentinels"]) if "sentinels" in keys else self.sentinels,
            pattern=read_pattern(keys["pattern"], 1) if "pattern" in keys else "",
            form=form,
            dates=texts(keys.get("date")),
            unit=unit,
            unit_column=unit_column,
            units=known,
            scale=oid("scale"),
            precision=oid("precision"),
            plus=self._oids(keys.get("plus")),
            minus=self._oids(keys.get("minus")),
            percent_of=self._oids(keys.get("percent_of")),
            multiply_by=oid("multiply_by"),
            unsigned32=_truth(keys, "unsigned32"),
            wraps=wraps,
            per=_PER[keys["per"].choice(_PER, "unit of time")] if "per" in keys else 0,
            rescale_above=number("rescale_above", 0),
            when=self.conditions(keys.get("when")),
        )

    def _signal(self, spot: Spot, keys: Mapping[str, Spot]) -> Signal:
        name = spot.text()
        if name.startswith(EXPERIMENTAL):
            return read_signal(name, dict(keys), spot, self.catalogue.units)
        signal = self.catalogue.signal(spot)
        for key, expected in (("kind", signal.kind.value), ("unit", signal.unit)):
            if key in keys and keys[key].text() != expected:
                mend = f"; for the device's own unit write `raw_unit: {keys[key].text()}`" if key == "unit" else ""
                keys[key].wrong(
                    f"the catalogue says {key} {expected or '(none)'} for {name}; write that or leave it out{mend}"
                )
        for key in ("states", "meaning", "axis"):
            if key in keys:
                keys[key].wrong(f"the catalogue says the {key} of {name}; leave it out")
        return signal

    def _words(self, spot: Spot, keys: Mapping[str, Spot], signal: Signal) -> Words | None:
        given = [name for name in language.WORDS if name in keys]
        if signal.kind is not Kind.STATE:
            if given:
                keys[given[0]].wrong(f"{signal.name} is a {signal.kind}, which has no words; leave {given[0]!r} out")
            return None
        if not set(given) - {"none", "overrides"}:
            spot.wrong(
                f"{signal.name} is a state; say which value means which word with `words`, `yes`, `bits`, `masks` or `flags`"
            )
        known = [word for word, _ in signal.states]

        def word(at: Spot) -> str:
            return at.choice(known, f"word of {signal.name}")

        codes: dict[str, str] = {}
        ranges = []
        for truth, values in (("yes", _YES), ("no", _NO)):
            if truth in keys:
                codes |= dict.fromkeys(values, word(keys[truth]))
        for key, value in keys["words"].pairs() if "words" in keys else ():
            if span := _RANGE.fullmatch(key.text()):
                ranges.append((float(span[1] or "-inf"), float(span[2] or "inf"), word(value)))
            else:
                codes[key.text().casefold()] = word(value)
        masks = []
        for each in keys["masks"].items() if "masks" in keys else ():
            mask = each.mapping(("mask", "is", "word"), ("mask", "word"))
            masks.append((mask["mask"].whole(), mask["is" if "is" in mask else "mask"].whole(), word(mask["word"])))
        overrides = []
        for each in keys["overrides"].items() if "overrides" in keys else ():
            override = each.mapping(("word", "when"), ("word", "when"))
            overrides.append((word(override["word"]), self.conditions(override["when"])))

        def numbered(name: str) -> tuple[tuple[int, str], ...]:
            return tuple((key.whole(), word(value)) for key, value in keys[name].pairs()) if name in keys else ()

        return Words(
            codes=codes,
            ranges=tuple(ranges),
            patterns=tuple((read_pattern(key, 0), word(value)) for key, value in keys["patterns"].pairs())
            if "patterns" in keys
            else (),
            bits=numbered("bits"),
            masks=tuple(masks),
            flags=numbered("flags"),
            none=word(keys["none"]) if "none" in keys else "",
            overrides=tuple(overrides),
        )

    def _edge(self, spot: Spot, signal: Signal, shared: Mapping[str, Spot], choices: list[dict[str, Spot]]) -> Edge:
        if not spot.is_mapping():
            return Edge(spot.number())
        own = spot.mapping((*language.FIELD, "else", "find"))
        number = own.pop("else").number() if "else" in own else None
        found = own.pop("find", None)
        if found and (len(choices) > 1 or not self.in_table):
            found.wrong(
                "limits are found for the rows of a table with one place of the value; leave `find` or `first_of` out"
            )
        find = self.conditions(found)
        kept = ("pattern", "form", "date", "unsigned32", "rescale_above", "sentinels", *_NUMERIC)
        fields = []
        for choice in choices:
            # What makes the value a number makes its limit one, but for what picks the value out.
            scaling = {name: at for name, at in {**shared, **choice}.items() if name in kept and name != "per"}
            if set(own) & set(_NUMERIC):
                scaling = {name: at for name, at in scaling.items() if name not in _NUMERIC}
            fields.append(replace(self.field(spot, {**scaling, **own}, signal), find=find))
        return Edge(number, tuple(fields))

    def limits(self, spot: Spot, signal: Signal, shared: Mapping[str, Spot], choices: list[dict[str, Spot]]) -> Limits:
        """Raises ProfileError."""
        if signal.kind not in {Kind.GAUGE, Kind.COUNTER}:
            spot.wrong(f"{signal.name} is a {signal.kind}: its words say what is wrong; leave `limits` out")
        keys = spot.mapping(language.LIMITS)
        edges = {name: self._edge(keys[name], signal, shared, choices) for name in _EDGES if name in keys}
        if not edges:
            spot.wrong(f"no limit; write at least one of {', '.join(_EDGES)}")
        fixed = {name: edge.number for name, edge in edges.items() if edge.number is not None}
        if fixed.get("crit_below", float("-inf")) > fixed.get("warn_below", float("inf")):
            spot.wrong("crit_below is higher than warn_below; the critical limit lies further out")
        if fixed.get("crit_above", float("inf")) < fixed.get("warn_above", float("-inf")):
            spot.wrong("crit_above is lower than warn_above; the critical limit lies further out")
        return Limits(**edges, conditions=self.conditions(keys.get("while")))

    def item(self, spot: Spot, *, counts_rows: bool = False) -> Item:
        """Raises ProfileError. counts_rows: the item is about all rows of a table."""
        keys = spot.mapping(_ITEM, ("signal",))
        signal = self._signal(keys["signal"], keys)
        choices = [each.mapping(language.FIELD) for each in keys["first_of"].items()] if "first_of" in keys else [{}]
        shared = {name: value for name, value in keys.items() if name in language.FIELD}
        if counts_rows and signal.kind is Kind.GAUGE:
            place = self._place(keys) or spot.wrong(f"{self._missing()}: a column that every row has")
            fields: tuple[Field, ...] = (Field(self.oid(place), when=self.conditions(keys.get("when"))),)
        else:
            fields = tuple(self.field(spot, _chosen(shared, choice), signal) for choice in choices)
        if signal.kind in {Kind.TEXT, Kind.STATE}:
            for name in _NUMERIC:
                for given in (shared, *choices):
                    if name in given:
                        given[name].wrong(f"{signal.name} is a {signal.kind}; leave {name!r} out")
        if "texts" in keys and signal.kind is not Kind.TEXT:
            keys["texts"].wrong(f"{signal.name} is a {signal.kind}, not a text; leave `texts` out")
        collected = self.catalogue.signal(keys["all"]) if "all" in keys else None
        if collected and collected.kind is not Kind.TEXT:
            keys["all"].wrong(f"`all` takes several words: {collected.name} must be a text, and is a {collected.kind}")
        by_kind = Poll.SLOW if signal.kind is Kind.TEXT else Poll.NORMAL
        return Item(
            signal=signal,
            fields=fields,
            part=keys["part"].text() if "part" in keys else "",
            poll=Poll(keys["poll"].choice([p.value for p in Poll], "polling class")) if "poll" in keys else by_kind,
            optional=keys["optional"].truth() if "optional" in keys else self.optional,
            absent=Absent(keys["absent"].choice([a.value for a in Absent], "meaning of a sentinel"))
            if "absent" in keys
            else Absent.IGNORE,
            words=self._words(spot, keys, signal),
            texts={key.text().casefold(): value.text() for key, value in keys["texts"].pairs()}
            if "texts" in keys
            else {},
            limits=self.limits(keys["limits"], signal, shared, choices) if "limits" in keys else None,
            all=collected,
            life=read_life(keys["life"]) if "life" in keys else None,
        )

    def label(self, spot: Spot) -> tuple[Piece, ...]:
        """One of a table's labels; the index alone is no piece: it is what is left. Raises ProfileError."""
        if spot.is_mapping():
            keys = spot.mapping(("column", "by", "parts"), ("column",))
            if ("by" in keys) == ("parts" in keys):
                spot.wrong(
                    "say where the index in the other table comes from: `by: COLUMN`, or `parts: [1]` of this row's index"
                )
            numbers = tuple(each.whole() for each in keys["parts"].items()) if "parts" in keys else ()
            return (
                Piece(oid=self.oid(keys["column"]), by=self.oid(keys["by"]) if "by" in keys else "", parts=numbers),
            )
        if "{" not in spot.text():
            return (Piece(),) if spot.text() == _INDEX else (Piece(oid=self.oid(spot)),)
        pieces = []
        for number, text in enumerate(re.split(r"\{([^{}]*)\}", spot.text())):
            if number % 2 == 0:
                pieces += [Piece(text=text)] if text else []
            elif text == _INDEX:
                pieces.append(Piece())
            elif text.startswith("index.") and text[6:].isdigit():
                pieces.append(Piece(parts=(int(text[6:]),)))
            else:
                pieces.append(Piece(oid=self.oid(spot.part(text))))
        return tuple(pieces)


def _chosen(shared: Mapping[str, Spot], choice: Mapping[str, Spot]) -> dict[str, Spot]:
    """A place of `first_of` stands in place of the item's, by whichever word."""
    own = {"oid", "column"}
    return {**{k: v for k, v in shared.items() if not (k in own and own & set(choice))}, **choice}


def read_life(spot: Spot, base: Life | None = None) -> Life:
    """Raises ProfileError. base: what the keys change, in an override."""
    keys = spot.mapping(language.LIFE, () if base else ("source",))
    base = base or Life("")
    stress = base.stress
    if "stress" in keys:
        heat = keys["stress"].mapping(language.STRESS, tuple(language.STRESS))
        stress = Stress(heat["ref_c"].number(), heat["halve_every_k"].number())
    rated = keys["rated"].number() if "rated" in keys else base.rated
    if "rated" in keys and rated <= 0:
        keys["rated"].wrong("a rated life is above 0; leave it out where none is known")
    life = Life(
        source=keys["source"].choice(_SOURCES, "source of a life") if "source" in keys else base.source,
        rated=rated,
        unit=keys["unit"].text() if "unit" in keys else base.unit,
        stress=stress,
        evidence=keys["evidence"].text() if "evidence" in keys else base.evidence,
        confidence=keys["confidence"].choice(("doc", "assumed"), "confidence")
        if "confidence" in keys
        else base.confidence,
    )
    if life.rated and not life.unit:
        spot.wrong("a figure without its unit; add `unit: years` or what is counted")
    if life.confidence == "doc" and not life.evidence:
        spot.wrong("`confidence: doc` needs its document; add `evidence: ...` or say assumed")
    return life
