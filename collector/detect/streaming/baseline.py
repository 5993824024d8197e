"""What is usual at an hour of the week: 168 cells a series, float16, in scales from the series' own centre. A cell speaks in proportion to the
values it has had; the rest of the weight is that of the same hour on all days, and of the series' own level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = np.float32
HOURS, DAY = 168, 24
SHRINK = F32(12)
"""Values at which a cell weighs as much as the series' own level: an hour of readings every 5 minutes."""
SLOWEST = F32(0.02)
"""A cell follows at least this fast: some 50 of its values."""
FARTHEST = F32(60_000)
"""float16 ends at 65,504."""
CLIP = F32(4)
SPREAD_START = F32(1)
SPREAD_FLOOR = F32(1e-3)
NORMAL = F32(1.2533)
"""Standard deviation through mean absolute deviation of normal values, sqrt(pi / 2)."""


class Baseline:
    """Cells lie hour by hour, since a tick of a fleet falls into one hour: one stretch of memory, not one page a series."""

    def __init__(self, capacity: int) -> None:
        self.centre = np.zeros((HOURS, capacity), np.float16)
        self.spread = np.full((HOURS, capacity), SPREAD_START, np.float16)
        self.seen = np.zeros((HOURS, capacity), np.uint8)

    def clear(self, rows: NDArray[np.intp]) -> None:
        self.centre[:, rows] = 0
        self.spread[:, rows] = SPREAD_START
        self.seen[:, rows] = 0

    def usual(
        self,
        rows: NDArray[np.intp],
        hour: NDArray[np.uint8],
        level: NDArray[np.float32],
        own: NDArray[np.float32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Centre and spread of the rows at their hour, in scales of the series. level, own: the series' own centre and spread.

        What the cell has not seen enough of, the same hour of all days says; what these have not seen enough of, level and own.
        """
        days = (hour % DAY)[None, :] + (DAY * np.arange(HOURS // DAY, dtype=np.intp))[:, None]
        seen = self.seen[days, rows].astype(np.float32)
        total = seen.sum(axis=0)
        share = seen / np.maximum(total, 1)
        trust = total / (total + SHRINK)
        centre = level + trust * ((share * self.centre[days, rows]).sum(axis=0) - level)
        spread = own + trust * ((share * self.spread[days, rows]).sum(axis=0) - own)
        of_cell = self.seen[hour, rows].astype(np.float32)
        trust = of_cell / (of_cell + SHRINK)
        centre += trust * (self.centre[hour, rows] - centre)
        spread += trust * (self.spread[hour, rows] - spread)
        return centre, np.maximum(spread, SPREAD_FLOOR)

    def learn(self, rows: NDArray[np.intp], hour: NDArray[np.uint8], z: NDArray[np.float32]) -> None:
        """One value in scales for each row; a value beyond 4 spreads counts as one at 4."""
        seen = self.seen[hour, rows]
        centre = self.centre[hour, rows].astype(np.float32)
        spread = self.spread[hour, rows].astype(np.float32)
        step = np.maximum(SLOWEST, 1 / (seen.astype(np.float32) + 1))
        away = z - centre
        limit = CLIP * np.maximum(spread, SPREAD_FLOOR)
        held = np.where(seen > 0, np.clip(away, -limit, limit), away)
        follow = np.maximum(SLOWEST, 1 / (seen.astype(np.float32) + SHRINK))
        self.centre[hour, rows] = np.clip(centre + step * held, -FARTHEST, FARTHEST).astype(np.float16)
        self.spread[hour, rows] = np.clip(
            spread + follow * (NORMAL * np.abs(held) - spread), SPREAD_FLOOR, FARTHEST
        ).astype(np.float16)
        self.seen[hour, rows] = seen + (seen < 255)
