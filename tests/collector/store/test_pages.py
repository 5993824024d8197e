"""A page says of its entries what they said, and gives the same digests."""

from __future__ import annotations

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.collector.journal import GENESIS, Entry, Journal, Kind
from tillwatch.collector.store import pages

facts = st.one_of(
    st.fixed_dictionaries(
        {"epoch": st.sampled_from([b"a" * 12, b"b" * 12]), "seq": st.integers(0, 2**63)},
        optional={"historical": st.just(True), "correction_ms": st.integers(-(10**6), 10**6)},
    ),
    st.dictionaries(st.text(max_size=4), st.integers(0, 9) | st.text(max_size=4) | st.none(), max_size=3),
)
entries = st.lists(
    st.tuples(
        st.sampled_from(Kind),
        st.integers(0, 2**62),
        st.sampled_from(["", "atm-1", "atm-2"]),
        facts,
        st.binary(max_size=5),
    ),
    min_size=1,
    max_size=30,
)


def without_payload(entry: Entry) -> tuple[object, ...]:
    return (entry.n, entry.at, entry.kind, entry.terminal, entry.facts, entry.payload_digest, entry.digest)


@given(entries, st.integers(0, 5))
@settings(deadline=None)
def test_entries_come_back_with_their_digests(steps, before):
    journal = Journal()
    for _ in range(before):
        journal.append(Kind.LIFE, 1, terminal="atm-9")
    prev = journal.digest
    at = 0
    made = []
    for kind, step, name, f, payload in steps:
        at = min(at + step, 2**62)
        made.append(journal.append(kind, at, terminal=name, facts=f, payload=payload))
    page = pages.pack(made)
    assert list(map(without_payload, pages.unpack(page, prev))) == list(map(without_payload, made))
    assert (page.first_n, page.last_n, page.digest) == (made[0].n, made[-1].n, made[-1].digest)


def test_facts_that_msgpack_would_spell_otherwise_are_kept_as_they_are():
    odd = msgpack.packb({"epoch": b"e" * 12, "seq": 5}).replace(b"\x05", b"\xcc\x05")
    entry = Entry(1, 5, Kind.BATCH, "atm-1", odd, None, bytes(32), bytes(32))
    assert next(pages.unpack(pages.pack([entry]))).facts == odd


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_damage_is_told(cut):
    journal = Journal()
    page = pages.pack(
        [journal.append(Kind.BATCH, i, terminal="atm-1", facts={"epoch": b"e" * 12, "seq": i}) for i in range(1, 9)]
    )
    bent = pages.Page(page.first_n, page.last_n, page.digest, page.data[:cut], page.digests)
    with pytest.raises(pages.PageError):
        list(pages.unpack(bent, GENESIS))
    with pytest.raises(pages.PageError):
        list(pages.unpack(pages.Page(page.first_n, page.last_n + 1, page.digest, page.data, page.digests), GENESIS))
