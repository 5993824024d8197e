"""The incident's state machine under any order of what telemetry and people may say: no forbidden way, no two holds at a time, no word of
it forgotten when it is kept.
"""

from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.incidents import (
    ACKNOWLEDGED,
    CLOSED,
    DROPPED,
    IN_REPAIR,
    LIVING,
    OPEN,
    RESOLVED,
    RESTORED,
    SETTLING,
    Incident,
    correlation_id,
)

S = 10**9
WAYS = {
    SETTLING: {OPEN, DROPPED},
    OPEN: {ACKNOWLEDGED, IN_REPAIR, RESTORED, RESOLVED},
    ACKNOWLEDGED: {OPEN, IN_REPAIR, RESTORED, RESOLVED},
    IN_REPAIR: {OPEN, ACKNOWLEDGED, RESTORED, RESOLVED},
    RESTORED: {OPEN, ACKNOWLEDGED, RESOLVED},
    RESOLVED: {OPEN, CLOSED},
    CLOSED: {OPEN},
    DROPPED: set[str](),
}
"""Where an incident may go. Back to open: it grew worse, or is back."""


class Course(RuleBasedStateMachine):
    @initialize(level=st.integers(1, 3), drill=st.booleans(), tamper=st.booleans())
    def found(self, level: int, drill: bool, tamper: bool) -> None:
        self.at = 10**18
        self.incident = Incident("HWM-1", "atm-1", "hill", level, SETTLING, self.at, 0, 0, drill=drill, tamper=tamper)
        self.first = self.incident
        self.settled = 0

    def _go(self, after: Incident | None) -> None:
        if after is None:
            return
        before, self.incident = self.incident, after
        assert after.state == before.state or after.state in WAYS[before.state], f"{before.state} to {after.state}"

    @rule(seconds=st.sampled_from((0, 1, 60, 3600, 86400)))
    def later(self, seconds: int) -> None:
        self.at += seconds * S

    @precondition(lambda self: self.incident.state == SETTLING)
    @rule()
    def announce(self) -> None:
        self._go(incidents.announce(self.incident, self.at))

    @precondition(lambda self: self.incident.state == SETTLING)
    @rule()
    def drop(self) -> None:
        self._go(incidents.drop(self.incident, self.at))

    @rule(by=st.sampled_from(("li.wei", "chen")))
    def acknowledge(self, by: str) -> None:
        was = self.incident
        self._go(incidents.acknowledge(was, by, self.at))
        if was.responded_at:
            assert self.incident.responded_at == was.responded_at, "the first word counts"

    @precondition(lambda self: self.incident.living)
    @rule(level=st.integers(1, 3))
    def level(self, level: int) -> None:
        was = self.incident
        self._go(incidents.worsen(was, level, self.at))
        assert (self.incident.responded_at != was.responded_at) <= (level < was.level)

    @rule()
    def begin_repair(self) -> None:
        self._go(incidents.begin_repair(self.incident, "li.wei", self.at))

    @rule()
    def hold(self) -> None:
        was = self.incident
        held = incidents.hold(was, "parts", self.at)
        assert (held is None) == (not was.living or bool(was.on_hold) or was.state in (SETTLING, RESTORED))
        self._go(held)

    @rule()
    def resume(self) -> None:
        self._go(incidents.resume(self.incident, self.at))
        assert not self.incident.on_hold

    @precondition(lambda self: self.incident.state in (OPEN, ACKNOWLEDGED, IN_REPAIR) and not self.incident.tamper)
    @rule(ago=st.sampled_from((0, 60)))
    def restore(self, ago: int) -> None:
        since = max(self.at - ago * S, self.incident.opened_at)
        self._go(incidents.restore(self.incident, since, self.at))
        assert self.incident.state == (RESOLVED if self.incident.level == 3 else RESTORED)

    @precondition(lambda self: self.incident.state in (RESTORED, RESOLVED, CLOSED))
    @rule()
    def back(self) -> None:
        was = self.incident
        self.settled += was.state in (RESOLVED, CLOSED)
        self._go(incidents.reopen(was, self.at))
        assert (self.incident.restored_at, self.incident.resolved_at, self.incident.closed_at) == (0, 0, 0)
        assert set(self.incident.steps) <= set(was.steps)

    @rule()
    def resolve(self) -> None:
        self._go(incidents.resolve(self.incident, "true_fault", "disk", self.at))

    @rule()
    def close(self) -> None:
        was = self.incident
        self._go(incidents.close(was, self.at))
        assert (self.incident.state == CLOSED) == (was.state in (RESOLVED, CLOSED)), (
            "nothing is closed that nobody resolved"
        )

    @invariant()
    def its_times_fit_its_state(self) -> None:
        one = self.incident
        assert one.living == (one.state in LIVING)
        assert (one.state in (RESOLVED, CLOSED)) == (one.resolved_at > 0)
        assert (one.state in (CLOSED, DROPPED)) == (one.closed_at > 0)
        assert one.announced == (one.state not in (SETTLING, DROPPED)), "what was told is never dropped"
        assert one.state != RESTORED or one.restored_at
        assert one.state not in (ACKNOWLEDGED, IN_REPAIR) or one.responded_at
        assert one.response_from <= self.at
        assert not (one.tamper and one.state == RESTORED)

    @invariant()
    def holds_follow_each_other(self) -> None:
        held = self.incident.held
        assert all(since <= until for since, until, _ in held[:-1])
        assert all(before[1] <= after[0] for before, after in pairwise(held))
        assert not self.incident.on_hold or self.incident.state in (OPEN, ACKNOWLEDGED, IN_REPAIR)

    @invariant()
    def what_it_is_stays(self) -> None:
        assert (self.incident.drill, self.incident.tamper, self.incident.corr_id) == (
            self.first.drill, self.first.tamper, self.first.corr_id
        )  # fmt: skip
        assert self.incident.opened_at == self.first.opened_at
        assert self.incident.reopened == self.settled

    @invariant()
    def it_is_kept_as_it_is(self) -> None:
        assert Incident.of_row(self.incident.row()) == self.incident


TestCourse = Course.TestCase
TestCourse.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)


@given(*[st.text(max_size=40)] * 4, st.integers(1, 10**9))
def test_the_name_of_an_incident_fits_every_ticket_system(
    branch: str, terminal: str, component: str, fault: str, episode: int
) -> None:
    name = correlation_id(branch, terminal, component, fault, episode)
    assert len(name) <= 40
    assert name.isascii()
    assert not any(each.isspace() for each in name)


def test_episodes_of_a_fault_have_names_of_their_own() -> None:
    names = {correlation_id("b", "t", "c", "f", n) for n in range(100)}
    assert len(names) == 100


def test_time_out_of_which_a_fault_came_back_twice_is_taken_off_once() -> None:
    """The readings may say that it was over before it came back the last time."""
    began = incidents.announce(
        Incident("HWM-0-1", "atm-1", "hill", 2, SETTLING, S, 0, 0, occurred_at=S, fault="ups.on-battery"), S
    )
    back = incidents.reopen(incidents.restore(began, 10 * S, 10 * S), 70 * S)
    again = incidents.reopen(incidents.restore(back, 15 * S, 75 * S), 76 * S)
    assert again.response_from <= 76 * S
    assert [until - since for since, until, _ in again.held] == [60 * S, 6 * S]
    assert again.response_from == S + 66 * S
