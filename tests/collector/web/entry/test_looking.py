"""A look at protected detail is record before anything is shown."""

from __future__ import annotations

import pytest

from tillwatch.collector.people.roles import Role, Visitor
from tillwatch.collector.web.acting import NotTaken
from tillwatch.collector.web.entry.looking import HOUR_NS, MAX_LOOKS, Looks

LI, WANG = Visitor("li.wei", Role.TECHNICIAN), Visitor("wang", Role.AUDITOR)


class Record:
    def __init__(self) -> None:
        self.acts: list[tuple[str, str]] = []
        self.takes = True
        self.now = 0

    async def __call__(self, visitor, *facts) -> None:
        if not self.takes:
            raise NotTaken("it waits for the collector")
        self.acts += [(visitor.name, each["subject"]) for each in facts]


async def test_looks_within_an_hour_are_one_entry_a_person_and_subject():
    record = Record()
    looks = Looks(record, lambda: record.now)
    for visitor, subject in ((LI, "a"), (LI, "a"), (LI, "b"), (WANG, "a")):
        await looks(visitor, subject)
    record.now = HOUR_NS - 1
    await looks(LI, "a")
    assert record.acts == [("li.wei", "a"), ("li.wei", "b"), ("wang", "a")]
    record.now = HOUR_NS
    await looks(LI, "a")
    assert record.acts[-1] == ("li.wei", "a")
    assert len(record.acts) == 4


async def test_nothing_is_shown_where_the_look_is_not_taken():
    record = Record()
    looks = Looks(record, lambda: record.now)
    record.takes = False
    with pytest.raises(NotTaken):
        await looks(LI, "a")
    record.takes = True
    await looks(LI, "a")
    assert record.acts == [("li.wei", "a")]


async def test_no_more_looks_are_remembered_than_fit():
    record = Record()
    looks = Looks(record, lambda: record.now)
    for k in range(MAX_LOOKS + 10):
        await looks(LI, str(k))
    assert len(looks._until) == MAX_LOOKS
