"""What the words of a sensor mean that tells no level. Apart from what reckons with them, which needs numpy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sensed:
    """The words of a state that mean low and out; every other known one means that there is enough, and those of `unclear` mean nothing."""

    low: Collection[str]
    out: Collection[str]
    unclear: Collection[str] = ("unknown", "jammed", "missing", "inoperative")
