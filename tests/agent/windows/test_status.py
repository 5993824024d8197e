from hypothesis import given
from hypothesis import strategies as st

from tillwatch.agent.windows.status import ACCEPTED, Event, Phase, Status, step

EVENTS = st.lists(st.tuples(st.sampled_from(Event), st.integers(0, 5)), max_size=30)
MAY_FOLLOW = {
    Phase.START_PENDING: {Phase.START_PENDING, Phase.RUNNING, Phase.STOP_PENDING, Phase.STOPPED},
    Phase.RUNNING: {Phase.RUNNING, Phase.STOP_PENDING, Phase.STOPPED},
    Phase.STOP_PENDING: {Phase.STOP_PENDING, Phase.STOPPED},
    Phase.STOPPED: {Phase.STOPPED},
}


def walk(events):
    status = Status()
    yield status, status, None
    for event, code in events:
        before, status = status, step(status, event, code)
        yield before, status, event


@given(EVENTS)
def test_what_service_control_demands_of_a_service(events):
    for before, after, event in walk(events):
        assert after.phase in MAY_FOLLOW[before.phase]
        pending = after.phase in {Phase.START_PENDING, Phase.STOP_PENDING}
        # A check point of 0 with a pending state, or a wait hint without one, is a service that hangs.
        assert (after.check_point > 0) is pending
        assert (after.wait_hint_ms > 0) is pending
        assert after.accepted == (ACCEPTED if after.phase is Phase.RUNNING else 0)
        if pending and before.phase is after.phase and before != after:
            assert after.check_point == before.check_point + 1
        if event is Event.ENDED:
            assert after.phase is Phase.STOPPED
        if after.phase is not Phase.STOPPED:
            assert after.exit_code == 0


@given(EVENTS, st.integers(0, 2**32 - 1))
def test_the_first_end_is_what_is_told(events, code):
    *_, (_, last, _) = walk([*events, (Event.ENDED, code)])
    ends = [told for event, told in [*events, (Event.ENDED, code)] if event is Event.ENDED]
    assert last == Status(Phase.STOPPED, 0, ends[0])


def test_a_life():
    phases = [
        (after.phase, after.check_point)
        for _, after, _ in walk(
            [
                (Event.PROGRESS, 0),
                (Event.READY, 0),
                (Event.PROGRESS, 0),
                (Event.STOP, 0),
                (Event.STOP, 0),
                (Event.READY, 0),
                (Event.PROGRESS, 0),
                (Event.ENDED, 0),
            ]
        )
    ]
    assert phases == [
        (Phase.START_PENDING, 1),
        (Phase.START_PENDING, 2),
        (Phase.RUNNING, 0),
        (Phase.RUNNING, 0),
        (Phase.STOP_PENDING, 1),
        (Phase.STOP_PENDING, 1),
        (Phase.STOP_PENDING, 1),
        (Phase.STOP_PENDING, 2),
        (Phase.STOPPED, 0),
    ]
