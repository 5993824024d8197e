"""Reads a dialogue: a serial device described in one YAML file, without Python. What comes out is a shim like any other, which the same engine runs.

Errors name file, line and the mend. Needs PyYAML: only an agent that has such a device carries it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from tillwatch.device_profiles.catalogue import EXPERIMENTAL, Catalogue, kept_catalogue, load_catalogue, read_signal
from tillwatch.device_profiles.model import Kind, Signal
from tillwatch.device_profiles.yaml_nodes import ProfileError, Spot, nearest, read
from tillwatch.firmware_shims import dialogue_language as language
from tillwatch.firmware_shims import modbus
from tillwatch.firmware_shims.base import (
    Check,
    Counted,
    Ended,
    Every,
    Framing,
    Line,
    Query,
    Row,
    Shim,
    ShimError,
    Trait,
)
from tillwatch.firmware_shims.checksums import CHECKSUMS
from tillwatch.firmware_shims.dialogue_fields import BINARY, TEXTUAL, Field, Scale, converter
from tillwatch.firmware_shims.framing import Paused, Until

MAX_QUERIES = 32
"""One poll asks them all within 30 s (the serial source's bound), a slow device's half a second each and some to spare."""

MAX_READINGS = 200
"""Components and signals of one device; the collector follows 4,000 of a terminal."""

MAX_REQUEST = 64
"""Bytes. The longest documented request that only asks has 20."""

_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,63}")
_EVERY = ("fast", "normal", "slow")


def load_file(path: Path) -> Shim:
    """The shim in this file; its name is the file's. Raises ShimError with everything that is wrong."""
    return load_files([path])[0]


def load_files(paths: Sequence[Path]) -> list[Shim]:
    """The same for several, with the catalogue read once; it is not kept, because a running agent has no use for it."""
    try:
        catalogue = load_catalogue()
    except ProfileError as error:
        raise ShimError(str(error)) from error
    return [_load(path, catalogue) for path in paths]


def _load(path: Path, catalogue: Catalogue) -> Shim:
    reader = _Reader(path, catalogue)
    shim = reader.shim()
    if shim is None:
        raise ShimError("\n".join(reader.problems))
    return shim


def problems(path: Path) -> list[str]:
    """Everything that is wrong with this file, as `file:line: what; the mend`."""
    reader = _Reader(path, kept_catalogue())
    reader.shim()
    return reader.problems


def is_dialogue(spot: Spot) -> bool:
    """Whether this file is a dialogue, and not a device profile."""
    return spot.is_mapping() and any(key.text() == "queries" for key, _ in spot.pairs())


class _Reader:
    """One file. A mistake in one query or reading does not hide those in the others."""

    def __init__(self, path: Path, catalogue: Catalogue) -> None:
        self.problems: list[str] = []
        self._path = path
        self._catalogue = catalogue
        self._queries: dict[str, Query] = {}
        self._check: Check | None = None
        self._framing: Framing = Paused()
        self._with_registers = False
        self._claimed = ""

    def shim(self) -> Shim | None:
        try:
            return self._shim()
        except ProfileError as error:
            self.problems.append(str(error))
        except OSError as error:
            self.problems.append(f"{self._path}:1: {error.strerror}; give the path of a dialogue in YAML")
        return None

    def _shim(self) -> Shim | None:
        file = read(self._path, str(self._path))
        top = file.mapping(language.TOP, ("title", "line", "queries", "readings"))
        self._with_registers = _all_registers(top["queries"])
        line = _line(top["line"])
        if self._with_registers:
            for key in ("framing", "checksum", "refusals"):
                if key in top:
                    top[key].wrong(f"{key} does not go with `read`, which brings its own; take it out")
            self._check = modbus.CHECK
        elif "framing" in top:
            self._check = self._attempt(top.get("checksum"), _checksum)
            self._framing = self._attempt(top["framing"], self._frames) or Paused()
        else:
            file.wrong("'framing' is missing; add `framing: ...`, it is left out only where every query is a `read`")
        self._queries_of(top["queries"])
        self._claimed = top["claim"].text() if "claim" in top else next(iter(self._queries), "")
        if self._claimed not in self._queries and not self.problems:
            top["claim"].wrong(f"no query {self._claimed!r}; {nearest(self._claimed, self._queries)}")
        rows = self._rows(top["readings"])
        if self.problems:
            return None
        requests = frozenset(query.request for query in self._queries.values())
        units = {request[0] for request in requests}
        return Shim(
            name=self._path.stem,
            title=top["title"].text(),
            line=line,
            framing=self._framing,
            check=self._check,
            rows=rows,
            whitelist=requests,
            claim=self._queries[self._claimed],
            refusals=modbus.refusals(units) if self._with_registers else _refusals(top.get("refusals")),
            faults=modbus.faults(units) if self._with_registers else {},
            timeout=_within(top.get("timeout"), 1.0, 0.05, 10),
            gap=_within(top.get("gap"), 0.05 if self._with_registers else 0.3, 0.01, 2),
            pause=_within(top.get("pause"), 0.02 if self._with_registers else 0.0, 0, 1),
            tries=int(_within(top.get("tries"), 3, 1, 5)),
        )

    def _attempt(self, spot: Spot | None, function: Callable[[Spot], Any]) -> Any:
        try:
            return function(spot) if spot else None
        except ProfileError as error:
            self.problems.append(str(error))
        return None

    def _frames(self, spot: Spot) -> Framing:
        keys = spot.mapping(language.FRAMING)
        ways = [way for way in ("ends_with", "closing", "length_at", "silence") if way in keys]
        if len(ways) != 1:
            spot.wrong(f"{len(ways)} ways of framing; write one of ends_with, closing, length_at and silence")
        companions = {"ends_with": {"pad"}, "length_at": {"starts_with", "length_adds"}}
        for key in keys.keys() - companions.get(ways[0], set()) - set(ways):
            keys[key].wrong(f"{key} does not go with {ways[0]}; take it out")
        if "ends_with" in keys:
            pad = raw_text(keys["pad"]) if "pad" in keys else b"" if self._check else b"\0"
            return Ended(raw_text(keys["ends_with"]), pad)
        if "closing" in keys:
            return Until(pattern(keys["closing"]))
        if "length_at" in keys:
            if "starts_with" not in keys:
                spot.wrong("'starts_with' is missing; add `starts_with: '02'`, or whatever every answer starts with")
            lead = raw_hex(keys["starts_with"])
            adds = keys["length_adds"].whole() if "length_adds" in keys else 0
            return Counted(lead, at=keys["length_at"].whole(), extra=adds, smallest=max(1, len(lead) + 1 - adds))
        if not keys["silence"].truth():
            keys["silence"].wrong("silence: false says nothing; write true, or another way of framing")
        return Paused()

    def _queries_of(self, spot: Spot) -> None:
        found = list(spot.pairs())
        if not found or len(found) > MAX_QUERIES:
            spot.wrong(f"{len(found)} queries; write 1 to {MAX_QUERIES}")
        for name, value in found:
            query = self._attempt(value, self._query)
            if query is None:
                continue
            if query.request in {other.request for other in self._queries.values()}:
                self.problems.append(
                    f"{name.file}:{name.line}: {name.text()!r} sends what another query sends; use that one"
                )
            self._queries[name.text()] = query

    def _query(self, spot: Spot) -> Query:
        keys = spot.mapping(language.QUERY)
        if sum(way in keys for way in ("send", "send_hex", "read")) != 1:
            spot.wrong("a query sends one thing; write one of send, send_hex and read")
        every = cast("Every", keys["every"].choice(_EVERY, "polling class") if "every" in keys else "fast")
        optional = "optional" in keys and keys["optional"].truth()
        if "read" in keys:
            for key in ("answer", "lead", "sealed"):
                if key in keys:
                    keys[key].wrong(f"{key} does not go with read; take it out")
            return self._registers(keys["read"], every, optional=optional)
        if "answer" not in keys:
            spot.wrong("'answer' is missing; add `answer: '...'`, the form of the whole answer")
        request = self._request(keys)
        lead = raw_text(keys["lead"]) if "lead" in keys else b""
        return Query(request, pattern(keys["answer"]), lead=lead, every=every, optional=optional)

    def _registers(self, spot: Spot, every: Every, *, optional: bool) -> Query:
        if not self._with_registers:
            spot.wrong("`read` and other requests do not go into one file; write two files")
        keys = spot.mapping(language.READ, ("function", "register"))
        unit, count = (keys[name].whole() if name in keys else 1 for name in ("unit", "count"))
        try:
            return modbus.read(
                unit, keys["function"].whole(), keys["register"].whole(), count, every=every, optional=optional
            )
        except ValueError as error:
            spot.wrong(f"{error}; mend the numbers")

    def _request(self, keys: Mapping[str, Spot]) -> bytes:
        spot = keys["send"] if "send" in keys else keys["send_hex"]
        request = raw_text(spot) if "send" in keys else raw_hex(spot)
        if "sealed" in keys and keys["sealed"].truth():
            if self._check is None:
                keys["sealed"].wrong("there is no checksum to put behind it; add `checksum: ...` to the file")
            width, function = CHECKSUMS[self._check.name]
            request += function(request[self._check.covers[0] :]).to_bytes(width, self._check.order)
            if isinstance(self._framing, Ended):
                request += self._framing.marks[:1]
        if not 1 <= len(request) <= MAX_REQUEST:
            spot.wrong(f"{len(request)} bytes; a request that only asks has 1 to {MAX_REQUEST}")
        if self._check and self._check.name == modbus.CHECK.name and request[1:2] not in (b"\x03", b"\x04"):
            spot.wrong("Modbus functions 3 and 4 read, others write; write `read: {function: 3, register: ...}`")
        return request

    def _rows(self, spot: Spot) -> tuple[Row, ...]:
        found = list(spot.items())
        if not found or len(found) > MAX_READINGS:
            spot.wrong(f"{len(found)} readings; write 1 to {MAX_READINGS}")
        rows: list[Row] = []
        for each in found:
            row = self._attempt(each, self._row)
            if row and any((row.part, row.signal) == (other.part, other.signal) for other in rows):
                self.problems.append(
                    f"{each.file}:{each.line}: {row.signal} is read a second time; keep one, or give another `part`"
                )
            rows += [row] if row else []
        used = {row.query.request for row in rows}
        for name, query in self._queries.items():
            if query.request not in used and not self.problems and name != self._claimed:
                spot.wrong(f"no reading is taken from query {name!r}; add one, or take the query out")
        return tuple(rows)

    def _row(self, spot: Spot) -> Row | None:
        keys = spot.mapping(language.READING, ("signal", "query"))
        signal = self._signal(keys, spot)
        name = keys["query"].text()
        if name not in self._queries:
            if not self.problems:
                keys["query"].wrong(f"no query {name!r}; {nearest(name, self._queries)}")
            return None  # its own mistake is told already
        query = self._queries[name]
        take, as_ = self._place(keys, spot, query, signal)
        field = Field(
            as_=as_,
            little="word_order" in keys and keys["word_order"].choice(("big", "little"), "order") == "little",
            bit=keys["bit"].whole() if "bit" in keys else None,
            words={
                key.text(): value.choice(dict(signal.states), "word of this signal")
                for key, value in keys["words"].pairs()
            }
            if "words" in keys
            else {},
            patterns=tuple(self._pattern(each, signal) for each in keys["patterns"].items())
            if "patterns" in keys
            else (),
            absent=_absent(keys.get("absent"), as_),
            scale=_scale(keys, signal),
            unit=signal.unit,
        )
        self._judge(keys, spot, signal, field)
        low, high = _range(keys.get("range"))
        if low is None and signal.kind in (Kind.GAUGE, Kind.COUNTER) and self._check is None:
            spot.wrong(f"{signal.name} is a number and there is no checksum; add `range: [lowest, highest]`")
        static = signal.kind is Kind.TEXT or ("static" in keys and keys["static"].truth())
        used = set(field.words.values()) | {word for _, word in field.patterns}
        return Row(
            signal=signal.name,
            query=query,
            take=take,
            convert=converter(field),
            unit=signal.unit,
            part=_part(keys.get("part")),
            low=low,
            high=high,
            states={word: state for word, state in signal.states if word in used},
            trait=Trait.STATE if signal.kind is Kind.STATE else Trait.STATIC if static else Trait.NONE,
        )

    def _signal(self, keys: Mapping[str, Spot], spot: Spot) -> Signal:
        name = keys["signal"].text()
        own = {key: keys[key] for key in ("kind", "unit", "meaning", "states") if key in keys}
        if name.startswith(EXPERIMENTAL):
            return read_signal(name, own, spot, self._catalogue.units)
        for key, value in own.items():
            value.wrong(f"the catalogue has the {key} of {name}; take it out")
        return self._catalogue.signal(keys["signal"])

    def _pattern(self, spot: Spot, signal: Signal) -> tuple[re.Pattern[bytes], str]:
        keys = spot.mapping(language.PATTERN, tuple(language.PATTERN))
        return pattern(keys["like"]), keys["word"].choice(dict(signal.states), "word of this signal")

    def _place(
        self, keys: Mapping[str, Spot], spot: Spot, query: Query, signal: Signal
    ) -> tuple[str | tuple[int, int], str]:
        if sum(way in keys for way in ("field", "slice", "register")) != 1:
            spot.wrong("a reading is in one place; write one of field, slice and register")
        if "register" in keys:
            as_ = keys["as"].choice(modbus.KINDS, "kind of register") if "as" in keys else "uint16"
            if not self._with_registers:
                keys["register"].wrong("only an answer to `read` has registers; write field or slice")
            try:
                return modbus.place(query, keys["register"].whole(), cast("modbus.Kind", as_)), as_
            except ValueError as error:
                keys["register"].wrong(f"{error}; read more of them, or mend the number")
        textual = signal.kind is Kind.TEXT or (("words" in keys or "patterns" in keys) and "bit" not in keys)
        as_ = (
            keys["as"].choice((*TEXTUAL, *BINARY), "kind of field") if "as" in keys else "text" if textual else "number"
        )
        if "field" in keys:
            return keys["field"].choice(query.form.groupindex, "named group of the query's answer"), as_
        bounds = [each.whole() for each in keys["slice"].items()]
        if len(bounds) != 2 or not 0 <= bounds[0] < bounds[1]:
            keys["slice"].wrong("a slice is the first byte and the one after the last; write [3, 5]")
        return (bounds[0], bounds[1]), as_

    def _judge(self, keys: Mapping[str, Spot], spot: Spot, signal: Signal, field: Field) -> None:
        """Raises ProfileError where what is written does not make the kind of signal that it is."""
        if (signal.kind is Kind.STATE) != bool(field.words or field.patterns):
            mend = (
                "add `words: {...}` or `patterns: [...]`"
                if signal.kind is Kind.STATE
                else "take words and patterns out"
            )
            spot.wrong(f"{signal.name} is a {signal.kind.value}; {mend}")
        if signal.kind is Kind.TEXT and field.as_ != "text":
            keys.get("as", spot).wrong(f"{signal.name} is a text; write `as: text`")
        if signal.kind in (Kind.GAUGE, Kind.COUNTER) and field.as_ in ("text", "flags"):
            keys.get("as", spot).wrong(f"{signal.name} is a number; write `as: number`, or another kind of number")
        if field.patterns and field.as_ not in TEXTUAL:
            keys["patterns"].wrong("patterns are for a text; write `words: {...}`")
        if (field.as_ == "flags") and field.bit is None and not field.patterns:
            keys.get("as", spot).wrong("of flags one is read, or patterns of all; add `bit: 0` or `patterns: [...]`")
        if signal.kind is Kind.STATE and (field.scale != Scale() or "range" in keys):
            spot.wrong(f"{signal.name} is a state; take multiplier, divisor, offset, raw_unit and range out")


def _all_registers(spot: Spot) -> bool:
    return spot.is_mapping() and all(
        value.is_mapping() and any(key.text() == "read" for key, _ in value.pairs()) for _, value in spot.pairs()
    )


def _line(spot: Spot) -> Line:
    keys = spot.mapping(language.LINE, ("baud",))
    baud = keys["baud"].whole()
    if not 50 <= baud <= 4_000_000:
        keys["baud"].wrong(f"{baud} baud is no speed of a serial line; write one such as 9600")
    return Line(
        baud=baud,
        bits=7 if "bits" in keys and keys["bits"].choice(("7", "8"), "number of data bits") == "7" else 8,
        parity=cast("Literal['N', 'E', 'O']", keys["parity"].choice(("N", "E", "O"), "parity"))
        if "parity" in keys
        else "N",
        stop=2 if "stop" in keys and keys["stop"].choice(("1", "2"), "number of stop bits") == "2" else 1,
        dtr="dtr" not in keys or keys["dtr"].truth(),
        rts="rts" not in keys or keys["rts"].truth(),
    )


def _checksum(spot: Spot) -> Check:
    keys = spot.mapping(language.CHECKSUM, ("name",))
    name = keys["name"].choice(CHECKSUMS, "checksum")
    start = keys["from"].whole() if "from" in keys else 0
    stop = keys["to"].whole() if "to" in keys else -CHECKSUMS[name][0]
    if start < 0 or stop >= 0:
        spot.wrong("`from` counts from the start and `to` back from the end; write such as `from: 0` and `to: -2`")
    order = keys["order"].choice(("little", "big"), "order of bytes") if "order" in keys else "little"
    return Check(name, (start, stop), cast("Literal['little', 'big']", order))


def _part(spot: Spot | None) -> str:
    if spot is None:
        return ""
    if not _PART.fullmatch(spot.text()):
        spot.wrong(f"{spot.text()!r} is no name of a part; write letters, digits, : . _ and -, such as output:1")
    return spot.text()


def _refusals(spot: Spot | None) -> frozenset[bytes]:
    return frozenset(raw_text(each) for each in spot.items()) if spot else frozenset()


def _absent(spot: Spot | None, as_: str) -> tuple[re.Pattern[bytes] | float, ...]:
    if spot is None:
        return ()
    return tuple(pattern(each) if as_ in TEXTUAL else each.number() for each in spot.items())


def _scale(keys: Mapping[str, Spot], signal: Signal) -> Scale:
    from tillwatch.device_profiles import units  # noqa: PLC0415 - beside its one use

    multiplier, divisor, offset = (
        keys[name].number() if name in keys else default
        for name, default in (("multiplier", 1), ("divisor", 1), ("offset", 0))
    )
    if not divisor:
        keys["divisor"].wrong("nothing can be divided by 0; write what the number is to be divided by")
    unit = keys["raw_unit"].choice(units.KNOWN, "unit") if "raw_unit" in keys else ""
    if unit and not units.convertible(unit, signal.unit):
        keys["raw_unit"].wrong(
            f"{unit} is no unit for {signal.name}, which is in {signal.unit or 'no unit'}; mend one of them"
        )
    return Scale(multiplier, divisor, offset, unit)


def _range(spot: Spot | None) -> tuple[float | None, float | None]:
    if spot is None:
        return None, None
    bounds = [each.number() for each in spot.items()]
    if len(bounds) != 2 or bounds[0] > bounds[1]:
        spot.wrong("a range is the lowest and the highest value; write [0, 500]")
    return bounds[0], bounds[1]


def _within(spot: Spot | None, default: float, low: float, high: float) -> float:
    if spot is None:
        return default
    value = spot.number()
    if not low <= value <= high:
        spot.wrong(f"{value} is too little or too much; write {low} to {high}")
    return value


def raw_text(spot: Spot) -> bytes:
    """The bytes of a text, one a character."""
    text = spot.text()
    if "\\" in text:
        spot.wrong(f"a backslash stands in {text!r}; write it in double quotes, so that \\r is a carriage return")
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:
        spot.wrong(f"{text!r} has characters that are no bytes; write the bytes with \\x..")
    if not raw:
        spot.wrong("an empty text says nothing; write at least one character")
    return raw


def raw_hex(spot: Spot) -> bytes:
    text = spot.text()
    try:
        return bytes.fromhex(text)
    except ValueError:
        spot.wrong(f"{text!r} is not hexadecimal; write two digits a byte, in quotes, such as '10 04 01'")


def pattern(spot: Spot) -> re.Pattern[bytes]:
    """A regular expression over bytes."""
    text = spot.text()
    try:
        return re.compile(text.encode("latin-1"), re.DOTALL)
    except (re.error, UnicodeEncodeError) as error:
        spot.wrong(f"{text!r} is no regular expression: {error}; write it in single quotes and mend it")
