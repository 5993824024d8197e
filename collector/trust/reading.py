"""What the console and the command line may ask about who may enrol, and who has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tillwatch.collector.trust.expected import Expected, Grant, RefusedClaim


@dataclass(frozen=True, slots=True)
class NotEnrolled:
    """A terminal of a batch or an image that has not enrolled yet. serial: of its machine, empty for a token's."""

    terminal: str
    branch: str
    region: str
    terminal_class: str
    serial: str = ""


class EnrolmentReader(Protocol):
    """Part of ConsoleReader: every call sees one consistent state of the store."""

    def grants(self) -> Sequence[Grant]:
        """Batches and images, the newest first."""
        ...

    def expected(self) -> Sequence[Expected]:
        """By terminal."""
        ...

    def refused_claims(self) -> Sequence[RefusedClaim]:
        """The newest first."""
        ...

    def not_enrolled(self, name: str) -> Sequence[NotEnrolled]:
        """Of this batch or image, by terminal. KeyError for one that there is not."""
        ...
