from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.wire import Ack, AckState
from tillwatch.collector.fleet_load.stream import ACK_TIMEOUT_S, MAX_PACE, MAX_WINDOW, WINDOW, Stream, StreamError

EPOCH = bytes(12)


def ack(seq: int, *, want: int = 0, state: AckState = AckState.OK, window: int = WINDOW, spacing: int = 0) -> Ack:
    return Ack(EPOCH, seq, want, state, window, spacing, 0)


def greeted() -> Stream:
    stream = Stream(0, EPOCH)
    stream.connect()
    stream.greet(0.0)
    stream.acked(ack(0), 0.0)
    return stream


def test_nothing_is_sent_before_the_collector_has_answered() -> None:
    stream = Stream(0, EPOCH)
    stream.connect()
    assert stream.sealed(7, 0.0).send == []
    stream.greet(0.0)
    assert stream.tick(ACK_TIMEOUT_S - 1).life is False
    assert stream.tick(ACK_TIMEOUT_S).life is True
    assert stream.acked(ack(0), 31.0).send == [7]


def test_no_more_than_the_window_is_under_way() -> None:
    stream = greeted()
    sent = [place for place in range(20) for place in stream.sealed(place, 1.0).send]
    assert sent == list(range(WINDOW))
    turn = stream.acked(ack(3), 2.0)
    assert (turn.settled, turn.send) == ([0, 1, 2], [8, 9, 10])
    assert turn.latencies == [1.0] * 3


def test_the_collector_sets_the_window() -> None:
    stream = greeted()
    stream.acked(ack(0, window=2), 0.0)
    assert [place for place in range(5) for place in stream.sealed(place, 1.0).send] == [0, 1]
    stream.acked(ack(0, window=10_000), 1.0)
    assert stream.limit == MAX_WINDOW


def test_what_is_wanted_goes_out_again_once() -> None:
    stream = greeted()
    for place in range(5):
        stream.sealed(place, 1.0)
    turn = stream.acked(ack(1, want=2, state=AckState.RESEND), 1.1)
    assert (turn.send, turn.resent) == ([1, 2, 3, 4], 4)
    assert stream.acked(ack(1, want=2, state=AckState.RESEND), 1.2).send == []
    assert stream.acked(ack(1, want=2, state=AckState.RESEND), 4.0).send == [1, 2, 3, 4]


def test_what_is_wanted_and_settled_is_answered_by_a_life_message() -> None:
    stream = greeted()
    for place in range(3):
        stream.sealed(place, 1.0)
    stream.acked(ack(3), 1.1)
    assert stream.acked(ack(3, want=1), 1.2).life is True


def test_silence_halves_the_window_and_sends_again() -> None:
    stream = greeted()
    for place in range(WINDOW):
        stream.sealed(place, 1.0)
    turn = stream.tick(1.0 + ACK_TIMEOUT_S)
    assert (turn.send, turn.life) == (list(range(WINDOW // 2)), True)


def test_a_new_connection_sends_all_that_is_not_settled() -> None:
    stream = greeted()
    for place in range(4):
        stream.sealed(place, 1.0)
    stream.acked(ack(1), 1.5)
    stream.connect()
    assert stream.sealed(4, 2.0).send == []
    stream.greet(2.0)
    turn = stream.acked(ack(2), 3.0)
    assert (turn.settled, turn.send) == ([1], [2, 3, 4])


def test_slow_stretches_and_ok_takes_it_back() -> None:
    stream = greeted()
    for _ in range(5):
        stream.acked(ack(0, state=AckState.SLOW), 1.0)
    assert stream.pace == MAX_PACE
    stream.acked(ack(0, spacing=5_000), 1.0)
    assert (stream.pace, stream.spacing) == (MAX_PACE // 2, 5.0)


@pytest.mark.parametrize("state", [AckState.ENROL, AckState.FORK])
def test_what_no_true_terminal_hears_is_an_error(state: AckState) -> None:
    with pytest.raises(StreamError, match=state.value):
        greeted().acked(ack(0, state=state), 1.0)
    with pytest.raises(StreamError, match="has batch 1"):
        greeted().acked(ack(1), 1.0)
    refused = Ack(EPOCH, 0, 0, AckState.REFUSED, 8, 0, 0, refused=((1, "too long"),))
    with pytest.raises(StreamError, match="too long"):
        greeted().acked(refused, 1.0)


def test_an_ack_of_an_earlier_run_says_nothing() -> None:
    stream = greeted()
    stream.sealed(0, 1.0)
    assert stream.acked(Ack(b"x" * 12, 1, 0, AckState.OK, 8, 0, 0), 1.0).settled == []
    assert stream.waiting == 1


@given(st.data())
def test_over_a_line_that_loses_anything_all_arrives_once_and_in_order(data: st.DataObject) -> None:
    """The collector of the model takes what follows its mark and asks for the rest; the line drops batches, acks and itself."""
    stream, mark, now, count = greeted(), 0, 1.0, data.draw(st.integers(1, 30))
    sealed, asked, rounds = 0, 0, 0
    while mark < count or stream.waiting:
        rounds += 1
        assert rounds < 1_000
        calm = rounds > 60  # the line is whole in the end
        now += 1.0
        sends: list[int] = []
        if sealed < count and data.draw(st.booleans()):
            sends += stream.sealed(sealed + 1, now).send
            sealed += 1
        timed_out = stream.tick(now)
        sends += timed_out.send
        if timed_out.leave or (not calm and data.draw(st.integers(0, 9)) == 0):
            stream.connect()
            stream.greet(now)
            sends += stream.acked(ack(mark), now).send
        for seq in sends:
            assert seq <= sealed
            if not calm and data.draw(st.booleans()):
                continue
            if seq == mark + 1:
                mark = seq
            else:
                asked = mark + 1 if seq > mark + 1 else 0
            state = AckState.RESEND if asked else AckState.OK
            if calm or data.draw(st.booleans()):
                turn = stream.acked(ack(mark, want=asked, state=state), now)
                assert turn.settled == list(range(turn.settled[0], mark + 1)) if turn.settled else True
                asked = 0
        if calm:
            now += ACK_TIMEOUT_S
            if sealed < count:
                stream.sealed(sealed + 1, now)
                sealed += 1
    assert stream.base == count + 1


def test_a_connection_over_which_nothing_is_acknowledged_is_left_and_later_each_time() -> None:
    stream = Stream(0, EPOCH)
    now, waits = 0.0, []
    for _ in range(3):
        stream.connect()
        stream.greet(now)
        for count in range(1, 1_000):
            now += ACK_TIMEOUT_S
            if stream.tick(now).leave:
                waits.append(count)
                break
    assert waits == [3, 6, 12]
