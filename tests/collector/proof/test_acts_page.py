"""Acts backwards in pages: nothing left out or doubled whatever the filter and the size of a page, the time found by halving, and what was changed in the file named."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tillwatch.agent.wire import SigningKey, VerifyKey
from tillwatch.collector.journal import Journal, Kind
from tillwatch.collector.proof import acts_page
from tillwatch.collector.proof.acts_page import (
    Wanted,
    check_entry,
    first_at,
    follow,
    page,
)
from tillwatch.collector.proof.signed_acts import sealed
from tillwatch.collector.store import pages
from tillwatch.collector.store.sqlite import open_db

S = 10**9
KEY = SigningKey(b"k" * 32)
BASE = 1_790_000_000 * S
ANY = Wanted()


def facts_of(n: int) -> tuple[Kind, str, dict[str, object]]:
    match n % 10:
        case 0:
            return Kind.STARTED, "", {"down_since": 0}
        case 1:
            return Kind.RULES_CHANGED, "", {"shipped": "a", "site": "b"}
        case 2 | 3:
            return (
                Kind.OPERATOR,
                f"atm-{n % 3}",
                {"action": "acknowledge", "actor": "Li Na", "alarm": n, "incident": f"HWM-{n}"},
            )
        case 4:
            return (
                Kind.OPERATOR,
                "atm-1",
                sealed(
                    KEY, {"action": "correct", "actor": "wang", "from": BASE, "to": BASE + S, "counts_as": "planned"}
                ),
            )
        case 5:
            return (
                Kind.OPERATOR,
                "",
                {
                    "action": "window",
                    "actor": "wang",
                    "id": f"M-{n}",
                    "scope": "branch:Harbour",
                    "from": BASE,
                    "to": BASE + S,
                },
            )
        case _:
            return Kind.BATCH, "atm-1", {"epoch": b"e", "seq": n}  # fmt: skip


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Two hundred entries, one a second: the first hundred of them in a page as well."""
    journal, entries = Journal(), []
    for n in range(200):
        kind, terminal, facts = facts_of(n)
        payload = b"sealed" if kind is Kind.BATCH else None
        entries.append(journal.append(kind, BASE + n * S, terminal=terminal, facts=facts, payload=payload))
    with closing(open_db(tmp_path / "collector.db")) as db:
        packed = pages.pack(entries[:100])
        db.execute("INSERT INTO page (first_n, last_n, digest, data, digests) VALUES (?,?,?,?,?)", (packed.first_n, packed.last_n, packed.digest, packed.data, packed.digests))  # fmt: skip
        for e in entries:
            if e.n > 100 or e.payload is None:
                row = (e.n, e.at, e.kind, e.terminal, e.facts, e.payload, e.payload_digest, e.digest)
                db.execute("INSERT INTO journal (n, at, kind, terminal, facts, payload, payload_digest, digest) VALUES (?,?,?,?,?,?,?,?)", row)  # fmt: skip
        yield db


def everything(db: sqlite3.Connection, wanted: Wanted = ANY, limit: int = 7) -> list[int]:
    found: list[int] = []
    before = 0
    while True:
        got = page(db, wanted, before, limit, lambda _: True)
        found += [each.act.n for each in got.acts]
        before = got.before
        if not before:
            return found


def test_all_acts_come_back_the_newest_first_and_each_once(db: sqlite3.Connection) -> None:
    ours = [n + 1 for n in range(200) if n % 10 < 6]
    assert everything(db) == ours[::-1]
    assert everything(db, limit=1) == everything(db, limit=1000)


@pytest.mark.parametrize(
    ("wanted", "rests"),
    [
        (Wanted(actor="li n"), {2, 3}),
        (Wanted(group="correction"), {4}),
        (Wanted(group="planning"), {5}),
        (Wanted(group="rule"), {1}),
        (Wanted(group="collector"), {0}),
        (Wanted(group="handling"), {2, 3}),
        (Wanted(action="window"), {5}),
        (Wanted(subject="branch:harbour"), {5}),
        (Wanted(actor="nobody"), set()),
    ],
)
def test_a_filter_leaves_what_it_says(db: sqlite3.Connection, wanted: Wanted, rests: set[int]) -> None:
    assert everything(db, wanted) == [n + 1 for n in reversed(range(200)) if n % 10 in rests]


def test_a_subject_is_a_terminal_or_a_text_of_the_facts(db: sqlite3.Connection) -> None:
    assert everything(db, Wanted(subject="HWM-42")) == [43]
    assert set(everything(db, Wanted(subject="atm-2"))) == {n + 1 for n in range(200) if n % 10 in {2, 3} and n % 3 == 2}  # fmt: skip


def test_a_time_is_from_one_instant_to_before_another(db: sqlite3.Connection) -> None:
    found = everything(db, Wanted(since=BASE + 30 * S, until=BASE + 60 * S))
    assert found == [n + 1 for n in reversed(range(30, 60)) if n % 10 < 6]


@pytest.mark.parametrize("n", [0, 1, 7, 99, 100, 101, 199])
def test_the_entry_of_a_time_is_found_where_rows_are_gone(db: sqlite3.Connection, n: int) -> None:
    rows = [row[0] for row in db.execute("SELECT n FROM journal ORDER BY n")]
    wanted = next(row for row in rows if row >= n + 1)
    assert first_at(db, BASE + n * S) <= wanted
    assert not [row for row in rows if first_at(db, BASE + n * S) <= row < n + 1]


def test_the_time_of_nothing_is_behind_everything(db: sqlite3.Connection) -> None:
    assert first_at(db, BASE + 10_000 * S) == 201
    assert first_at(db, 0) == 1


def test_a_search_for_what_is_rare_is_bounded_and_goes_on(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(acts_page, "MAX_LOOKED_AT", 10)
    got = page(db, Wanted(subject="HWM-12"), 0, 50, lambda _: True)
    assert (got.acts, got.looked_at) == ((), 10)
    assert got.before == 183
    assert everything(db, Wanted(subject="HWM-12")) == [n + 1 for n in (123, 122, 12)]


def test_what_may_not_be_seen_is_not_there(db: sqlite3.Connection) -> None:
    got = page(db, ANY, 0, 1000, lambda terminal: terminal == "atm-2")
    assert {each.act.terminal for each in got.acts} == {"atm-2"}


def test_an_empty_log_has_no_acts(tmp_path: Path) -> None:
    with closing(open_db(tmp_path / "new.db")) as db:
        assert page(db, Wanted(until=BASE), 0, 10, lambda _: True).acts == ()
        assert follow(db, 1, 100).entries == 0


def test_an_entry_stands_in_its_chain_also_where_only_its_page_is_left(db: sqlite3.Connection) -> None:
    for n in (1, 43, 58, 101, 200):
        found = check_entry(db, n, None)
        assert found.ok, n
        assert found.prev == (check_entry(db, n - 1, None).logged.digest if n > 1 else found.prev)
    assert check_entry(db, 7, None).kind == "batch"
    with pytest.raises(KeyError):
        check_entry(db, 201, None)


def test_a_signature_is_checked_where_there_is_one(db: sqlite3.Connection) -> None:
    own = SigningKey(b"k" * 32)
    other = SigningKey(b"o" * 32)
    assert check_entry(db, 5, VerifyKey(own.public)).signed is True
    assert check_entry(db, 5, VerifyKey(other.public)).signed is False
    assert check_entry(db, 3, VerifyKey(own.public)).signed is None


def test_a_changed_row_is_found(db: sqlite3.Connection) -> None:
    assert follow(db, 120, 160).ok
    db.execute("UPDATE journal SET terminal = 'atm-9' WHERE n = 133")
    assert not check_entry(db, 133, None).ok
    found = follow(db, 120, 160)
    assert not found.ok
    assert [fault.n for fault in found.faults] == [133]
    assert follow(db, 140, 160).ok


def test_a_stretch_ends_with_the_page_that_holds_its_end(db: sqlite3.Connection) -> None:
    found = follow(db, 10, 40)
    assert (found.first, found.last, found.entries, found.ok) == (10, 100, 91, True)
    db.execute("UPDATE page SET digest = zeroblob(32)")
    assert not follow(db, 10, 40).ok


def test_a_hole_is_found_and_a_stretch_is_bounded(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    db.execute("DELETE FROM journal WHERE n = 150")
    assert [fault.what for fault in follow(db, 120, 200).faults] == ["hole"]
    monkeypatch.setattr(acts_page, "MAX_STRETCH", 20)
    assert follow(db, 110, 200).entries == 20
