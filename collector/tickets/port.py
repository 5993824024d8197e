"""The two faces of what is told of incidents: `TicketPort`, which a ticket system's connector is written to, and `Receiver`, which the sender
knows. A connector turns one call into one request (or a few) and says by an exception when it did not happen; it never retries by itself: when, how
often and in which order things are sent is decided in one place (delivery.py) and kept in the outbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tillwatch.collector.tickets.message import TicketMessage, TicketState

# What a ticket system is, and says.


@dataclass(frozen=True, slots=True)
class Caps:
    """What a ticket system can do, as measured or documented.

    settle_s: how long after an attempt ended without a clear answer it may still be carrying it out, and how far its search may lag behind its
    writes. max_title, max_body: characters. reopens: a ticket that is over can be opened again. has_notes: notes can be read back, so that one
    is written once. final: states that a ticket never leaves, in which it takes no notes either.
    """

    settle_s: float = 30.0
    max_title: int = 200
    max_body: int = 30_000
    reopens: bool = True
    has_notes: bool = True
    final: frozenset[TicketState] = frozenset()


@dataclass(frozen=True, slots=True)
class Problem:
    """What a preflight found. passing: it may be over without anybody's doing, such as a system that is not there at the moment."""

    what: str
    mend: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """A note that a person wrote at a ticket. id: of the note, in the ticket system's own order; at: UTC ns."""

    id: str
    by: str
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class Remote:
    """A ticket as its system shows it. id: what it is asked for by, for good; key: the incident that it belongs to, empty where it shows none.
    status: the system's own word; state: ours, None for a word that nobody has explained. owner: whose it is, empty for nobody. updated_at: UTC ns, 0 where
    it is not told. by: who changed it last. merged_into: id of the ticket that goes on in its place. verdict, part: what the technician found, in our
    words, and what he changed. said: what people wrote, the oldest first.
    """

    id: str
    key: str
    url: str
    status: str
    state: TicketState | None
    owner: str = ""
    updated_at: int = 0
    by: str = ""
    merged_into: str = ""
    verdict: str = ""
    part: str = ""
    said: tuple[Said, ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A ticket to be made. key: of the incident, at most 40 characters without spaces; queue: in the system's own word, empty for the configured
    one; level: 1 to 3; body: plain text.
    """

    key: str
    title: str
    body: str
    level: int
    queue: str = ""
    terminal: str = ""
    branch: str = ""
    component: str = ""


class NotAppliedError(Exception):
    """Known not to have happened, and worth trying again. after_s: how long the system asked to wait."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


class UnclearError(Exception):
    """It may have happened: no answer, or one that leaves it open."""


class RejectedError(Exception):
    """Read and declined: it will be declined again until somebody mends the cause. Says which request, and the system's words."""


class BarredError(Exception):
    """The system does not know us or does not let us: no row has a chance until that is mended."""


class GoneError(Exception):
    """The ticket is not there any more."""


def problem_of(error: Exception) -> Problem:
    """What a preflight says of an exchange that failed with one of the exceptions above."""
    if isinstance(error, NotAppliedError | UnclearError):
        return Problem(str(error), "it is tried again by itself; check the address if this lasts", passing=True)
    return Problem(str(error), "mend the configuration, or what the user there may do")


class TicketPort(Protocol):
    """One ticket system. Every method may raise NotAppliedError, UnclearError, RejectedError or BarredError, and those that take the id of a ticket
    GoneError. Reading changes nothing, so it never raises UnclearError.
    """

    @property
    def name(self) -> str: ...

    @property
    def caps(self) -> Caps: ...

    async def preflight(self) -> list[Problem]:
        """Whether it can work: identity, queue, searchable key, names of states. Empty: nothing is wrong. Does not raise."""
        ...

    async def find(self, key: str) -> list[Remote]:
        """All tickets of this key, the oldest first, whatever their state. The key of each was looked at: some systems answer with other tickets."""
        ...

    async def create(self, draft: Draft) -> Remote:
        """Make a ticket. What is returned has at least its id; the caller reads it back."""
        ...

    async def note(self, ticket: str, text: str) -> None:
        """Add a note that is for the people who work on it, not for customers."""
        ...

    async def has_note(self, ticket: str, mark: str) -> bool:
        """Whether a note holds this text. Asked only where caps.has_notes."""
        ...

    async def set_state(self, ticket: str, target: TicketState, reason: str) -> None:
        """Bring it into this state, by whatever steps its workflow asks for. reason: for systems that ask for one. The caller reads it back."""
        ...

    async def read(self, ticket: str) -> Remote:
        """As it is now. Of one that was merged, with merged_into set."""
        ...

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]:
        """What has changed since, and where to go on next time. cursor: of the last call, empty for the first one: then nothing is returned but the
        cursor. A ticket may come again, none may be missed: the cursor stays behind what the system may still be writing.
        """
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Watched(Protocol):
    """What is asked for what people did: every TicketPort, and a receiver that is pushed to and can be read all the same. Called by sync.py, one call
    at a time; both methods raise what those of TicketPort do.
    """

    @property
    def name(self) -> str: ...

    async def changed_since(self, cursor: str) -> tuple[list[Remote], str]: ...

    async def read(self, ticket: str) -> Remote: ...


# What the sender knows.


@dataclass(frozen=True, slots=True)
class Link:
    """The ticket of an incident, as its system last told it. Empty texts: it did not say. adopted: it was merged into, or chosen by a person: the key that it
    shows may be another incident's.
    """

    external_id: str
    url: str
    state: str
    adopted: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """It happened, and as far as the connector can see it is true. Empty texts: the ticket system did not say. also: what was found on the way;
    merged: this is the ticket that the incident's own was merged into; updated_at: when it was changed last by the system's clock, UTC ns.
    """

    external_id: str = ""
    url: str = ""
    state: str = ""
    also: str = ""
    merged: bool = False
    updated_at: int = 0


@dataclass(frozen=True, slots=True)
class Retry:
    """Known not to have happened.

    after_s: how long the ticket system asked to wait. refused: it was read and declined, so it is asked again slowly, until somebody
    mends the cause.
    """

    reason: str
    after_s: float | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Uncertain:
    """It may have happened: no answer, or one that leaves it open."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dead:
    """The message can never be delivered as it is; only a person brings it back."""

    reason: str


@dataclass(frozen=True, slots=True)
class Barred:
    """The system does not let us in: the connector stops, not the row, until a preflight finds it mended."""

    reason: str


@dataclass(frozen=True, slots=True)
class Disabled:
    """The endpoint wants no more messages. All of them wait until a person switches it on again."""

    reason: str


Outcome = Done | Retry | Uncertain | Dead | Barred | Disabled


def outcome_of(error: Exception) -> Outcome:
    """What an exchange that failed means for a message that takes one exchange. Raises what is none of the exceptions above."""
    match error:
        case NotAppliedError():
            return Retry(str(error), error.after_s)
        case UnclearError():
            return Uncertain(str(error))
        case RejectedError() | GoneError():
            return Retry(str(error), refused=True)
        case BarredError():
            return Barred(str(error))
    raise error


@dataclass(frozen=True, slots=True)
class Leg:
    """Where a message goes beside its receiver: the queue in the receiver's own word, and for a person the channel and his number or address."""

    queue: str = ""
    channel: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """One receiver of a message. connector: NAME of [tickets.NAME] or [channels.NAME], empty where none is configured; notify: a person is told,
    beside the ticket.
    """

    connector: str
    leg: Leg = Leg()
    notify: bool = False


DRILLS = "drills"
"""The receiver of what somebody injected: no drill ever reaches the bank's ticket system."""


@runtime_checkable
class Receiver(Protocol):
    """What takes messages. `settle_s`: how long after an attempt ended without a clear answer the system may still be carrying it out; coalesces: notes
    that waited together are told in one.
    """

    @property
    def name(self) -> str: ...

    @property
    def settle_s(self) -> float: ...

    @property
    def coalesces(self) -> bool: ...

    async def preflight(self) -> list[Problem]: ...

    async def deliver(self, message: TicketMessage, link: Link | None, *, doubtful: bool, leg: Leg) -> Outcome:
        """Tell it once.

        link: the incident's ticket, None as long as none is known. doubtful: an earlier attempt at this very message may have been
        carried out (its settle time is over), so the connector makes sure that it does not happen twice: by an idempotency key, or by
        looking first.
        """
        ...

    async def close(self) -> None: ...
