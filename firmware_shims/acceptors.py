"""What banknote acceptors of all makers have in common: the words for what they do and what is wrong with them, and the rows of a
protocol that says everything in one status code. Fitness, supply and security are judged apart: a full cash box is no broken one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tillwatch.firmware_shims.base import ABSENT, Absent, Known, Query, Row, Tally, Trait, Value

CASHBOX = "cashbox"
"""The component of the box that takes the notes."""

STATES = {
    **dict.fromkeys(
        (
            *("idle", "accepting", "escrow", "stacking", "stacked", "returning", "returned", "rejecting"),
            *("holding", "busy", "initialising", "disabled"),
        ),
        "ok",
    ),
    **dict.fromkeys(("paused", "cheated", "calibrating"), "warn"),
    "outOfService": "crit",
    "unknown": "unknown",
}
FAULTS = {
    "none": "ok",
    **dict.fromkeys(("noteInside", "calibrating", "communication"), "warn"),
    **dict.fromkeys(
        (
            *("stalled", "jammed", "cashboxJammed", "failed", "stackMotor", "transportMotor", "transportSpeed"),
            *("alignMotor", "cashbox", "optic", "magnetic", "capacitance", "head", "rom"),
        ),
        "crit",
    ),
    "unknown": "unknown",
}
BOXES = {"attached": "ok", "full": "crit", "removed": "crit", "jammed": "crit", "unknown": "unknown"}
REASONS = {
    **dict.fromkeys(
        (
            *("insertion", "magnetic", "noteInside", "compensation", "conveying", "identification", "verification"),
            *("optic", "inhibited", "capacitance", "operation", "length", "pattern"),
        ),
        "ok",
    ),
    "unknown": "unknown",
}
FITNESS = {"ok": "ok", "warn": "warn", "failed": "crit", "unknown": "unknown"}
SUPPLY = {"ok": "ok", "full": "crit", "unknown": "unknown"}
SECURITY = {"normal": "ok", "attention": "warn", "unknown": "unknown"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one status code. fault, cashbox: words of FAULTS and BOXES; an empty one says nothing of it. attention: somebody should look."""

    state: str
    fault: str = "none"
    cashbox: str = "attached"
    attention: bool = False


UNKNOWN = Meaning("unknown", "unknown", "")


def fitness(fault: str) -> str:
    return {"ok": "ok", "warn": "warn", "crit": "failed", "unknown": "unknown"}[FAULTS[fault]]


def supply(cashbox: str) -> str:
    """Of a box that is not there, nobody knows what it holds; a jammed one is a fault, and what it holds is not said."""
    return {"attached": "ok", "full": "full"}.get(cashbox, "unknown")


def text(raw: bytes, _known: Known) -> Value | Absent:
    """A field of fixed width, padded with blanks, NUL or backslashes. Raises ValueError where it is no text."""
    value = raw.rstrip(b"\0\\ ").decode("ascii").strip()
    if not value.isprintable():
        raise ValueError("not printable")
    return value or ABSENT


def code_rows(
    query: Query,
    meanings: Mapping[int, Meaning],
    failures: Mapping[int, str],
    failure: int,
    reject: int,
    reasons: Mapping[int, str],
) -> tuple[Row, ...]:
    """The rows of a status whose form has a group `status`: one code, and one byte of detail behind some.

    failures: fault by the byte behind the code `failure`. reasons: why, by the byte behind the code `reject`.
    """

    def meaning(raw: bytes) -> Meaning:
        found = meanings.get(raw[0], UNKNOWN)
        if raw[0] != failure:
            return found
        fault = failures.get(raw[1], "failed") if len(raw) > 1 else "failed"
        return Meaning(found.state, fault, found.cashbox, found.attention)

    def state(raw: bytes, _known: Known) -> Value:
        return meaning(raw).state

    def fault(raw: bytes, _known: Known) -> Value:
        return meaning(raw).fault

    def fit(raw: bytes, _known: Known) -> Value:
        return fitness(meaning(raw).fault)

    def security(raw: bytes, _known: Known) -> Value:
        found = meaning(raw)
        return "unknown" if found is UNKNOWN else "attention" if found.attention else "normal"

    def cashbox(raw: bytes, _known: Known) -> Value | Absent:
        return meaning(raw).cashbox or ABSENT

    def held(raw: bytes, _known: Known) -> Value | Absent:
        found = meaning(raw).cashbox
        return supply(found) if found else ABSENT

    def reason(raw: bytes, _known: Known) -> Value | Absent:
        return reasons.get(raw[1], "unknown") if raw[0] == reject and len(raw) > 1 else ABSENT

    return (
        Row(signal="acceptor.state", query=query, take="status", convert=state, states=STATES, trait=Trait.STATE),
        Row(signal="acceptor.fault", query=query, take="status", convert=fault, states=FAULTS, trait=Trait.STATE),
        Row(signal="acceptor.reason", query=query, take="status", convert=reason, states=REASONS, trait=Trait.STATE),
        Row(signal="part.fitness", query=query, take="status", convert=fit, states=FITNESS, trait=Trait.STATE),
        Row(signal="part.security", query=query, take="status", convert=security, states=SECURITY, trait=Trait.STATE),
        Row(signal="acceptor.cashbox", query=query, take="status", convert=cashbox, part=CASHBOX, states=BOXES, trait=Trait.STATE),
        Row(signal="part.supply", query=query, take="status", convert=held, part=CASHBOX, states=SUPPLY, trait=Trait.STATE),
    )  # fmt: skip


def code_tallies(query: Query, codes: Mapping[str, int | tuple[int, ...]]) -> tuple[Tally, ...]:
    """Signal -> the status codes that tell it. Polls repeat a code until it is over; it counts once."""

    def tally(signal: str, told: tuple[int, ...]) -> Tally:
        return Tally(signal=signal, query=query, take="status", shows=lambda raw: raw[0] in told)

    return tuple(tally(signal, told if isinstance(told, tuple) else (told,)) for signal, told in codes.items())
