"""What is a change, and what is told of it."""

from __future__ import annotations

from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.tickets.message import MAX_TEXT, TicketState
from tillwatch.collector.tickets.port import Remote, Said
from tillwatch.collector.tickets.two_way.changes import MAX_WORD, NOTES_AT_ONCE, gone, said_since, seen, touched
from tillwatch.collector.tickets.two_way.tracked import Tracked

KNOWN = Tracked("H-1", "7", "http://desk/7", "open", "new", updated_at=5)
SAME = Remote("7", "H-1", "http://desk/7", "new", TicketState.OPEN, updated_at=9)


def notes(*ids: str) -> tuple[Said, ...]:
    return tuple(Said(each, "li.wei", 1, f"text {each}") for each in ids)


def test_what_is_the_same_is_no_change() -> None:
    assert seen("desk", KNOWN, SAME) == []


def test_status_says_nothing_where_only_our_delivery_is_known() -> None:
    assert not touched(replace(KNOWN, status=""), replace(SAME, status="assigned"))
    assert touched(KNOWN, replace(SAME, status="assigned"))


def test_facts_tell_the_whole() -> None:
    remote = replace(SAME, state=TicketState.WORKING, status="busy", owner="li.wei", by="li.wei", said=notes("1"))
    assert seen("desk", KNOWN, remote) == [
        {
            "incident": "H-1",
            "connector": "desk",
            "external_id": "7",
            "url": "http://desk/7",
            "state": "working",
            "origin": "seen",
            "status": "busy",
            "owner": "li.wei",
            "by": "li.wei",
            "updated_at": 9,
            "merged_into": "",
            "gone": False,
            "verdict": "",
            "part": "",
            "said": [["1", "li.wei", 1, "text 1"]],
        }
    ]
    assert set(gone("desk", KNOWN)) == set(seen("desk", KNOWN, remote)[0])


@pytest.mark.parametrize(
    ("last", "ids", "new"),
    [
        ("", ("1", "2"), ("1", "2")),
        ("1", ("1", "2"), ("2",)),
        ("2", ("1", "2"), ()),
        ("9", ("8", "10"), ("10",)),
        ("9", ("8",), ()),
        ("gone", ("a", "b"), ("a", "b")),
        ("9", (), ()),
    ],
)
def test_notes_after_the_last_one(last, ids, new) -> None:
    assert said_since(last, notes(*ids), 1) == notes(*new)


def test_where_the_last_note_was_taken_away_and_ids_are_no_numbers_time_decides() -> None:
    said = (Said("a", "li.wei", 3, "old"), Said("c", "li.wei", 7, "new"))
    assert said_since("b", said, 5) == said[1:]


def test_many_notes_come_in_several_facts() -> None:
    ids = [str(number) for number in range(1, 2 * NOTES_AT_ONCE + 2)]
    facts = seen("desk", KNOWN, replace(SAME, said=notes(*ids)))
    assert [len(each["said"]) for each in facts] == [NOTES_AT_ONCE, NOTES_AT_ONCE, 1]
    assert [said[0] for each in facts for said in each["said"]] == ids


def test_merge_is_told_by_itself_and_then_how_the_other_one_stands() -> None:
    known = replace(KNOWN, said="50")
    said = (Said("1", "wang", 2, "of another fault"), Said("2", "wang", 6, "both are mine now"))
    into = replace(SAME, id="3", key="H-8", state=TicketState.WORKING, owner="wang", said=said)
    merged, stands = seen("desk", known, into)
    assert (merged["external_id"], merged["merged_into"]) == ("7", "3")
    assert [merged[name] for name in ("state", "owner", "said")] == ["open", "", []]
    assert (stands["external_id"], stands["merged_into"]) == ("3", "")
    assert [stands[name] for name in ("state", "owner")] == ["working", "wang"]
    assert [each[3] for each in stands["said"]] == ["both are mine now"]


@given(text=st.text(max_size=20), long=st.integers(1, 5000))
def test_facts_fit_into_the_journal_whatever_the_system_says(text, long) -> None:
    """Half a surrogate pair, and pages of text."""
    text = text + "\ud800" + "x" * long
    remote = replace(SAME, status=text, state=None, owner=text, part=text, said=(Said("1", text, 1, text),))
    facts = msgpack.unpackb(msgpack.packb(seen("desk", KNOWN, remote)[0]))
    assert len(facts["owner"]) <= MAX_WORD
    assert len(facts["said"][0][3]) <= MAX_TEXT
    known = replace(KNOWN, state=facts["state"], status=facts["status"], owner=facts["owner"], said="1")
    assert not touched(replace(known, part=facts["part"]), remote), "what was cut is not another change"
