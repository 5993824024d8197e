"""When a message is sent, sent again, or left to a person: the pure rules of the outbox.

A row goes `pending -> sending -> done`; what is known not to have happened goes back to `pending`, what may have happened to `uncertain`,
and both come due again after a wait that grows with full jitter up to a cap. Opening and resolving have no retry limit. A row that was
doubtful once stays doubtful until it is done. The gate paces the whole endpoint, so that an outage with thousands of rows waiting costs
one attempt at a time. Nothing here knows a clock, chance or a database: times and jitter come in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from tillwatch.collector.tickets.message import Op
from tillwatch.collector.tickets.port import Barred, Dead, Disabled, Done, Outcome, Retry, Uncertain

SECOND = 1_000_000_000

IN_FLIGHT = 4
"""Requests at once. Ticket systems answer in some 0.3 s, so this clears a storm of 1,000 incidents in minutes; more would trip their limits."""

TRIPPED = 3
"""Failures without a success between them after which the endpoint, not the row, is thought to be ill."""

LONGEST_WAIT_S = 2 * 3600.0
"""No wait is longer. A row that says otherwise was written by a clock that ran ahead, and is due now."""

UPDATE_REFUSALS = 12
"""Attempts (about an hour) after which a refused update gives way to a later message of its incident: a resolve must get through."""

NOTIFY_FOR_NS = 24 * 3600 * SECOND
"""A call to a person is stale after a day: those who were to be told by then were told otherwise. Tickets have no such limit."""

DELIVERY_S = 120.0
"""One attempt in all. A ticket system that is told in five requests of 20 s each takes less."""

MARGIN_S = 10.0
"""Between the end of an attempt, by the sender's own clock, and the end of its lease: what it still writes is written by then."""

MAX_ANSWER = 500
"""Characters of an answer kept in a row: enough for a reason, too little for a page."""


class RowState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    UNCERTAIN = "uncertain"
    DONE = "done"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Row:
    """One outbox row. attempts counts the takings, and so tells one taking from the next. Times are UTC ns.

    doubtful: an attempt before this one may have been carried out. followed: a later message of the incident waits behind it.
    """

    id: int
    incident: str
    op: Op
    seq: int
    level: int
    created_at: int
    state: RowState
    attempts: int = 0
    not_before: int = 0
    answer: str = ""
    doubtful: bool = False
    followed: bool = False
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Pace:
    """Waits in seconds. base, cap: of the back-off; refused: between attempts at what was declined; retry_after: the most that is honoured."""

    base_s: float = 1.0
    cap_s: float = 60.0
    refused_s: float = 300.0
    retry_after_s: float = 3600.0

    def back_off(self, failures: int, jitter: float) -> float:
        """Full jitter: anything from 0 to base * 2^(failures - 1), at most the cap. jitter: from [0, 1)."""
        return jitter * min(self.cap_s, self.base_s * 2.0 ** min(failures - 1, 32))

    def after(self, asked_s: float, jitter: float) -> float:
        """What the ticket system asked for, bounded, and up to a tenth more so that not everybody comes back at once."""
        return min(max(asked_s, 0.0), self.retry_after_s) * (1 + jitter / 10)


def take(row: Row, owner: str) -> Row:
    """The row as it is while it is being sent. One that another sender left on its way may have been carried out."""
    doubtful = row.state in (RowState.UNCERTAIN, RowState.SENDING)
    return replace(row, state=RowState.SENDING, attempts=row.attempts + 1, doubtful=doubtful, owner=owner)


def lease_ns(delivery_s: float, settle_s: float, margin_s: float = MARGIN_S) -> int:
    """How long a taking holds: until the attempt has ended whatever became of it, and the system has settled."""
    return int((delivery_s + margin_s + settle_s) * SECOND)


def settle(row: Row, outcome: Outcome, now: int, *, settle_s: float, pace: Pace, jitter: float) -> Row:
    """The taken row after its attempt, at `now`."""
    again = RowState.UNCERTAIN if row.doubtful else RowState.PENDING
    match outcome:
        case Done():
            return replace(row, state=RowState.DONE, answer=outcome.external_id[:MAX_ANSWER])
        case Dead(reason):
            return replace(row, state=RowState.DEAD, answer=reason[:MAX_ANSWER])
        case Disabled(reason) | Barred(reason):
            return replace(row, state=again, answer=reason[:MAX_ANSWER])
        case _ if row.op is Op.NOTIFY and now - row.created_at > NOTIFY_FOR_NS:
            return replace(row, state=RowState.DEAD, answer=f"too old to call anybody: {outcome.reason}"[:MAX_ANSWER])
        case Uncertain(reason):
            again = RowState.UNCERTAIN
            wait = settle_s + pace.back_off(row.attempts, jitter)
        case Retry(reason, refused=True):
            if row.op is Op.UPDATE and row.followed and row.attempts >= UPDATE_REFUSALS:
                return replace(row, state=RowState.DEAD, answer=f"gave way to a later message: {reason}"[:MAX_ANSWER])
            wait = pace.refused_s * (0.5 + jitter)
        case Retry(reason, asked_s):
            wait = pace.back_off(row.attempts, jitter) if asked_s is None else pace.after(asked_s, jitter)
    not_before = now + int(min(wait, LONGEST_WAIT_S) * SECOND)
    return replace(row, state=again, not_before=not_before, answer=reason[:MAX_ANSWER])


@dataclass(frozen=True, slots=True)
class Gate:
    """How the endpoint does. failures: since the last success; closed_until: UTC ns; disabled: why it wants no more, barred: why it does not let us
    in, both empty while it does.
    """

    failures: int = 0
    closed_until: int = 0
    disabled: str = ""
    barred: str = ""

    @property
    def tripped(self) -> bool:
        return self.failures >= TRIPPED or bool(self.disabled or self.barred)

    def after(self, outcome: Outcome, now: int, *, pace: Pace, jitter: float) -> Gate:
        """The gate after one attempt. A success does not cut short a wait that the endpoint asked for."""
        match outcome:
            case Done():
                return replace(self, failures=0)
            case Dead():
                return self
            case Disabled(reason):
                return replace(self, disabled=reason)
            case Barred(reason):
                return replace(self, barred=reason)
            case Retry(after_s=asked_s) if asked_s is not None:
                until = now + int(pace.after(asked_s, jitter) * SECOND)
                return replace(self, failures=self.failures + 1, closed_until=max(self.closed_until, until))
        failures = self.failures + 1
        wait = pace.back_off(failures - TRIPPED + 1, jitter) if failures >= TRIPPED else 0.0
        return replace(self, failures=failures, closed_until=max(self.closed_until, now + int(wait * SECOND)))

    def closed_s(self, now: int) -> float:
        """Seconds until it opens, 0 if it is open. A wait longer than any is the mark of a clock that was set back."""
        left = (self.closed_until - now) / SECOND
        return left if 0 < left <= LONGEST_WAIT_S else 0.0

    def room(self, now: int, in_flight: int) -> int:
        """How many more rows may be taken now. While it is tripped, one at a time feels whether it is well again."""
        if self.disabled or self.barred or self.closed_s(now):
            return 0
        return max(0, (1 if self.tripped else IN_FLIGHT) - in_flight)
