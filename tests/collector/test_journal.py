from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.journal import GENESIS, Journal, Kind, chain

facts = st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=3)
entries = st.lists(
    st.tuples(st.sampled_from(Kind), st.integers(0, 10), st.text("abc", max_size=3), facts, st.binary(max_size=5)),
    max_size=8,
)


@given(entries)
def test_time_only_moves_forward_and_numbers_have_no_hole(steps):
    journal = Journal()
    made = [journal.append(kind, at, terminal=name, facts=f, payload=p) for kind, at, name, f, p in steps]
    assert [e.n for e in made] == list(range(1, len(made) + 1))
    assert all(a.at < b.at for a, b in pairwise(made))


@given(entries, st.data())
def test_any_change_of_an_entry_breaks_the_chain(steps, data):
    journal = Journal()
    made = [journal.append(kind, at, terminal=name, facts=f, payload=p) for kind, at, name, f, p in steps]
    prev = GENESIS
    for e in made:
        whole = (prev, e.n, e.at, e.kind, e.terminal, e.facts, e.payload_digest)
        assert chain(*whole) == e.digest
        part = data.draw(st.integers(0, 6))
        other = [
            lambda v: v[:-1] + bytes([v[-1] ^ 1]), lambda v: v + 1, lambda v: v + 1, lambda v: Kind(v % 9 + 1), lambda v: v + "x",
            lambda v: v + b"x", lambda v: v[:-1] + bytes([v[-1] ^ 1]),
        ][part](whole[part])  # fmt: skip
        assert chain(*whole[:part], other, *whole[part + 1 :]) != e.digest
        prev = e.digest


def test_an_end_that_is_loaded_goes_on_as_if_nothing_had_been():
    one, two = Journal(), Journal()
    first = one.append(Kind.STARTED, 5)
    two.append(Kind.STARTED, 5)
    again = Journal(first.n, first.at, first.digest)
    assert again.append(Kind.STOPPED, 3) == two.append(Kind.STOPPED, 3)
