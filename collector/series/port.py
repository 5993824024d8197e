"""What the exporter asks of a time-series store, and what can come of it."""

from __future__ import annotations

from typing import Protocol


class SinkDownError(Exception):
    """Nothing was answered, or that it cannot be taken now: it is written again later. after_s: not before, as the store asked. The text says what
    was heard, and what to do where a person must.
    """

    def __init__(self, text: str, after_s: float = 0.0) -> None:
        super().__init__(text)
        self.after_s = after_s


class SinkRefusesError(Exception):
    """The store took none of it, or not all, and never will: it is of a form that this store does not take."""


class SinkTooMuchError(SinkRefusesError):
    """It would take it in smaller portions."""


class OutsideRetentionError(Exception):
    """The store took what is young enough and dropped the rest."""


class Sink(Protocol):
    """Called by one thread, in turn; blocks for the configured timeout at most. settles_s: how long after its answer a killed store may have
    forgotten what it took, 0 for one that answers when it is on its disk; words: it keeps text as text, and not only numbers.
    """

    settles_s: float
    words: bool

    def write(self, lines: bytes) -> None:
        """Line protocol with times in nanoseconds; returns when the store has answered that it took it all. Raises the errors of this module."""

    def life(self) -> str:
        """What stays the same while the store's process lives; empty where it does not say. Raises SinkDownError."""

    def check(self) -> str:
        """What is wrong with its settings, empty where nothing is; for the doctor. Raises SinkDownError."""

    def close(self) -> None:
        """Let go of connections; the next call makes them anew."""
