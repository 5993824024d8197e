"""How far a device as a whole is from its own learnt normal: MEWMA T2 (Lowry, Woodall, Champ, Rigdon 1992) over its signals, arrays over the fleet.

A device is learnt from its first `LEARN` undisturbed rows. Its covariance has two parts: the noise of the smoothed signals, with their correlation
shrunk to the diagonal, and how far each signal wandered between blocks of the learnt rows. A thermometer that wanders all day says little
by its level, a flow that never does says much. An episode begins beyond a threshold from the device's own tail, lasts until the
distance is back at a fraction of the episode's peak, and what the device settles at then is its new base: after a repair a device is
seldom what it was before.

Missing readings count for `MAX_AGE` rows as the last smoothed value, later the signal is left out of the distance (the marginal T2). A signal that
never moved while it was learnt has no scale and is left out. Nothing here reads a clock; a row is a tick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Flags = NDArray[np.bool_]

MAX_SIGNALS = 16
"""A device's covariance grows with the square; the fullest profile of a cash dispenser has a dozen gauges."""
BLOCK = 25
"""Rows that are noise around one level: some two memories of the usual smoothing."""
BLOCKS = 16
LEARN = BLOCK * BLOCKS
"""Rows until a device is known. Medians over 16 blocks bear 7 that are not normal."""
RECENT = BLOCKS // 2
"""The level is that of the later half: what the device was like when learning ended."""
LAGS = (1, 2, 4)
"""Blocks between levels whose difference says how far a signal wanders."""
MAX_AGE = 5
"""Rows for which a missing reading counts as the last smoothed value."""
JUMP = 200.0
"""Standard deviations: a value this far from the smoothed one is believed when the next one says the same. Readings of 0 or 65535 come alone."""
FARTHEST = 1e4
"""Standard deviations, beyond which distance says nothing more; keeps float32 finite."""
WILD = 1e100
"""Raw values beyond count as this one: their squares are still finite."""
RESOLUTION = 1e-9
"""Of the level: movement below this is rounding, the signal is constant."""
TRIM = 3
"""Order statistic of a block at either end between which its spread is taken: two wild values in 25 do not reach it."""
TRIM_WIDTH = 2.4
"""Between the third and the 23rd of 25 normal values lie 2.4 standard deviations."""
SETTLED = 0.02
"""After an episode the base is taken when the smoothing has forgotten all but this of it."""
SAFETY = 1.35
"""On the mean excess of the tail: one standard error of a mean over the 8 upper of 16 blocks."""
PATIENCE = 2 * LEARN
"""Rows of one episode after which the device is learnt anew: who must know has been told, and what lasts as long is its normal."""
DEAF = 1.25
"""A learning phase that held a change itself cannot raise the threshold beyond this many limits."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What may be chosen; the defaults stand in the middle of a plateau of a valve test bench (SKAB), whose scores hardly change around them.

    weight: of a new row in the smoothing. limit: the least threshold in T, the root of T2: a margin for wandering further than was learnt.
    false_alarms: a row, by the device's own tail; it raises the threshold where the learnt rows themselves were far. wander: how many
    times its variance from block to block a signal's base may have moved since. shrinkage: of the correlation to the diagonal.
    An episode lasts while T is above `ease` of the threshold and `hold` of its peak. follow: share of the way that the base
    follows a quiet device a row.
    """

    weight: float = 0.125
    limit: float = 7.0
    false_alarms: float = 1e-3
    wander: float = 4.0
    shrinkage: float = 0.1
    hold: float = 0.25
    ease: float = 0.75
    follow: float = 0.0005

    def __post_init__(self) -> None:
        parts = (self.weight, self.false_alarms, self.shrinkage, self.hold, self.ease)
        if not all(0 < part <= 1 for part in parts) or self.weight == 1 or not 0 <= self.follow < 1:
            raise ValueError(f"{self}: weight, false_alarms, shrinkage, hold, ease and follow are parts of one")
        if self.limit <= 0 or self.wander < 0:
            raise ValueError(f"{self}: limit is above 0 and wander not below")

    @property
    def settling(self) -> int:
        """Rows after an episode before the base is taken anew."""
        return math.ceil(math.log(SETTLED) / math.log(1 - self.weight))


@dataclass(frozen=True, slots=True)
class Distances:
    """Of the k rows given. known: learnt, and with a signal to go by. t2: squared distance, nan where unknown. p: how often a row of this device's
    learnt normal is as far, by its own tail (1 where unknown or settling). fired: in an episode. contributions: (k, signals), they add up
    to t2; a signal whose part is negative makes the others' more expected.
    """

    known: Flags
    t2: Singles
    p: Singles
    fired: Flags
    contributions: Singles


class DeviceDistances:
    """The state of `devices` devices with `signals` signals each. One caller, one thread; `step` changes the state in place."""

    def __init__(self, devices: int, signals: int, setting: Setting | None = None) -> None:
        if not 1 <= signals <= MAX_SIGNALS:
            raise ValueError(f"{signals} signals: a device is judged by 1 to {MAX_SIGNALS}")
        if devices < 0:
            raise ValueError(f"{devices} devices")
        self.setting = setting or Setting()
        self.signals = signals
        self.devices = devices
        self._arrays = _fresh(devices, signals)
        self._learning = _blocks(0, signals)

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of all arrays, the first axis the device, of those of `_blocks` the place that `slot` names. `restore` goes on from them bit by bit."""
        return {name: array.copy() for name, array in (self._arrays | self._learning).items()}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], setting: Setting | None = None) -> DeviceDistances:
        """From what `state` gave. Raises ValueError where arrays are missing or are not of one fleet."""
        if "centre" not in state or state["centre"].ndim != 2:
            raise ValueError("the state of device distances lacks a `centre` of (devices, signals)")
        devices, signals = state["centre"].shape
        found = cls(devices, signals, setting)
        found._take(found._arrays, state)
        found._learning = _blocks(int((found._arrays["slot"] >= 0).sum()), signals)
        found._take(found._learning, state)
        return found

    @staticmethod
    def _take(arrays: dict[str, NDArray[Any]], state: Mapping[str, NDArray[Any]]) -> None:
        for name, empty in arrays.items():
            given = state.get(name)
            if given is None or given.shape != empty.shape or given.dtype != empty.dtype:
                raise ValueError(f"the state of device distances: `{name}` is not {empty.dtype} of {empty.shape}")
            arrays[name] = given.copy()

    def grow(self, devices: int) -> None:
        """To `devices` devices; the new ones are unknown."""
        if devices < self.devices:
            raise ValueError(f"{devices} devices: there are {self.devices} already")
        new = _fresh(devices - self.devices, self.signals)
        self._arrays = {name: np.concatenate([array, new[name]]) for name, array in self._arrays.items()}
        self.devices = devices

    def forget(self, which: NDArray[np.intp]) -> None:
        """Learn these devices anew: another device, or one whose parts were changed."""
        self._known(which)
        new = _fresh(1, self.signals)
        for name, array in self._arrays.items():
            array[which] = new[name]

    def _begin(self, which: NDArray[np.intp]) -> NDArray[np.int32]:
        """Where the blocks of devices that learn are held; those that begin to get a place."""
        slots, have = self._arrays["slot"], len(self._learning["buffer"])
        new = which[slots[which] < 0]
        if new.size:
            slots[new] = have + np.arange(new.size)
            more = _blocks(new.size, self.signals)
            self._learning = {name: np.concatenate([array, more[name]]) for name, array in self._learning.items()}
        found: NDArray[np.int32] = slots[which]
        return found

    def _known(self, which: NDArray[np.intp]) -> None:
        """The blocks of these devices are held no longer: of what a device takes while it learns, a sixth is left."""
        slots = self._arrays["slot"]
        done = slots[which]
        kept = np.ones(len(self._learning["buffer"]), bool)
        kept[done[done >= 0]] = False
        slots[which] = -1
        held = np.flatnonzero(slots >= 0)
        slots[held] = (np.cumsum(kept) - 1)[slots[held]]
        self._learning = {name: array[kept] for name, array in self._learning.items()}

    def step(self, which: NDArray[np.intp], rows: NDArray[np.floating], undisturbed: Flags | None = None) -> Distances:
        """One tick. which: (k,) distinct devices; rows: (k, signals), nan where there is no reading; undisturbed: (k,) false where the row
        must not be learnt, because something else says that the device is ill or in service.
        """
        if rows.shape != (len(which), self.signals):
            raise ValueError(f"rows of {rows.shape} for {len(which)} devices with {self.signals} signals")
        if len(np.unique(which)) != len(which):
            raise ValueError("a device has one row a tick")
        values = np.where(np.isfinite(rows), rows, np.nan).astype(np.float64)
        values = np.clip(values, -WILD, WILD)
        clean = np.ones(len(which), bool) if undisturbed is None else undisturbed
        learnt = self._arrays["rows"][which] >= LEARN
        said = Distances(
            known=learnt.copy(),
            t2=np.full(len(which), np.nan, np.float32),
            p=np.ones(len(which), np.float32),
            fired=np.zeros(len(which), bool),
            contributions=np.zeros(rows.shape, np.float32),
        )
        if learnt.any():
            self._judge(which[learnt], values[learnt], clean[learnt], learnt, said)
        learning = ~learnt & clean & np.isfinite(values).any(axis=1)
        if learning.any():
            self._gather(which[learning], values[learning])
        return said

    def _gather(self, which: NDArray[np.intp], values: Floats) -> None:
        arrays, slots = self._arrays, self._begin(which)
        learning = self._learning
        at = arrays["rows"][which]
        learning["buffer"][slots, at % BLOCK] = values
        arrays["rows"][which] = at + 1
        full = (at + 1) % BLOCK == 0
        if not full.any():
            return
        ended, block = slots[full], at[full] // BLOCK
        rows, mean, variance = _block(learning["buffer"][ended])
        learning["block_mean"][ended, block] = mean
        learning["block_variance"][ended, block] = variance
        smoothed = np.where(np.isnan(learning["smoothed_raw"][ended]), mean, learning["smoothed_raw"][ended])
        for row in range(BLOCK):
            value = rows[:, row]
            step = np.where(np.isnan(value), 0.0, self.setting.weight * (value - smoothed))
            smoothed = np.where(np.isnan(smoothed), value, smoothed + step)
        learning["smoothed_raw"][ended] = smoothed
        learning["block_end"][ended, block] = smoothed
        deviation = np.where(np.isnan(rows), 0.0, rows - mean[:, None])
        size = np.sqrt(np.where(variance > 0, variance, np.inf))
        unit = np.where(np.isnan(size)[:, None], 0.0, deviation / size[:, None])
        learning["correlation"][ended] += (np.swapaxes(unit, 1, 2) @ unit / LEARN).astype(np.float32)
        done = which[full][arrays["rows"][which[full]] == LEARN]
        if done.size:
            self._conclude(done)

    def _conclude(self, which: NDArray[np.intp]) -> None:
        """The learning phase of these devices is over."""
        arrays, setting = self._arrays, self.setting
        slots, learning = arrays["slot"][which], self._learning
        means, ends = learning["block_mean"][slots], learning["block_end"][slots]
        centre = _median(means[:, -RECENT:])
        scale = _scale(means, learning["block_variance"][slots])
        usable = ~np.isnan(scale) & ~np.isnan(centre)
        scale, centre = np.where(usable, scale, 1.0), np.where(usable, centre, 0.0)
        levels = np.where(usable[:, None], (means - centre[:, None]) / scale[:, None], 0.0)
        both = usable[:, :, None] & usable[:, None, :]
        identity = np.eye(self.signals)
        correlation = learning["correlation"][slots].astype(np.float64)
        correlation = np.where(both, (1 - setting.shrinkage) * correlation, 0.0) * (1 - identity) + identity
        noise = setting.weight / (2 - setting.weight)
        covariance = noise * correlation + identity * (setting.wander * _wander(levels))[:, None]
        precision = np.linalg.inv(covariance)
        precision = np.where(both, precision, 0.0)
        away = np.where(usable[:, None] & ~np.isnan(ends), (ends - centre[:, None]) / scale[:, None], 0.0)
        away = np.clip(away, -FARTHEST, FARTHEST)
        distance = np.sqrt(np.maximum(((away @ precision) * away).sum(axis=2), 0.0))
        start = np.median(distance, axis=1)
        beyond = np.where(distance > start[:, None], distance - start[:, None], 0.0)
        excess = beyond.sum(axis=1) / np.maximum((beyond > 0).sum(axis=1), 1) * SAFETY
        arrays["centre"][which], arrays["scale"][which] = centre, np.where(usable, scale, np.nan)
        arrays["precision"][which] = precision
        arrays["smoothed"][which] = away[:, -1]
        arrays["base"][which] = 0.0
        arrays["tail_start"][which], arrays["tail_excess"][which] = start, np.maximum(excess, 1e-3)
        threshold = start + excess * math.log(0.5 / setting.false_alarms)
        arrays["threshold"][which] = np.clip(threshold, setting.limit, DEAF * setting.limit)
        self._known(which)
        # A device of which no signal moves cannot be known; the next rows may tell more.
        nothing = which[~usable.any(axis=1)]
        if nothing.size:
            self.forget(nothing)

    def _judge(self, which: NDArray[np.intp], values: Floats, clean: Flags, where: Flags, said: Distances) -> None:
        arrays, setting = self._arrays, self.setting
        smoothed = arrays["smoothed"][which]
        present = self._believe(which, values, smoothed)
        stale = arrays["age"][which] > MAX_AGE
        base = arrays["base"][which]
        away = np.where(stale, np.float32(0), smoothed - base)
        contributions = _contributions(arrays["precision"][which], away, stale & ~np.isnan(arrays["scale"][which]))
        t2 = np.maximum(contributions.sum(axis=1), np.float32(0))
        distance = np.sqrt(t2)
        known = ~(stale | np.isnan(arrays["scale"][which])).all(axis=1)

        threshold, peak = arrays["threshold"][which], arrays["peak"][which]
        settling, firing = arrays["settling"][which], arrays["firing"][which]
        begins = known & ~firing & (settling == 0) & (distance > threshold)
        peak = np.where(begins, distance, np.where(firing, np.maximum(peak, distance), peak))
        floor = np.maximum(np.float32(setting.ease) * threshold, np.float32(setting.hold) * peak)
        ends = known & firing & (distance < floor)
        fires = (firing | begins) & ~ends
        settles, silent = settling == 1, settling > 0
        settling = np.where(ends, setting.settling, np.maximum(settling.astype(np.int32) - 1, 0))
        quiet = ~fires & ~begins & (settling == 0) & clean
        follow = np.where(quiet[:, None] & present, np.float32(setting.follow) * (smoothed - base), np.float32(0))
        arrays["base"][which] = np.where(settles[:, None], smoothed, base + follow)
        arrays["peak"][which] = np.where(fires, peak, np.float32(0))
        arrays["settling"][which] = settling
        arrays["firing"][which] = fires
        lasts = np.where(fires, arrays["lasts"][which] + 1, 0)
        arrays["lasts"][which] = lasts

        start, excess = arrays["tail_start"][which], arrays["tail_excess"][which]
        beyond = np.float32(0.5) * np.exp(-np.minimum((distance - start) / excess, np.float32(80)))
        within = 1 - np.float32(0.5) * distance / np.maximum(start, np.float32(1e-6))
        p = np.where(distance > start, beyond, within)
        said.known[where] = known
        said.t2[where] = np.where(known, t2, np.nan)
        said.p[where] = np.where(known & ~silent, np.minimum(p, 1), 1)
        said.fired[where] = fires
        said.contributions[where] = contributions
        accustomed = which[lasts >= PATIENCE]
        if accustomed.size:
            self.forget(accustomed)

    def _believe(self, which: NDArray[np.intp], values: Floats, smoothed: Singles) -> Flags:
        """Take the values into `smoothed`, in place. Which of them counted."""
        arrays = self._arrays
        with np.errstate(over="ignore"):
            z = (values - arrays["centre"][which]) / arrays["scale"][which]
        z = np.clip(z, -FARTHEST, FARTHEST).astype(np.float32)
        present = ~np.isnan(z)
        away = np.where(present, z - smoothed, np.float32(0))
        side = np.where(np.abs(away) > JUMP, np.sign(away), 0).astype(np.int8)
        believed: Flags = present & ((side == 0) | (side == arrays["doubted"][which]))
        arrays["doubted"][which] = np.where(present, side, arrays["doubted"][which])
        smoothed += np.where(believed, np.float32(self.setting.weight) * away, np.float32(0))
        age = arrays["age"][which]
        arrays["age"][which] = np.where(believed, 0, np.minimum(age, MAX_AGE) + 1)
        arrays["smoothed"][which] = smoothed
        return believed


def _fresh(devices: int, signals: int) -> dict[str, NDArray[Any]]:
    shapes: dict[str, tuple[type[np.generic], tuple[int, ...], float]] = {
        "rows": (np.int32, (), 0),
        "slot": (np.int32, (), -1),
        "centre": (np.float64, (signals,), 0),
        "scale": (np.float64, (signals,), np.nan),
        "precision": (np.float32, (signals, signals), 0),
        "smoothed": (np.float32, (signals,), 0),
        "base": (np.float32, (signals,), 0),
        "age": (np.uint8, (signals,), 0),
        "doubted": (np.int8, (signals,), 0),
        "tail_start": (np.float32, (), 0),
        "tail_excess": (np.float32, (), 1),
        "threshold": (np.float32, (), 0),
        "peak": (np.float32, (), 0),
        "settling": (np.uint16, (), 0),
        "lasts": (np.uint16, (), 0),
        "firing": (np.bool_, (), 0),
    }
    return {name: np.full((devices, *shape), fill, dtype) for name, (dtype, shape, fill) in shapes.items()}


def _blocks(devices: int, signals: int) -> dict[str, NDArray[Any]]:
    """What is held of so many devices while they learn."""
    shapes: dict[str, tuple[type[np.generic], tuple[int, ...], float]] = {
        "buffer": (np.float64, (BLOCK, signals), np.nan),
        "block_mean": (np.float64, (BLOCKS, signals), np.nan),
        "block_variance": (np.float64, (BLOCKS, signals), np.nan),
        "block_end": (np.float64, (BLOCKS, signals), np.nan),
        "smoothed_raw": (np.float64, (signals,), np.nan),
        "correlation": (np.float32, (signals, signals), 0),
    }
    return {name: np.full((devices, *shape), fill, dtype) for name, (dtype, shape, fill) in shapes.items()}


def _median(values: Floats) -> Floats:
    """Over axis 1 of what is there; nan where less than half is. numpy's own warns of empty slices."""
    ordered = np.sort(values, axis=1)  # nan last
    count = (~np.isnan(values)).sum(axis=1)
    low = np.take_along_axis(ordered, np.maximum(count[:, None] - 1, 0) // 2, axis=1)[:, 0]
    high = np.take_along_axis(ordered, np.minimum(count[:, None] // 2, values.shape[1] - 1), axis=1)[:, 0]
    return np.where(2 * count >= values.shape[1], (low + high) / 2, np.nan)


def _block(rows: Floats) -> tuple[Floats, Floats, Floats]:
    """Of (k, BLOCK, signals): the rows with wild values drawn in, mean and variance of each block, nan where less than half is there."""
    ordered = np.sort(rows, axis=1)  # nan last
    count = (~np.isnan(rows)).sum(axis=1)
    enough = 2 * count >= BLOCK
    low = ordered[:, TRIM - 1]
    high = np.take_along_axis(ordered, np.maximum(count - TRIM, 0)[:, None], axis=1)[:, 0]
    reach = 4 * (high - low) / TRIM_WIDTH
    rows = np.clip(rows, (low - reach)[:, None], (high + reach)[:, None])
    there = np.maximum(count, 1)
    mean = np.where(enough, np.nansum(rows, axis=1) / there, np.nan)
    deviation = np.where(np.isnan(rows), 0.0, rows - mean[:, None])
    variance = np.where(enough, (np.nan_to_num(deviation) ** 2).sum(axis=1) / there, np.nan)
    return rows, mean, variance


def _scale(means: Floats, variances: Floats) -> Floats:
    """The standard deviation within a block, of (k, BLOCKS, signals); nan for a signal that does not move."""
    usual = _median(variances)
    there = np.maximum((~np.isnan(variances)).sum(axis=1), 1)
    seldom = np.where(
        np.isnan(usual), np.nan, np.nansum(variances, axis=1) / there
    )  # moves in less than half of the blocks
    scale = np.sqrt(np.where(usual > 0, usual, seldom))
    level = np.max(np.abs(np.nan_to_num(means)), axis=1)
    return np.where(scale > RESOLUTION * level, scale, np.nan)


def _wander(levels: Floats) -> Floats:
    """Variance of the level between neighbouring blocks of (k, BLOCKS, signals) in units of the noise, without what noise explains."""
    moved = [_median((levels[:, lag:] - levels[:, :-lag]) ** 2) for lag in LAGS]
    # The median of a chi-squared variable of one degree is 0.455; a difference has twice the variance.
    wandered: Floats = np.maximum(np.nan_to_num(np.mean(moved, axis=0)) / 0.455 / 2 - 1 / BLOCK, 0.0)
    return wandered


def _contributions(precision: Singles, away: Singles, left_out: Flags) -> Singles:
    """What each signal adds to T2. A signal that is left out is marginalised: it takes the value that its neighbours make expected."""
    weighed = (precision @ away[:, :, None])[:, :, 0]
    some = left_out.any(axis=1)
    if some.any():
        out, exact = left_out[some], precision[some].astype(np.float64)
        system = np.where(out[:, :, None] & out[:, None, :], exact, np.eye(away.shape[1]))
        expected = np.linalg.solve(system, np.where(out, weighed[some], 0.0)[:, :, None])
        weighed[some] -= (exact @ expected)[:, :, 0].astype(np.float32)
    parts: Singles = away * weighed
    return parts
