"""The way of one injected fault after the other, as a pure state machine. A round begins with a batch that holds the fault; it is seen at the broker,
in the signed word of the collector that it is stored, and in the ticket that reaches the watchdog's own receiver. Then the fault ends, and its
end has the same way to go. What is late is named by the first stage that it has not passed. Times are ns, above 0, of a clock that
only goes forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Stage(StrEnum):
    """What a round passes, in this order. Each must be seen by itself: a ticket that arrives does not show that the acks do."""

    BROKER = "broker"
    STORED = "stored"
    TICKET = "ticket"
    END_BROKER = "end-broker"
    END_STORED = "end-stored"
    RESOLVE = "resolve"


FAULT = (Stage.BROKER, Stage.STORED, Stage.TICKET)
END = (Stage.END_BROKER, Stage.END_STORED, Stage.RESOLVE)
"""The two legs of a round."""


@dataclass(frozen=True, slots=True)
class Times:
    """every: between the beginnings of two rounds; late: what each leg of a round may take. ns; every is at least twice late."""

    every: int
    late: int


@dataclass(frozen=True, slots=True)
class Round:
    """n: its number. began: when the batch with the fault was sealed; ended: when that with its end was, 0 before. seen: stage -> when.
    settled: the batch of the present leg waits no more to be stored. measured: it was watched all the way, so its delays count.
    """

    n: int
    began: int
    ended: int = 0
    seen: Mapping[Stage, int] = field(default_factory=dict)
    settled: bool = False
    measured: bool = True

    @property
    def leg(self) -> tuple[Stage, ...]:
        return END if self.ended else FAULT

    @property
    def leg_began(self) -> int:
        return self.ended or self.began

    @property
    def missing(self) -> Stage:
        """The first stage of the leg that it has not passed."""
        return next(stage for stage in self.leg if stage not in self.seen)

    @property
    def progressed(self) -> int:
        """When it was last seen anywhere."""
        return max(self.leg_began, *self.seen.values(), 0)

    def delays(self) -> dict[Stage, int]:
        """Of each stage, ns since its leg began."""
        return {stage: at - (self.ended if stage in END else self.began) for stage, at in self.seen.items()}


@dataclass(frozen=True, slots=True)
class Complaint:
    """A round that has not passed a stage in time. It lasts until a round has gone the whole way."""

    stage: Stage
    n: int


@dataclass(frozen=True, slots=True)
class Path:
    """n: of the last round; due: when the next may begin."""

    n: int = 0
    due: int = 0
    round: Round | None = None
    complaint: Complaint | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """Seal and publish how things stand: the fault of this round, or that there is none."""

    n: int
    fault: bool


@dataclass(frozen=True, slots=True)
class Complain:
    """Say so: for the first time, or that another stage is missing now."""

    complaint: Complaint


@dataclass(frozen=True, slots=True)
class Relieve:
    """What was complained of is over."""

    complaint: Complaint


@dataclass(frozen=True, slots=True)
class Completed:
    round: Round


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The round is stored and does not arrive: another one finds out whether the path works by now."""

    round: Round


Action = Send | Complain | Relieve | Completed | GivenUp
Step = tuple[Path, tuple[Action, ...]]


def tick(path: Path, at: int, times: Times) -> Step:
    """What time alone brings. At most one batch waits to be stored: before it is, no other round begins."""
    actions: list[Action] = []
    one = path.round
    if one is not None and _late_at(path, one, times) <= at:
        path = replace(path, complaint=Complaint(one.missing, one.n))
        assert path.complaint is not None
        actions.append(Complain(path.complaint))
    if at >= path.due and (one is None or one.settled):
        if one is not None:
            actions.append(GivenUp(one))
        n = path.n + 1
        path = replace(path, n=n, due=at + times.every, round=Round(n, at))
        actions.append(Send(n, fault=True))
    return path, tuple(actions)


def saw(path: Path, n: int, stage: Stage, at: int) -> Step:
    """Round n was seen at a stage. What is told twice, too late or of another leg changes nothing."""
    one = path.round
    if one is None or one.n != n or stage not in one.leg or stage in one.seen:
        return path, ()
    settled = one.settled or stage in {Stage.STORED, Stage.END_STORED}
    one = replace(one, seen={**one.seen, stage: at}, settled=settled)
    if not set(one.leg) <= one.seen.keys():
        return replace(path, round=one), ()
    if one.leg == FAULT:
        one = replace(one, ended=at, settled=False)
        return replace(path, round=one), (Send(n, fault=False),)
    relieved = () if path.complaint is None else (Relieve(path.complaint),)
    return replace(path, round=None, complaint=None), (Completed(one), *relieved)


def settle(path: Path, n: int) -> Path:
    """The batch of the present leg was refused, or its stream has ended: it will not be stored, and waits no more."""
    one = path.round
    return path if one is None or one.n != n else replace(path, round=replace(one, settled=True))


def cut_off(path: Path) -> Path:
    """The connection to the broker is lost: what is not stored must be taken by it once more."""
    one = path.round
    if one is None or one.settled:
        return path
    left = {stage: at for stage, at in one.seen.items() if stage is not one.leg[0]}
    return replace(path, round=replace(one, seen=left))


def resume(path: Path, at: int, times: Times) -> Path:
    """Nobody watched until now: the watchdog was started again, or was not let run. The round goes on, its limits begin anew, its delays tell
    nothing. A complaint stands until a round has gone the whole way.
    """
    one = path.round
    if one is None:
        return replace(path, due=at)
    again = replace(one, began=at, ended=at if one.ended else 0, seen=dict.fromkeys(one.seen, at), measured=False)
    return replace(path, due=at + times.every, round=again)


def next_at(path: Path, times: Times) -> int | None:
    """When tick has something to do, if nothing is seen before."""
    one = path.round
    waits = [path.due] if one is None or one.settled else []
    if one is not None and (late := _late_at(path, one, times)) < _NEVER:
        waits.append(late)
    return min(waits, default=None)


_NEVER = 1 << 63


def _late_at(path: Path, one: Round, times: Times) -> int:
    """When the stage that is missing is to be complained of. While a complaint stands, one that has moved on is given as long again: what is
    on its way after an outage is no news.
    """
    if path.complaint is None:
        return one.leg_began + times.late
    if path.complaint.stage is one.missing:
        return _NEVER
    return one.progressed + times.late
