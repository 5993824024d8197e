"""How much of its rated life each wear part has used, day by day, and what replaced it. One part is one entry of lives.toml on one component; the reckoning is
that of detect/wear.py and detect/parts.py, here stands what they are fed with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.agent.model import device_of
from tillwatch.collector.detect import counters, parts, trend, wear
from tillwatch.collector.detect.days_left import NEVER, DaysLeft
from tillwatch.collector.predict.daily import Daily
from tillwatch.collector.predict.expected import OF
from tillwatch.collector.predict.finding import WEAR, Happened
from tillwatch.collector.predict.foretold import Foretold, Renewed, plain
from tillwatch.collector.predict.ledger import Ledger
from tillwatch.collector.predict.lives import RatedLife, strongest
from tillwatch.collector.predict.series import NONE, Registry
from tillwatch.collector.predict.settings import DAY_NS, MODEL, Tables
from tillwatch.collector.predict.spoken import Spoken

MAX_PARTS = 50_000
"""Wear parts of a fleet: twenty-five a terminal of 2,000, 1 kB each."""
HOURS = 24.0
WEEK = 7
LOOK_AGAIN_DAYS = 7
"""A part whose temperature nobody tells is looked over once a week for a sensor that was added."""

Key = tuple[str, str, str]
"""Life, terminal, component."""


@dataclass(slots=True)
class Part:
    """One wear part. row: of the signal that tells what is consumed, NONE where that is a word; warm: of the temperature near it; day: the last that was
    reckoned; value: the last value of a device's own share.
    """

    life: str
    terminal: str
    component: str
    signal: str
    row: int = NONE
    warm: int = NONE
    stepped: int = NONE
    day: int = -1
    wear: wear.WearState | None = None
    counter: counters.CounterState | None = None
    place: parts.PartState = field(default_factory=parts.PartState)


class Lifetimes:
    """used: what each part consumed a day, ratios: how its past rates foretold the next ones; both by the index of the part. refused: parts without a place."""

    def __init__(self, tables: Tables, registry: Registry, daily: Daily, spoken: Spoken) -> None:
        self._tables = tables
        self._registry = registry
        self._daily = daily
        self._spoken = spoken
        self._parts: list[Part] = []
        self._index: dict[Key, int] = {}
        self._of: dict[tuple[str, str], list[int]] = {}
        self._of_device: dict[tuple[str, str], list[int]] = {}
        self._new: dict[tuple[str, str, str], None] = {}
        self._used = trend.no_history(0)
        self._ratios = np.full((0, wear.SCORES), np.nan, np.float32)
        self._looked = 0
        self.refused = 0

    def word(self, terminal: str, component: str, signal: str, at: int, word: str) -> list[Renewed]:
        """What is new of a state or a text, UTC ns: models, serial numbers, days of replacement, and the words while which hours pass."""
        if signal in self._tables.lives.by_signal:
            self._new[terminal, component, signal] = None
        renewed = []
        for index in self._near(terminal, component):
            part = self._parts[index]
            life = self._tables.lives.by_id.get(part.life)
            if life is None:
                continue
            if signal == life.replaced and part.component == component:
                renewed += self._step(index, parts.Dated(at, word))
            elif signal == life.serial:
                renewed += self._step(index, parts.Numbered(at, word))
        return renewed

    def changed(self, event: Happened, ledger: Ledger) -> list[Renewed]:
        """A technician changed a part. Which one, where a component has several: that of the wear finding which stands, else the only one."""
        if event.what != "verdict" or event.value != "part_changed":
            return []
        here = [
            i
            for i in self._of.get((event.terminal, event.component), ())
            if self._parts[i].life in self._tables.lives.by_id
        ]
        told = [i for i in here if ledger.get(_detector(self._parts[i].life), event.terminal, event.component)]
        names = {self._tables.lives.by_id[self._parts[i].life].part for i in here}
        renewed = []
        for index in told or (here if len(names) == 1 else []):
            life = self._tables.lives.by_id[self._parts[index].life]
            word = next(iter(life.words), life.part)
            renewed += self._step(index, parts.Verdict(event.at, word), (word,))
        return renewed

    def watches(self, terminal: str, component: str) -> Iterator[str]:
        """Detectors that look at a component."""
        return (_detector(self._parts[i].life) for i in self._of.get((terminal, component), ()) if self._rated(i))

    def share(self, terminal: str, component: str) -> float:
        """The largest used share of rated life of a component's parts, nan where none is known."""
        shares = []
        for index in self._of.get((terminal, component), ()):
            state, life = self._parts[index].wear, self._tables.lives.by_id.get(self._parts[index].life)
            if state is not None and life is not None and life.rating.rated:
                shares.append(state.consumed / life.rating.rated)
        return max(shares, default=float("nan"))

    def day(self, day: int) -> tuple[list[Foretold], list[Renewed]]:
        """The day is over, and its values are in."""
        self._look()
        if day % LOOK_AGAIN_DAYS == 0:
            for part in self._parts:
                self._find(part)
        renewed = [new for index in range(len(self._parts)) for new in self._reckon(index, day)]
        return list(self._tell(day)), renewed

    def _rated(self, index: int) -> bool:
        life = self._tables.lives.by_id.get(self._parts[index].life)
        return life is not None and life.rating.rated > 0

    def _near(self, terminal: str, component: str) -> list[int]:
        """Parts of a component; of a device that is named as a whole, of all that belongs to it."""
        if "/" in component:
            return self._of.get((terminal, component), [])
        return self._of_device.get((terminal, component), [])

    def _look(self) -> None:
        """Series and words that are new since yesterday."""
        for row in range(self._looked, len(self._registry)):
            self._join(*self._registry.names[row], row)
        self._looked = len(self._registry)
        for terminal, component, signal in self._new:
            self._join(terminal, component, signal, NONE)
        self._new.clear()

    def _join(self, terminal: str, component: str, signal: str, row: int) -> None:
        model = self._spoken.last(terminal, component, MODEL) or self._spoken.last(
            terminal, device_of(component), MODEL
        )
        for life in self._tables.lives.of(signal, component, model):
            key = life.id, terminal, component
            found = self._index.get(key)
            if found is not None:
                part = self._parts[found]
                if part.row == NONE and row != NONE and not life.runs:
                    part.row, part.signal = row, signal
                    part.wear = None if part.wear is not None and part.wear.partly else part.wear
                continue
            if len(self._parts) >= MAX_PARTS:
                self.refused += 1
                return
            self._add(Part(life.id, terminal, component, signal, row))

    def _add(self, part: Part) -> None:
        self._enter(part)
        self._find(part)
        self._used = trend.History(
            *(np.concatenate(pair) for pair in zip(self._used, trend.no_history(1), strict=True))
        )
        self._ratios = np.concatenate([self._ratios, np.full((1, wear.SCORES), np.nan, np.float32)])

    def _enter(self, part: Part) -> None:
        index = len(self._parts)
        self._index[part.life, part.terminal, part.component] = index
        self._of.setdefault((part.terminal, part.component), []).append(index)
        self._of_device.setdefault((part.terminal, device_of(part.component)), []).append(index)
        self._parts.append(part)

    def _find(self, part: Part) -> None:
        """The series beside it that it asks for."""
        life = self._tables.lives.by_id.get(part.life)
        if life is None:
            return
        if part.warm == NONE:
            part.warm = next((row for name in life.temperature if (row := self._beside(part, name)) != NONE), NONE)
        if part.stepped == NONE and life.step is not None:
            part.stepped = self._registry.known(part.terminal, part.component, life.step.signal)

    def _beside(self, part: Part, signal: str) -> int:
        """Of the component, of its device, else of the first part of its device that tells it."""
        device = device_of(part.component)
        for component in (part.component, device):
            if (row := self._registry.known(part.terminal, component, signal)) != NONE:
                return row
        names = self._registry.names
        rows = self._registry.rows_of(part.terminal)
        return next((r for r in rows if names[r][2] == signal and device_of(names[r][1]) == device), NONE)

    def _reckon(self, index: int, day: int) -> Iterator[Renewed]:
        part = self._parts[index]
        life = self._tables.lives.by_id.get(part.life)
        if life is None or day <= part.day:
            return
        start, end = day * DAY_NS, (day + 1) * DAY_NS
        value = (
            float(self._daily.value[part.row]) if part.row != NONE and self._read_on(part.row, day) else float("nan")
        )
        if part.wear is None:
            if part.row != NONE and not isfinite(value):
                return  # it begins with what it says first
            part.wear = self._begin(part, life, start, value)
        before = part.wear.consumed
        if part.warm != NONE and isfinite(celsius := self._of_day("mean", part.warm, day)):
            part.wear = wear.heat(life.rating, part.wear, start, celsius)
        self._consume(part, life, end, value)
        part.day = day
        if part.wear.consumed >= before:
            used = np.array([part.wear.consumed - before], np.float32)
            trend.put(self._used, np.array([index], np.intp), day, used)
        if life.step is not None and part.stepped != NONE:
            told = self._of_day(OF[life.step.of], part.stepped, day)
            if isfinite(told):
                step = life.step
                yield from self._step(index, parts.Measured(end, step.signal, told, step.by, step.up, step.relative))

    def _begin(self, part: Part, life: RatedLife, at: int, value: float) -> wear.WearState:
        """At the first day. What a count that goes back to the part's own beginning tells was used before."""
        rating = life.rating
        if rating.source == "calendar":
            day = self._spoken.last(part.terminal, part.component, life.replaced)
            if day:
                part.place, _ = parts.step(part.place, parts.Dated(at, day))
            if part.place.began:
                return wear.begin(at, max(at - part.place.began, 0) / DAY_NS)
            if part.signal.endswith(".age") and isfinite(value):
                return wear.begin(at, value)
            return wear.begin(at, partly=True)
        if (
            rating.source in {"counter", "hours"}
            and not life.runs
            and self._counts(part)
            and life.counts != "watched"
            and isfinite(value)
        ):
            return wear.begin(at, value)
        if rating.source == "device_percent":
            return wear.begin(at, life.share(value) if isfinite(value) else 0.0)
        return wear.begin(at, partly=True)

    def _counts(self, part: Part) -> bool:
        return part.row != NONE and self._registry.counts[part.row]

    def _consume(self, part: Part, life: RatedLife, end: int, value: float) -> None:
        state, rating = part.wear, life.rating
        if state is None:
            return
        if rating.source == "device_percent":
            part.wear = wear.told(state, end, life.share(value)) if isfinite(value) else wear.elapse(rating, state, end)
        elif rating.source == "calendar":
            part.wear = wear.elapse(rating, state, end)
        elif self._counts(part) and not life.runs:
            amount = 0.0
            if isfinite(value):
                part.counter, amount, _ = counters.step(part.counter, end, value)
            part.wear = wear.consume(rating, state, end, amount)
        else:
            word = self._spoken.last(part.terminal, part.component, part.signal)
            runs = word in life.runs if life.runs else isfinite(value) and value > 0
            part.wear = wear.consume(rating, state, end, HOURS if runs else 0.0)

    def _step(self, index: int, evidence: parts.Evidence, words: tuple[str, ...] = ()) -> list[Renewed]:
        part = self._parts[index]
        part.place, new = parts.step(part.place, evidence, words)
        if new is None:
            return []
        life = self._tables.lives.by_id.get(part.life)
        if part.wear is not None and (life is None or life.rating.source != "device_percent"):
            at = max(part.wear.at, new.at)
            used = max(at - new.at, 0) / DAY_NS if life is not None and life.rating.source == "calendar" else 0.0
            part.wear = wear.begin(at, used)
        trend.forget(self._used, np.array([index], np.intp))
        self._ratios[index] = np.nan
        return [Renewed(part.terminal, part.component, new.at, new.why)]

    def _read_on(self, row: int, day: int) -> bool:
        return bool(self._daily.newest[row] >= day) and bool(self._daily.count(np.array([row], np.intp), day)[0])

    def _of_day(self, name: str, row: int, day: int) -> float:
        return float(self._daily.of_day(name, np.array([row], np.intp), day)[0])

    def _tell(self, day: int) -> Iterator[Foretold]:
        by_life: dict[str, list[int]] = {}
        for index, part in enumerate(self._parts):
            if part.wear is not None and self._rated(index) and self._counted(index):
                by_life.setdefault(part.life, []).append(index)
        for name, indices in by_life.items():
            life = self._tables.lives.by_id[name]
            for index, left in zip(indices, self._left(life, np.array(indices, np.intp), day), strict=True):
                state = self._parts[index].wear
                found = wear.wear(life.rating, state, left) if state is not None else None
                if found is not None and wear.due(found, life.lead):
                    yield self._foretold(self._parts[index], life, found)

    def _counted(self, index: int) -> bool:
        """Whether nothing beats it: what the device says of the same part beats every figure of a data sheet."""
        part = self._parts[index]
        lives = [self._parts[i].life for i in self._of[part.terminal, part.component]]
        known = tuple(self._tables.lives.by_id[each] for each in lives if each in self._tables.lives.by_id)
        return any(each.id == part.life for each in strongest(known))

    def _left(self, life: RatedLife, indices: NDArray[np.intp], day: int) -> list[DaysLeft]:
        states = [self._parts[i].wear for i in indices]
        if life.rating.source == "calendar":
            return [
                (wear.calendar_left(life.rating, state) if state is not None else None) or NEVER for state in states
            ]
        used = trend.window(self._used, day)[indices]
        if day % WEEK == 0:
            place = day // WEEK % wear.SCORES
            self._ratios[indices, place] = wear.score(used)
        consumed = np.array([state.consumed if state is not None else 0.0 for state in states])
        found = wear.days_left(consumed, life.rating, used, self._ratios[indices], self._ratios[indices].ravel())
        return [found.of(i) for i in range(len(indices))]

    def _foretold(self, part: Part, life: RatedLife, found: wear.Wear) -> Foretold:
        share = plain(found.used_share or 0.0)
        left = found.days_left if found.days_left is not None and isfinite(found.days_left.median) else None
        past = left is None or left.median <= 0
        reason = "wear.past" if past else "wear.at-least" if found.at_least else "wear.used"
        values: dict[str, Any] = {
            "title": life.title_en, "title.zh": life.title_zh, "used_share": share, "rated": life.rating.rated, "unit": life.unit, "purpose": life.purpose,
        }  # fmt: skip
        factors = tuple((name, _fact(value), 1.0) for name, value in found.evidence)
        readings = (
            ()
            if part.row == NONE
            else ((part.component, part.signal, int(self._daily.latest[part.row]), plain(self._daily.value[part.row])),)
        )
        return Foretold(
            _detector(life.id),
            WEAR,
            part.terminal,
            part.component,
            part.signal,
            left,
            life.lead,
            reason,
            values,
            factors,
            readings,
        )

    def state(self) -> dict[str, Any]:
        return {
            "parts": [asdict(each) for each in self._parts],
            "new": [list(key) for key in self._new],
            "used": dict(self._used._asdict()),
            "ratios": self._ratios,
            "looked": self._looked,
            "refused": self.refused,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        for facts in state["parts"]:
            worn, counter = facts["wear"], facts["counter"]
            part = Part(
                **{
                    **facts,
                    "wear": wear.WearState(**worn) if worn else None,
                    "counter": counters.CounterState(**counter) if counter else None,
                    "place": parts.PartState(**facts["place"]),
                }
            )
            self._enter(part)
        self._new = dict.fromkeys((terminal, component, signal) for terminal, component, signal in state["new"])
        self._used = trend.History(
            **{name: np.array(state["used"][name], array.dtype) for name, array in self._used._asdict().items()}
        )
        self._ratios = np.array(state["ratios"], np.float32)
        self._looked, self.refused = int(state["looked"]), int(state["refused"])


def _detector(life: str) -> str:
    return f"{WEAR}/{life}"


def _fact(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_fact(each) for each in value]
    return plain(value) if isinstance(value, float) else value
