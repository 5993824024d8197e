"""How much of its rated life a part has used, for the page of its terminal: from what it says now, what it said on the last days, and since when it is watched. The
predictions reckon day by day and know more (lifetimes.py); where they have a finding its dates are taken. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tillwatch.agent.model import Value
from tillwatch.collector.detect import parts, wear
from tillwatch.collector.detect.days_left import DaysLeft
from tillwatch.collector.detect.wear import DAY_NS, WearState
from tillwatch.collector.predict.finding import Finding
from tillwatch.collector.predict.lives import IN_DAYS, RatedLife

DAYS = wear.RECENT + 1
"""Days whose last word is asked for: what was used a day stands between two of them."""
HOURS = 24.0


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of one part. value: its latest word; days: the last one of each of the last DAYS days, None where there was none; first: the first one that is kept, at
    `since` (UTC ns, 0 for never); replaced: the day on which it says that it was; renewed: UTC ns of the last verdict that it was changed, 0 for none;
    celsius: how warm it was of late, None where nothing tells it.
    """

    component: str
    signal: str
    value: Value
    since: int
    first: Value = None
    days: Sequence[Value] = ()
    replaced: str = ""
    renewed: int = 0
    celsius: float | None = None


@dataclass(frozen=True, slots=True)
class LifeUsed:
    """used, rated: in the table's unit; share: of the rated life, None where no figure is known; at_least: more may have been used; left: days, None where nothing can
    be said; since: UTC ns from which it was counted.
    """

    used: float
    rated: float
    share: float | None
    at_least: bool
    left: DaysLeft | None
    since: int


def life_used(life: RatedLife, part: Part, now: int, finding: Finding | None = None) -> LifeUsed | None:
    """now: UTC ns; finding: of the predictions on this life and part, while it is open. None where the part has told nothing that counts."""
    state = _state(life, part, now)
    if state is None:
        return None
    rating = life.rating
    if rating.source == "calendar":
        left = wear.calendar_left(rating, state)
    else:
        used = np.array([_a_day(life, part)], np.float32)
        left = wear.days_left(np.array([state.consumed]), rating, used).of(0) if rating.rated else None
    if finding is not None and finding.due is not None:
        near, likely, far = ((at - now) / DAY_NS for at in finding.due)
        left = DaysLeft(near, likely, far)
    found = wear.wear(rating, state, left)
    scale = 100.0 if rating.source == "device_percent" else 1.0
    if rating.source == "calendar":
        scale = 1.0 / IN_DAYS.get(life.unit, 1.0)
    known = found.days_left if found.days_left is not None and math.isfinite(found.days_left.median) else None
    return LifeUsed(state.consumed * scale, rating.rated * scale, found.used_share, found.at_least, known, state.since)


def _state(life: RatedLife, part: Part, now: int) -> WearState | None:
    since = max(part.since, part.renewed)
    value = part.value if isinstance(part.value, int | float) and not isinstance(part.value, bool) else None
    match life.rating.source:
        case "device_percent":
            return WearState(now, now, max(life.share(float(value)), 0.0)) if value is not None else None
        case "calendar":
            return _calendar(life, part, value, since, now)
    if life.runs or (life.rating.source == "hours" and life.counts == "watched"):
        if not since:
            return None
        ran = [life.running(day) for day in part.days if isinstance(day, int | float | str)]
        share = sum(ran) / len(ran) if ran else 1.0
        hours = (now - since) / DAY_NS * HOURS * share * _factor(life, part)
        return WearState(now, since, hours, partly=not part.renewed)
    if value is None:
        return None
    if life.counts != "watched":
        return WearState(now, part.since or now, float(value))
    first = float(part.first) if isinstance(part.first, int | float) else float(value)
    return WearState(now, since or now, max(float(value) - first, 0.0), partly=not part.renewed)


def _calendar(life: RatedLife, part: Part, value: float | None, since: int, now: int) -> WearState | None:
    began = parts.step(parts.PartState(), parts.Dated(now, part.replaced))[0].began if part.replaced else 0
    if not began and part.signal.endswith(".age") and value is not None:
        began = now - int(value * DAY_NS)
    known = began or part.renewed
    begun = known or since
    if not begun:
        return None
    days = max(now - begun, 0) / DAY_NS * _factor(life, part)
    warmth = part.celsius * DAY_NS if part.celsius is not None and life.rating.stress is not None else 0.0
    return WearState(now, begun, days, warmth=warmth, timed=DAY_NS if warmth else 0, partly=not known)


def _factor(life: RatedLife, part: Part) -> float:
    stress = life.rating.stress
    return stress.factor(part.celsius) if stress is not None and part.celsius is not None else 1.0


def _a_day(life: RatedLife, part: Part) -> list[float]:
    """What was used on each of the last days, oldest first; nan where that is not known. A count that went back began anew."""
    told = [day if isinstance(day, int | float | str) and not isinstance(day, bool) else None for day in part.days]
    if life.runs or (life.rating.source == "hours" and life.counts == "watched"):
        factor = _factor(life, part)
        return [math.nan if day is None else HOURS * factor * life.running(day) for day in told[1:]]
    numbers = [float(day) if isinstance(day, int | float) else math.nan for day in told]
    if life.rating.source == "device_percent":
        numbers = [life.share(each) for each in numbers]
    return [now - before if now >= before else math.nan for before, now in pairwise(numbers)]
