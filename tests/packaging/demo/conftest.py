"""The demo's own modules, as its driver finds them; a clock that a test turns by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3] / "packaging" / "demo"))


class HandClock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at

    def minutes(self, count: float) -> None:
        self.at += 60 * count


@pytest.fixture
def now() -> HandClock:
    return HandClock()
