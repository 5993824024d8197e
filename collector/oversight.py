"""What the console asks of the store beyond the fleet itself: planned work, what rules did, who did what, and how the monitoring is. Read-only values; nothing
here decides anything. Times are UTC nanoseconds, 0 for never.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tillwatch.collector.duty.windows import Window
from tillwatch.collector.proof.acts_page import ActsPage, EntryCheck, Stretch, Wanted


@dataclass(frozen=True, slots=True)
class RuleCount:
    """What one rule did since a time. raised: episodes, those that came back within the reopening time too; terminals: on how many; acknowledged: by a person;
    right, wrong: verdicts of technicians on its incidents; told: calls to people; open: alarms of it that last now.
    """

    raised: int = 0
    terminals: int = 0
    acknowledged: int = 0
    incidents: int = 0
    right: int = 0
    wrong: int = 0
    told: int = 0
    open: int = 0
    last_at: int = 0

    @property
    def hit_share(self) -> float | None:
        """Of the verdicts those that it was right; None without any."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None


@dataclass(frozen=True, slots=True)
class Fix:
    """What technicians found on incidents of a fault: a verdict, with the part where one was changed, and how often."""

    verdict: str
    part: str
    count: int
    last_at: int
    last_incident: str


@dataclass(frozen=True, slots=True)
class IncidentRef:
    id: str
    state: str
    level: int
    terminal: str
    branch: str
    opened_at: int


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """One rule since a time. days: episodes a day, oldest first, from the day of `since` (UTC); worst: (terminal, episodes), the most first; told: role -> calls;
    incidents: open ones first, then the newest.
    """

    count: RuleCount
    days: tuple[int, ...]
    worst: tuple[tuple[str, int], ...]
    told: Mapping[str, int]
    incidents: tuple[IncidentRef, ...]
    fixes: tuple[Fix, ...]


@dataclass(frozen=True, slots=True)
class SpoolView:
    """What a terminal's agent said of its spool last. at: of the reading; oldest_s: age of the oldest batch that waited."""

    terminal: str
    at: int
    batches: int
    bytes: int
    oldest_s: int
    state: str


@dataclass(frozen=True, slots=True)
class CertificateView:
    """ends: 0 where it cannot be read; problem: why."""

    name: str
    ends: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class DoneView:
    """Something that was done beside the journal. ok: None while nobody has done it."""

    at: int = 0
    ok: bool | None = None
    text: str = ""
    entries: int = 0


@dataclass(frozen=True, slots=True)
class SinkView:
    """A time-series store that readings are written on to. written: the last entry that it answered for, at: its time; looked_at: when its process last said
    something; points, refused: lines since the beginning; running: its process has not ended; trouble: what keeps it from writing, empty while nothing does.
    """

    name: str
    written: int
    at: int
    looked_at: int
    points: int
    refused: int
    running: bool
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class MonitoringFacts:
    """What is known of the collector's own parts beside the journal. Of a thing that could not be looked at: None, never a number.

    store_bytes: with what waits to be merged into it (WAL); acts_waiting: of people, that no collector has journaled; away: (since, until) of the collector's own
    absences; certificates: of the collector, and of the terminals those that end first; aged: terminals whose newest certificate ends within a month;
    synchronised: the machine's clock, by its time service.
    """

    store_bytes: int | None = None
    disk_free: int | None = None
    disk_total: int | None = None
    acts_waiting: int | None = None
    stopped_at: int = 0
    away: tuple[tuple[int, int], ...] = ()
    spools: tuple[SpoolView, ...] = ()
    certificates: tuple[CertificateView, ...] = ()
    aged: tuple[str, ...] = ()
    backup: DoneView = field(default_factory=DoneView)
    verified: DoneView = field(default_factory=DoneView)
    synchronised: bool | None = None
    keep_bytes: int = 0
    sinks: tuple[SinkView, ...] = ()


@dataclass(frozen=True, slots=True)
class IncidentNews:
    """An incident to which something has happened. kinds: of records.IncidentEvent, in order."""

    incident: str
    branch: str
    region: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommandNews:
    """A command to a terminal as it stands."""

    n: int
    terminal: str
    kind: str
    state: str


@dataclass(frozen=True, slots=True)
class News:
    """event: number of the last thing that happened to an incident; commands: the newest, whether anything happened to them or not."""

    event: int
    incidents: tuple[IncidentNews, ...]
    commands: tuple[CommandNews, ...]


class Shown(Protocol):
    """Whether what belongs to this terminal may be seen; with an empty one: to this branch and region, or to nothing of the fleet. Called while the store is read: cheap,
    raises nothing.
    """

    def __call__(self, terminal: str, branch: str = "", region: str = "") -> bool: ...


def everything(terminal: str, branch: str = "", region: str = "") -> bool:  # noqa: ARG001 - a Shown
    return True


class OversightReader(Protocol):
    """Part of ConsoleReader: every call sees one consistent state of the store. shown: what the asker may see; the whole reader takes it as it comes."""

    def windows(self) -> Mapping[str, Window]:
        """Maintenance windows by id: the policy's, and those that people made."""
        ...

    def acts(self, wanted: Wanted, before: int, limit: int, shown: Shown = everything) -> ActsPage:
        """The newest first, before an entry; 0: from the end of the log."""
        ...

    def entry(self, n: int) -> EntryCheck:
        """One entry and whether it holds. Raises KeyError."""
        ...

    def stretch(self, first: int, last: int) -> Stretch:
        """The chain followed from one entry to another: bounded, some tenths of a second."""
        ...

    def news(self, after: int) -> News:
        """What has happened to incidents after that event, bounded: the newest; below 0: nothing but where things stand. Cheap, for live streams."""
        ...

    def verified(self) -> DoneView:
        """When all of the log was last verified, as far as somebody noted it."""
        ...

    def rules_fired(self, since: int, shown: Shown = everything) -> Mapping[str, RuleCount]:
        """By rule; none of those that did nothing."""
        ...

    def rule_record(self, rule: str, since: int, now: int, shown: Shown = everything) -> RuleRecord:
        """One rule from since to now."""
        ...

    def monitoring(self, now: int) -> MonitoringFacts:
        """Reads the machine as well as the store: some tenths of a second for ten thousand terminals."""
        ...
