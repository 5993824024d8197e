"""What the catalogue and a device profile hold. Frozen values; the loader makes them from YAML.

How a device finds its profile. A profile matches when any one of its `match` rules does; all conditions of a rule must hold.
A *specific* profile knows one family by its sysObjectID or sysDescr; the best one (longest sysObjectID prefix, then most conditions)
is used, and a tie between two is an error in the profiles. A *generic* profile describes a standard MIB and says `generic: true`: where
no specific profile matches, all generic profiles that do are used together. Beside a specific one stand exactly those generic ones that it names
in `with` and that match the device by their own rules. Of two profiles that give the same signal of the same component the specific one stands;
among generic ones, the first of `with`. A profile takes over what another file says, whether it matches or not, with `extends`.

Every OID is in dotted numbers without a leading dot. In a Table, an OID is that of a column, and the row's index is put behind it; one that ends in
`.0` is a scalar wherever it stands (no SMI column has the number 0), and nothing is put behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

_NOTHING: Mapping[str, str] = MappingProxyType({})


def _nothing() -> Mapping[str, str]:
    """One for all: an empty dict for each of a thousand items is resident memory."""
    return _NOTHING


class Kind(StrEnum):
    """gauge: a number of now. counter: a number that only rises, until it wraps or resets. state: one of a list of words. text: anything else."""

    GAUGE = "gauge"
    COUNTER = "counter"
    STATE = "state"
    TEXT = "text"


class Axis(StrEnum):
    """What a signal says of its component: whether it works; what it uses up or fills; whether somebody got at it. They are judged apart: a printer
    without paper is not broken, and an open casing of one that prints is no fault of it.
    """

    FITNESS = "fitness"
    SUPPLY = "supply"
    SECURITY = "security"


class Poll(StrEnum):
    """How often a signal is worth asking for: a device that goes to battery; a level that sinks; a serial number."""

    FAST = "fast"
    NORMAL = "normal"
    SLOW = "slow"


class Absent(StrEnum):
    """What a sentinel in place of a value means: nothing to say; the value cannot be known; the part is broken."""

    IGNORE = "ignore"
    UNKNOWN = "unknown"
    FAULT = "fault"


class Form(StrEnum):
    """How a raw value holds its number. duration: `d days hh:mm:ss`, `hh:mm:ss` or `mm:ss` in seconds. float: the 4 or 8 octets of IEEE 754,
    highest first, also inside the Opaque of net-snmp. age: a date, as days from it to now.
    """

    NUMBER = "number"
    DURATION = "duration"
    FLOAT = "float"
    AGE = "age"


class Test(StrEnum):
    """What a Condition asks of a raw value. ABOVE and BELOW take one number, MATCHES one regular expression, EXISTS `true` or `false`."""

    __test__ = False  # not a test class, whatever pytest makes of its name

    IN = "in"
    NOT_IN = "not_in"
    ABOVE = "above"
    BELOW = "below"
    MATCHES = "matches"
    LACKS = "lacks"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class Signal:
    """One name of the closed catalogue. states: for Kind.STATE, word -> ok, warn, crit or unknown. axes: words that are of another axis than the
    rest of the signal.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    states: tuple[tuple[str, str], ...] = ()
    axis: Axis = Axis.FITNESS
    axes: tuple[tuple[str, Axis], ...] = ()

    def severity(self, word: str) -> str:
        """What a word of this state means; `unknown` for a word that it does not have."""
        return next((severity for known, severity in self.states if known == word), "unknown")

    def axis_of(self, word: object) -> Axis:
        """The axis that a value of this signal is about."""
        return next((axis for known, axis in self.axes if known == word), self.axis)


@dataclass(frozen=True, slots=True)
class Condition:
    """A question about one raw value; with an empty oid, about the row's index. A value that is not there fails every test but
    `exists: false` and `not_in`.
    """

    oid: str
    test: Test
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """Where one value comes from and what makes it a number, in the signal's unit.

    The number is raw (+ those of `plus`, - those of `minus`) * 10^(3 * (scale - 9)) * 10^-precision * multiplier / divisor + offset; then in the
    signal's unit, out of `unit` or the unit that the value of `unit_column` stands for; then * the value of `multiply_by`; then 100 * it / the sum of
    `percent_of`. scale and precision are columns as in ENTITY-SENSOR-MIB: 9 are units, 8 thousandths; a negative precision is an accuracy and moves nothing.
    sentinels: raw values that are no reading; `a..b` is a span. pattern: a regular expression whose one group holds the number or the text.
    dates: how a date is written, the first that fits (dates.py). unsigned32: a negative number is a 32-bit one that overflowed.
    wraps: bits of a counter, 0 if it never wraps. per: seconds of a unit of time, 0 for none: the value is then how much the number rose since the
    reading before, per this time by the device's clock. find: of a limit that stands in a table whose index begins with this row's: the first of those
    rows for which all hold. rescale_above: a raw number beyond it cannot be in the standard's unit, and is divided by
    `rescale_divisor` (0: never).
    """

    oid: str
    divisor: float = 1
    multiplier: float = 1
    offset: float = 0
    sentinels: tuple[str, ...] = ()
    pattern: str = ""
    form: Form = Form.NUMBER
    dates: tuple[str, ...] = ()
    unit: str = ""
    unit_column: str = ""
    units: Mapping[str, str] = field(default_factory=_nothing)
    scale: str = ""
    precision: str = ""
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    percent_of: tuple[str, ...] = ()
    multiply_by: str = ""
    unsigned32: bool = False
    wraps: int = 0
    per: int = 0
    rescale_above: float = 0
    rescale_divisor: float = 10
    when: tuple[Condition, ...] = ()
    find: tuple[Condition, ...] = ()

    def beside(self) -> tuple[str, ...]:
        """Every other OID that the number needs."""
        single = (self.unit_column, self.scale, self.precision, self.multiply_by)
        return (
            *filter(None, single),
            *self.plus,
            *self.minus,
            *self.percent_of,
            *(each.oid for each in (*self.when, *self.find) if each.oid),
        )


@dataclass(frozen=True, slots=True)
class Words:
    """From a raw value to a word of a state.

    codes: value -> word, in lower case. ranges: (least, most, word). patterns: (regular expression searched in the text, word).
    bits: (number, word) of octets, where bit 0 is the highest bit of the first octet. masks: (mask, value, word), which holds where
    raw & mask == value. flags: (position from 1, word) in a text of 0 and 1. Where several bits, masks or flags hold, the worst word is the value;
    none: the word when none holds. overrides: (word, conditions), the first whose conditions hold replaces the word.
    """

    codes: Mapping[str, str] = field(default_factory=_nothing)
    ranges: tuple[tuple[float, float, str], ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    bits: tuple[tuple[int, str], ...] = ()
    masks: tuple[tuple[int, int, str], ...] = ()
    flags: tuple[tuple[int, str], ...] = ()
    none: str = ""
    overrides: tuple[tuple[str, tuple[Condition, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """One limit: what the device says of it, one Field for each of the item's own; else the profile's number, if it has one."""

    number: float | None = None
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Judges a number. Only while all conditions hold; else the number is ok."""

    warn_below: Edge | None = None
    crit_below: Edge | None = None
    warn_above: Edge | None = None
    crit_above: Edge | None = None
    conditions: tuple[Condition, ...] = ()

    def edges(self) -> tuple[Edge, ...]:
        return tuple(filter(None, (self.warn_below, self.crit_below, self.warn_above, self.crit_above)))


@dataclass(frozen=True, slots=True)
class Stress:
    """Life is consumed faster when it is hot: at T degrees, 2^((T - ref_c) / halve_every_k) times."""

    ref_c: float
    halve_every_k: float


@dataclass(frozen=True, slots=True)
class Life:
    """The rated life of the part that the item is about. source: counter (the item counts), hours (of operation), calendar (since it was
    made or replaced) or device_percent (the device tells what is used, which beats every figure). rated: in `unit`, 0 where no figure is known.
    confidence: doc (evidence names the document) or assumed.
    """

    source: str
    rated: float = 0
    unit: str = ""
    stress: Stress | None = None
    evidence: str = ""
    confidence: str = "assumed"


@dataclass(frozen=True, slots=True)
class Item:
    """One signal of a device, or of each row of a table. fields: the first with a valid value gives it.

    part: of the device, for its component's name, empty for the device itself; in a table it stands in place of the group.
    all: the text signal that takes every word of `bits`, `masks`, `flags` or of all rows, where `signal` takes only the worst.
    texts: for a text signal, value -> what it means. optional: many devices of the family do not have it. name: how the bank calls it.
    """

    signal: Signal
    fields: tuple[Field, ...]
    part: str = ""
    poll: Poll = Poll.NORMAL
    optional: bool = False
    absent: Absent = Absent.IGNORE
    words: Words | None = None
    texts: Mapping[str, str] = field(default_factory=_nothing)
    limits: Limits | None = None
    all: Signal | None = None
    life: Life | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a label: `text` as it stands; or the value of `oid`; or, without both, the row's index.

    by: a column of the row whose value is the index under `oid`. parts: the numbers of the row's own index (from 1) that make it up;
    neither: the row's index.
    """

    text: str = ""
    oid: str = ""
    by: str = ""
    parts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one SNMP table. The component of a row is `<device>/<group>:<label>`.

    label: the first of which no piece is empty; none: the index. label_pattern: its one group is the label. where: rows that fail are left out.
    collect: items about all rows together: the worst word, all texts, or how many rows there are. present: collect only where this OID, or
    one beneath it that is read, answers or the table has rows: an empty table of a device that does not keep one says nothing.
    """

    group: str
    items: tuple[Item, ...]
    collect: tuple[Item, ...] = ()
    label: tuple[tuple[Piece, ...], ...] = ()
    label_pattern: str = ""
    where: tuple[Condition, ...] = ()
    present: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """One rule: all that is not empty must hold. object_id: prefix of sysObjectID. description: regular expression searched in sysDescr.
    present: OIDs of which each, or one beneath it, answers.
    """

    object_id: str = ""
    description: str = ""
    present: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recognition:
    """What is needed of a profile to find the one for a device. adds: the generic profiles that may stand beside it. untested: no recording of a
    device stands beside it, so nothing shows that it reads one.
    """

    id: str
    generic: bool
    matches: tuple[Match, ...]
    adds: tuple[str, ...] = ()
    untested: bool = False


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """One device family. id: the name of its file; unique among all profiles."""

    id: str
    title: str
    recognition: Recognition
    scalars: tuple[Item, ...] = ()
    tables: tuple[Table, ...] = ()
