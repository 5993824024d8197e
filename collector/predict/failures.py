"""Failure within the horizon, once a day for each kind of device of each terminal: the learnt hazard where there is one, else the fixed rule, of which no more
is said than the budget of false alarms would bear if all of it were false.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn.budget import NEVER, Threshold
from tillwatch.collector.learn.drift import Drift
from tillwatch.collector.learn.episodes import Telling
from tillwatch.collector.learn.fallback import PRIOR_FAILURES, PRIOR_YEARS, Fallback
from tillwatch.collector.learn.hazard import Factor, Hazard
from tillwatch.collector.learn.panel import Features
from tillwatch.collector.predict.finding import FAILURE, FALSE, HIT, Happened, kind_of
from tillwatch.collector.predict.foretold import SILENT_DAYS, Foretold, plain
from tillwatch.collector.predict.ledger import RESTS, Ledger
from tillwatch.collector.predict.panel import OTHER, PARTIES, UNUSUAL, Event, Unit, event_of, rows
from tillwatch.collector.predict.settings import DAY_NS, YEAR_DAYS, Tables

KEPT_NS = 31 * DAY_NS
"""Events of the longest window of the panel; of older ones the last of each kind is kept, for how long ago it was."""
MAX_EVENTS = 500
"""Events of a terminal that are kept: sixteen a day for a month. Beyond it the oldest go, and a window tells less than there was."""
STAYS = 0.5
"""Of the threshold: what was told is told on while it is above this."""
MOST_SAVED = 10.0
"""Findings that the fixed rule may save up in quiet days: a bad week is not told all at once."""
DRIFT_DAYS = 30
"""Days that are compared with the training at once: as long as the longest window of the panel, so that one odd week is no other fleet."""
LEARNT, RULE = f"{FAILURE}/learnt", f"{FAILURE}/rule"

Probabilities = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for today: the units, how worn each is, of each its components, the one with the latest event first, and how far its readings lie from
    their past: (units x strays.NAMES), None where nobody asks.
    """

    units: list[Unit]
    worn: NDArray[np.float32]
    components: list[list[str]]
    strayed: NDArray[np.float32] | None = None


def telling(tables: Tables) -> Telling:
    """How long a finding of failure stands and rests, to who reckons on stored rows what would have been told."""
    grace = tables.grace_ns / DAY_NS
    return Telling(STAYS, SILENT_DAYS, grace, RESTS[HIT] / DAY_NS, RESTS[FALSE] / DAY_NS)


class Failures:
    """saved: findings that the fixed rule may tell of. forgotten: events that found no place."""

    def __init__(self, tables: Tables, hazard: Hazard | Fallback | None, drift: Drift | None = None) -> None:
        self._tables = tables
        self._learnt = hazard is not None
        never = Threshold(NEVER, 0.0, 0.0, 0.0)
        years = tables.horizon_ns / (DAY_NS * YEAR_DAYS)
        self._model = hazard or Fallback(PRIOR_FAILURES / PRIOR_YEARS, years, never, tables.horizon_ns)
        self._drift = drift if isinstance(hazard, Hazard) else None
        self._drift_days = 0
        self._events: dict[str, list[Event]] = {}
        self.saved = 0.0
        self.forgotten = 0

    def happened(self, happened: Happened) -> None:
        if (event := event_of(happened)) is not None:
            self.note(event)

    def unusual(self, terminal: str, component: str, at: int) -> None:
        """An anomaly was found."""
        self.note(Event(at, terminal, component, UNUSUAL))

    def note(self, event: Event) -> None:
        events = self._events.setdefault(event.terminal, [])
        events.append(event)
        if len(events) > MAX_EVENTS:
            del events[0]
            self.forgotten += 1

    def watches(self) -> tuple[str, ...]:
        """A model that has learnt looks at every part; the fixed rule does not claim to."""
        return (LEARNT,) if self._learnt else ()

    def day(self, now: int, asked: Asked, ledger: Ledger) -> list[Foretold]:
        """For all units at once."""
        if not asked.units:
            return []
        events = [event for each in self._events.values() for event in each]
        unit = np.arange(len(asked.units), dtype=np.int64)
        known = rows(asked.units, events, unit, np.full(len(unit), now, np.int64), asked.worn, asked.strayed)
        chance = self._model.predict(known)
        self._watch_drift(known, chance)
        detector = LEARNT if self._learnt else RULE
        stands = [
            any(ledger.get(detector, u.terminal, c) for c in cs)
            for u, cs in zip(asked.units, asked.components, strict=True)
        ]
        chosen = (
            self._by_threshold(chance, stands) if self._learnt else self._by_allowance(chance, stands, known, asked)
        )
        # The chance is the unit's: what was told of one of its parts is not told again of the next one.
        rest = [any(ledger.resting(detector, u.terminal, c, now) for c in cs) for u, cs in
                zip(asked.units, asked.components, strict=True)]  # fmt: skip
        chosen = [row for row in chosen if stands[row] or not rest[row]]
        self._forget(now)
        return [self._foretold(row, chance, known, asked, detector, ledger) for row in chosen]

    def _watch_drift(self, known: Features, chance: Probabilities) -> None:
        if self._drift is None or not isinstance(self._model, Hazard):
            return
        if self._drift_days >= DRIFT_DAYS:
            self._drift.begin()
            self._drift_days = 0
        self._drift.add(self._model.encoding.matrix(known), chance)
        self._drift_days += 1

    def drift(self) -> tuple[str, str]:
        """Level and reason; empty where nothing was learnt."""
        if self._drift is None:
            return "", ""
        verdict = self._drift.verdict()
        return verdict.level, verdict.reason

    def _by_threshold(self, chance: Probabilities, stands: list[bool]) -> list[int]:
        limit = self._model.threshold.value
        return np.flatnonzero((chance >= limit) | (np.array(stands) & (chance >= limit * STAYS))).tolist()

    def _by_allowance(self, chance: Probabilities, stands: list[bool], known: Features, asked: Asked) -> list[int]:
        """The likeliest first, as far as the budget goes, and only where the part had an alarm: by age alone everything fails some day, and an anomaly has
        told of itself.
        """
        terminals = len({each.terminal for each in asked.units})
        self.saved = min(self.saved + terminals * self._tables.failure_budget / YEAR_DAYS, MOST_SAVED)
        alarms = [known.names.index(f"{party} count 7 d") for party in (*PARTIES, OTHER)]
        lately = known.values[:, alarms].sum(axis=1)
        chosen = [row for row in range(len(stands)) if stands[row] and lately[row] > 0]
        for row in np.argsort(-chance, kind="stable").tolist():
            if self.saved < 1.0:
                break
            if not stands[row] and lately[row] > 0:
                self.saved -= 1.0
                chosen.append(row)
        return sorted(chosen)

    def _foretold(
        self, row: int, chance: Probabilities, known: Features, asked: Asked, detector: str, ledger: Ledger
    ) -> Foretold:
        unit, components = asked.units[row], asked.components[row]
        latest = next(
            (e.component for e in reversed(self._events.get(unit.terminal, [])) if e.component in components),
            components[0],
        )
        component = next((c for c in components if ledger.get(detector, unit.terminal, c)), latest)
        same = [i for i, each in enumerate(asked.units) if each.kind == unit.kind]
        usual = float(np.mean(chance[same]))
        factors = self._model.factors(known, row)
        first = _factor(factors[0]) if factors else "age"
        values: dict[str, Any] = {
            "horizon_days": self._model.horizon / DAY_NS, "chance_share": plain(chance[row]), "times": plain(chance[row] / usual) if usual else 1.0,
            "factor": first,
        }  # fmt: skip
        told = tuple((_factor(each), _strongest(each), round(each.contribution, 3)) for each in factors)
        reason = "failure.learnt" if self._learnt else "failure.rule"
        return Foretold(
            detector, FAILURE, unit.terminal, component, "", None, 0.0, reason, values, told, (), round(float(chance[row]), 4),
        )  # fmt: skip

    def _forget(self, now: int) -> None:
        for terminal, events in list(self._events.items()):
            last = {(kind_of(each.component), each.event): i for i, each in enumerate(events)}
            keep = set(last.values())
            left = [each for i, each in enumerate(events) if each.at > now - KEPT_NS or i in keep]
            if len(left) < len(events):
                self._events[terminal] = left

    def state(self) -> dict[str, Any]:
        events = [list(astuple(each)) for own in self._events.values() for each in own]
        state: dict[str, Any] = {"events": events, "saved": self.saved, "forgotten": self.forgotten}
        if self._drift is not None:
            state["drift"] = {"edges": self._drift.edges, "now": self._drift.now, "days": self._drift_days}
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        for at, terminal, component, event in state["events"]:
            self._events.setdefault(terminal, []).append(Event(int(at), terminal, component, event))
        self.saved, self.forgotten = float(state["saved"]), int(state["forgotten"])
        kept = state.get("drift")
        if kept is not None and self._drift is not None and np.array_equal(kept["edges"], self._drift.edges):
            self._drift.now, self._drift_days = np.array(kept["now"], np.int64), int(kept["days"])  # of this very model


def _factor(factor: Factor) -> str:
    """As words.toml names it."""
    return factor.subject.replace(" ", "-")


def _strongest(factor: Factor) -> float | str:
    """The value that says most of a subject: of a word the word, else of the first column that is not usual."""
    value = next(iter(factor.values.values()), 0.0)
    return value if isinstance(value, str) else plain(value)


def units_of(parts: Iterator[tuple[str, str, Unit]]) -> tuple[list[Unit], list[list[str]]]:
    """(terminal, component, unit) of all components to one entry a unit, in their order."""
    found: dict[tuple[str, str], tuple[Unit, list[str]]] = {}
    for terminal, component, unit in parts:
        found.setdefault((terminal, unit.kind), (unit, []))[1].append(component)
    return [unit for unit, _ in found.values()], [components for _, components in found.values()]
