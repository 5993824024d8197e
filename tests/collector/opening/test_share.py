"""Whose partitions are whose, as openers come and go."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.opening.share import GONE_S, STANDBY_S, Members, Share, first_choice

QUEUES = [f"tw.p{n}" for n in range(64)]
NAMES = st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=6)


@given(NAMES, st.data())
def test_only_the_queues_of_who_goes_move(names, data):
    gone = data.draw(st.sampled_from(sorted(names)))
    before = {queue: first_choice(queue, names) for queue in QUEUES}
    rest = names - {gone}
    for queue in QUEUES if rest else ():
        if before[queue] != gone:
            assert first_choice(queue, rest) == before[queue]


def test_the_shares_of_three_are_alike():
    shares = Counter(first_choice(queue, ("a-0", "b-0", "c-0")) for queue in QUEUES)
    assert all(10 <= n <= 33 for n in shares.values())


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.floats(0, 10)), max_size=30))
def test_who_is_there_holds_all_and_own_first(events):
    """However the others come and go: in the end every queue is held, and at each change own ones at once."""
    me, now = "o-0", 0.0
    members, share = Members(me), Share(me, QUEUES)
    held: set[str] = set()
    for other, bye, later in [*events, (0, True, 0.0)]:
        now += later
        members.heard(f"o-{other}", now, bye=bye)
        present = members.present(now)
        share.settle(present, now)
        held -= set(share.let_go(now))
        asked = share.ask(now)
        assert not held & set(asked)
        held |= set(asked)
        assert {queue for queue in QUEUES if first_choice(queue, present) == me} <= held
    assert not share.let_go(now + STANDBY_S)
    assert held | set(share.ask(now + STANDBY_S)) == set(QUEUES)


def test_who_says_nothing_is_gone():
    members = Members("a")
    assert members.heard("b", 0.0)
    assert not members.heard("b", 1.0)
    assert members.present(1.0 + GONE_S / 2) == {"a", "b"}
    assert members.present(1.0 + GONE_S) == {"a"}
    assert members.heard("b", 20.0)
    assert members.heard("b", 20.0, bye=True)
    assert not members.heard("a", 20.0)
