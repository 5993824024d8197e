"""What the console, the REST API and the command line may ask of the store. Read-only views; nothing here decides anything.

Times are UTC nanoseconds. `condition` is `ok`, `warn`, `crit` or `unknown`; no data is `unknown`, with its reason.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tillwatch.agent.model import Value
from tillwatch.collector.predict.finding import Finding, Grade, Record
from tillwatch.collector.predict.supplies import Stored
from tillwatch.collector.records import Correction
from tillwatch.collector.terminal.component_groups import NO_CELLS, Cells

MAX_CORRECTIONS = 5_000
"""In one list: some in a week are many."""


@dataclass(frozen=True, slots=True)
class SignalView:
    """The latest value of one signal. at: corrected reading time; received: when the collector got it; corrected_by: ns that were added to the
    time that the terminal's clock said.
    """

    component: str
    signal: str
    unit: str
    kind: str
    value: Value
    at: int
    received: int
    quality: str
    state: str
    corrected_by: int = 0


@dataclass(frozen=True, slots=True)
class ComponentView:
    """One component. due: when it becomes unknown if nothing new arrives (0: no deadline)."""

    name: str
    condition: str
    reason: str
    last_at: int
    interval_s: float
    due: int
    signals: tuple[SignalView, ...]


@dataclass(frozen=True, slots=True)
class StateView:
    """What a terminal is worth to its customers now, rolled up from everything that is known of it. state: of records.STATES; since: by the
    readings' own time; reason: the rule that decided, text: in words; party: who answers for it; cause: why it is offline, why: the evidence for
    that; lost: functions that do not work.
    """

    state: str
    since: int
    reason: str
    text: str
    party: str
    cause: str
    lost: tuple[str, ...]
    level: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class TerminalView:
    """One terminal as the fleet page shows it. lost: readings that it declared lost; holes: batches that will never come, also those that a
    collector restored from a backup has no more. connection: `online`, `offline`, `silent` or `revoked`; level: of its worst open alarm, 0 for none;
    refused: messages since the collector's start that were not taken, with over_limit the reasons for calling it a culprit: readings of
    more components or signals than one terminal may have; state: None before anything was rolled up;
    skew_ms: how far its clock lags behind the collector's, None while nobody could tell; cells: its row of the fleet grid; version: of its agent, empty
    before it told; ring: of the rollouts, empty for none.
    """

    id: str
    branch: str
    region: str
    terminal_class: str
    condition: str
    reason: str
    connection: str
    level: int
    open_alarms: int
    last_received: int
    lost: int
    components: int
    unknown_components: int
    refused: int = 0
    over_limit: int = 0
    holes: int = 0
    state: StateView | None = None
    life_cycle: str = "in_service"
    skew_ms: int | None = None
    cells: Cells = NO_CELLS
    version: str = ""
    ring: str = ""


@dataclass(frozen=True, slots=True)
class KeyView:
    """A signing key of a terminal. state: `pending`, `active`, `retiring` or `revoked`; last_seq: the last batch that a retiring one proves."""

    id: str
    state: str
    since: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class IdentityView:
    """Who may speak as a terminal, and who does. state: `active` or `revoked`, and why; certificate: since when the one that is good is;
    speakers: boots of machines that spoke, newest last; two machines: the text of the evidence, empty without any.
    """

    state: str
    why: str
    keys: tuple[KeyView, ...]
    certificate: int
    speakers: tuple[str, ...]
    two_machines: str


@dataclass(frozen=True, slots=True)
class MaskView:
    """What keeps an alarm from being told. kind: `shelved`, `maintenance`, `child_of` or `flapping`; ref: the window or the incident; until: 0 where
    something else ends it.
    """

    kind: str
    since: int
    until: int
    ref: str
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class TicketView:
    """The ticket of an incident as it was last heard of. id, url: the ticket system's own, empty before it has one; state: as it said last, or what becomes of
    the last message to it. connector: that has it, or is to make it; status: the system's own word; updated_at: when it was changed there; verified_at: when it was
    last read; verdict, part: what the technician found, and changed.
    """

    id: str = ""
    url: str = ""
    state: str = ""
    connector: str = ""
    status: str = ""
    owner: str = ""
    updated_at: int = 0
    verified_at: int = 0
    verdict: str = ""
    part: str = ""


@dataclass(frozen=True, slots=True)
class TicketLinkView:
    """The ticket of an incident as it was last heard of. status: the system's own word; verified_at: when it was last read."""

    incident: str
    connector: str
    id: str
    url: str
    state: str
    status: str
    owner: str
    updated_at: int
    verified_at: int


@dataclass(frozen=True, slots=True)
class OutgoingView:
    """One row of the outbox: a message for one receiver. state: `pending`, `sending`, `uncertain`, `done` or `dead`; contact: of a person, empty for a
    ticket; not_before: when it is tried next; answer: of the receiver, or why it failed; times UTC ns, 0 for never.
    """

    id: int
    connector: str
    incident: str
    op: str
    seq: int
    level: int
    queue: str
    channel: str
    contact: str
    created_at: int
    state: str
    attempts: int
    not_before: int
    done_at: int
    answer: str


@dataclass(frozen=True, slots=True)
class QueueView:
    """What waits for one receiver. waiting, dead: messages; oldest_at: of those that wait, UTC ns; graves: those of levels 1 and 2 among them; answer: why
    the oldest one that was tried waits.
    """

    connector: str
    waiting: int
    dead: int
    oldest_at: int
    graves: int
    answer: str


@dataclass(frozen=True, slots=True)
class WaitingView:
    """What of one level has not reached one receiver. limit_ns: how long that may take, 0 for as long as it likes; answer: why the oldest one that was
    tried waits, empty where none was.
    """

    connector: str
    level: int
    count: int
    oldest_at: int
    limit_ns: int
    answer: str

    def late(self, now: int) -> bool:
        """now: UTC ns."""
        return 0 < self.limit_ns < now - self.oldest_at


@dataclass(frozen=True, slots=True)
class AlarmView:
    """One episode of one condition on one component, with what a person needs to act. acked_by: who has taken it on, empty while nobody has.
    isa_state: after IEC 62682, of UNACK ACKED RTNUN NORM SHLVD DSUPR; returned: over, and nobody has acknowledged it; drill: somebody injected it.
    """

    id: int
    rule: str
    terminal: str
    branch: str
    component: str
    signal: str
    level: int
    condition: str
    text: str
    value: Value
    unit: str
    cause: str
    consequence: str
    action: str
    raised_at: int
    cleared_at: int
    incident: str
    ticket: str
    ticket_state: str
    acked_at: int = 0
    acked_by: str = ""
    ack_until: int = 0
    isa_state: str = ""
    masks: tuple[MaskView, ...] = ()
    returned: bool = False
    drill: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a history: one reading, or one hour (n > 1) with its mean, least and greatest value."""

    at: int
    value: Value
    least: float | None
    most: float | None
    n: int


@dataclass(frozen=True, slots=True)
class History:
    """A signal over time, oldest first. resolution: `reading` (out of the sealed batches) or `hour` (roll-ups)."""

    terminal: str
    component: str
    signal: str
    unit: str
    resolution: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class StoredReading:
    """A reading as it stands in the log. at: corrected, UTC ns; correction_ms: what was added to the terminal's own time; n: the journal's entry of its batch;
    epoch, seq: the batch's place in the terminal's stream, epoch in hexadecimal; received: when the collector got the batch.
    """

    at: int
    value: Value
    quality: str
    state: str
    n: int
    correction_ms: int
    received: int = 0
    epoch: str = ""
    seq: int = 0


@dataclass(frozen=True, slots=True)
class StoredReadings:
    """Oldest first. retired: some of the time that was looked at is retired: the digests are kept, the readings are not."""

    readings: tuple[StoredReading, ...]
    retired: bool


@dataclass(frozen=True, slots=True)
class RiskView:
    """A terminal at risk, with what is foreseen of it: the findings that are open, also those that only stand on the page."""

    terminal: str
    branch: str
    region: str
    terminal_class: str
    grade: Grade
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Culprit:
    """Who sends what is not taken. terminal: "" for all that are not enrolled; reasons: with their numbers, the most frequent first."""

    terminal: str
    last_at: int
    reasons: tuple[tuple[str, int], ...]

    @property
    def refused(self) -> int:
        return sum(n for _, n in self.reasons)


@dataclass(frozen=True, slots=True)
class Health:
    """The monitoring's own health, counted since the collector started where not said otherwise. culprits: the worst first; waiting: of every level, late or not."""

    journal_entries: int
    last_entry_at: int
    outbox_pending: int
    outbox_dead: int
    refused: tuple[tuple[str, int], ...]
    started_at: int
    advanced_to: int
    culprits: tuple[Culprit, ...] = ()
    waiting: tuple[WaitingView, ...] = ()


class Mark(NamedTuple):
    """How far the store was read: the last rows of the journal and of the logs of alarms and states."""

    entry: int
    event: int
    change: int


class Touched(NamedTuple):
    """What may have changed since a mark. terminals: None for all of them; alarms: whether an alarm may have; more: something happened that may have
    changed others, too, such as a new table of rules.
    """

    mark: Mark
    terminals: frozenset[str] | None
    alarms: bool
    more: bool = False


class FleetReader(Protocol):
    """Every call sees one consistent state of the store. Unknown terminals and signals raise KeyError with the name."""

    def terminals(self) -> Sequence[TerminalView]:
        """All terminals, worst first: level, then condition, then id."""
        ...

    def terminals_of(self, only: Collection[str]) -> Sequence[TerminalView]:
        """These of them, as far as they exist, in the same order."""
        ...

    def touched(self, since: Mark | None) -> Touched:
        """What may have changed since that mark: cheap, so that a large fleet need not be read whole after each batch. Not all that changes shows
        there: who follows it reads the whole now and then.
        """
        ...

    def terminal(self, terminal: str) -> TerminalView: ...

    def places(self, only: set[str] | None = None) -> Mapping[str, tuple[str, str]]:
        """Terminal -> (branch, region), of these or of all. Cheap beside `terminals`."""
        ...

    def components(self, terminal: str) -> Sequence[ComponentView]: ...

    def identity(self, terminal: str) -> IdentityView: ...

    def alarms(self, *, terminal: str | None = None, open_only: bool = True, limit: int = 500) -> Sequence[AlarmView]:
        """Newest first within a level, level 1 first. Open are those that last, whatever masks them, and those that are over and were not acknowledged."""
        ...

    def history(self, terminal: str, component: str, signal: str, start: int, end: int) -> History: ...

    def readings(self, terminal: str, component: str, signal: str, at: int, count: int) -> StoredReadings:
        """Up to `count` readings until `at`, UTC ns, and as many after it, with the batches that hold them. None of what it never told."""
        ...

    def supplies(self, signals: Collection[str]) -> Sequence[Stored]:
        """What the parts of all terminals in service told last of these signals; parts with none of them are left out. Not cheap: seconds for 10,000 terminals."""
        ...

    def corrections(self, terminal: str | None = None) -> Sequence[Correction]:
        """What people said of stretches of a terminal's time, or of all, in the order in which they said it; of all the last MAX_CORRECTIONS."""
        ...

    def health(self) -> Health: ...

    def waiting(self) -> Sequence[WaitingView]:
        """What has not reached whom, by receiver and level."""
        ...

    def undone(self) -> tuple[int, int]:
        """Messages that wait or were given up, and the attempts at them: something else whenever something becomes of one. Cheap, for live pages."""
        ...

    def outgoing(
        self, *, connector: str | None = None, limit: int = 500, offset: int = 0
    ) -> tuple[list[OutgoingView], int]:
        """What waits or was given up, of one receiver or of all, level 1 first, the oldest first within a level; and how many that are."""
        ...

    def revision(self) -> int:
        """A number that changes whenever anything shown may have changed: cheap, for live pages."""
        ...


class RiskReader(Protocol):
    """What is foreseen. Every call sees one consistent state of the store, and is cheap enough for a live page."""

    def at_risk(self, *, branch: str | None = None, region: str | None = None, limit: int = 500) -> Sequence[RiskView]:
        """The terminals with the greatest risk first, of one branch or region, or of all."""
        ...

    def findings(self, terminal: str | None = None, *, open_only: bool = True, limit: int = 500) -> Sequence[Finding]:
        """Those that last first, of these the ones that raise something, then the newest."""
        ...

    def finding(self, number: str) -> Finding:
        """By its id; one that is over, too. Raises KeyError."""
        ...

    def records(self) -> Sequence[Record]:
        """How often each detector was right, by detector and kind of part."""
        ...

    def grades(self) -> Sequence[Grade]:
        """Of every terminal that has one."""
        ...

    def foretold(self) -> tuple[int, int]:
        """(position, part) of what the predictions said last: another one where what is foreseen may be another."""
        ...

    def watched_since(self) -> int:
        """UTC ns since when there is a terminal to learn from; 0: there is none."""
        ...
