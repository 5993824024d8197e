"""What the console and the command line ask of commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tillwatch.collector.diagnosis.order import Order, Reach


@dataclass(frozen=True, slots=True)
class Bundle:
    """The diagnostic bundle of a command. content: compressed with zlib, None where it is not whole; missing: pieces that are not here (they may be
    on their way); retired: their readings are no longer kept.
    """

    order: Order
    content: bytes | None
    missing: int
    retired: bool


class DiagnosisReader(Protocol):
    """Part of ConsoleReader: every call sees one consistent state of the store. What is not known raises KeyError with its name."""

    def reach(self, terminal: str) -> Reach:
        """Whether it can be asked anything, as the collector and its own last word have it."""
        ...

    def orders(self, terminal: str | None = None, *, open_only: bool = False, limit: int = 500) -> Sequence[Order]:
        """The newest first."""
        ...

    def order(self, n: int) -> Order: ...

    def bundle(self, n: int) -> Bundle:
        """Put together again from the readings that carried it: some tenths of a second."""
        ...
