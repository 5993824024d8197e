"""What is said while there are too few failures to learn from: the failures seen so far a unit and year, times how old the unit is, times how
much it has complained lately. A fixed rule, monotone in each, with nothing fitted but the base rate; its card says that it is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.learn.budget import NEVER, Threshold
from tillwatch.collector.learn.episodes import EPISODES, Telling, by_episodes
from tillwatch.collector.learn.hazard import Factor, failures
from tillwatch.collector.learn.panel import YEAR_DAYS, Features, Panel, Probabilities

PRIOR_FAILURES = 1.0
PRIOR_YEARS = 10.0
"""Before anything is seen: a failure in ten years of a unit, worth as much as ten years of watching."""
YEARS_TO_DOUBLE = 5.0
"""A unit of this age is twice as likely to fail as a new one: the depreciation period of bank hardware."""
MOST_BY_AGE = 4.0
EVENTS_TO_DOUBLE = 2.0
"""A single event in the window is common; each two double the base."""
MOST_BY_EVENTS = 10.0
WINDOW = "count 7 d"
"""The columns that are counted, of features.py with its usual windows."""
MOST = 0.95
"""No fixed rule is surer than this."""

RULE = (
    f"base rate x (1 + age / {YEARS_TO_DOUBLE:g} years, at most {MOST_BY_AGE:g}) x (1 + events of the last 7 days / {EVENTS_TO_DOUBLE:g}, "
    f"at most {MOST_BY_EVENTS:g})"
)


@dataclass(frozen=True, slots=True)
class Fallback:
    """rate: failures a unit and year, drawn to the prior; the horizon in years turns it into a chance. Same questions as Hazard."""

    rate: float
    years: float
    threshold: Threshold
    horizon: int
    learnt_from: Mapping[str, int | float] = field(default_factory=dict)

    def predict(self, features: Features) -> Probabilities:
        chance = -np.expm1(-self.rate * self.years * _by_age(features) * _by_events(features))
        return np.minimum(chance, MOST)

    def factors(self, features: Features, row: int, most: int = 5) -> list[Factor]:
        one = features.rows(np.array([row]))
        found = [
            Factor("age", float(np.log(_by_age(one)[0])), _said(one, "age")),
            Factor("events of the last 7 days", float(np.log(_by_events(one)[0])), _said(one, WINDOW)),
        ]
        return sorted((f for f in found if f.contribution > 0), key=lambda f: -f.contribution)[:most]

    def parts(self) -> dict[str, Any]:
        return {
            "rate": self.rate,
            "years": self.years,
            "threshold": asdict(self.threshold),
            "horizon": self.horizon,
            "learnt_from": dict(self.learnt_from),
        }

    @classmethod
    def from_parts(cls, parts: Mapping[str, Any]) -> Fallback:
        return cls(
            float(parts["rate"]),
            float(parts["years"]),
            Threshold(**parts["threshold"]),
            int(parts["horizon"]),
            dict(parts["learnt_from"]),
        )


def fallback(panel: Panel, budget: float, telling: Telling) -> Fallback:
    """Of any panel, also an empty one. budget: false episodes a unit and year. Where no failure was seen nothing says what a false alarm is: it ranks, and raises nothing."""
    watched = len(panel) * panel.years_a_row
    seen = failures(panel)
    rate = (seen + PRIOR_FAILURES) / (watched + PRIOR_YEARS)
    learnt_from = {
        "rows": len(panel),
        "rows used": len(panel),
        "units": len(np.unique(panel.unit)),
        "failures": seen,
        "failed rows": int(panel.failed.sum()),
        "from": int(panel.at.min()) if len(panel) else 0,
        "to": int(panel.at.max()) if len(panel) else 0,
    }
    years = panel.horizon / (panel.day * YEAR_DAYS)
    unset = Fallback(rate, years, Threshold(NEVER, 0.0, float("nan"), float("nan"), EPISODES), panel.horizon)
    threshold = unset.threshold
    if seen:
        threshold = by_episodes(unset.predict(panel.features), panel, telling, budget=budget)
    return Fallback(rate, years, threshold, panel.horizon, learnt_from)


def _by_age(features: Features) -> NDArray[np.float64]:
    if "age" not in features.names:
        return np.ones(len(features))
    days = np.nan_to_num(features.values[:, features.names.index("age")].astype(np.float64))
    return np.minimum(1 + np.maximum(days, 0) / (YEARS_TO_DOUBLE * YEAR_DAYS), MOST_BY_AGE)


def _by_events(features: Features) -> NDArray[np.float64]:
    columns = [index for index, name in enumerate(features.names) if name.endswith(WINDOW)]
    events = np.nan_to_num(features.values[:, columns].astype(np.float64)).sum(axis=1)
    return np.asarray(np.minimum(1 + events / EVENTS_TO_DOUBLE, MOST_BY_EVENTS))


def _said(one: Features, ending: str) -> dict[str, float | str]:
    return {
        name: float(value)
        for name, value in zip(one.names, one.values[0], strict=True)
        if name.endswith(ending) and value > 0
    }
