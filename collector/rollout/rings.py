"""Rings of terminals and the gate between them. Pure: a rollout goes from ring to ring; which ring a terminal is in does not depend on when it is asked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tillwatch.agent.wire import valid_name, valid_terminal

MAX_RINGS = 10
MAX_LISTED = 2_000
"""Terminals named in the rings of one rollout: they are one act, of 64 KiB."""
WHOLE = 1_000_000
"""Shares are kept in millionths: no sum of them is off by rounding."""
LEAST_MINUTES, MOST_MINUTES = 1, 7 * 24 * 60
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,4})?)\s*%")


class RingError(ValueError):
    """Rings or a gate that cannot be. The text says what is wrong and what to write."""


@dataclass(frozen=True, slots=True)
class Ring:
    """share: millionths of the fleet; WHOLE takes all that no ring before has. terminals: in it by name, whatever the share says."""

    name: str
    share: int = 0
    terminals: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        return {"name": self.name, "share": self.share, "terminals": list(self.terminals)}


@dataclass(frozen=True, slots=True)
class Gate:
    """good: millionths of a ring's terminals that must report the bundle as good by the end of `minutes`; bad: that may have fallen back, refused it, gone
    silent, or have sources that failed since. returns: whether a rollout that halts takes the bundle back by itself.
    """

    good: int = 950_000
    bad: int = 20_000
    minutes: int = 60
    returns: bool = True

    def facts(self) -> dict[str, Any]:
        return {"good": self.good, "bad": self.bad, "minutes": self.minutes, "returns": self.returns}


@dataclass(frozen=True, slots=True)
class Tally:
    """Terminals of one ring, each counted once. told: all that take bundles; good, bad: of them; away: not heard since; apart: told nothing, because they
    take no bundles.
    """

    told: int = 0
    good: int = 0
    bad: int = 0
    away: int = 0
    apart: int = 0


def place(terminal: str, rings: Sequence[Ring], fixed: str = "") -> str:
    """The name of the ring, empty for none. A list wins over what a person has fixed, and that over the shares; by shares the same terminals are always the
    first.
    """
    for ring in rings:
        if terminal in ring.terminals:
            return ring.name
    if fixed and any(ring.name == fixed for ring in rings):
        return fixed
    point = int.from_bytes(sha256(b"tillwatch/ring/1\0" + terminal.encode()).digest()[:8], "big") * WHOLE >> 64
    end = 0
    for ring in rings:
        end = WHOLE if ring.share >= WHOLE else end + ring.share
        if ring.share and point < end:
            return ring.name
    return ""


def spoiled(gate: Gate, tally: Tally) -> bool:
    """More are bad than may be: no waiting makes that good."""
    return tally.bad * WHOLE > gate.bad * tally.told


def lacking(gate: Gate, tally: Tally) -> bool:
    """At the end of the time: too few are good. A ring whose terminals all take no bundles has shown nothing."""
    return tally.good * WHOLE < gate.good * tally.told or (not tally.told and bool(tally.apart))


def rings_of(facts: object) -> tuple[Ring, ...]:
    """Of an act. Raises RingError."""
    if not isinstance(facts, list) or not 0 < len(facts) <= MAX_RINGS:
        raise RingError(f"a rollout has 1 to {MAX_RINGS} rings")
    rings = tuple(_ring(each) for each in facts)
    names = [ring.name for ring in rings]
    if len(set(names)) < len(names):
        raise RingError("two rings have the same name")
    listed = [terminal for ring in rings for terminal in ring.terminals]
    if len(listed) > MAX_LISTED:
        raise RingError(f"{len(listed)} terminals are named; at most {MAX_LISTED} can be, a share takes any number")
    if len(set(listed)) < len(listed):
        twice = next(name for name in listed if listed.count(name) > 1)
        raise RingError(f"{twice} is named twice")
    whole = [ring.share >= WHOLE for ring in rings]
    if any(whole[:-1]):
        raise RingError("only the last ring can take the rest")
    if sum(ring.share for ring in rings if ring.share < WHOLE) > WHOLE:
        raise RingError("the shares are more than the whole; each is of the whole fleet, and they add up")
    return rings


def _ring(facts: object) -> Ring:
    said = facts if isinstance(facts, Mapping) else {}
    name, share, terminals = said.get("name"), said.get("share", 0), said.get("terminals", [])
    if not isinstance(name, str) or not valid_name(name):
        raise RingError(f"{str(name)[:40]!r} is no name of a ring; write up to 32 small letters, digits and . _ -")
    if type(share) is not int or not 0 <= share <= WHOLE:
        raise RingError(f"the share of {name} is from 0 to 100%")
    if not isinstance(terminals, list | tuple) or not all(
        isinstance(one, str) and valid_terminal(one) for one in terminals
    ):
        raise RingError(f"the terminals of {name} are a list of their ids")
    if not share and not terminals:
        raise RingError(f"the ring {name} has neither a share nor terminals")
    return Ring(name, share, tuple(terminals))


def gate_of(facts: object) -> Gate:
    """Of an act; what is not said is as it usually is. Raises RingError."""
    said = facts if isinstance(facts, Mapping) else {}
    usual = Gate()
    good, bad, minutes, returns = (said.get(key, value) for key, value in usual.facts().items())
    if type(good) is not int or not 0 < good <= WHOLE or type(bad) is not int or not 0 <= bad < WHOLE:
        raise RingError("a gate needs more than 0% good, and less than 100% bad")
    if type(minutes) is not int or not LEAST_MINUTES <= minutes <= MOST_MINUTES or type(returns) is not bool:
        raise RingError(f"a gate waits {LEAST_MINUTES} to {MOST_MINUTES} minutes")
    return Gate(good, bad, minutes, returns)


def share_of(text: str) -> int:
    """Millionths of `1%`, `0.5%` or `rest`. Raises RingError."""
    if text == "rest":
        return WHOLE
    match = _PERCENT.fullmatch(text.strip())
    if match is None or not 0 < float(match[1]) <= 100:
        raise RingError(f"{text[:40]!r} is no share; write 1%, 0.5% or rest")
    return min(round(float(match[1]) * WHOLE / 100), WHOLE - 1) if float(match[1]) < 100 else WHOLE


def said_rings(text: str) -> list[dict[str, Any]]:
    """Of `pilot=1%,branch=ATM-1+ATM-2,rest`. Raises RingError."""
    found = []
    for part in text.split(","):
        name, equals, what = (each.strip() for each in part.partition("="))
        if not equals:
            what = "rest"
        if what == "rest" or what.endswith("%"):
            found.append(Ring(name, share_of(what)).facts())
        else:
            found.append(Ring(name, 0, tuple(one.strip() for one in what.split("+"))).facts())
    rings_of(found)
    return found
