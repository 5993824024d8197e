"""The path of injected faults: every order of what is seen, of time that passes, of restarts and refusals."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tillwatch.collector.watch import path
from tillwatch.collector.watch.path import (
    END,
    FAULT,
    Complain,
    Complaint,
    Completed,
    GivenUp,
    Path,
    Relieve,
    Send,
    Stage,
    Times,
)

S = 10**9
TIMES = Times(every=300 * S, late=120 * S)
START = 1_000 * S


def through(way: Path, stages: tuple[Stage, ...], at: int) -> tuple[Path, list[path.Action]]:
    """All these stages, a second apart."""
    said: list[path.Action] = []
    for number, stage in enumerate(stages):
        way, actions = path.saw(way, way.n, stage, at + number * S)
        said += actions
    return way, said


def begun() -> Path:
    way, actions = path.tick(Path(due=START), START, TIMES)
    assert actions == (Send(1, fault=True),)
    return way


def test_a_round_goes_the_whole_way_and_the_next_begins_in_time() -> None:
    way = begun()
    way, said = through(way, FAULT, START + S)
    assert said == [Send(1, fault=False)]
    way, said = through(way, END, START + 10 * S)
    (completed,) = said
    assert isinstance(completed, Completed)
    assert completed.round.delays() == {
        Stage.BROKER: S,
        Stage.STORED: 2 * S,
        Stage.TICKET: 3 * S,
        Stage.END_BROKER: 7 * S,
        Stage.END_STORED: 8 * S,
        Stage.RESOLVE: 9 * S,
    }
    assert path.next_at(way, TIMES) == START + TIMES.every
    assert path.tick(way, START + TIMES.every - 1, TIMES) == (way, ())
    assert path.tick(way, START + TIMES.every, TIMES)[1] == (Send(2, fault=True),)


@pytest.mark.parametrize("missing", Stage)
def test_the_complaint_names_the_first_stage_that_was_not_passed(missing: Stage) -> None:
    way, at = begun(), START
    if missing in END:
        way, _ = through(way, FAULT, START + S)
        at = START + 3 * S
    leg = FAULT if missing in FAULT else END
    way, said = through(way, leg[: leg.index(missing)], at + S)
    assert said == []
    assert path.next_at(way, TIMES) == at + TIMES.late
    assert path.tick(way, at + TIMES.late - 1, TIMES) == (way, ())
    way, said = path.tick(way, at + TIMES.late, TIMES)
    assert said == (Complain(Complaint(missing, 1)),)
    assert path.tick(way, at + TIMES.late + 1, TIMES)[1] == (), "once"


def test_a_round_that_is_not_stored_waits_for_as_long_as_it_takes() -> None:
    way, _ = path.saw(begun(), 1, Stage.BROKER, START + S)
    way, said = path.tick(way, START + TIMES.late, TIMES)
    assert said == (Complain(Complaint(Stage.STORED, 1)),)
    way, said = path.tick(way, START + 100 * TIMES.every, TIMES)
    assert said == ()
    assert path.next_at(way, TIMES) is None
    way, said = through(way, (Stage.STORED, Stage.TICKET), START + 100 * TIMES.every)
    assert said == [Send(1, fault=False)]
    way, said = through(way, END, START + 100 * TIMES.every)
    assert [type(each) for each in said] == [Completed, Relieve]


def test_a_round_whose_ticket_never_comes_is_given_up_and_the_complaint_stands_until_another_arrives() -> None:
    way, _ = through(begun(), (Stage.BROKER, Stage.STORED), START + S)
    way, said = path.tick(way, START + TIMES.late, TIMES)
    assert said == (Complain(Complaint(Stage.TICKET, 1)),)
    way, said = path.tick(way, START + TIMES.every, TIMES)
    assert [type(each) for each in said] == [GivenUp, Send]
    assert way.complaint == Complaint(Stage.TICKET, 1)
    at = START + TIMES.every
    way, said = path.saw(way, 1, Stage.TICKET, at)
    assert said == (), "of a round that was given up"
    way, said = through(way, FAULT, at + S)
    way, said = through(way, END, at + 5 * S)
    assert [type(each) for each in said] == [Completed, Relieve]


def test_another_missing_stage_is_told_once_it_lasts() -> None:
    """What is on its way after an outage passes the stages one by one: that is no news."""
    way, _ = path.tick(begun(), START + TIMES.late, TIMES)
    back = START + TIMES.late + 50 * S
    way, _ = through(way, (Stage.BROKER, Stage.STORED), back)
    assert path.tick(way, back + 2 * S, TIMES)[1] == ()
    assert path.next_at(way, TIMES) == back + S + TIMES.late
    way, said = path.tick(way, back + S + TIMES.late, TIMES)
    assert said == (Complain(Complaint(Stage.TICKET, 1)),)


def test_what_is_told_twice_or_too_early_changes_nothing() -> None:
    way, _ = path.saw(begun(), 1, Stage.TICKET, START + S)
    assert path.saw(way, 1, Stage.TICKET, START + 9 * S) == (way, ())
    assert path.saw(way, 1, Stage.RESOLVE, START + 9 * S) == (way, ()), "a ticket that somebody resolved"
    assert path.saw(way, 2, Stage.STORED, START + 9 * S) == (way, ())


def test_what_is_not_stored_when_the_connection_is_lost_must_be_taken_again() -> None:
    way, _ = path.saw(begun(), 1, Stage.BROKER, START + S)
    way = path.cut_off(way)
    assert path.tick(way, START + TIMES.late, TIMES)[1] == (Complain(Complaint(Stage.BROKER, 1)),)
    way, _ = through(way, (Stage.BROKER, Stage.STORED), START + TIMES.late + S)
    assert path.cut_off(way) == way, "what is stored stays so"
    assert path.cut_off(Path()) == Path()


def test_a_refused_batch_waits_for_nothing() -> None:
    way, _ = path.tick(begun(), START + TIMES.late, TIMES)
    way = path.settle(way, 1)
    way, said = path.tick(way, START + TIMES.every, TIMES)
    assert [type(each) for each in said] == [GivenUp, Send]
    assert path.settle(way, 1) == way, "of a round that is over"


def test_after_a_restart_limits_begin_anew_and_delays_tell_nothing() -> None:
    way, _ = through(begun(), (Stage.BROKER, Stage.STORED), START + S)
    again = path.resume(way, 5, TIMES)
    assert path.tick(again, 5 + TIMES.late - 1, TIMES)[1] == ()
    assert path.tick(again, 5 + TIMES.late, TIMES)[1] == (Complain(Complaint(Stage.TICKET, 1)),)
    again, said = path.saw(again, 1, Stage.TICKET, 6)
    assert said == (Send(1, fault=False),)
    again, said = through(again, END, 7)
    assert isinstance(said[0], Completed)
    assert not said[0].round.measured
    assert path.next_at(path.resume(again, 99, TIMES), TIMES) == 99, "no round under way: one begins at once"


class PathMachine(RuleBasedStateMachine):
    """A world that lets through, holds back, refuses and restarts as it likes; ticks come when they are due, or later."""

    @initialize(late=st.integers(1, 50), more=st.integers(0, 100))
    def start(self, late: int, more: int) -> None:
        self.times = Times(every=2 * late + more, late=late)
        self.at = 1
        self.way = Path(due=1)
        self.waiting: tuple[int, bool] | None = None
        self.complained: Complaint | None = None
        self.restarted = self.at
        self.tick()

    def done(self, way: Path, actions: tuple[path.Action, ...]) -> None:
        before, self.way = self.way, way
        for action in actions:
            match action:
                case Send(n, fault):
                    assert self.waiting is None, "one batch waits at most"
                    self.waiting = (n, fault)
                    assert n == way.n
                case Complain(complaint):
                    assert self.complained is None or self.complained.stage != complaint.stage, "on transitions only"
                    assert complaint.stage not in (before.round.seen if before.round else ())
                    self.complained = complaint
                case Relieve(complaint):
                    assert self.complained == complaint
                    assert any(isinstance(each, Completed) for each in actions)
                    self.complained = None
                case Completed(one):
                    assert set(one.seen) == set(Stage)
                    delays = one.delays()
                    assert all(delay >= 0 for delay in delays.values())
                case GivenUp(one):
                    assert one.settled
                    assert self.complained is not None, "nothing is given up in silence"
        assert self.way.complaint == self.complained

    def tick(self) -> None:
        self.done(*path.tick(self.way, self.at, self.times))

    @rule(ns=st.integers(0, 200), on_time=st.booleans())
    def time_passes(self, ns: int, on_time: bool) -> None:
        until = self.at + ns
        while on_time and (due := path.next_at(self.way, self.times)) is not None and due <= until:
            self.at = max(due, self.at)
            before = self.way
            self.tick()
            assert self.way != before, "a tick that is due does something"
        self.at = until
        self.tick()

    @rule(stage=st.sampled_from(Stage), behind=st.integers(0, 1))
    def seen(self, stage: Stage, behind: int) -> None:
        n = self.way.n - behind
        mine = self.way.round is not None and n == self.way.n
        if stage in {Stage.STORED, Stage.END_STORED} and mine and self.waiting == (n, stage is Stage.STORED):
            self.waiting = None
        elif stage in {Stage.STORED, Stage.END_STORED}:
            return  # the collector tells of what it was sent
        self.done(*path.saw(self.way, n, stage, self.at))

    @rule()
    def everything_arrives(self) -> None:
        for stage in self.way.round.leg if self.way.round is not None else ():
            self.seen(stage, 0)

    @precondition(lambda self: self.waiting is not None)
    @rule()
    def refused(self) -> None:
        self.waiting = None
        self.way = path.settle(self.way, self.way.n)

    @rule()
    def the_connection_is_lost(self) -> None:
        self.way = path.cut_off(self.way)

    @rule()
    def restart(self) -> None:
        self.restarted = self.at
        self.way = path.resume(self.way, self.at, self.times)
        self.tick()

    @invariant()
    def what_is_late_is_complained_of(self) -> None:
        one = getattr(self, "way", Path()).round
        if one is not None and self.at >= one.leg_began + self.times.late:
            assert self.complained is not None

    @invariant()
    def legs_follow_each_other(self) -> None:
        one = getattr(self, "way", Path()).round
        if one is not None:
            assert set(one.leg) - one.seen.keys(), "a leg that is whole is over"
            assert bool(one.ended) == (set(FAULT) <= one.seen.keys())
            assert one.ended or not set(END) & one.seen.keys(), "nothing of the end is seen before it was sent"

    def teardown(self) -> None:
        """Once the path works, two rounds later nothing is complained of."""
        if not hasattr(self, "way"):
            return
        for _ in range(4):
            self.everything_arrives()
            self.everything_arrives()
            self.at = max(self.at, self.way.due)
            self.tick()
        assert self.complained is None


TestPathMachine = PathMachine.TestCase
TestPathMachine.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
