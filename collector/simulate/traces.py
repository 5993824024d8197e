"""How one signal of one terminal runs over the year: its level with day, week, summer and noise, and what faults that are coming add to it. It is asked for the
hours in order, some of them late; what was added or renewed holds from its own time on. Each has random numbers of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import cos, exp, pi
from random import Random

from tillwatch.agent.model import Value
from tillwatch.collector.simulate.fleet import WEEK_H
from tillwatch.collector.simulate.precursors import Rise, Sign
from tillwatch.collector.simulate.times import DAY, HOUR

_NOISES = 8192
_draws = Random("noise of all gauges")
_NOISE = [_draws.gauss(0.0, 1.0) for _ in range(_NOISES)]
"""Of all gauges, each from a place of its own: drawing it anew for some ten million readings would be most of the work."""
SUMMER = 200
"""Day of the year that is hottest."""
SLOW = 0.6
"""Of the noise, what stays for a day."""
REFILL_H = 2
"""UTC: 10 h by the clocks of the bank."""
SURE = 30.0
"""Above this many events a Poisson number is drawn from its normal limit."""


def _hours_of_day(hour: int) -> float:
    """How much is drawn and paid in that hour, UTC; the bank's clocks are eight hours ahead."""
    local = (hour + 8) % 24
    return 1.0 if 9 <= local < 19 else 0.45 if 7 <= local < 22 else 0.05


_WEEKDAY = (1.0, 0.9, 0.9, 1.0, 1.3, 1.25, 0.8)
"""Monday to Sunday."""


def _weight(hour: int) -> float:
    """1 January 1970 was a Thursday."""
    return _hours_of_day(hour) * _WEEKDAY[((hour + 8) // 24 + 3) % 7]


_WEEK = [_weight(hour) for hour in range(WEEK_H)]
_SUM = [0.0, *accumulate(_WEEK)]
_WHOLE = _SUM[-1]


def busy(hour: int) -> float:
    """Business done from the epoch to that hour, in weeks."""
    weeks, rest = divmod(hour, WEEK_H)
    return weeks + _SUM[rest] / _WHOLE


@dataclass(slots=True)
class Ramp:
    """A rise from start until it is full; stop: when it was over, 0 while it is not."""

    rise: Rise
    by: float
    start: int
    full: int
    stop: int = 0

    def share(self, at: int) -> float:
        if at < self.start or (self.stop and at >= self.stop):
            return 0.0
        share: float = min(1.0, (at - self.start) / max(1, self.full - self.start)) ** self.rise.bend
        return share


@dataclass(slots=True)
class _Base:
    sign: Sign
    rng: Random
    ramps: list[Ramp] = field(default_factory=list)

    @property
    def every(self) -> int:
        return self.sign.every

    def rise(self, rise: Rise, start: int, full: int) -> Ramp:
        """From now on it moves so, in full at the time that is given."""
        ramp = Ramp(rise, rise.by, start, full)
        self.ramps.append(ramp)
        return ramp

    def _forget(self, at: int) -> None:
        """Those that were over long ago."""
        if self.ramps and any(ramp.stop and ramp.stop < at - 30 * DAY for ramp in self.ramps):
            self.ramps = [ramp for ramp in self.ramps if not ramp.stop or ramp.stop >= at - 30 * DAY]

    def renew(self, at: int) -> None:
        """The part was replaced, the supply filled. A gauge goes back when its ramp is over."""

    def restart(self, at: int) -> None:
        """The agent began anew. What the part counts itself goes on."""


@dataclass(slots=True)
class GaugeTrace(_Base):
    """week: its usual values by hour of the week, twice over."""

    week: list[float] = field(default_factory=list)
    own: int = 0

    @classmethod
    def make(cls, sign: Sign, rng: Random, week: list[float] | None) -> GaugeTrace:
        at = sign.at + rng.uniform(-1.0, 1.0) * sign.spread
        return cls(sign, rng, week=week or [at] * (2 * WEEK_H), own=rng.randrange(_NOISES))

    def rise(self, rise: Rise, start: int, full: int) -> Ramp:
        ramp = Ramp(rise, rise.by or rise.to - max(self.week), start, full)
        self.ramps.append(ramp)
        return ramp

    def read(self, hours: Sequence[int]) -> list[Value]:
        if not hours:
            return []
        self._forget(hours[0] * HOUR)
        return [self._value(hour) for hour in hours] if self.ramps else self._plain(hours)

    def at(self, at: int) -> Value:
        return self._value(at // HOUR, at)

    def _day(self, day: int) -> float:
        """What this day adds."""
        sign = self.sign
        level = SLOW * sign.noise * _NOISE[(self.own + day * 31) % _NOISES]
        return level + sign.season * cos(2 * pi * (day % 365 - SUMMER + 17) / 365) if sign.season else level

    def _plain(self, hours: Sequence[int]) -> list[Value]:
        """While nothing is coming: the same as _value for each, in less time."""
        found: list[Value] = []
        sign, day, level = self.sign, -1, 0.0
        own, noise, week, digits = self.own, sign.noise, self.week, sign.digits or None
        for hour in hours:
            if hour // 24 != day:
                day = hour // 24
                level = self._day(day)
            value = week[hour % WEEK_H] + level + noise * _NOISE[(own + hour) % _NOISES]
            found.append(round(min(max(value, sign.floor), sign.ceiling), digits))
        return found

    def _value(self, hour: int, at: int = 0) -> Value:
        sign, noise = self.sign, _NOISE[(self.own + hour) % _NOISES]
        value = self.week[hour % WEEK_H] + self._day(hour // 24) + sign.noise * noise
        for ramp in self.ramps:
            if share := ramp.share(at or hour * HOUR):
                value += ramp.by * share * (1.0 + ramp.rise.wobble * noise)
        return round(min(max(value, sign.floor), sign.ceiling), sign.digits or None)


@dataclass(slots=True)
class CounterTrace(_Base):
    """per_week: events of a usual week."""

    per_week: float = 0.0
    count: int = 0
    hour: int = 0
    restarts: list[int] = field(default_factory=list)

    @classmethod
    def make(cls, sign: Sign, rng: Random, start: int) -> CounterTrace:
        per_week = 7 * max(sign.at + rng.uniform(-1.0, 1.0) * sign.spread, sign.at * 0.2)
        # What it counted before the year, of a part that is up to three years old.
        before = 0 if sign.volatile or sign.at < 1 else round(per_week * rng.uniform(10, 150))
        return cls(sign, rng, per_week=per_week, count=before, hour=start // HOUR)

    def read(self, hours: Sequence[int]) -> list[Value]:
        if hours:
            self._forget(hours[0] * HOUR)
        found: list[Value] = []
        for hour in hours:
            since = self.hour
            while self.restarts and self.restarts[0] <= hour * HOUR:
                since, self.count = max(since, self.restarts.pop(0) // HOUR), 0
            mean = self.per_week * (busy(hour) - busy(since))
            for ramp in self.ramps:
                mean *= 1.0 + (ramp.rise.times - 1.0) * ramp.share(hour * HOUR)
            self.count += _poisson(self.rng, mean)
            if self.count > self.sign.ceiling:
                self.count = int(self.sign.ceiling)
            self.hour = hour
            found.append(self.count)
        return found

    def at(self, _: int) -> Value:
        return self.count

    def renew(self, at: int) -> None:
        self.restarts.append(at)

    def restart(self, at: int) -> None:
        if self.sign.volatile:
            self.restarts.append(at)


@dataclass(slots=True)
class _Cycle:
    """From a filling to the next: full at start, last at end, and on at that pace if nobody comes."""

    start: int
    first: float
    end: int
    last: float
    fatal: bool


@dataclass(slots=True)
class SupplyTrace(_Base):
    """ends: when it is to run low, UTC ns, those to come, in order; filled: when it was."""

    ends: list[int] = field(default_factory=list)
    filled: list[int] = field(default_factory=list)
    cycles: list[_Cycle] = field(default_factory=list)

    @classmethod
    def make(cls, sign: Sign, rng: Random, start: int, ends: Sequence[int]) -> SupplyTrace:
        made = cls(sign, rng, ends=list(ends))
        # It was filled some time before.
        made._begin(start - round(rng.random() * sign.days * 0.5 * DAY))
        return made

    def _begin(self, at: int) -> None:
        """Filled now: until the usual day of filling, or until it runs out, if that day is missed."""
        sign = self.sign
        self.filled.append(at)
        while self.ends and self.ends[0] <= at + HOUR:
            self.ends.pop(0)  # what was filled within the hour shows nothing of it
        usual = at + round(sign.days * DAY * self.rng.uniform(0.95, 1.05))
        usual = usual // DAY * DAY + REFILL_H * HOUR + round(self.rng.random() * 4 * HOUR)
        left = self.rng.uniform(*sign.spare)
        if self.ends and self.ends[0] <= at + round(sign.days * DAY * 1.9):
            self.cycles.append(_Cycle(at, sign.at, self.ends[0], sign.low, fatal=True))
        else:
            self.cycles.append(
                _Cycle(at, sign.at, max(usual, at + DAY), sign.low + left * (sign.at - sign.low), fatal=False)
            )

    def runs_out(self, at: int) -> int:
        """When it was filled whose end that is; 0 where it is not the end of any."""
        return next((cycle.start for cycle in self.cycles if cycle.fatal and cycle.end == at), 0)

    def read(self, hours: Sequence[int]) -> list[Value]:
        return [self.at(hour * HOUR) for hour in hours]

    def at(self, at: int) -> Value:
        while not self.cycles[-1].fatal and self.cycles[-1].end <= at:
            self._begin(self.cycles[-1].end)
        while len(self.cycles) > 2 and self.cycles[1].start <= at - 3 * DAY:
            self.cycles.pop(0)
        cycle = next((each for each in reversed(self.cycles) if each.start <= at), self.cycles[0])
        whole = busy(cycle.end // HOUR) - busy(cycle.start // HOUR)
        done = (busy(at // HOUR) - busy(cycle.start // HOUR)) / whole if whole > 0 else 1.0
        value = cycle.first + (cycle.last - cycle.first) * done
        beyond = self.sign.low * 1.1 if self.sign.low > self.sign.at else float("inf")
        return round(min(max(value, 0.0), beyond), self.sign.digits or None)

    def renew(self, at: int) -> None:
        self._begin(at)


@dataclass(slots=True)
class AgeingTrace(_Base):
    """lives: (since, value then, change a day) of the parts that were there, oldest first."""

    lives: list[tuple[int, float, float]] = field(default_factory=list)
    own: int = 0

    @classmethod
    def make(cls, sign: Sign, rng: Random, start: int) -> AgeingTrace:
        life = start, sign.at + rng.uniform(-1.0, 1.0) * sign.spread, rng.uniform(*sign.rate)
        return cls(sign, rng, lives=[life], own=rng.randrange(_NOISES))

    def until(self, at: int, lasts: int, value: float) -> None:
        """The part that is there now comes to its end then, from lasts before on faster than others."""
        start, first, _ = self.lives[0]
        begin = max(start, at - lasts)
        if begin == start:
            # It was well on its way when the year began.
            first += (value - first) * (1.0 - (at - start) / lasts)
            self.lives = [(start, first, (value - first) / max(1.0, (at - start) / DAY))]
        else:
            was = self._value(begin)
            self.lives.append((begin, was, (value - was) / (lasts / DAY)))

    def _value(self, at: int) -> float:
        since, first, rate = next((life for life in reversed(self.lives) if life[0] <= at), self.lives[0])
        return first + rate * (at - since) / DAY

    def read(self, hours: Sequence[int]) -> list[Value]:
        return [self.at(hour * HOUR) for hour in hours]

    def at(self, at: int) -> Value:
        value = self._value(at) + self.sign.noise * _NOISE[(self.own + at // HOUR) % _NOISES]
        return round(max(value, self.sign.floor), self.sign.digits or None)

    def renew(self, at: int) -> None:
        # A new one: nothing worn off, or all that it ever had.
        new = self.sign.at + self.sign.spread if self.sign.rate[0] < 0 else 0.0
        self.lives = [life for life in self.lives if life[0] < at]
        self.lives.append((at, new, self.rng.uniform(*self.sign.rate)))


def _poisson(rng: Random, mean: float) -> int:
    if mean > SURE:
        return max(0, round(rng.gauss(mean, mean**0.5)))
    limit, found, product = exp(-mean), 0, rng.random()
    while product > limit:
        found += 1
        product *= rng.random()
    return found
