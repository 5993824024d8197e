"""What is used up and filled again, part by part: how much is left, for how long, and how that is known. A date is one of the predictions, with its range;
where none is said the level stands there with the reason why. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tillwatch.agent.model import Value
from tillwatch.collector.predict.finding import RUNOUT, TREND, WEAR, Finding
from tillwatch.collector.predict.settings import DAY_NS, Tables
from tillwatch.collector.predict.watched import Watch, Watched

GROUPS = ("cash", "deposit", "paper", "toner", "fuel", "disk", "battery", "other")
_GROUP_OF = (
    ("cash.", "cash"), ("cassette.", "cash"), ("deposit.", "deposit"), ("printer.tray", "paper"), ("paper.", "paper"), ("atm.paper", "paper"),
    ("printer.supply", "toner"), ("toner.", "toner"), ("atm.toner", "toner"), ("generator.", "fuel"), ("disk.", "disk"), ("volume.", "disk"),
)  # fmt: skip
"""Beginnings of the ids of watched.toml -> what a person looks for. An entry of the bank's own is `other`."""
BATTERY = "battery"
EMPTIES, FILLS = "empties", "fills"
FULL_WORDS = frozenset({"full", "high"})
"""Of a sensor's words those that tell of a room that fills."""
_SENSED: Mapping[str, frozenset[str]] = {EMPTIES: frozenset({"low", "empty"}), FILLS: FULL_WORDS}
OUT, LOW, ENOUGH, UNKNOWN = "out", "low", "enough", "unknown"
_FILLING = ("acceptor", "cashin", "retract", "reject", "retain", "deposit", "cashbox")
_EMPTYING = ("dispenser", "cashout", "hopper")
"""Words of a part's name that tell which way it ends, of parts whose counts do not."""
_RANK = {OUT: 0, LOW: 1, ENOUGH: 2, UNKNOWN: 3}
LOW_SHARE = 0.1
"""Share of the whole at which a store without a sensor of its own counts as low: what is left is as much as a usual day takes."""
SOON_NS = 7 * DAY_NS
"""A round of the week: what lasts longer is not more urgent than what is low already."""
WHY = ("foretold", "beyond", "sensor", "off", "unreadable", "unlimited")


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest value of a signal. at: corrected, UTC ns."""

    value: Value
    at: int
    state: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """What one component told last of its supplies. online: its terminal is; unknown: why nothing current is known of it, empty: something is; due: UTC ns by
    which it should be heard again, 0 for no deadline.
    """

    terminal: str
    branch: str
    region: str
    terminal_class: str
    component: str
    online: bool
    unknown: str
    due: int
    signals: Mapping[str, Latest]


@dataclass(frozen=True, slots=True)
class Supply:
    """One supply that ends (`empties`) or room that ends (`fills`). level: as told, in unit; limit: at which it is at its end; left: share of the whole that is
    left, 0 to 1, None where nobody says what the whole is; word: of OUT, LOW, ENOUGH, UNKNOWN; told: the sensor's own word; due: near, likely, far
    end, UTC ns; horizon, lead: days, of the table; why: of WHY, what the date rests on or why there is none.
    """

    stored: Stored
    group: str
    way: str
    signal: str
    unit: str
    level: float | None
    limit: float | None
    whole: float | None
    left: float | None
    word: str
    told: str
    at: int
    due: tuple[int, int, int] | None
    finding: str
    horizon: float
    lead: float
    why: str

    @property
    def urgency(self) -> tuple[Any, ...]:
        """What is out comes first, then what ends soon, by the date; then what is low, before any date further away; what has none by what is left."""
        if self.word == OUT:
            return 0, 0, self.left or 0.0, self._place
        if self.due is not None and (self.word == LOW or self.due[1] - self.at <= SOON_NS):
            return 1, self.due[1], 0.0, self._place
        if self.due is not None:
            return 3, self.due[1], 0.0, self._place
        return 2 if self.word == LOW else 4, _RANK[self.word], 1.0 if self.left is None else self.left, self._place

    @property
    def _place(self) -> tuple[str, str, str]:
        return self.stored.terminal, self.stored.component, self.way


def signals_of(tables: Tables) -> frozenset[str]:
    """All that has to be read to tell of supplies."""
    needed: set[str] = set()
    for each in _entries(tables.watch):
        needed.update(each.signals, filter(None, (each.whole,)))
    return frozenset(needed)


def group_of(entry: str) -> str:
    return next((group for begin, group in _GROUP_OF if entry.startswith(begin)), "other")


def supplies(
    stored: Iterable[Stored], findings: Iterable[Finding], tables: Tables, *, predicting: bool
) -> list[Supply]:
    """All of them, the most urgent first. findings: open ones; predicting: whether dates are looked for at all."""
    told = list(findings)
    foretold = {(each.terminal, each.component, each.detector): each for each in told if each.family == RUNOUT}
    batteries: dict[tuple[str, str], Finding] = {}
    for each in told:
        if each.family in (WEAR, TREND) and BATTERY in each.detector and each.due is not None:
            batteries.setdefault((each.terminal, each.component), each)
    found: list[Supply] = []
    places: dict[str, Stored] = {}
    for one in stored:
        places[one.terminal] = one
        found += _of_component(one, foretold, tables, predicting=predicting)
    for finding in batteries.values():
        place = places.get(finding.terminal)
        if place is not None:
            found.append(_battery(place, finding, tables))
    return sorted(found, key=lambda each: each.urgency)


def _entries(watch: Watch) -> Iterator[Watched]:
    return (each for each in watch.by_id.values() if each.kind in ("runout", "sensor"))


def _of_component(
    one: Stored, foretold: Mapping[tuple[str, str, str], Finding], tables: Tables, *, predicting: bool
) -> Iterator[Supply]:
    """One row for each way in which it ends: a level and a sensor of the same part are two views of one thing."""
    by_way: dict[tuple[str, str], list[Supply]] = {}
    for entry in _entries(tables.watch):
        signal = next((name for name in entry.signals if name in one.signals), None)
        if signal is None or not entry.about(one.component):
            continue
        finding = foretold.get((one.terminal, one.component, f"{RUNOUT}/{entry.id}"))
        row = (
            _sensor(one, entry, signal, finding)
            if entry.sensed is not None
            else _level(one, entry, signal, finding, tables)
        )
        if row is None:
            continue
        if not predicting and row.due is None:
            row = _with(row, why="off")
        by_way.setdefault((row.group, row.way), []).append(row)
    usual = _ways(one)
    for (group, way), rows in by_way.items():
        row = _joined(rows)
        # A cassette that pays out is filled on purpose: that it is full is no news, unless its own sensor or a prediction says so.
        if group != "cash" or way in usual or row.due is not None or row.told in _SENSED[way]:
            yield row


def _ways(one: Stored) -> frozenset[str]:
    """Which ways a unit of money ends: what only comes in fills it, what only goes out empties it, a recycler does both."""
    name = one.component.lower()
    # The part's own word is the last one: `CashDispenser unit:reject`.
    places = [
        (name.rfind(word), way)
        for words, way in ((_FILLING, FILLS), (_EMPTYING, EMPTIES))
        for word in words
        if word in name
    ]
    return frozenset({max(places)[1]}) if places else frozenset({EMPTIES, FILLS})


def _level(one: Stored, entry: Watched, signal: str, finding: Finding | None, tables: Tables) -> Supply | None:
    latest, way = one.signals[signal], FILLS if entry.rising else EMPTIES
    whole = _number(one.signals[entry.whole].value) if entry.whole in one.signals else None
    limit, level = entry.limit_at(tables.rules, whole), _number(latest.value)
    unit = tables.units.get(signal, "")
    scale = whole or (100.0 if unit == "%" else None)
    left = None
    if level is not None and limit is not None and scale:
        span = limit if entry.rising else scale - limit
        left = min(max(entry.room(level, limit) / span, 0.0), 1.0) if span > 0 else 0.0
    word = UNKNOWN if level is None else OUT if left == 0 else LOW if left is not None and left <= LOW_SHARE else ENOUGH
    why = "foretold" if finding is not None and finding.due else "unreadable" if level is None else "unlimited" if limit is None else "beyond"  # fmt: skip
    if limit is None and finding is None and way == FILLS:
        return None  # nobody says what fits: it cannot be told when it is full
    return Supply(
        one, group_of(entry.id), way, signal, unit, level, limit, whole, left, word, "", latest.at,
        finding.due if finding is not None else None, finding.id if finding is not None else "", entry.horizon, entry.lead, why,
    )  # fmt: skip


def _sensor(one: Stored, entry: Watched, signal: str, finding: Finding | None) -> Supply | None:
    assert entry.sensed is not None
    latest, words = one.signals[signal], entry.sensed
    said = str(latest.value) if latest.value is not None else ""
    way = FILLS if FULL_WORDS & {*words.low, *words.out} else EMPTIES
    word = (
        OUT
        if said in words.out
        else LOW
        if said in words.low
        else UNKNOWN
        if not said or said in words.unclear
        else ENOUGH
    )
    if signal == "printer.error" and word in (ENOUGH, UNKNOWN):
        return (
            None  # one word for all that can be wrong with a printer: it tells of paper only when paper is the trouble
        )
    why = "foretold" if finding is not None and finding.due else "unreadable" if word == UNKNOWN else "sensor"
    return Supply(
        one, group_of(entry.id), way, signal, "", None, None, None, None, word, said, latest.at,
        finding.due if finding is not None else None, finding.id if finding is not None else "", entry.horizon, entry.lead, why,
    )  # fmt: skip


def _joined(rows: Sequence[Supply]) -> Supply:
    """A level says more than a word; a word that is graver than the level counts; the nearest date counts."""
    base = next((row for row in rows if row.level is not None), rows[0])
    gravest = min(rows, key=lambda row: _RANK[row.word])
    dated = min((row for row in rows if row.due is not None), key=lambda row: row.due or (0, 0, 0), default=None)
    told = next((row.told for row in rows if row.told), "")
    row = _with(base, word=gravest.word if _RANK[gravest.word] < _RANK[base.word] else base.word, told=told)
    if dated is not None:
        row = _with(row, due=dated.due, finding=dated.finding, why="foretold", horizon=dated.horizon, lead=dated.lead)
    return row


def _with(row: Supply, **changed: Any) -> Supply:
    return Supply(**{name: changed.get(name, getattr(row, name)) for name in Supply.__slots__})


def _battery(place: Stored, finding: Finding, tables: Tables) -> Supply:
    at = max((reading[2] for reading in finding.readings), default=finding.at)
    stored = Stored(
        place.terminal,
        place.branch,
        place.region,
        place.terminal_class,
        finding.component,
        place.online,
        place.unknown,
        place.due,
        {},
    )
    level = finding.values.get("value")
    used = finding.values.get("used_share")
    left = max(1.0 - float(used), 0.0) if isinstance(used, int | float) else None
    near = finding.due is not None and finding.due[2] <= finding.at
    return Supply(
        stored, BATTERY, EMPTIES, finding.signal, str(finding.values.get("unit", "")) if finding.family == TREND else "",
        float(level) if isinstance(level, int | float) else None, None, None, left, OUT if near else ENOUGH, "", at, finding.due, finding.id,
        tables.horizon_days, 0.0, "foretold",
    )  # fmt: skip


def _number(value: Value) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Stop:
    """One branch of a route. by: UTC ns of the first thing that ends there; out: how many have ended already."""

    branch: str
    region: str
    by: int
    out: int
    supplies: tuple[Supply, ...]


def route(them: Iterable[Supply], now: int, within_days: float) -> list[Stop]:
    """The branches where something has ended, is low, or ends within so many days, the most pressing first. What is there is listed by terminal, since that is
    how somebody walks.
    """
    until = now + round(within_days * DAY_NS)
    wanted: dict[tuple[str, str], list[Supply]] = {}
    for each in them:
        if each.group in ("disk", BATTERY):
            continue  # nobody brings those in a bag
        if each.word in (OUT, LOW) or (each.due is not None and each.due[0] <= until):
            wanted.setdefault((each.stored.region, each.stored.branch), []).append(each)
    stops = []
    for (region, branch), listed in wanted.items():
        by = min((each.due[1] for each in listed if each.due is not None), default=now)
        out = sum(each.word == OUT for each in listed)
        ordered = sorted(listed, key=lambda each: (each.stored.terminal, each.group, each.stored.component))
        stops.append(Stop(branch, region, by, out, tuple(ordered)))
    return sorted(stops, key=lambda stop: (-stop.out, stop.by, stop.branch))


@dataclass(frozen=True, slots=True)
class Refill:
    """A store that was filled, or a room that was emptied: what was there before and after, in the signal's unit. at: UTC ns, to the hour where it is read out
    of hours.
    """

    at: int
    before: float
    after: float


REFILL = 0.15
"""As the run-out detector has it (detect/runout.py): share of the most that was seen."""


def refills(levels: Sequence[tuple[int, float]], way: str) -> list[Refill]:
    """Out of the levels in order of time (UTC ns, level), the newest first."""
    if not levels:
        return []
    most = max(level for _, level in levels)
    found: list[Refill] = []
    for (_, before), (at, after) in pairwise(levels):
        rise = after - before if way == EMPTIES else before - after
        if most > 0 and rise >= REFILL * most:
            found.append(Refill(at, before, after))
    return found[::-1]
