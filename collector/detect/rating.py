"""The life that a part is made for, as a document says it, and how heat shortens it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ASSUMED = 2.0
"""A rated figure that no document gives may be half or twice as much."""
UNSAID = 1.25
"""A documented figure without a range of its own is a mean: parts of one make differ by about as much (the 3 to 5 years of a lead-acid battery are a quarter
to either side of 4).
"""


@dataclass(frozen=True, slots=True)
class Stress:
    """Life is consumed 2^((T - ref_c) / halve_every_k) times as fast at T degrees C; never less than `least` times: what a document says of heat it
    mostly does not say of cold.
    """

    ref_c: float
    halve_every_k: float
    least: float = 0.0

    def factor(self, celsius: float) -> float:
        """Times as fast as at ref_c."""
        return float(max(self.least, 2.0 ** ((celsius - self.ref_c) / self.halve_every_k)))

    def factors(self, celsius: NDArray[np.float64]) -> NDArray[np.float64]:
        """`factor` of each; that of ref_c where it is nan."""
        import numpy as np  # noqa: PLC0415 - every command of the collector reads the table of ratings, and few reckon with it

        found = np.maximum(self.least, 2.0 ** ((celsius - self.ref_c) / self.halve_every_k))
        return np.where(np.isfinite(celsius), found, 1.0)


@dataclass(frozen=True, slots=True)
class Rating:
    """The life that a part is made for. rated: in counts, hours, or days for a calendar life; 1 for device_percent; 0 where no figure is known. least, most:
    the range in which parts of this kind end, in the same unit.
    """

    id: str
    source: str
    rated: float
    least: float
    most: float
    stress: Stress | None = None
    assumed: bool = False
    evidence: str = ""


def bounds(rated: float, *, assumed: bool, said: tuple[float, float] | None = None) -> tuple[float, float]:
    """Least and most of a Rating: what the document says, else a named factor to either side."""
    wide = ASSUMED if assumed else UNSAID
    return said or (rated / wide, rated * wide)
