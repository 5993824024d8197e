"""The streaming detector of a whole fleet: five parts a series, one numpy operation a tick over all series that have a new value.

A series is first listened to (`learning` values), then has a scale and is judged: LEVEL by a robust EWMA z, DRIFT by a two-sided CUSUM of what is left
after the usual, SEASONAL against its weekday and hour, NOVELTY by bitmaps of the values, of the residuals to a slow level and of the roughness
that it has had. Each part learns its own tail, so that a rate of false alarms can be stated. A series whose scale has left what it was learnt for
by SCALE_OFF learns anew: no lie of a device, however wild or constant, holds for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from tillwatch.collector.detect.streaming import bitmap, tail
from tillwatch.collector.detect.streaming.baseline import NORMAL, Baseline
from tillwatch.collector.detect.streaming.settings import DEFAULT, StreamSettings
from tillwatch.collector.detect.streaming.surprise import Band, Part, Surprise

F32 = np.float32
CHUNK: Final = 8192
"""Rows at a time: what is computed on the way stays in the processor's cache."""
FIRST_CAPACITY: Final = 64
FARTHEST: Final = F32(1e15)
"""A value beyond is taken for this one: no sensor means it, and its square still has room."""
SPAN_STEP: Final = F32(0.002)
SPAN_MOST: Final = F32(1e3)
SPAN_RANGE: Final = (F32(1 / 256), F32(500))
"""Mean distance from the centre, over some 500 values, in what was the scale at the end of learning. Outside of this the bins are too coarse
or too fine for what the series does now. A single value counts as SPAN_MOST at most."""
SCALE_RELATIVE, SCALE_LEAST = F32(1e-3), F32(1e-9)
"""The least scale of a series: a thousandth of its median, and never 0. A sensor that stands still would else make its last digit news."""
SLOW_CLIP: Final = F32(50)
CUSUM_MOST: Final = F32(1e4)
REST_LEAST: Final = F32(1e-3)
BAND: Final = F32(3)
DAY_NS: Final = 86_400 * 10**9
INTERVAL_START: Final = F32(300)
INTERVAL_STEP: Final = F32(0.05)
INTERVAL_RANGE: Final = (F32(1), F32(86_400))
"""Seconds between values, for the false alarms a day: of a burst no fraction of a second, of a gap no more than a day."""
PARTS: Final = 4
NATS_MOST: Final = F32(40)
"""A probability below e^-40 says no more than one of it."""
HIGH_START: Final = np.array([[1.2], [4], [3], [1.2]], F32)
EXCESS_START: Final = np.array([[0.2], [1], [5], [0.2]], F32)
"""Of level, drift, novelty and season: about those of normal noise; they are followed from there."""
LEVEL, SCALE, SLOW, ROUGH, LAST, UP, DOWN, MEMORY, INTERVAL, SPAN, REST, ALARMED = range(12)
CENTRE, WIDTH, RATE, SIZE = (slice(12 + 3 * i, 15 + 3 * i) for i in range(4))
HIGH, EXCESS, SINCE = slice(24, 28), slice(28, 32), slice(32, 36)
COLUMNS: Final = 36


class FleetStreams:
    """Rows of arrays that grow by doubling; the row of a forgotten series is used again."""

    def __init__(self, settings: StreamSettings = DEFAULT) -> None:
        self._settings = settings
        self._size = 0
        self._free: list[int] = []
        self._allocate(FIRST_CAPACITY)
        self._bins = np.array(settings.novelty_bins, F32)[:, None]
        self._fade = F32(np.exp(-1 / settings.refractory))

    def _allocate(self, capacity: int) -> None:
        self._numbers = np.zeros((COLUMNS, capacity), F32)
        self._count = np.zeros(capacity, np.uint32)
        self._at = np.zeros(capacity, np.int64)
        self._pending = np.full((bitmap.FEATURES, capacity), -1, np.int16)
        self._words = np.zeros((capacity, bitmap.ROW), np.uint64)
        self._filled = np.zeros(capacity, np.uint64)
        self._baseline = Baseline(capacity)

    def _arrays(self) -> dict[str, tuple[NDArray[Any], int]]:
        """Every array of the state, and the axis that its rows lie along."""
        return {
            "numbers": (self._numbers, 1),
            "count": (self._count, 0),
            "at": (self._at, 0),
            "pending": (self._pending, 1),
            "words": (self._words, 0),
            "filled": (self._filled, 0),
            "hour_centre": (self._baseline.centre, 1),
            "hour_spread": (self._baseline.spread, 1),
            "hour_seen": (self._baseline.seen, 1),
        }

    @property
    def nbytes_per_series(self) -> int:
        """Bytes of state that a row takes."""
        return sum(array.nbytes for array, _ in self._arrays().values()) // self._count.size

    def __len__(self) -> int:
        """Series that are followed."""
        return self._size - len(self._free)

    def add(self, n: int = 1) -> NDArray[np.intp]:
        """Rows of n new series."""
        again = [self._free.pop() for _ in range(min(n, len(self._free)))]
        fresh = range(self._size, self._size + n - len(again))
        self._size += len(fresh)
        if self._size > self._count.size:
            self._grow(self._size)
        return np.array([*again, *fresh], np.intp)

    def _grow(self, least: int) -> None:
        capacity = self._count.size
        while capacity < least:
            capacity *= 2
        held = self._arrays()
        self._allocate(capacity)
        self._fill({name: array for name, (array, _) in held.items()})

    def _fill(self, held: Mapping[str, NDArray[Any]]) -> None:
        for name, (array, axis) in self._arrays().items():
            given = held[name]
            array[(slice(None),) * axis + (slice(given.shape[axis]),)] = given

    def forget(self, rows: NDArray[np.intp]) -> None:
        """These series are no more. Their rows are cleared and used again; ValueError where one is not in use."""
        in_use = set(range(self._size)) - set(self._free)
        if len(set(rows.tolist()) & in_use) != rows.size:
            raise ValueError("rows to forget: one of them is not in use")
        blank = FleetStreams(self._settings)
        for name, (array, axis) in self._arrays().items():
            clean = blank._arrays()[name][0]
            array[(slice(None),) * axis + (rows,)] = clean[(slice(None),) * axis + (slice(0, 1),)]
        self._free += rows.tolist()

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of all that further output depends on; `restore` takes them."""
        held = {name: np.take(array, np.arange(self._size), axis) for name, (array, axis) in self._arrays().items()}
        return held | {"free": np.array(self._free, np.int64)}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], settings: StreamSettings = DEFAULT) -> Self:
        """Goes on exactly where `state` was taken. ValueError where an array is missing or has another shape or kind."""
        streams = cls(settings)
        wanted = streams._arrays()
        if set(state) != {*wanted, "free"}:
            raise ValueError(f"state of streams: it has {sorted(state)}, not {sorted([*wanted, 'free'])}")
        size = state["count"].shape[0]
        for name, (array, axis) in wanted.items():
            shape = (*array.shape[:axis], size, *array.shape[axis + 1 :])
            if state[name].shape != shape or state[name].dtype != array.dtype:
                raise ValueError(
                    f"state of streams: {name} is {state[name].dtype}{state[name].shape}, not {array.dtype}{shape}"
                )
        streams._size = size
        streams._grow(max(size, FIRST_CAPACITY))
        streams._fill({name: state[name] for name in wanted})
        streams._free = state["free"].tolist()
        return streams

    def step(
        self,
        at: int | NDArray[np.int64],
        rows: NDArray[np.intp],
        values: NDArray[np.float32],
        weekday_hour: NDArray[np.uint8] | None = None,
    ) -> Surprise:
        """One value for each of these rows, which occur once each. at: UTC ns, of all or of each. weekday_hour: local hour of the week, 0 is Monday
        0 to 1 o'clock, 167 the last of Sunday; None where there is no calendar: no baseline then. A value that is no finite number is skipped.
        """
        count = len(rows)
        found = Surprise(
            np.zeros(count, F32),
            np.full(count, np.nan, F32),
            np.zeros(count, np.bool_),
            np.zeros(count, np.uint8),
            Band(np.full(count, np.nan, F32), np.full(count, np.nan, F32)),
        )
        times = np.broadcast_to(np.asarray(at, np.int64), (count,))
        for start in range(0, count, CHUNK):
            part = slice(start, min(start + CHUNK, count))
            given = values[part]
            usable = np.flatnonzero(np.isfinite(given))
            chosen = part if usable.size == given.size else usable + start
            held = np.clip(values[chosen], -FARTHEST, FARTHEST).astype(F32)
            self._take(
                found, chosen, times[chosen], rows[chosen], held, None if weekday_hour is None else weekday_hour[chosen]
            )
        return found

    def _take(
        self,
        found: Surprise,
        chosen: slice | NDArray[np.intp],
        at: NDArray[np.int64],
        rows: NDArray[np.intp],
        values: NDArray[np.float32],
        hour: NDArray[np.uint8] | None,
    ) -> None:
        count = self._count[rows]
        self._count[rows] = count + (count < np.iinfo(np.uint32).max)
        ready = count >= self._settings.learning
        if not ready.all():
            learning = np.flatnonzero(~ready)
            self._listen(rows[learning], count[learning], values[learning], at[learning])
            place = np.arange(chosen.start, chosen.stop) if isinstance(chosen, slice) else chosen
            chosen = place[ready]
            at, rows, values, count = at[ready], rows[ready], values[ready], count[ready]
            hour = None if hour is None else hour[ready]
        if rows.size:
            self._judge(found, chosen, at, rows, values, count, hour)

    def _listen(
        self, rows: NDArray[np.intp], count: NDArray[np.uint32], values: NDArray[np.float32], at: NDArray[np.int64]
    ) -> None:
        """A value waits in the room of the bitmaps; with the last one the row gets its scale."""
        self._words.view(F32)[rows, count] = values
        self._at[rows] = at
        done = rows[count == self._settings.learning - 1]
        if done.size:
            self._learn(done)

    def _learn(self, rows: NDArray[np.intp]) -> None:
        """The values listened to become location, scale and bins; they are then all visited."""
        setting = self._settings
        many = setting.learning
        raw = self._words.view(F32)[rows, :many]
        raw = np.ascontiguousarray(raw.T)
        centre, scale = _location_and_scale(raw)
        least = SCALE_RELATIVE * np.abs(centre) + SCALE_LEAST
        scale = np.maximum(scale, least)
        reach = SLOW_CLIP * np.maximum(_width(raw, centre), least)
        raw = np.clip(raw, centre - reach, centre + reach)
        features = np.empty((bitmap.FEATURES, many, rows.size), F32)
        slow, rough, last = raw[0].copy(), np.zeros_like(raw[0]), raw[0].copy()
        for i, value in enumerate(raw):
            features[:, i] = self._features(value, slow, rough, last)
            slow, rough, last = slow + F32(setting.slow) * (value - slow), features[2, i], value
        numbers = np.zeros((COLUMNS, rows.size), F32)
        numbers[LEVEL], numbers[SCALE], numbers[SLOW], numbers[ROUGH], numbers[LAST] = centre, scale, slow, rough, last
        numbers[INTERVAL], numbers[SPAN], numbers[REST] = INTERVAL_START, 1, 1
        centres, widths = np.median(features, axis=1).astype(F32), np.empty((bitmap.FEATURES, rows.size), F32)
        for feature in range(bitmap.FEATURES):
            widths[feature] = np.maximum(_width(features[feature], centres[feature]), least)
        numbers[CENTRE], numbers[WIDTH] = centres, widths
        numbers[RATE], numbers[SIZE] = tail.RATE_START, tail.SIZE_START
        numbers[HIGH], numbers[EXCESS] = HIGH_START, EXCESS_START
        self._numbers[:, rows] = numbers
        self._words[rows] = 0
        self._filled[rows] = 0
        self._baseline.clear(rows)
        for i in range(many):
            bins = self._bin(features[:, i], centres, widths)
            for feature in range(bitmap.FEATURES):
                bitmap.mark(
                    self._words.reshape(-1),
                    self._filled,
                    rows,
                    np.full(rows.size, feature),
                    bins[feature],
                )
        self._pending[:, rows] = -1

    def _features(
        self,
        value: NDArray[np.float32],
        slow: NDArray[np.float32],
        rough: NDArray[np.float32],
        last: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """The value, its residual to the slow level, and the roughness with it."""
        return np.stack([value, value - slow, rough + F32(self._settings.rough) * (np.abs(value - last) - rough)])

    def _bin(
        self, feature: NDArray[np.float32], centre: NDArray[np.float32], width: NDArray[np.float32]
    ) -> NDArray[np.int16]:
        along = np.arcsinh((feature - centre) / width) * self._bins
        found: NDArray[np.int16] = np.clip(np.floor(along) + bitmap.BINS // 2, 0, bitmap.BINS - 1).astype(np.int16)
        return found

    def _judge(
        self,
        found: Surprise,
        chosen: slice | NDArray[np.intp],
        at: NDArray[np.int64],
        rows: NDArray[np.intp],
        values: NDArray[np.float32],
        count: NDArray[np.uint32],
        hour: NDArray[np.uint8] | None,
    ) -> None:
        """Everything is told by what was known before the value; only then the row learns from it. Fills `found` at `chosen`."""
        setting = self._settings
        x = np.take(self._numbers, rows, axis=1)
        scale = x[SCALE].copy()
        sizes = np.empty((PARTS, rows.size), F32)

        away = values - x[LEVEL]
        sizes[Part.LEVEL - 1] = np.log1p(np.abs(away) / scale)
        centre0, width0 = x[CENTRE][0], x[WIDTH][0]
        own = (x[SLOW] - centre0) / width0
        z = (values - centre0) / width0
        if hour is None:
            usual, spread = own, x[REST].copy()
            sizes[Part.SEASONAL - 1] = 0
        else:
            usual, spread = self._baseline.usual(rows, hour, own, x[REST])
            sizes[Part.SEASONAL - 1] = np.log1p(np.abs(z - usual) / spread)
            self._baseline.learn(rows, hour, z)
        rest = z - usual
        limit = F32(setting.clip) * x[REST]
        held = np.clip(rest, -limit, limit)
        pull = held / x[REST]
        x[UP] = np.clip(x[UP] + pull - F32(setting.cusum_slack), 0, CUSUM_MOST)
        x[DOWN] = np.clip(x[DOWN] - pull - F32(setting.cusum_slack), 0, CUSUM_MOST)
        x[REST] = np.maximum(x[REST] + F32(setting.slow) * (NORMAL * np.abs(held) - x[REST]), REST_LEAST)
        sizes[Part.DRIFT - 1] = np.maximum(x[UP], x[DOWN])
        sizes[Part.NOVELTY - 1] = self._novelty(x, rows, values)

        nats = tail.exceedance(
            sizes,
            x[HIGH],
            x[EXCESS],
            x[SINCE],
            count.astype(F32),
            setting.quantile,
            setting.quantile_step,
            setting.excess_step,
        )
        limit = F32(setting.clip) * scale
        held = np.clip(away, -limit, limit)
        x[LEVEL] += F32(setting.fast) * held
        least = SCALE_RELATIVE * np.abs(x[LEVEL]) + SCALE_LEAST
        x[SCALE] = np.maximum(scale + F32(setting.fast) * (NORMAL * np.abs(held) - scale), least)
        gap = np.clip((at - self._at[rows]).astype(F32) * F32(1e-9), *INTERVAL_RANGE)
        x[INTERVAL] += INTERVAL_STEP * (gap - x[INTERVAL])
        self._at[rows] = at

        total = np.clip(nats.max(axis=0) - F32(np.log(PARTS)), 0, NATS_MOST)
        allowed = -np.log(F32(setting.false_alarms_per_day / 86_400) * x[INTERVAL])
        x[ALARMED] *= self._fade
        fired = (total > allowed) & (total > x[ALARMED])
        x[ALARMED] = np.where(fired, total, x[ALARMED])
        x[UP : DOWN + 1] *= ~fired
        x[MEMORY] *= self._fade
        new = sizes[Part.NOVELTY - 1] > x[MEMORY]
        score = np.where(new, sizes[Part.NOVELTY - 1], F32(0))
        x[MEMORY] = np.maximum(x[MEMORY], score)
        x[SPAN] += SPAN_STEP * (np.minimum(np.abs(z), SPAN_MOST) - x[SPAN])
        self._numbers[:, rows] = x

        found.score[chosen] = score
        found.p[chosen] = np.exp(-total)
        found.fired[chosen] = fired
        found.kind[chosen] = nats.argmax(axis=0) + 1
        middle = centre0 + usual * width0
        wide = BAND * spread * width0
        found.expected.low[chosen] = middle - wide
        found.expected.high[chosen] = middle + wide
        off = np.flatnonzero((x[SPAN] < SPAN_RANGE[0]) | (x[SPAN] > SPAN_RANGE[1]))
        if off.size:
            self._count[rows[off]] = 0

    def _novelty(
        self, x: NDArray[np.float32], rows: NDArray[np.intp], values: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Nats by which the three features together are unlike all that was seen; the bitmaps, slow level and roughness go on."""
        setting = self._settings
        words = self._words.reshape(-1)
        pending = np.take(self._pending, rows, axis=1)
        feature, which = np.nonzero(pending >= 0)
        if which.size:
            bitmap.mark(words, self._filled, rows[which], feature, pending[feature, which])
        features = self._features(values, x[SLOW], x[ROUGH], x[LAST])
        limit = SLOW_CLIP * x[SCALE]
        x[SLOW] += F32(setting.slow) * np.clip(features[1], -limit, limit)
        x[ROUGH], x[LAST] = features[2], values
        bins = self._bin(features, x[CENTRE], x[WIDTH])
        places = rows * bitmap.ROW + (bins >> 6) + np.arange(bitmap.FEATURES)[:, None] * bitmap.WORDS
        feature, which = np.nonzero((words[places] & bitmap.bit(bins)) == 0)
        distance = np.zeros(bins.shape, F32)
        waiting = np.full(bins.shape, -1, np.int16)
        if which.size:
            new = bins[feature, which]
            waiting[feature, which] = new
            steps = bitmap.nearest(words, self._filled, rows[which], feature, new)
            distance[feature, which] = steps / self._bins[feature, 0]
        self._pending[:, rows] = waiting
        nats = tail.unseen(distance, x[RATE], x[SIZE], setting.rate_step, setting.size_step)
        together: NDArray[np.float32] = nats.sum(axis=0)
        return together


def _width(values: NDArray[np.float32], centre: NDArray[np.float32]) -> NDArray[np.float32]:
    """Root mean square of values[time, row] about the centre, of which those beyond 16 mean deviations count as 16: one lie is no scale."""
    away = np.abs(values - centre)
    typical = np.median(away, axis=0)
    held = np.where(typical > 0, np.minimum(away, 16 * typical), away)
    width: NDArray[np.float32] = np.sqrt(np.mean(np.square(held, dtype=np.float64), axis=0)).astype(F32)
    return width


def _location_and_scale(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Median and 1.4826 times the median absolute deviation of values[time, row]."""
    centre: NDArray[np.float32] = np.median(values, axis=0).astype(F32)
    scale: NDArray[np.float32] = (F32(1.4826) * np.median(np.abs(values - centre), axis=0)).astype(F32)
    return centre, scale
