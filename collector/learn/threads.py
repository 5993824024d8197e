"""How many threads learning and asking take."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any


def one_thread() -> AbstractContextManager[Any]:
    """OpenMP's threads spin for the slowest of them: with both cores of a machine busy, as beside a working collector, 60 rounds of boosting over
    20,000 rows took 25 to 65 s and 9 to 22 s of processor time with two threads, 3 s and 1 s with one.
    """
    from threadpoolctl import threadpool_limits  # noqa: PLC0415  comes with scikit-learn, as late as that

    found: AbstractContextManager[Any] = threadpool_limits(1, "openmp")
    return found
