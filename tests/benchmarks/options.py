"""What a person asked of the benchmark."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """only: beginning of the names that are wanted. quick: the shape of everything with a handful of work; its figures mean nothing."""

    only: str = ""
    quick: bool = False


def progress(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
