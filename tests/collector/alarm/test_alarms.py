"""The alarm state machine under any order of what may happen to one condition: flags beside each other, none of which forgets the others."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tillwatch.collector.alarm import alarms
from tillwatch.collector.alarm.alarms import ACK_NS, CHILD, FLAPPING, MAINTENANCE, SHELVED, Alarm, Mask

S = 10**9
KEY = ("disk.full", "atm-1", "host/disk:/")
REOPEN = 1800 * S
KINDS = st.sampled_from((SHELVED, MAINTENANCE, CHILD, FLAPPING))


class Condition(RuleBasedStateMachine):
    """asked: the level that its rule asks for now, as the fold told the alarm."""

    def __init__(self) -> None:
        super().__init__()
        self.alarm: Alarm | None = None
        self.at = 10**18
        self.asked = 0
        self.raised = 0
        self.kinds: list[str] = []

    def _take(self, changed: tuple[Alarm, str] | None) -> None:
        if changed is not None:
            before, (self.alarm, kind) = self.alarm, changed
            assert self.alarm != before, f"{kind} changes nothing"
            self.kinds.append(kind)

    @rule(level=st.integers(0, 3), after=st.sampled_from((0, S, 600 * S, REOPEN, REOPEN + 1, 10**5 * S)))
    def judged(self, level: int, after: int) -> None:
        self.at += after
        before, self.asked = self.alarm, level
        changed = alarms.change(
            before, KEY, level=level, at=self.at, detail={"since": self.at}, reopen_ns=REOPEN, new_id=self.raised + 1
        )
        self._take(changed)
        kind = changed[1] if changed is not None else ""
        if kind == "raised":
            self.raised += 1
            assert before is None or (self.at - before.cleared_at > REOPEN and before.mask(FLAPPING) is None)
            assert self.alarm is not None
            assert self.alarm.episode == (before.episode + 1 if before is not None else 1)
        elif kind == "recurred":
            assert before is not None
            assert self.at - before.cleared_at <= REOPEN or before.mask(FLAPPING)
        elif before is not None and before.condition == "active" and level == before.level:
            assert changed is None

    @rule()
    def lost_of_sight(self) -> None:
        if self.alarm is not None:
            self._take(alarms.lose_sight(self.alarm))

    @rule(by=st.sampled_from(("li.wei", "chen")))
    def acknowledged(self, by: str) -> None:
        if self.alarm is None:
            return
        was = self.alarm
        changed = alarms.acknowledge(was, by, self.at)
        assert (changed is None) == (not was.listed)
        if changed is not None:
            self.alarm = changed[0]
            assert (self.alarm.acked_by == by) == was.open
            assert self.alarm.listed == was.open, "what is over leaves the list when somebody has seen it"

    @rule()
    def expired(self) -> None:
        if self.alarm is not None and self.alarm.acked_at:
            self._take(alarms.expire(self.alarm))

    @rule(kind=KINDS, until=st.integers(0, 5))
    def masked(self, kind: str, until: int) -> None:
        if self.alarm is not None:
            was = self.alarm
            self._take(alarms.masked(was, Mask(kind, self.at, until)))
            assert replace(self.alarm, masks=was.masks) == was, "nothing but the mask"
            assert alarms.masked(self.alarm, Mask(kind, self.at, until)) is None

    @rule(kind=KINDS)
    def unmasked(self, kind: str) -> None:
        if self.alarm is not None:
            was = self.alarm
            self._take(alarms.unmasked(was, kind))
            assert self.alarm.mask(kind) is None
            assert {m.kind for m in was.masks} - {kind} == {m.kind for m in self.alarm.masks}
            assert self.alarm.condition == was.condition
            assert (self.alarm.acked_at == was.acked_at) or (kind == SHELVED and was.open)

    @invariant()
    def it_says_what_its_rule_said_last(self) -> None:
        alarm = self.alarm
        if alarm is None:
            assert not self.asked
            return
        assert alarm.open == (self.asked > 0), "whatever masks it, its condition is followed"
        assert not alarm.open or alarm.level == self.asked

    @invariant()
    def its_flags_fit_together(self) -> None:
        alarm = self.alarm
        if alarm is None:
            return
        assert (alarm.condition == "normal") == (alarm.cleared_at > 0)
        assert bool(alarm.acked_at) == bool(alarm.acked_by) == bool(alarm.ack_until)
        assert not alarm.acked_at or alarm.open, "an acknowledgement ends with the fault"
        assert not alarm.acked_at or alarm.ack_until - alarm.acked_at <= max(ACK_NS.values())
        assert not (alarm.returned and alarm.open)
        assert not (alarm.returned and alarm.level == alarms.AUTOMATIC)
        assert len({m.kind for m in alarm.masks}) == len(alarm.masks)
        assert list(alarm.turns) == sorted(alarm.turns)
        assert alarm.isa_state in {"NORM", "UNACK", "ACKED", "RTNUN", "SHLVD", "DSUPR"}

    @invariant()
    def raised_and_cleared_take_turns(self) -> None:
        turns = [kind for kind in self.kinds if kind in ("raised", "recurred", "cleared")]
        assert turns[::2] == [kind for kind in turns if kind != "cleared"]
        assert all(kind == "cleared" for kind in turns[1::2])
        assert turns[:1] in ([], ["raised"])


TestCondition = Condition.TestCase
TestCondition.settings = settings(max_examples=20, stateful_step_count=40, deadline=None)


@given(st.integers(1, 3), st.integers(1, 3))
def test_only_a_graver_level_takes_the_acknowledgement(first: int, then: int) -> None:
    raised = alarms.change(None, KEY, level=first, at=S, detail={}, reopen_ns=REOPEN, new_id=1)
    assert raised is not None
    acked = alarms.acknowledge(raised[0], "li.wei", 2 * S)
    assert acked is not None
    changed = alarms.change(acked[0], KEY, level=then, at=3 * S, detail={}, reopen_ns=REOPEN, new_id=2)
    after = changed[0] if changed is not None else acked[0]
    assert (after.acked_by == "") == (then < first)


def test_a_shelf_and_a_flap_stay_with_the_condition_and_a_cause_does_not() -> None:
    """Who shelved it did not mean one episode of it; what explained the last one need not explain this one."""
    masks = (Mask(CHILD, 1, ref="HWM-1"), Mask(MAINTENANCE, 1, ref="w"), Mask(SHELVED, 1, 99))
    last = Alarm(1, *KEY, 1, "normal", 2, 1, S, "HWM-1", {}, masks=masks, returned=True)
    raised = alarms.change(last, KEY, level=2, at=S + REOPEN + 1, detail={}, reopen_ns=REOPEN, new_id=2)
    assert raised is not None
    assert (raised[1], {m.kind for m in raised[0].masks}) == ("raised", {MAINTENANCE, SHELVED})
    assert raised[0].incident == "HWM-1", "it may be within the time of verification"
