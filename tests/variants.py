"""Variants of one proof: the first are enough to hear of a mistake at once, the others run in `make test-long` too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def long_after(kept: int, each: Iterable[Any]) -> list[Any]:
    """The values of a parameter, or tuples of those of several; all but the first `kept` are marked long."""
    return [
        value if n < kept else pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.long)
        for n, value in enumerate(each)
    ]
