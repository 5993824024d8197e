"""The columns of the fleet grid: which part of a terminal a component is, told by its signals, and by its name where those say nothing. Pure.

A terminal has some twenty components and a grid has room for ten columns. Signals go first, as their names are those of the closed catalogue;
names of devices are the site's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

GROUPS = ("cash", "card", "pin", "printer", "computer", "disk", "power", "network", "camera", "site", "other")
"""In the order of the columns: what customers touch first."""

NONE, OK, WARN, CRIT, UNKNOWN = "-", "o", "w", "c", "u"
"""What a cell holds: one letter, as ten thousand rows of eleven cells travel to the browser."""
LETTERS: Mapping[str, str] = MappingProxyType({"ok": OK, "warn": WARN, "crit": CRIT, "unknown": UNKNOWN})
_WORST = {letter: place for place, letter in enumerate((NONE, OK, WARN, UNKNOWN, CRIT))}
"""What is not known may be worse than what is known to be a warning, as everywhere in the console."""

_SAYS_NOTHING = ("monitor.", "identity.", "trap.", "device.", "units.")
"""Families that every kind of device has."""
_OF_SIGNAL = (
    ("cash", ("atm.cash", "atm.unit", "atm.stacker", "atm.transport", "atm.items", "atm.neutralization", "atm.envelopes", "acceptor.", "drawer.")),
    ("card", ("atm.chip", "atm.media", "cardreader.")),
    ("pin", ("atm.epp",)),
    ("printer", ("atm.paper", "printer.")),
    ("disk", ("host.disk", "drive.", "raid.", "server.disk", "server.array", "server.controller")),
    ("power", ("ups.", "pdu.", "gen.", "host.battery", "host.power", "server.psu", "server.power", "server.battery")),
    ("network", ("net.", "cell.")),
    ("camera", ("camera.",)),
    ("site", ("env.", "atm.mode", "atm.alarm", "atm.security", "atm.shield", "atm.lamp", "atm.scanner")),
    ("computer", ("host.", "server.", "windows.", "memory.", "ipmi.", "pnp.", "agent.")),
)  # fmt: skip
"""The first group that has a signal of the component has the component."""
_OF_NAME = (
    ("cash", r"cash|dispens|acceptor|recycl|drawer|coin|bill"),
    ("card", r"card"),
    ("pin", r"pin ?pad|\bepp\b|keypad"),
    ("printer", r"print|receipt|journal|passbook"),
    ("camera", r"camera|\bnvr|\bdvr|recorder|video"),
    ("disk", r"disk|raid|\bsd[a-z]\b|nvme|drive|storage"),
    ("power", r"ups|pdu|batter|psu|power|\bats\b|generator"),
    ("network", r"router|switch|network|\bwan|\blte|modem|\beth|firewall"),
    ("site", r"room|door|environment|temperature|cabinet|auxiliar|sensor"),
    ("computer", r"host|system|bmc|\bilo|idrac|windows|agent|server"),
)
HOPS = ("lan", "wan")
"""The two parts of the network of a branch that a device of its own may tell of."""
_WAN = re.compile(r"wan|router|\blte|modem|cell|4g|5g|firewall", re.IGNORECASE)
_ITSELF = ("host/", "network/", "system/")
"""Interfaces of the terminal itself: they carry only what it sends."""
_NAMES = tuple((group, re.compile(pattern, re.IGNORECASE)) for group, pattern in _OF_NAME)


def tells(signals: Iterable[str]) -> bool:
    """Whether these signals can say what kind of part their component is; else a later look may know more."""
    return any(not signal.startswith(_SAYS_NOTHING) for signal in signals)


def group_of(component: str, signals: Iterable[str] = ()) -> str:
    """One of GROUPS."""
    names = [signal for signal in signals if not signal.startswith(_SAYS_NOTHING)]
    for group, prefixes in _OF_SIGNAL:
        if any(name.startswith(prefixes) for name in names):
            return group
    for part in (component.partition("/")[2], component):
        for group, pattern in _NAMES:
            if part and pattern.search(part):
                return group
    return "other"


@dataclass(frozen=True, slots=True)
class Part:
    """Where a component belongs. group: of GROUPS; hop: of HOPS for a device that carries what others send, else empty."""

    group: str
    hop: str = ""


def part_of(component: str, signals: Iterable[str] = ()) -> Part:
    names = tuple(signals)
    group = group_of(component, names)
    return Part(group, _hop(component, names) if group == "network" else "")


def _hop(component: str, names: Iterable[str]) -> str:
    if any(name.startswith(("net.wan", "cell.")) for name in names) or _WAN.search(component):
        return "wan"
    return "" if component.startswith(_ITSELF) else "lan"


@dataclass(frozen=True, slots=True)
class Cells:
    """A terminal's row of the grid. letters: one for each of GROUPS; lan, wan: of the network devices that it reads, NONE where it reads none."""

    letters: str = NONE * len(GROUPS)
    lan: str = NONE
    wan: str = NONE


NO_CELLS = Cells()


def cells(parts: Iterable[tuple[Part, str]]) -> Cells:
    """The worst of the components of each column. parts: with their conditions."""
    found = dict.fromkeys((*GROUPS, *HOPS), NONE)
    for part, condition in parts:
        letter = LETTERS.get(condition, UNKNOWN)
        for key in (part.group, part.hop):
            if key and _WORST[letter] > _WORST[found[key]]:
                found[key] = letter
    return Cells("".join(found[group] for group in GROUPS), found["lan"], found["wan"])
