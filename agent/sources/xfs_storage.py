"""The storage units of an XFS4IoT service (Storage.GetStorage) as samples: state, supply, counts and the reject rate. What a cassette holds is told as a
number of items; values and currencies are not read.

Counts are since the last replenishment and begin anew with it; the collector takes them as counters that reset.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.xfs_map import Unread, Words, at, is_count, named, plain, sample_of, unreadable, words

MAX_UNITS = 64
"""Of one service; a large recycler has some 20."""
MAX_ITEMS = 64
"""Cash items of one counts object: denominations, times their series."""
WINDOW = 500
"""Notes over which the reject rate is taken: some days of an ATM. In fewer one note is too much of a per cent."""
LEAST = 100
"""Notes without which there is no rate."""
MAX_TURNS = 2_000
"""Polls that a window may hold: a busy ATM pays out some notes in each."""

_UNIT = re.compile(r"unit[0-9A-Za-z]{1,20}")
_KINDS = ("fit", "unfit", "suspect", "counterfeit", "inked")

UNIT = words(ok="ok", warn="notConfigured", crit="inoperative=inoperable missing manipulated")
FILLING = words(ok="ok empty=ok low=ok", warn="high", crit="full")
EMPTYING = words(ok="ok full=ok high=ok", warn="low", crit="empty")
BOTH = words(ok="ok", warn="high low", crit="full empty")
"""What a supply means depends on what the unit is for: a full cassette is well where notes come out, and ill where they go in."""
SUPPLY = "atm.unit.supply"
ACCURACY = words(ok="accurate accurateSet=accurate", warn="inaccurate")
OPERATION = words(crit="dispenseInoperative depositInoperative")
CONTAINER = words(ok="ok", warn="high", crit="full inoperative missing")
ENVELOPES = words(ok="ok", warn="low unlocked", crit="empty inoperative missing")
PROTECTION = words(ok="armed", warn="disarmed", crit="fault neutralizationTriggered=triggered")

OUT = ("presented", "rejected", "distributed", "unknown")
IN = ("deposited", "retracted", "rejected", "distributed")
TRANSIT = ("stacked", "diverted", "transport")


def total(counts: object) -> int | None:
    """All items of a counts object: `unrecognized`, and the kinds of each cash item, whatever it is called. None where there is no object."""
    if not isinstance(counts, Mapping):
        return None
    found = 0
    for name, value in list(counts.items())[:MAX_ITEMS]:
        if name == "unrecognized":
            found += value if is_count(value) else 0
        elif isinstance(value, Mapping):
            found += sum(value[kind] for kind in _KINDS if is_count(value.get(kind)))
    return found


class RejectRate:
    """Rejected of all notes that were to be paid out, over the last WINDOW of them: one unit.

    A replenishment sets both counts to 0: what they are afterwards came since then.
    """

    def __init__(self) -> None:
        self._before = (0, 0)
        self._turns: deque[tuple[int, int]] = deque(maxlen=MAX_TURNS)
        self._presented = self._rejected = 0

    def add(self, presented: int, rejected: int) -> float | None:
        """In per cent; None before there were LEAST notes."""
        again = presented < self._before[0] or rejected < self._before[1]
        before = (0, 0) if again else self._before
        self._before = (presented, rejected)
        turn = (presented - before[0], rejected - before[1])
        if turn != (0, 0):
            if len(self._turns) == self._turns.maxlen:
                self._drop()
            self._turns.append(turn)
            self._presented += turn[0]
            self._rejected += turn[1]
        while len(self._turns) > 1 and self._notes - sum(self._turns[0]) >= WINDOW:
            self._drop()
        return round(100 * self._rejected / self._notes, 3) if self._notes >= LEAST else None

    @property
    def _notes(self) -> int:
        return self._presented + self._rejected

    def _drop(self) -> None:
        presented, rejected = self._turns.popleft()
        self._presented -= presented
        self._rejected -= rejected


def units(component: str, payload: Mapping[str, Any], rates: dict[str, RejectRate], unread: Unread) -> Iterator[Sample]:
    """All units. rates: one for each unit, kept by the caller from poll to poll."""
    storage = payload.get("storage")
    if not isinstance(storage, Mapping):
        unread.add("storage")
        return
    for number, (name, unit) in enumerate(storage.items()):
        if number >= MAX_UNITS:
            unread.add("more units")
            break
        if not _UNIT.fullmatch(name) or not isinstance(unit, Mapping):
            unread.add("storage.unit")
            continue
        yield from _unit(named(component, f"unit:{name.removeprefix('unit')}"), unit, rates, unread)


def _unit(part: str, unit: Mapping[str, Any], rates: dict[str, RejectRate], unread: Unread) -> Iterator[Sample]:
    if unit.get("status") is not None:
        yield sample_of(part, "atm.unit", UNIT, unit["status"], "storage.status", unread)
    if serial := plain(unit.get("serialNumber")):
        yield Sample(part, "identity.serial", serial)
    if place := plain(unit.get("positionName")):
        yield Sample(part, "identity.name", place)
    if is_count(unit.get("capacity")):
        yield Sample(part, "atm.unit.capacity", unit["capacity"])
    if isinstance(at(unit, "cash.status"), Mapping):
        yield from _cash(part, unit["cash"], rates, unread)
    for kind, known in (("card", _card_supply(unit)), ("check", FILLING), ("printer", FILLING)):
        if (said := at(unit, f"{kind}.status.replenishmentStatus")) is not None:
            yield sample_of(part, SUPPLY, known, said, f"{kind}.replenishmentStatus", unread)
    for path, signal in (
        ("card.status.count", "atm.unit.count"),
        ("card.status.retainCount", "atm.unit.retained"),
        ("check.status.in.retractOperations", "atm.unit.retractions"),
        ("deposit.status.numOfDeposits", "atm.unit.deposited"),
    ):
        if is_count(value := at(unit, path)):
            yield Sample(part, signal, value)
    if (held := _sum(at(unit, "check.status.initial.count"), at(unit, "check.status.in.count"))) is not None:
        yield Sample(part, "atm.unit.count", held)
    if (held := _sum(at(unit, "printer.status.initial"), at(unit, "printer.status.in"))) is not None:
        yield Sample(part, "atm.unit.count", held)
    for path, signal, states in (
        ("deposit.status.depContainer", "atm.container", CONTAINER),
        ("deposit.status.envSupply", "atm.envelopes", ENVELOPES),
        ("banknoteNeutralization.protection", "atm.neutralization", PROTECTION),
    ):
        if (said := at(unit, path)) is not None:
            yield sample_of(part, signal, states, said, path, unread)


def _card_supply(unit: Mapping[str, Any]) -> Words:
    return {"retain": FILLING, "dispense": EMPTYING}.get(str(at(unit, "card.capabilities.type")), BOTH)


def _cash_supply(cash: Mapping[str, Any]) -> Words:
    kinds = at(cash, "configuration.types") or at(cash, "capabilities.types")
    if not isinstance(kinds, Mapping):
        return BOTH
    out = kinds.get("cashOut") is True
    into = any(kinds.get(name) is True for name in ("cashIn", "cashInRetract", "cashOutRetract", "reject"))
    return BOTH if out == into else EMPTYING if out else FILLING


def _cash(part: str, cash: Mapping[str, Any], rates: dict[str, RejectRate], unread: Unread) -> Iterator[Sample]:
    status = cash["status"]
    if (said := status.get("replenishmentStatus")) is not None:
        yield sample_of(part, SUPPLY, _cash_supply(cash), said, "cash.replenishmentStatus", unread)
    if (said := status.get("accuracy")) is not None:
        yield sample_of(part, "atm.unit.accuracy", ACCURACY, said, "cash.accuracy", unread)
    if (said := status.get("operationStatus")) is not None:
        yield sample_of(part, "atm.unit.operation", OPERATION, said, "cash.operationStatus", unread)
    else:
        # Absent is how a unit says that both work: an alarm of before must end.
        yield Sample(part, "atm.unit.operation", "ok", State.OK)
    out = {name: total(at(status, f"out.{name}")) for name in (*OUT, *TRANSIT)}
    into = {name: total(at(status, f"in.{name}")) for name in IN}
    for names, counts, prefix in ((OUT, out, "atm.unit.out"), (IN, into, "atm.unit.in")):
        for name in names:
            if (value := counts[name]) is not None:
                yield Sample(part, f"{prefix}.{name}", value)
    if is_count(value := at(status, "in.retractOperations")):
        yield Sample(part, "atm.unit.retractions", value)
    moving = [value for name in TRANSIT if (value := out[name]) is not None]
    if moving:
        yield Sample(part, "atm.unit.transit", sum(moving))
    yield from _held(part, status, out, into)
    presented, rejected = out["presented"], out["rejected"]
    if presented is not None and rejected is not None:
        rate = rates.setdefault(part, RejectRate()).add(presented, rejected)
        if rate is not None:
            yield Sample(part, "atm.unit.reject.rate", rate, unit="%")


def _held(
    part: str, status: Mapping[str, Any], out: Mapping[str, int | None], into: Mapping[str, int | None]
) -> Iterator[Sample]:
    """What is in the unit: what it was filled with, and what came and went since."""
    initial = total(status.get("initial"))
    if initial is None:
        return
    held = initial + sum(value or 0 for value in into.values()) - sum(value or 0 for value in out.values())
    trusted = status.get("accuracy") not in {"inaccurate", "unknown"} and held >= 0
    yield Sample(part, "atm.unit.count", held) if trusted else unreadable(part, "atm.unit.count")


def _sum(initial: object, more: object) -> int | None:
    """None where the unit does not count."""
    if not isinstance(initial, int) or not is_count(initial):
        return None
    return initial + (more if isinstance(more, int) and is_count(more) else 0)
