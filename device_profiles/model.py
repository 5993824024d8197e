"""What the catalogue and a device profile hold. Frozen values; the loader makes them from YAML.

How a device finds its profile. A profile matches when any one of its `match` rules does; all conditions of a rule must hold.
A *specific* profile knows one family by its sysObjectID or sysDescr; the best one (longest sysObjectID prefix, then most conditions)
is used alone, and a tie between two is an error in the profiles. A *generic* profile describes a standard MIB and says `generic: true`: where
no specific profile matches, all generic profiles that do are used together. A specific profile takes what it wants of a generic one with `extends`.

Every OID is in dotted numbers without a leading dot. In a Table, an OID is that of a column, and the row's index is put behind it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """gauge: a number of now. counter: a number that only rises, until it wraps or resets. state: one of a list of words. text: anything else."""

    GAUGE = "gauge"
    COUNTER = "counter"
    STATE = "state"
    TEXT = "text"


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
    """One name of the closed catalogue. states: for Kind.STATE, word -> ok, warn, crit or unknown."""

    name: str
    kind: Kind
    unit: str
    meaning: str
    states: tuple[tuple[str, str], ...] = ()

    def severity(self, word: str) -> str:
        """What a word of this state means; `unknown` for a word that it does not have."""
        return next((severity for known, severity in self.states if known == word), "unknown")


@dataclass(frozen=True, slots=True)
class Condition:
    """A question about one raw value. A value that is not there fails every test but `exists: false` and `not_in`."""

    oid: str
    test: Test
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """Where one value comes from and what makes it a number.

    The number is raw * multiplier / divisor + offset; then * the value of `multiply_by`; then 100 * it / that of `percent_of`.
    pattern: a regular expression whose one group holds the number or the text. unsigned32: a negative number is a 32-bit one that
    overflowed. rescale_above: a raw number beyond it cannot be in the standard's unit, and is divided by `rescale_divisor` (0: never).
    """

    oid: str
    divisor: float = 1
    multiplier: float = 1
    offset: float = 0
    sentinels: tuple[str, ...] = ()
    pattern: str = ""
    percent_of: str = ""
    multiply_by: str = ""
    unsigned32: bool = False
    rescale_above: float = 0
    rescale_divisor: float = 10
    when: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Words:
    """From a raw value to a word of a state.

    codes: value -> word. ranges: (least, most, word). bits: (number, word) of octets, where bit 0 is the highest bit of the first octet.
    masks: (mask, value, word), which holds where raw & mask == value. Where several bits or masks hold, the worst word is the value;
    none: the word when none holds. overrides: (word, conditions), the first whose conditions hold replaces the word.
    """

    codes: Mapping[str, str]
    ranges: tuple[tuple[float, float, str], ...] = ()
    bits: tuple[tuple[int, str], ...] = ()
    masks: tuple[tuple[int, int, str], ...] = ()
    none: str = ""
    overrides: tuple[tuple[str, tuple[Condition, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Judges a number. Only while all conditions hold; else the number is ok."""

    warn_below: float | None = None
    crit_below: float | None = None
    warn_above: float | None = None
    crit_above: float | None = None
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One signal of a device, or of each row of a table. fields: the first with a valid value gives it.

    part: of the device, for its component's name; empty for the device itself. all: the text signal that takes every word of `bits`, `masks`
    or of all rows, where `signal` takes only the worst. optional: many devices of the family do not have it.
    """

    signal: Signal
    fields: tuple[Field, ...]
    part: str = ""
    poll: Poll = Poll.NORMAL
    optional: bool = False
    absent: Absent = Absent.IGNORE
    words: Words | None = None
    limits: Limits | None = None
    all: Signal | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one SNMP table. The component of a row is `<device>/<group>:<label>`.

    label: columns, the first that is not empty; none: the index. label_pattern: its one group is the label. where: rows that fail are left out.
    collect: items about all rows together: the worst word, all texts, or how many rows there are. present: collect only where this OID, or
    one beneath it that is read, answers or the table has rows: an empty table of a device that does not keep one says nothing.
    """

    group: str
    items: tuple[Item, ...]
    collect: tuple[Item, ...] = ()
    label: tuple[str, ...] = ()
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
    """What is needed of a profile to find the one for a device."""

    id: str
    generic: bool
    matches: tuple[Match, ...]


@dataclass(frozen=True, slots=True)
class DeviceProfile:
    """One device family. id: the name of its file; unique among all profiles."""

    id: str
    title: str
    recognition: Recognition
    scalars: tuple[Item, ...] = ()
    tables: tuple[Table, ...] = ()
