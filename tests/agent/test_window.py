import dataclasses
from collections import deque

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tillwatch.agent.window import (
    ACK_TIMEOUT,
    HALT_PROBE,
    MAX_PACE,
    MAX_WINDOW,
    PRESENT_AGAIN,
    REWIND_QUIET,
    WINDOW,
    Discard,
    NewEpoch,
    Offer,
    Send,
    SendLife,
    Window,
)
from tillwatch.agent.wire import Ack, AckState

EPOCH = b"epoch epoch "


def ack(seq, want=0, state=AckState.OK, *, epoch=EPOCH, window=0, min_interval=0, refused=(), digest=b""):
    return Ack(epoch, seq, want, state, window, min_interval, 0, refused, digest)


def sends(actions):
    return [action.seq for action in actions if isinstance(action, Send)]


class Stream(RuleBasedStateMachine):
    """The window, a spool, a wire that loses what it likes, and a collector that takes the next number only. Whatever happens, nothing
    leaves the spool that the collector has not stored, and what the collector misses was declared.
    """

    def __init__(self):
        super().__init__()
        self.now = 0.0
        self.spool = []
        self.end = 1
        self.acked = 0
        self.dropped = set()
        self.to_collector = deque()
        self.to_agent = deque()
        self.connected = False
        self.mark = None
        self.stored = []
        self.declared = []
        self.offered = 1
        self.window = Window(EPOCH, 1, 1, 1)

    @property
    def floor(self):
        return self.spool[0] if self.spool else self.end

    def act(self, actions):
        for action in actions:
            if isinstance(action, Send):
                assert self.connected
                assert self.mark is not None, "nothing is sent to a collector that has not answered"
                assert action.seq < self.offered <= self.end
                if action.seq in self.spool:
                    self.to_collector.append(action.seq)
            elif isinstance(action, SendLife):
                assert self.connected
                self.to_collector.append(("life", self.floor))
            elif isinstance(action, Offer):
                self.offered = self.end
                self.act(self.window.offered_now(self.now))
            else:
                assert isinstance(action, Discard)
                assert action.seq <= self.mark
                self.spool = [seq for seq in self.spool if seq > action.seq]
                self.acked = max(self.acked, action.seq)
        if self.floor > self.window.base:
            self.act(self.window.sealed(self.end, self.floor, self.now))

    def collector_hears(self, message):
        if isinstance(message, tuple):
            floor = message[1]
            if self.mark is None:
                self.mark = floor - 1
                self.declared += range(1, floor)
            elif floor > self.mark + 1:
                self.declared += range(self.mark + 1, floor)
                self.mark = floor - 1
            self.to_agent.append(ack(self.mark))
            return
        if self.mark is None:
            # Never heard of this epoch: it asks, and the life message that goes with a time-out will tell.
            self.to_agent.append(ack(0, 1, AckState.RESEND))
        elif message == self.mark + 1:
            self.mark += 1
            self.stored.append(message)
            self.to_agent.append(ack(self.mark))
        elif message <= self.mark:
            self.to_agent.append(ack(self.mark))
        else:
            self.to_agent.append(ack(self.mark, self.mark + 1, AckState.RESEND))

    @rule(n=st.integers(1, 5))
    def seal(self, n):
        self.spool += range(self.end, self.end + n)
        self.end += n
        if self.window.greeted:
            self.offered = self.end
        self.act(self.window.sealed(self.end, self.floor, self.now))

    @precondition(lambda self: self.spool)
    @rule()
    def drop_oldest(self):
        self.dropped.add(self.spool.pop(0))
        self.act(self.window.sealed(self.end, self.floor, self.now))

    @precondition(lambda self: not self.connected)
    @rule()
    def connect(self):
        self.connected = True
        self.to_collector.append(("life", self.floor))
        self.window.connect(self.now)

    @precondition(lambda self: self.connected)
    @rule()
    def lose_connection(self):
        self.connected = False
        self.to_collector.clear()
        self.to_agent.clear()
        self.window.disconnect()

    @rule()
    def restart_agent(self):
        self.connected = False
        self.to_collector.clear()
        self.to_agent.clear()
        self.window = Window(EPOCH, max(self.acked + 1, self.floor), self.end, self.offered)

    @precondition(lambda self: self.to_collector)
    @rule(lost=st.booleans())
    def forward(self, lost):
        message = self.to_collector.popleft()
        if not lost:
            self.collector_hears(message)

    @precondition(lambda self: self.to_agent)
    @rule(lost=st.booleans(), twice=st.booleans())
    def answer(self, lost, twice):
        message = self.to_agent.popleft()
        for _ in range((not lost) + twice):
            self.act(self.window.acked(message, self.now))

    @rule(seconds=st.sampled_from([0.1, REWIND_QUIET, ACK_TIMEOUT, 100.0]))
    def wait(self, seconds):
        self.now += seconds
        self.act(self.window.tick(self.now))

    @invariant()
    def bounded(self):
        window = self.window
        assert 0 <= window.next - window.base <= WINDOW
        assert window.base <= window.end == self.end
        assert 1 <= window.size <= WINDOW

    @invariant()
    def stored_once_in_order(self):
        assert self.stored == sorted(set(self.stored))

    @invariant()
    def in_flight_is_watched(self):
        window = self.window
        if self.connected and (window.next > window.base or not window.greeted):
            assert window.deadline is not None

    def teardown(self):
        """On a wire that has become good everything arrives, or was declared lost."""
        if not self.connected:
            self.connect()
        for _ in range(400):
            while self.to_collector or self.to_agent:
                if self.to_collector:
                    self.collector_hears(self.to_collector.popleft())
                if self.to_agent:
                    self.act(self.window.acked(self.to_agent.popleft(), self.now))
            if self.window.base == self.end:
                break
            self.wait(ACK_TIMEOUT)
        assert self.window.base == self.end
        assert not self.spool
        missing = set(range(1, self.end)) - set(self.stored)
        assert missing <= set(self.declared)
        assert missing <= self.dropped


TestStream = Stream.TestCase
TestStream.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def connected(end=20, base=1):
    window = Window(EPOCH, base, end, base)
    window.connect(0.0)
    assert window.acked(ack(base - 1), 0.0)[-1] == Offer()
    assert sends(window.offered_now(0.0)) == list(range(base, min(base + WINDOW, end)))
    return window


def test_nothing_is_sent_before_the_collector_has_answered():
    window = Window(EPOCH, 1, 20, 1)
    window.connect(0.0)
    assert window.sealed(30, 1, 1.0) == []
    assert window.tick(ACK_TIMEOUT - 0.1) == []
    assert [type(action) for action in window.tick(ACK_TIMEOUT)] == [SendLife]
    assert window.overdue
    assert window.acked(ack(0), 31.0) == [Offer()]
    assert sends(window.sealed(31, 1, 31.0)) == [], "not before the offer is written down"
    assert sends(window.offered_now(31.0)) == list(range(1, WINDOW + 1))
    assert window.offered_now(31.0) == []
    window.disconnect()
    window.connect(40.0)
    assert window.sealed(31, 1, 40.0) == []


@pytest.mark.parametrize(("offered", "said", "stored"), [(15, 15, 14), (15, 40, 14), (15, 19, 14), (1, 9, 8)])
def test_a_spool_that_went_back_in_time_shows_before_anything_is_sent_or_discarded(offered, said, stored):
    """It left here up to 14, and the collector has more: what was sealed since is another history and must not be taken for stored."""
    window = Window(EPOCH, 9, 45, offered)
    window.connect(0.0)
    (action,) = window.acked(ack(said), 1.0)
    assert (type(action), action.stored, action.rolled_back) == (NewEpoch, stored, True)


def test_what_was_dropped_before_the_first_connection_is_no_rollback():
    window = Window(EPOCH, 101, 120, 1)
    window.connect(0.0)
    assert window.acked(ack(100), 1.0) == [Offer()]


def test_one_window_is_in_flight():
    window = connected()
    assert sends(window.acked(ack(3), 1.0)) == [9, 10, 11]
    assert window.latency == 1.0


def test_want_rewinds_once_in_a_while():
    window = connected()
    assert sends(window.acked(ack(2, 3, AckState.RESEND), 1.0)) == list(range(3, 11))
    assert window.resent == 6
    assert sends(window.acked(ack(2, 3, AckState.RESEND), 1.1)) == []
    assert sends(window.acked(ack(2, 3, AckState.RESEND), 1.0 + REWIND_QUIET)) == list(range(3, 11))


def test_want_below_the_floor_is_answered_with_life():
    window = connected(base=10)
    actions = window.acked(ack(4, 5, AckState.RESEND), 1.0)
    assert isinstance(actions[0], SendLife)
    assert sends(actions)[0] == 10


def test_no_ack_halves_the_window_and_progress_opens_it():
    window = connected()
    assert window.tick(ACK_TIMEOUT - 0.1) == []
    actions = window.tick(ACK_TIMEOUT)
    assert isinstance(actions[0], SendLife)
    assert sends(actions) == [1, 2, 3, 4]
    assert window.overdue
    assert sends(window.tick(2 * ACK_TIMEOUT)) == [1, 2]
    window.acked(ack(2), 61.0)
    assert not window.overdue
    assert window.size == 3


def test_want_below_the_floor_is_answered_where_nothing_waits():
    """As after the collector was restored from an old backup while this terminal had nothing to send."""
    window = Window(EPOCH, 10, 10, 10)
    window.connect(0.0)
    actions = window.acked(ack(4, 5, AckState.RESEND), 1.0)
    assert [type(action) for action in actions] == [SendLife, Offer]


def test_ack_of_another_epoch_says_nothing():
    window = connected()
    assert window.acked(ack(5, epoch=b"another"), 1.0) == []
    assert window.base == 1


@pytest.mark.parametrize("told", [ack(0, state=AckState.FORK), ack(20), ack(1_000_000)])
def test_another_history_begins_an_epoch(told):
    assert isinstance(connected().acked(told, 1.0)[0], NewEpoch)


def test_refused_is_parked_as_it_is_discarded():
    actions = connected().acked(ack(4, state=AckState.REFUSED, refused=((3, "too new"), (99, "nonsense"))), 1.0)
    assert actions[0] == Discard(4, ((3, "too new"),))


def test_a_refusal_that_does_not_settle_its_batch_leaves_no_hole():
    actions = connected().acked(ack(2, state=AckState.REFUSED, refused=((3, "too new"),)), 1.0)
    assert actions[0] == Discard(2)


def test_slow_stretches_and_ok_relaxes():
    window = connected(end=100)
    for seq in range(1, 6):
        window.acked(ack(seq, state=AckState.SLOW, min_interval=5_000), 1.0)
    assert (window.pace, window.min_interval) == (MAX_PACE, 5.0)
    for seq in range(6, 10):
        window.acked(ack(seq), 1.0)
    assert (window.pace, window.min_interval) == (1, 0.0)


@pytest.mark.parametrize(("said", "kept"), [(100, 1.0), (50, 0.5), (200, 2.0), (75, 0.75), (0, 0.5), (2**62, 2.0)])
def test_the_collector_may_pace_readings_within_bounds_and_silence_is_the_terminals_own_pace(said, kept):
    window = connected(end=100)
    window.acked(dataclasses.replace(ack(1), pace=said), 1.0)
    assert window.sampling == kept
    window.acked(ack(2), 2.0)
    assert window.sampling == 1.0


def test_enrol_stops_the_sending_until_the_collector_changes_its_mind():
    window = connected()
    enrol = ack(0, state=AckState.ENROL)
    assert [type(action) for action in window.acked(enrol, 1.0)] == [SendLife]
    assert window.halted
    assert window.acked(enrol, 2.0) == []
    assert window.sealed(40, 1, 2.0) == []
    assert window.tick(2.0) == []
    assert [type(action) for action in window.tick(2.0 + HALT_PROBE)] == [SendLife]
    # What was in flight is not known to have been taken: it goes again.
    assert sends(window.acked(ack(3), 700.0)) == list(range(4, 4 + WINDOW))
    assert not window.halted


def test_enrol_in_another_epoch_is_not_meant_for_this_stream():
    window = connected()
    assert window.acked(ack(0, state=AckState.ENROL, epoch=bytes(12)), 1.0) == []
    assert not window.halted


def test_enrol_again_and_again_is_answered_now_and_then():
    window = connected()
    enrol = ack(0, state=AckState.ENROL)
    answers = [now for now in range(200) if window.acked(enrol, float(now))]
    assert answers == list(range(0, 200, int(PRESENT_AGAIN)))


def test_what_was_stored_under_ones_number_may_be_anothers():
    mine, other = b"m" * 32, b"o" * 32
    window = connected()
    assert isinstance(window.acked(ack(5, digest=other[:16]), 1.0, mine)[0], NewEpoch)
    assert window.base == 1
    assert window.acked(ack(5, digest=mine[:16]), 1.0, mine)[0] == Discard(5)


def test_a_fork_behind_what_both_sides_have_is_another_machines():
    mine = b"m" * 32
    window = connected()
    actions = window.acked(ack(5, state=AckState.FORK, digest=mine[:16]), 1.0, mine)
    assert actions[0] == Discard(5)
    assert not [action for action in actions if isinstance(action, NewEpoch)]
    assert isinstance(window.acked(ack(5, state=AckState.FORK, digest=mine[:16]), 2.0)[0], NewEpoch)


def test_the_collector_sets_the_window_within_a_bound():
    window = connected(end=500)
    window.acked(ack(1, window=2), 1.0)
    assert window.size == 2
    for seq in range(2, 200):
        window.acked(ack(seq, window=10_000), 1.0)
    assert window.size == MAX_WINDOW
