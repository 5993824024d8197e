"""Which tickets are read in one look: none is missed, whatever fails in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.tickets import lookout
from tillwatch.collector.tickets.lookout import READS, Lookout

changes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 40).map(str)), max_size=60)


def test_what_was_read_is_not_read_again_until_it_changes() -> None:
    look = Lookout[int](coarse=False)
    assert look.due([(2, "b"), (1, "a")], 0, 5) == (["a", "b"], 5)
    look.done()
    assert look.due([(2, "b"), (1, "a")], 5, 5) == ([], 5)
    look.done()
    assert look.due([(3, "a"), (2, "b")], 5, 5) == (["a"], 5)


def test_the_newest_of_whole_seconds_is_read_again() -> None:
    """It may change once more within the same second."""
    look = Lookout[int](coarse=True)
    for _ in range(3):
        due, _ = look.due([(1, "a"), (2, "b")], 0, 0)
        assert "b" in due
        look.done()
    assert look.due([(1, "a"), (2, "b")], 0, 0)[0] == ["b"]


def test_a_look_that_failed_counts_for_nothing() -> None:
    look = Lookout[str](coarse=False)
    first = look.due([("1", "a")], "0", "0")
    assert look.due([("1", "a")], "0", "0") == first


def test_a_change_of_hundreds_at_once_takes_several_looks_and_ends() -> None:
    look, rows, cursor, seen = Lookout[int](coarse=True), [(7, str(n)) for n in range(3 * READS)], 0, set()
    for _ in range(3):
        due, cursor = look.due(rows, cursor, 7)
        assert len(due) <= READS
        look.done()
        seen |= set(due)
    assert seen == {ticket for _, ticket in rows}
    assert cursor == 7


@given(changes, st.lists(st.booleans(), max_size=40), st.booleans())
def test_every_change_is_read_whatever_fails(told, fails, coarse) -> None:
    rows = [(at, ticket) for ticket, at in {ticket: at for at, ticket in sorted(told)}.items()]
    look, cursor, seen, small = Lookout[int](coarse=coarse), 0, set(), lookout.READS
    lookout.READS = 3
    try:
        for failed in [*fails, *[False] * 30]:
            due, after = look.due([row for row in rows if row[0] >= cursor - 1], cursor, 9)
            if not failed:
                look.done()
                seen |= set(due)
                cursor = after
    finally:
        lookout.READS = small
    assert seen == {ticket for _, ticket in rows}
