"""What the streaming detector can be told. One setting holds for a whole fleet."""

from __future__ import annotations

from dataclasses import dataclass

LEARNING_MAX = 96
"""Values that fit in the room of a row's bitmaps, where they wait until the row has a scale."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """learning: values after which a series is judged. false_alarms_per_day: of a series that behaves as before, all parts together.

    novelty_bins: bins a unit of asinh(z) for the value, the residual and the roughness: coarse ones, so that a value between two that were
    seen is no news. slow, rough: EWMA weights of the level that the residual is taken against, and of |x[t] - x[t-1]|. rate_step, size_step:
    how fast the share of unseen values and their mean distance are followed. quantile, quantile_step, excess_step: of the tail of each
    part. refractory: points after which the memory of a surprise has fallen to 1/e. fast: EWMA weight of location and scale; clip: how many
    scales one value can move them by. cusum_slack: Page's k, in scales.
    """

    learning: int = 64
    false_alarms_per_day: float = 0.02
    novelty_bins: tuple[float, float, float] = (12.0, 18.0, 8.0)
    slow: float = 0.005
    rough: float = 0.03
    rate_step: float = 0.003
    size_step: float = 0.05
    quantile: float = 0.97
    quantile_step: float = 0.003
    excess_step: float = 0.005
    refractory: float = 150.0
    fast: float = 0.02
    clip: float = 4.0
    cusum_slack: float = 0.5

    def __post_init__(self) -> None:
        if not 8 <= self.learning <= LEARNING_MAX:
            raise ValueError(
                f"learning is {self.learning}: it must be 8 to {LEARNING_MAX} values, which is what a row has room for"
            )
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile is {self.quantile}: it must lie between 0 and 1")
        if self.false_alarms_per_day <= 0:
            raise ValueError(f"false_alarms_per_day is {self.false_alarms_per_day}: it must be above 0")


DEFAULT = StreamSettings()
