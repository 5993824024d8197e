"""From YAML to DeviceProfile: one file, one device family; `_*.yaml` are mixins. Every error is a ProfileError that names file, line and the mend.

A child takes the scalars and tables of what it `extends`, in that order; an item of its own with the same part and signal, or a table with the
same group, replaces the inherited one. `title`, `generic` and `match` are never inherited. Needs PyYAML: the agent uses compiled.py.

The keys, with what they are for in model.py:

    title, extends, generic, match: [{sysObjectID, sysDescr, present}]
    sentinels       raw values that are no reading, for every item of this file that does not give its own
    scalars         items with `oid`, which ends in the instance: 1.3.6.1.2.1.33.1.2.1.0
    tables          group, entry (OID of the row), columns {word: number under entry, or a full OID}, label (columns, the first that is not
                    empty), label_pattern, where [conditions], items (with `column`), collect (items about all rows), present
    item            signal; oid or column; divisor, multiplier, offset, sentinels, pattern, percent_of, multiply_by, unsigned32, rescale_above, when;
                    first_of [any of these keys, where they differ]; words {code or least..most: word}, bits {number: word},
                    masks [{mask, is, word}], none, overrides [{word, when}]; all; limits {warn_below, crit_below, warn_above, crit_above, while};
                    poll fast|normal|slow, optional, part, absent ignore|unknown|fault; kind, unit, meaning, states for `experimental.` signals
    condition       {oid or column, and one of: in, not_in, above, below, matches, lacks, exists}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tillwatch.device_profiles.catalogue import EXPERIMENTAL, HERE, Catalogue, load_catalogue, read_signal
from tillwatch.device_profiles.model import (
    Absent,
    Condition,
    DeviceProfile,
    Field,
    Item,
    Kind,
    Limits,
    Match,
    Poll,
    Recognition,
    Signal,
    Table,
    Test,
    Words,
)
from tillwatch.device_profiles.yaml_nodes import ProfileError, Spot, nearest, read

_TOP = ("title", "extends", "generic", "match", "sentinels", "scalars", "tables")
_MATCH = ("sysObjectID", "sysDescr", "present")
_FIELD = (
    "oid",
    "column",
    "divisor",
    "multiplier",
    "offset",
    "sentinels",
    "pattern",
    "percent_of",
    "multiply_by",
    "unsigned32",
    "rescale_above",
    "when",
)
_WORDS = ("words", "bits", "masks", "none", "overrides")
_OWN = ("kind", "unit", "meaning", "states")
_ITEM = (*_FIELD, *_WORDS, *_OWN, "signal", "first_of", "all", "limits", "poll", "optional", "part", "absent")
_TABLE = ("group", "entry", "columns", "label", "label_pattern", "where", "present", "items", "collect")
_LIMITS = ("warn_below", "crit_below", "warn_above", "crit_above", "while")
_TESTS = tuple(test.value for test in Test)
_OID = re.compile(r"[0-2](\.\d+)+")
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)?\.\.(-?\d+(?:\.\d+)?)?")
_INDEX = "index"


def _oid(spot: Spot) -> str:
    if not _OID.fullmatch(spot.text()):
        spot.wrong(
            f"{spot.text()!r} is not an OID; write numbers with dots, without a leading dot, such as 1.3.6.1.2.1.33.1.2.1.0"
        )
    return spot.text()


def _pattern(spot: Spot, groups: int) -> str:
    try:
        found = re.compile(spot.text()).groups
    except re.error as error:
        spot.wrong(f"not a regular expression: {error}; put it in single quotes and double nothing")
    if groups and found != groups:
        spot.wrong(
            f"the expression has {found} groups; put parentheses round the one part that is wanted, (?:...) round others"
        )
    return spot.text()


@dataclass(frozen=True, slots=True)
class _Columns:
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
class _Reader:
    """Reads the items of one scalars list or one table: where an OID comes from is all that differs."""

    catalogue: Catalogue
    oid: Callable[[Spot], str]
    oid_key: str
    sentinels: tuple[str, ...]

    def conditions(self, spot: Spot | None) -> tuple[Condition, ...]:
        return tuple(self._condition(each) for each in spot.items()) if spot else ()

    def _condition(self, spot: Spot) -> Condition:
        keys = spot.mapping((self.oid_key, *_TESTS), (self.oid_key,))
        tests = [name for name in keys if name != self.oid_key]
        if len(tests) != 1:
            spot.wrong(f"a condition asks one thing; write {self.oid_key} and one of {', '.join(_TESTS)}")
        test, value = Test(tests[0]), keys[tests[0]]
        if test in {Test.MATCHES, Test.LACKS}:
            _pattern(value, 0)
        elif test is Test.EXISTS:
            value.truth()
        elif test in {Test.ABOVE, Test.BELOW}:
            value.number()
        return Condition(self.oid(keys[self.oid_key]), test, tuple(each.text() for each in value.items()))

    def _field(self, spot: Spot, keys: Mapping[str, Spot]) -> Field:
        if self.oid_key not in keys:
            spot.wrong(f"{self.oid_key!r} is missing; say where the value comes from with `{self.oid_key}: ...`")

        def number(name: str, default: float) -> float:
            return keys[name].number() if name in keys else default

        if number("divisor", 1) == 0:
            keys["divisor"].wrong("nothing can be divided by 0; write another number or leave it out")
        return Field(
            oid=self.oid(keys[self.oid_key]),
            divisor=number("divisor", 1),
            multiplier=number("multiplier", 1),
            offset=number("offset", 0),
            sentinels=tuple(each.text() for each in keys["sentinels"].items())
            if "sentinels" in keys
            else self.sentinels,
            pattern=_pattern(keys["pattern"], 1) if "pattern" in keys else "",
            percent_of=self.oid(keys["percent_of"]) if "percent_of" in keys else "",
            multiply_by=self.oid(keys["multiply_by"]) if "multiply_by" in keys else "",
            unsigned32="unsigned32" in keys and keys["unsigned32"].truth(),
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
                keys[key].wrong(
                    f"the catalogue says {key} {expected or '(none)'} for {name}; write that or leave it out"
                )
        for key in ("states", "meaning"):
            if key in keys:
                keys[key].wrong(f"the catalogue says the {key} of {name}; leave it out")
        return signal

    def _words(self, spot: Spot, keys: Mapping[str, Spot], signal: Signal) -> Words | None:
        given = [name for name in _WORDS if name in keys]
        if signal.kind is not Kind.STATE:
            if given:
                keys[given[0]].wrong(f"{signal.name} is a {signal.kind}, which has no words; leave {given[0]!r} out")
            return None
        if not {"words", "bits", "masks"} & set(given):
            spot.wrong(f"{signal.name} is a state; say which value means which word with `words`, `bits` or `masks`")
        known = [word for word, _ in signal.states]

        def word(at: Spot) -> str:
            return at.choice(known, f"word of {signal.name}")

        codes, ranges = {}, []
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
        return Words(
            codes=codes,
            ranges=tuple(ranges),
            bits=tuple((key.whole(), word(value)) for key, value in keys["bits"].pairs()) if "bits" in keys else (),
            masks=tuple(masks),
            none=word(keys["none"]) if "none" in keys else "",
            overrides=tuple(overrides),
        )

    def _limits(self, spot: Spot, signal: Signal) -> Limits:
        if signal.kind not in {Kind.GAUGE, Kind.COUNTER}:
            spot.wrong(f"{signal.name} is a {signal.kind}: its words say what is wrong; leave `limits` out")
        keys = spot.mapping(_LIMITS)
        bounds = {name: keys[name].number() for name in _LIMITS[:4] if name in keys}
        if not bounds:
            spot.wrong("no limit; write at least one of warn_below, crit_below, warn_above, crit_above")
        if bounds.get("crit_below", float("-inf")) > bounds.get("warn_below", float("inf")):
            spot.wrong("crit_below is higher than warn_below; the critical limit lies further out")
        if bounds.get("crit_above", float("inf")) < bounds.get("warn_above", float("-inf")):
            spot.wrong("crit_above is lower than warn_above; the critical limit lies further out")
        return Limits(**bounds, conditions=self.conditions(keys.get("while")))

    def item(self, spot: Spot, *, counts_rows: bool = False) -> Item:
        keys = spot.mapping(_ITEM, ("signal",))
        signal = self._signal(keys["signal"], keys)
        choices = [each.mapping(_FIELD) for each in keys["first_of"].items()] if "first_of" in keys else [{}]
        shared = {name: value for name, value in keys.items() if name in _FIELD}
        if counts_rows and signal.kind is Kind.GAUGE:
            fields: tuple[Field, ...] = (
                (Field(self.oid(keys[self.oid_key]), when=self.conditions(keys.get("when"))),)
                if self.oid_key in keys
                else ()
            )
            if not fields:
                spot.wrong(f"{self.oid_key!r} is missing; name a column that every row has")
        else:
            fields = tuple(self._field(spot, {**shared, **choice}) for choice in choices)
        if signal.kind is Kind.TEXT and any(
            f.divisor != 1 or f.multiplier != 1 or f.offset or f.percent_of or f.multiply_by for f in fields
        ):
            spot.wrong(f"{signal.name} is a text; leave divisor, multiplier, offset, percent_of and multiply_by out")
        collected = self.catalogue.signal(keys["all"]) if "all" in keys else None
        if collected and collected.kind is not Kind.TEXT:
            keys["all"].wrong(f"`all` takes several words: {collected.name} must be a text, and is a {collected.kind}")
        return Item(
            signal=signal,
            fields=fields,
            part=keys["part"].text() if "part" in keys else "",
            poll=Poll(keys["poll"].choice([p.value for p in Poll], "polling class"))
            if "poll" in keys
            else Poll.SLOW
            if signal.kind is Kind.TEXT
            else Poll.NORMAL,
            optional="optional" in keys and keys["optional"].truth(),
            absent=Absent(keys["absent"].choice([a.value for a in Absent], "meaning of a sentinel"))
            if "absent" in keys
            else Absent.IGNORE,
            words=self._words(spot, keys, signal),
            limits=self._limits(keys["limits"], signal) if "limits" in keys else None,
            all=collected,
        )


@dataclass(slots=True)
class _Draft:
    """One file as it stands, before `extends`."""

    spot: Spot
    title: str = ""
    generic: bool = False
    extends: list[Spot] = field(default_factory=list)
    matches: list[tuple[Match, Spot]] = field(default_factory=list)
    scalars: dict[tuple[str, str], Item] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)


def _match(spot: Spot) -> Match:
    keys = spot.mapping(_MATCH)
    if not keys:
        spot.wrong("an empty rule would match every device; write sysObjectID, sysDescr or present")
    return Match(
        object_id=_oid(keys["sysObjectID"]) if "sysObjectID" in keys else "",
        description=_pattern(keys["sysDescr"], 0) if "sysDescr" in keys else "",
        present=tuple(_oid(each) for each in keys["present"].items()) if "present" in keys else (),
    )


def _table(spot: Spot, catalogue: Catalogue, sentinels: tuple[str, ...]) -> Table:
    keys = spot.mapping(_TABLE, ("group", "items"))
    entry = _oid(keys["entry"]) if "entry" in keys else ""
    plain = _Columns(entry, {})
    column = _Columns(
        entry, {key.text(): plain(value) for key, value in keys["columns"].pairs()} if "columns" in keys else {}
    )
    reader = _Reader(catalogue, column, "column", sentinels)
    labels = [each for each in keys["label"].items() if each.text() != _INDEX] if "label" in keys else []
    collects = keys["collect"].items() if "collect" in keys else ()
    return Table(
        group=keys["group"].text(),
        items=tuple(reader.item(each) for each in keys["items"].items()),
        collect=tuple(reader.item(each, counts_rows=True) for each in collects),
        label=tuple(column(each) for each in labels),
        label_pattern=_pattern(keys["label_pattern"], 1) if "label_pattern" in keys else "",
        where=reader.conditions(keys.get("where")),
        present=_oid(keys["present"]) if "present" in keys else "",
    )


def _draft(path: Path, folder: Path, catalogue: Catalogue) -> _Draft:
    spot = read(path, path.relative_to(folder).as_posix())
    mixin = path.name.startswith("_")
    keys = spot.mapping(_TOP, () if mixin else ("title", "match"))
    for name in ("title", "generic", "match") if mixin else ():
        if name in keys:
            keys[name].wrong(
                f"a mixin matches no device by itself; leave {name!r} out or name the file without the underscore"
            )
    draft = _Draft(
        spot,
        title=keys["title"].text() if "title" in keys else "",
        generic="generic" in keys and keys["generic"].truth(),
        extends=list(keys["extends"].items()) if "extends" in keys else [],
        matches=[(_match(each), each) for each in keys["match"].items()] if "match" in keys else [],
    )
    for rule, at in draft.matches:
        if draft.generic and (rule.object_id or rule.description):
            at.wrong("a generic profile describes a standard MIB: it matches by `present` only")
        if not draft.generic and not (rule.object_id or rule.description):
            at.wrong("a specific profile needs sysObjectID or sysDescr; for a standard MIB say `generic: true`")
    sentinels = tuple(each.text() for each in keys["sentinels"].items()) if "sentinels" in keys else ()
    reader = _Reader(catalogue, _oid, "oid", sentinels)
    for each in keys["scalars"].items() if "scalars" in keys else ():
        item = reader.item(each)
        if (key := (item.part, item.signal.name)) in draft.scalars:
            each.wrong(f"{item.signal.name} stands here a second time; give other OIDs with first_of, or another part")
        draft.scalars[key] = item
    for each in keys["tables"].items() if "tables" in keys else ():
        table = _table(each, catalogue, sentinels)
        if table.group in draft.tables:
            each.wrong(f"the group {table.group!r} stands here a second time; name it otherwise")
        draft.tables[table.group] = table
    return draft


def _inherit(name: str, drafts: Mapping[str, _Draft], below: tuple[str, ...] = ()) -> _Draft:
    """The draft with what it extends. below: who asked, to find circles."""
    own = drafts[name]
    whole = _Draft(own.spot, own.title, own.generic, own.extends, own.matches)
    for parent in own.extends:
        parent.choice(drafts, "profile or mixin")
        if parent.text() in (*below, name):
            parent.wrong(f"{name} and {parent.text()} extend each other; move what they share into a mixin")
        inherited = _inherit(parent.text(), drafts, (*below, name))
        whole.scalars |= inherited.scalars
        whole.tables |= inherited.tables
    whole.scalars |= own.scalars
    whole.tables |= own.tables
    return whole


def _refuse_twins(drafts: Collection[_Draft]) -> None:
    seen: dict[Match, Spot] = {}
    for draft in drafts:
        for rule, spot in draft.matches if not draft.generic else ():
            if rule in seen:
                spot.wrong(
                    f"the same rule as {seen[rule].file}:{seen[rule].line}; no device could tell them apart: add a condition to one"
                )
            seen[rule] = spot


def profile_files(folder: Path = HERE) -> tuple[Path, ...]:
    """Every profile and mixin, sorted."""
    return tuple(sorted(path for path in folder.rglob("*.yaml") if path.name != "catalogue.yaml"))


def load_yaml(folder: Path = HERE, catalogue: Catalogue | None = None) -> tuple[DeviceProfile, ...]:
    """Every profile under the folder, by id. Raises ProfileError for the first thing that is wrong."""
    catalogue = catalogue or load_catalogue()
    drafts: dict[str, _Draft] = {}
    for path in profile_files(folder):
        if path.stem in drafts:
            raise ProfileError(
                f"{path.relative_to(folder).as_posix()}:1: {drafts[path.stem].spot.file} has the same name; name one of them otherwise"
            )
        drafts[path.stem] = _draft(path, folder, catalogue)
    _refuse_twins(drafts.values())
    profiles = []
    for name in sorted(drafts):
        whole = _inherit(name, drafts)
        if name.startswith("_"):
            continue
        if not whole.scalars and not whole.tables:
            whole.spot.wrong("the profile reads nothing; add `scalars`, `tables` or `extends`")
        recognition = Recognition(name, whole.generic, tuple(rule for rule, _ in whole.matches))
        profiles.append(
            DeviceProfile(name, whole.title, recognition, tuple(whole.scalars.values()), tuple(whole.tables.values()))
        )
    return tuple(profiles)
