"""Where readings come from: one Source a file. A source reads; the sampler decides when and puts the time on."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from tillwatch.agent.model import PollClass, Sample


class SourceError(Exception):
    """A source could not be read. The text says what was asked, of whom, and what to look at; whoever shows it names the source before it."""


class Source(Protocol):
    """One device, or the machine itself.

    `name` is unique in the configuration and the first part of every component name that the source gives.
    `poll` is called by one task at a time, returns all samples of one polling class, and raises SourceError when
    the device as a whole does not answer; a single value that cannot be read is left out or given as None.
    It must bound its own time. `close` may be called without any poll before it.
    """

    name: str
    classes: frozenset[PollClass]

    async def poll(self, wanted: PollClass) -> list[Sample]: ...

    async def close(self) -> None: ...


@runtime_checkable
class SelfReporting(Protocol):
    """A Source whose device has an account of itself that can be read without causing anything: no test, no print, no load on a battery.
    `self_report` is called in the place of `poll`, by the same task and under the same rules; None where this device has none.
    """

    async def self_report(self) -> list[Sample] | None: ...


@runtime_checkable
class Sparing(Protocol):
    """A Source whose device may need to be left alone. `rest` is looked at after each poll, also after one that failed: seconds from then on in which
    it is not polled. After a poll that failed no class is; after another one, those classes still are that were due already.
    """

    rest: float
