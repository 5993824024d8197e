"""What changed, told apart by kind: each reader gets what is of his part of the fleet, a stream goes on where it broke, and who is too slow is told so."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.collector.desk import Desk
from tests.collector.fake_fleet import FakeFleet
from tillwatch.collector.people.roles import Role, Scope, Visitor
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.web import bulletin as module
from tillwatch.collector.web.bulletin import Bulletin, Notice
from tillwatch.collector.web.feed import Feed
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.rest import events_api
from tillwatch.collector.web.rest.events_api import _events
from tillwatch.collector.web.scope.scoped import ScopedReader

WHOLE, SOUTH = Scope(), Scope(regions=frozenset({"South"}))
WAIT_S = 60


class Changing:
    """A feed over a fleet that the test changes, and the bulletin of it."""

    def __init__(self, folder: Path) -> None:
        self.changes = folder / "changes.json"
        self._revision = 1
        self.reads = Reads(lambda: FakeFleet(30, changes=self.changes))
        self.feed = Feed(self.reads)
        self.bulletin = Bulletin(self.reads, self.feed, time.time_ns)

    async def start(self) -> None:
        self.feed.start()
        await self.feed.ready()
        self.bulletin.start()
        await settled(lambda: self.bulletin._alarms is not None and self.bulletin._event >= 0)

    def change(self, **terminals: Any) -> None:
        self._revision += 1
        fresh = self.changes.with_suffix(".new")
        fresh.write_text(json.dumps({"revision": self._revision, "terminals": terminals}))
        fresh.replace(self.changes)

    async def stop(self) -> None:
        await self.bulletin.close()
        await self.feed.stop()
        self.reads.close()


async def settled(what: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not what():
            await asyncio.sleep(0.01)


@pytest_asyncio.fixture
async def changing(tmp_path: Path) -> AsyncIterator[Changing]:
    made = Changing(tmp_path)
    await made.start()
    yield made
    await made.stop()


def read(block: str) -> tuple[str, dict[str, Any], str]:
    """(event, body, id) of one event as a browser takes it apart."""
    lines = dict(line.split(": ", 1) for line in block.strip().split("\n"))
    return lines["event"], json.loads(lines["data"]), lines.get("id", "")


async def take(stream: AsyncIterator[str], count: int) -> list[tuple[str, dict[str, Any], str]]:
    found: list[tuple[str, dict[str, Any], str]] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < count:
            block = await anext(stream)
            if not block.startswith(":"):
                found.append(read(block))
    return found


def stream(changing: Changing, scope: Scope = WHOLE, last: str = "") -> AsyncIterator[str]:
    return _events(changing.bulletin, changing.feed, time.time_ns, set(), scope, last)


async def test_a_change_is_told_by_kind_and_to_whom_it_concerns(changing: Changing) -> None:
    of_all, of_south = stream(changing), stream(changing, SOUTH)
    assert [(await take(one, 1))[0][0] for one in (of_all, of_south)] == ["revision", "revision"]
    # ATM-007 stands in the south, ATM-003 in the centre.
    changing.change(**{"ATM-007": {"condition": "crit", "level": 1}, "ATM-003": {"condition": "warn"}})
    events = await take(of_all, 3)
    assert [kind for kind, _, _ in events] == ["revision", "terminals", "alarms"]
    assert [each["id"] for each in events[1][1]["items"]] == ["ATM-003", "ATM-007"]
    assert events[2][1]["items"][0]["what"] == "raised"
    assert [number for _, _, number in events[:2]] == ["", ""]
    assert events[2][2].startswith(changing.bulletin.life), (
        "only the last event of a change moves the place to go on from"
    )
    own = await take(of_south, 3)
    assert [each["id"] for each in own[1][1]["items"]] == ["ATM-007"]


async def test_a_stream_that_broke_goes_on_where_it_was(changing: Changing) -> None:
    first = stream(changing)
    _, _, place = (await take(first, 1))[0]
    changing.change(**{"ATM-007": {"condition": "crit"}})
    await settled(lambda: changing.bulletin.last == 1)
    changing.change(**{"ATM-007": {"condition": "crit"}, "POS-009": {"condition": "warn"}})
    await settled(lambda: changing.bulletin.last == 2)
    events = await take(stream(changing, last=place), 4)
    told = [[each["id"] for each in body["items"]] for kind, body, _ in events if kind == "terminals"]
    assert told == [["ATM-007"], ["POS-009"]]
    again = await take(stream(changing, last=events[1][2] or events[2][2]), 2)
    assert [kind for kind, _, _ in again] == ["revision", "terminals"]


@pytest.mark.parametrize("last", ["nonsense", "123-4", "zz-zz", "-", "💥-1"])
async def test_who_comes_from_elsewhere_asks_for_everything(changing: Changing, last: str) -> None:
    assert (await take(stream(changing, last=last), 1))[0][0] == "reset"


async def test_who_is_too_slow_asks_for_everything(changing: Changing) -> None:
    bulletin = changing.bulletin
    place = f"{bulletin.life}-0"
    for n in range(1, module.KEPT + 3):
        bulletin._kept.append(Notice(n, 0, ""))
        bulletin.last = n
    assert bulletin.since(1) is None
    assert bulletin.since(2) is not None
    assert len(bulletin.since(2) or ()) == module.KEPT
    assert (await take(stream(changing, last=place), 1))[0][0] == "reset"


def test_what_is_told_is_bounded_and_the_rest_counted() -> None:
    many = tuple(("Harbour", "South", {"id": f"t{n}"}) for n in range(module.MAX_TOLD + 7))
    ((kind, body),) = Notice(1, 0, "", (("terminals", many),)).told(SOUTH)
    assert (kind, len(body["items"]), body["more"]) == ("terminals", module.MAX_TOLD, 7)
    assert Notice(1, 0, "", (("terminals", many),)).told(Scope(regions=frozenset({"North"}))) == []


async def test_a_quiet_stream_says_that_it_is_there(changing: Changing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_api, "HEARTBEAT_S", 0.05)
    quiet = stream(changing)
    await take(quiet, 1)
    async with asyncio.timeout(WAIT_S):
        assert await anext(quiet) == ": still here\n\n"


def test_incidents_and_commands_are_told_as_they_happen(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.enrol("atm-1")
    with closing(SqliteReader(desk.path)) as reader:
        before = reader.news(-1)
        assert before.incidents == ()
        desk.say("atm-1", "host/disk:/", "host.disk.percent", 99)
        after = reader.news(before.event)
        assert [(each.branch, "opened" in each.kinds) for each in after.incidents] == [("Harbour", True)]
        assert reader.news(after.event).incidents == ()
        assert after.commands == ()


def test_the_reader_of_a_part_hears_of_its_part(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.enrol("atm-1")
    desk.say("atm-1", "host/disk:/", "host.disk.percent", 99)
    with closing(SqliteReader(desk.path)) as reader:
        north = ScopedReader(reader, Visitor("x", Role.VIEWER, Scope(regions=frozenset({"North"}))))
        south = ScopedReader(reader, Visitor("x", Role.VIEWER, SOUTH))
        assert len(north.news(0).incidents) == 1
        assert south.news(0).incidents == ()
