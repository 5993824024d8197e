"""Numbers that add up over scopes: a share with its base and a mean with its n, so that nobody reads 100 % of one. Without a base the answer is None,
never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


def share(part: float, base: float) -> float | None:
    return part / base if base else None


@dataclass(frozen=True, slots=True)
class Ratio:
    """part of base. open: what cannot be judged yet, or need not be, and is in neither."""

    part: int = 0
    base: int = 0
    open: int = 0

    @property
    def share(self) -> float | None:
        return share(self.part, self.base)

    def plain(self) -> dict[str, Any]:
        return {"share": self.share, "part": self.part, "base": self.base, "open": self.open}


def ratio_of(verdicts: Iterable[bool | None]) -> Ratio:
    """None: open."""
    said = list(verdicts)
    judged = [verdict for verdict in said if verdict is not None]
    return Ratio(sum(judged), len(judged), len(said) - len(judged))


@dataclass(frozen=True, slots=True)
class Mean:
    """total of n spans, and the longest, in ns."""

    total: int = 0
    n: int = 0
    longest: int = 0

    @property
    def mean(self) -> int | None:
        """ns, rounded down."""
        return self.total // self.n if self.n else None

    def plain(self) -> dict[str, Any]:
        return {
            "mean_ns": self.mean,
            "total_ns": self.total,
            "n": self.n,
            "longest_ns": self.longest if self.n else None,
        }


def mean_of(spans: Iterable[int]) -> Mean:
    found = list(spans)
    return Mean(sum(found), len(found), max(found, default=0))
