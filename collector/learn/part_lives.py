"""When the parts of a kind began their lives, and how these went: to their end, cut off, or still going on.

A life begins when the part was first seen, or with a renewal: a verdict part_changed, another serial number, another day of replacement (detect/parts.py decides). It
ends with the first failure of the part, by the rule that the training goes by (from_store.Failed): an alarm of hardware whose incident was not found
false. A part that was replaced without one did not show how long it would have lasted: its life was cut off. After a failure that no renewal followed
a part was mended, and is as old as it was: its further time is neither a life from new nor one to foretell. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tillwatch.agent.model import MS, Quality, device_of
from tillwatch.agent.wire import Column
from tillwatch.collector.detect import parts
from tillwatch.collector.learn.from_store import Failed, PastError
from tillwatch.collector.predict.finding import Happened
from tillwatch.collector.terminal.fleet import IN_SERVICE

RUNNING, ENDED, CUT_OFF, BROKEN = "running", "ended", "cut off", "broken"
"""BROKEN: since `until` of an ended life the part has not been renewed; it may have been mended."""
SERIAL = "identity.serial"
MAX_FAILURES = 500_000
"""Alarms of the parts of a kind, some 400 B each: one a week on each of 2,000 terminals for three years is 300,000. Beyond it the command says so and ends."""

Place = tuple[str, str]
"""Terminal, component."""


@dataclass(frozen=True, slots=True)
class Life:
    """begun, until: UTC ns; number: of the part's lives, from 1."""

    terminal: str
    component: str
    number: int
    begun: int
    until: int
    state: str

    @property
    def days(self) -> float:
        return (self.until - self.begun) / parts.DAY_NS

    @property
    def name(self) -> str:
        return f"{self.terminal} {self.component}" + (f" #{self.number}" if self.number > 1 else "")


@dataclass(slots=True)
class PartLives:
    """Hears what `feed.Feed` tells, in the order of the log. known: the components that are followed; dates: signals that tell a day of replacement."""

    known: frozenset[Place]
    dates: frozenset[str]
    failed: Failed = field(default_factory=Failed)
    _alarms: int = 0
    _told: dict[Place, parts.PartState] = field(default_factory=dict)
    _renewed: dict[Place, list[int]] = field(default_factory=dict)
    _away: set[str] = field(default_factory=set)

    def place(self, terminal: str, branch: str, region: str, terminal_class: str, zone: str = "") -> None:
        """Where a terminal stands says nothing of its parts."""

    def read(
        self, terminal: str, columns: Sequence[Column], at: int, *, correction_ms: int = 0, historical: bool = False
    ) -> None:
        """at: UTC ns of the receipt. Serial numbers and days of replacement; the rest is not looked at."""
        del historical
        for column in columns:
            if column.signal != SERIAL and column.signal not in self.dates:
                continue
            for reading in column.readings():
                if isinstance(reading.value, str) and reading.value and reading.quality is not Quality.ERROR:
                    self._word(terminal, column, reading.at + correction_ms * MS, reading.value, at)

    def _word(self, terminal: str, column: Column, at: int, word: str, seen: int) -> None:
        if column.signal == SERIAL:
            self._evidence((terminal, column.component), parts.Numbered(at, word), at)
        else:
            # A day of replacement has no hour: what failed on that day was the old part.
            self._evidence((terminal, column.component), parts.Dated(at, word), seen)

    def happened(self, event: Happened) -> None:
        """In the order of the log. PastError where there is more than can be kept."""
        where = event.terminal, event.component
        if where in self.known:
            self.failed.happened(event)
            self._alarms += event.what == "raised"
            if self._alarms > MAX_FAILURES:
                raise PastError(
                    f"more than {MAX_FAILURES:,} alarms of these parts; choose fewer kinds or an earlier --until"
                )
        match event.what:
            case "verdict" if event.value == "part_changed" and where in self.known:
                self._evidence(where, parts.Verdict(event.at, "part"), event.at)
            case "life_cycle" if event.value != IN_SERVICE:
                self._away.add(event.terminal)
            case "life_cycle" | "enrolled":
                self._away.discard(event.terminal)

    def _evidence(self, where: Place, evidence: parts.Evidence, seen: int) -> None:
        state, new = parts.step(self._told.get(where, parts.PartState()), evidence, ("part",))
        self._told[where] = state
        if new is None:
            return
        at = min(new.at + parts.DAY_NS, seen) if isinstance(evidence, parts.Dated) else new.at
        for part in self._of(where, whole=isinstance(evidence, parts.Numbered)):
            renewed = self._renewed.setdefault(part, [])
            if not renewed or abs(at - renewed[-1]) >= parts.SAME_CHANGE_NS:
                renewed.append(at)

    def _of(self, where: Place, *, whole: bool) -> Iterator[Place]:
        """The part itself; of a device that was changed as a whole, each part of it that has no number of its own, too."""
        terminal, component = where
        if where in self.known:
            yield where
        for part in self.known if whole else ():
            mine = part[0] == terminal and part != where and device_of(part[1]) == component
            if mine and not self._told.get(part, parts.PartState()).serial:
                yield part

    def lives(self, first: Mapping[Place, int], until: int) -> list[Life]:
        """first: since when each part is seen, UTC ns. By terminal, component and time."""
        failures: dict[Place, list[int]] = {}
        for where, at in self.failed.of_parts():
            failures.setdefault(where, []).append(at)
        return [life for where in sorted(first) for life in self._lives(where, first[where], until, failures)]

    def _lives(self, where: Place, first: int, until: int, failures: Mapping[Place, list[int]]) -> Iterator[Life]:
        begun = [first, *sorted(at for at in self._renewed.get(where, ()) if first < at <= until)]
        for number, (since, then) in enumerate(zip(begun, [*begun[1:], until], strict=True), 1):
            failed = next((at for at in sorted(failures.get(where, ())) if since < at <= then), 0)
            last = number == len(begun)
            if failed:
                yield Life(*where, number, since, failed, ENDED)
                if last:
                    yield Life(*where, number, failed, until, BROKEN)
            elif then > since:
                yield Life(*where, number, since, then, RUNNING if last and where[0] not in self._away else CUT_OFF)
