"""What waits for another node: bounded whatever comes, in order, and nothing for one that does not answer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.intake.detour import (
    AT_ONCE,
    KEPT_S,
    LEFT_ALONE_S,
    MAX_WAITING,
    MAX_WAITING_BYTES,
    Detour,
    Letter,
)


def letter(n: int, size: int = 10) -> Letter:
    return Letter("", "amq.topic", f"tw.1.t{n}.ack", bytes(size))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 700), st.sampled_from((0, 200, 40_000, MAX_WAITING_BYTES + 1))),
            st.tuples(st.sampled_from(("carry", "take and fail", "fail")), st.just(0), st.just(0)),
            st.tuples(st.just("wait"), st.integers(1, 15), st.just(0)),
        ),
        max_size=40,
    )
)
def test_what_waits_is_bounded_and_in_order_and_each_message_is_taken_once_or_dropped(steps):
    detour, now, added, dropped, failed_at = Detour(), 0.0, 0, 0, -LEFT_ALONE_S
    taken: list[str] = []
    for step, n, size in steps:
        if step == "add":
            for _ in range(n):
                added += 1
                before = len(detour)
                dropped += detour.add(letter(added, size), now)
                assert len(detour) <= MAX_WAITING
                if now < failed_at + LEFT_ALONE_S:
                    assert len(detour) == before == 0, "it is left alone"
        elif step == "carry":
            lot = detour.take(now)
            assert len(lot) <= AT_ONCE
            taken += [one.key for one in lot]
            detour.answered()
        elif step in ("fail", "take and fail"):
            if step == "take and fail":
                detour.take(now)  # of those under way nobody knows
            dropped += detour.failed(now)
            failed_at = now
            assert not len(detour)
        else:
            now += n
    rest: list[Letter] = []
    while lot := detour.take(now):
        rest += lot
    assert sum(len(one.body) for one in rest) <= MAX_WAITING_BYTES
    taken += [one.key for one in rest]
    assert taken == [key for _, key in sorted((int(key.split(".")[2][1:]), key) for key in taken)]
    assert len(taken) == len(set(taken)) == added - dropped


def test_the_newest_stay_where_too_many_come():
    detour = Detour()
    assert sum(detour.add(letter(n), 0.0) for n in range(MAX_WAITING + 3)) == 3
    assert detour.take(0.0)[0].key == "tw.1.t3.ack"


def test_a_connection_is_kept_for_as_long_as_it_was_used_a_while_ago():
    detour = Detour()
    assert detour.spare_s(5.0) == 0, "it was opened for something that was dropped meanwhile"
    detour.add(letter(1), 5.0)
    detour.take(10.0)
    assert detour.spare_s(20.0) == KEPT_S - 10
    assert detour.take(30.0) == []
    assert detour.spare_s(10.0 + KEPT_S) == 0
