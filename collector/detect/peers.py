"""A device against its peers: the same model, the same branch, the same class. What is common to all (a season, a holiday, a heat wave) is not seen
here; the one that differs is.

Each tick a device's value is compared with the median of the others of its group, the difference is smoothed over a window of ticks, and the
smoothed difference is judged against those of the others: a robust z, each time without the device itself. A group of fewer than
`LEAST_PEERS` with readings says nothing. How often a sound device would be as far is known by the number of its peers: the median and the
spread of four others are uncertain themselves, so the same z means less there. Arrays over the fleet; nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Flags = NDArray[np.bool_]
Indices = NDArray[np.intp]

LEAST_PEERS = 5
"""A device and four others: of three the spread says nothing."""
NO_GROUP = -1
"""A device with this group has no peers."""
WILD = 1e100
"""Values beyond count as this one: differences stay finite."""
SURENESS = 12.0
"""The largest -log10(p) that is stated; beyond, the table below is extrapolated too far to mean anything."""
NORMAL = 1.4826
"""A normal distribution's standard deviation in units of its median absolute deviation."""

PROBABILITY = np.log10([0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5])
OTHERS = np.array([4, 6, 8, 11, 15, 23, 39, 79])
FARTHER = np.log10(
    [
        (1.97, 4.35, 8.7, 15.6, 29.2, 51.3, 93.6, 166, 300, 511),
        (1.56, 3.05, 5.23, 8.05, 12.5, 18.6, 28.3, 42, 62.8, 90.5),
        (1.39, 2.58, 4.13, 5.92, 8.46, 11.6, 16, 21.7, 30.6, 42.3),
        (1.29, 2.31, 3.55, 4.88, 6.67, 8.66, 11.4, 14.5, 18.9, 23.2),
        (1.21, 2.1, 3.07, 4.03, 5.21, 6.46, 8, 9.69, 12, 14),
        (1.15, 1.92, 2.7, 3.42, 4.22, 5.01, 5.95, 6.9, 7.96, 9.03),
        (1.1, 1.8, 2.46, 3.03, 3.63, 4.17, 4.77, 5.4, 6.27, 6.93),
        (1.07, 1.72, 2.31, 2.78, 3.26, 3.67, 4.12, 4.49, 4.84, 5.22),
    ]
)
"""log10 of |z| that a normal device passes with PROBABILITY, by the number of OTHERS. From draws of 0.75 to 6 million groups each; between
columns and beyond the last p falls with a power of z, which for large groups overstates p.
"""


@dataclass(frozen=True, slots=True)
class Setting:
    """window: ticks over which the difference from the peers is smoothed; fewer than a quarter of them say nothing yet. false_alarms: of a tick and
    sound device, at which it counts as odd. forget: share of the memory of the last alarm that a tick takes away. max_age: ticks without a
    reading after which a device neither is judged nor judges.
    """

    window: int = 24
    false_alarms: float = 1e-4
    forget: float = 0.01
    max_age: int = 6

    def __post_init__(self) -> None:
        if self.window < 1 or self.max_age < 0 or not 0 < self.false_alarms < 1 or not 0 <= self.forget <= 1:
            raise ValueError(
                f"{self}: window is at least 1, max_age not below 0, false_alarms and forget are parts of one"
            )


@dataclass(frozen=True, slots=True)
class Peering:
    """Of all devices. known: it has peers and enough ticks. z: how far from them, in their spread, nan where unknown. p: how often a sound device
    is as far, 1 where unknown. peers: how many others judged it. difference: smoothed, from the peers' median, in the signal's
    unit. odd: beyond the false-alarm rate. fired: odd, and farther than the fading memory of the last time this was said.
    """

    known: Flags
    z: Singles
    p: Singles
    peers: NDArray[np.int32]
    difference: Singles
    odd: Flags
    fired: Flags


class PeerDistances:
    """One signal of `devices` devices. One caller, one thread; `step` changes the state in place.

    least: the difference, in the signal's unit, that a spread of the peers is never taken to be smaller than: its resolution, or what nobody would
    act on. Devices of a group that all say the same have no spread of their own.
    """

    def __init__(self, devices: int, least: float, setting: Setting | None = None) -> None:
        if devices < 0 or not least > 0:
            raise ValueError(f"{devices} devices, least {least}: the least spread is above 0")
        self.setting = setting or Setting()
        self.devices = devices
        self.least = least
        self._arrays = _fresh(devices)

    def state(self) -> dict[str, NDArray[Any]]:
        """Copies of all arrays, the first axis the device. `restore` goes on from them bit by bit."""
        return {name: array.copy() for name, array in self._arrays.items()}

    @classmethod
    def restore(cls, state: Mapping[str, NDArray[Any]], least: float, setting: Setting | None = None) -> PeerDistances:
        """From what `state` gave. Raises ValueError where arrays are missing or are not of one fleet."""
        found = cls(len(state.get("difference", ())), least, setting)
        for name, empty in found._arrays.items():
            given = state.get(name)
            if given is None or given.shape != empty.shape or given.dtype != empty.dtype:
                raise ValueError(f"the state of peer distances: `{name}` is not {empty.dtype} of {empty.shape}")
            found._arrays[name] = given.copy()
        return found

    def grow(self, devices: int) -> None:
        """To `devices` devices; the new ones are unknown."""
        if devices < self.devices:
            raise ValueError(f"{devices} devices: there are {self.devices} already")
        new = _fresh(devices - self.devices)
        self._arrays = {name: np.concatenate([array, new[name]]) for name, array in self._arrays.items()}
        self.devices = devices

    def forget(self, which: Indices) -> None:
        """These begin anew: another device, or one that was moved."""
        for name, array in self._arrays.items():
            array[which] = _fresh(1)[name]

    def step(self, values: NDArray[np.floating], groups: NDArray[np.integer]) -> Peering:
        """One tick. values: (devices,), nan where there is no reading; groups: (devices,), any numbers, `NO_GROUP` for none."""
        if values.shape != (self.devices,) or groups.shape != (self.devices,):
            raise ValueError(f"values of {values.shape} and groups of {groups.shape} for {self.devices} devices")
        arrays, setting = self._arrays, self.setting
        given = np.clip(np.where(np.isfinite(values), values, np.nan).astype(np.float64), -WILD, WILD)
        given = np.where(groups == NO_GROUP, np.nan, given)
        median, _, others = leave_one_out(given, groups)
        compared = np.where(others >= LEAST_PEERS - 1, given - median, np.nan)
        present = ~np.isnan(compared)
        ticks = np.where(present, np.minimum(arrays["ticks"] + 1, setting.window), arrays["ticks"])
        change = np.where(present, (compared - arrays["difference"]) / np.maximum(ticks, 1), 0.0)
        arrays["difference"] += change
        arrays["ticks"] = ticks.astype(np.int32)
        arrays["age"] = np.where(present, 0, np.minimum(arrays["age"] + 1, setting.max_age + 1)).astype(np.int32)

        settled = (4 * ticks >= setting.window) & (arrays["age"] <= setting.max_age) & (groups != NO_GROUP)
        smoothed = np.where(settled, arrays["difference"], np.nan)
        median, spread, others = leave_one_out(smoothed, groups)
        known = settled & (others >= LEAST_PEERS - 1)
        away = np.where(known, smoothed - median, 0.0)
        z = away / np.maximum(NORMAL * np.where(known, spread, 1.0), self.least)
        sureness = surprise(np.abs(z), others)
        odd = known & (sureness >= -np.log10(setting.false_alarms))
        memory = arrays["memory"] * np.float32(1 - setting.forget)
        fired = odd & (sureness > memory)
        arrays["memory"] = np.where(fired, sureness, memory).astype(np.float32)
        return Peering(
            known=known,
            z=np.where(known, np.clip(z, -1e30, 1e30), np.nan).astype(np.float32),
            p=np.where(known, 10.0**-sureness, 1.0).astype(np.float32),
            peers=np.where(known, others, 0).astype(np.int32),
            difference=np.where(known, np.clip(away, -1e30, 1e30), np.nan).astype(np.float32),
            odd=odd,
            fired=fired,
        )


def leave_one_out(values: Floats, groups: NDArray[np.integer]) -> tuple[Floats, Floats, Indices]:
    """Median and median absolute deviation of the others of each one's group, and their number. values: (n,), nan takes no part; groups: (n,). Both
    are nan for who takes no part or is alone. Sorts the fleet four times, whatever the number of groups.
    """
    median, spread = np.full(len(values), np.nan), np.full(len(values), np.nan)
    others = np.zeros(len(values), np.intp)
    taking = np.flatnonzero(~np.isnan(values))
    if not taking.size:
        return median, spread, others
    order = taking[np.lexsort((values[taking], groups[taking]))]
    ordered, owner = values[order], groups[order]
    begins = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
    size = np.diff(np.r_[begins, len(order)])
    first = np.repeat(begins, size)
    left = np.repeat(size, size) - 1
    rank = np.arange(len(order)) - first
    middle = _middle(ordered, first, rank, left)
    # Without one of its members a sorted group has one of three medians: of those below the middle, at it, and above it.
    deviation = np.full(len(order), np.nan)
    for member in range(3):
        stands_in = np.minimum(first + (left - 1) // 2 + member, first + left)
        mine = middle == middle[stands_in]
        away = np.abs(ordered - middle[stands_in])
        by_distance = np.lexsort((away, owner))
        place = np.empty(len(order), np.intp)
        place[by_distance] = np.arange(len(order))
        found = _middle(away[by_distance], first, place - first, left)
        deviation = np.where(mine & (left > 0), found, deviation)
    others[order] = left
    median[order] = np.where(left > 0, middle, np.nan)
    spread[order] = deviation
    return median, spread, others


def surprise(z: Floats, others: Indices) -> Floats:
    """-log10 of the share of sound, normal devices with this many others that are as far; 0 with fewer than four."""
    row = np.clip(np.searchsorted(OTHERS, others, side="right") - 1, 0, len(OTHERS) - 1)
    far = np.log10(np.maximum(z, 1e-9))
    limits = FARTHER[row]
    column = np.clip((limits <= far[:, None]).sum(axis=1), 1, len(PROBABILITY) - 1)
    rows = np.arange(len(row))
    low, high = limits[rows, column - 1], limits[rows, column]
    slope = (PROBABILITY[column] - PROBABILITY[column - 1]) / (high - low)
    found = -(PROBABILITY[column - 1] + slope * (far - low))
    return np.where(others >= OTHERS[0], np.clip(found, 0.0, SURENESS), 0.0)


def _middle(ordered: Floats, first: Indices, rank: Indices, left: Indices) -> Floats:
    """The median of a sorted group (from index `first`) without its member `rank`, where `left` others are left; its own value where none is."""
    low, high = np.maximum(left - 1, 0) // 2, left // 2
    low, high = low + (low >= rank), high + (high >= rank)
    bound = np.maximum(left, 0)
    low, high = np.minimum(low, bound), np.minimum(high, bound)
    middle: Floats = ordered[first + low] / 2 + ordered[first + high] / 2
    return middle


def _fresh(devices: int) -> dict[str, NDArray[Any]]:
    return {
        "difference": np.zeros(devices),
        "ticks": np.zeros(devices, np.int32),
        "age": np.zeros(devices, np.int32),
        "memory": np.zeros(devices, np.float32),
    }
