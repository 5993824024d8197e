"""The feed: what differs between two polls, and the document that a page behind by some polls gets."""

from __future__ import annotations

import gzip
import json
import time

import pytest

from tests.collector.fake_fleet import NANO, FakeFleet
from tillwatch.collector.people.roles import Scope
from tillwatch.collector.read import Mark, Touched
from tillwatch.collector.web import feed as module
from tillwatch.collector.web.feed import Feed, summarise
from tillwatch.collector.web.reads import Busy, Reads

BASE = 1_790_000_000 * NANO


@pytest.fixture
async def world(tmp_path):
    changes = tmp_path / "changes.json"
    reads = Reads(lambda: FakeFleet(60, BASE, changes))
    feed = Feed(reads)
    told = []
    feed.listen(told.append)
    await feed._once()
    yield changes, feed, told
    reads.close()


def document(feed, since=""):
    return json.loads(gzip.decompress(feed.document(since)))


async def test_the_first_document_is_whole_and_the_next_holds_what_changed(world):
    changes, feed, _ = world
    whole = document(feed)
    assert (whole["whole"], len(whole["rows"])) == (True, 60)
    changes.write_text('{"revision": 2, "terminals": {"ATM-011": {"unknown_components": 9}}}')
    change = await feed._once()
    assert (change.terminals, change.alarms) == (frozenset({"ATM-011"}), False)
    part = document(feed, whole["token"])
    assert part["whole"] is False
    assert [row[0] for row in part["rows"]] == ["ATM-011"]
    assert document(feed, part["token"])["rows"] == []


async def test_the_same_revision_is_not_read_again(world):
    _, feed, _ = world
    assert await feed._once() is None


@pytest.mark.parametrize("token", ["", "x", "1-1", "-5", "999999999999999999-1", "1-²"])
async def test_a_token_that_is_not_ours_gets_everything(world, token):
    _, feed, _ = world
    assert document(feed, token)["whole"] is True


async def test_removed_terminals_are_told_once_and_long_ago_gets_everything(world, monkeypatch):
    _, feed, _ = world
    before = document(feed)["token"]
    rows = dict(feed._fleet.rows)
    del rows["ATM-001"]
    feed._fleet.take(rows)
    feed._documents.clear()
    assert document(feed, before)["removed"] == ["ATM-001"]
    monkeypatch.setattr(module, "REMOVED_KEPT", 1)
    del (rows := dict(rows))["ATM-003"]
    feed._fleet.take(rows)
    feed._documents.clear()
    assert document(feed, before)["whole"] is True


async def test_pages_that_ask_the_same_share_one_document(world):
    _, feed, _ = world
    assert feed.document("") is feed.document("")


def test_a_condition_nobody_knows_counts_as_unknown():
    fleet = FakeFleet(3, BASE)
    views = list(fleet.terminals())
    object.__setattr__(views[0], "condition", "fabulous")
    assert summarise(views, ()).conditions["unknown"] == 1


async def test_too_many_questions_are_refused_at_once(monkeypatch):
    monkeypatch.setattr("tillwatch.collector.web.reads.MAX_WAITING", 0)
    reads = Reads(lambda: FakeFleet(1, BASE))
    with pytest.raises(Busy):
        await reads.revision()
    reads.close()


def waits(seconds: float) -> str:
    return json.dumps({"revision": 2, "waiting": [["desk", 1, 3, seconds, 120, "503"], ["sms", 2, 1, 1, 300, ""]]})


async def test_what_waits_becomes_late_by_time_alone_and_is_told_once(tmp_path):
    now = time.time_ns()
    changes = tmp_path / "changes.json"
    changes.write_text(waits(60))
    reads = Reads(lambda: FakeFleet(3, BASE, changes))
    feed = Feed(reads, now=lambda: now)
    assert (await feed._once()).undelivered is False
    now += 30 * NANO
    assert await feed._once() is None
    now += 60 * NANO
    change = await feed._once()
    assert (change.undelivered, change.terminals, change.alarms) == (True, frozenset(), False)
    assert [(each.connector, each.count, each.answer) for each in feed.undelivered] == [("desk", 3, "503")]
    assert await feed._once() is None
    changes.write_text('{"revision": 3}')
    assert (await feed._once()).undelivered is True
    assert feed.undelivered == ()
    reads.close()


class Partly(FakeFleet):
    """Says what was touched, as a store does, and counts what is read."""

    names: frozenset[str] | None = frozenset()
    more = False
    wholes = 0

    def terminals(self):
        Partly.wholes += 1
        return super().terminals()

    def terminals_of(self, only):
        return [view for view in super().terminals() if view.id in only]

    def touched(self, since):
        return Touched(Mark(self.revision(), 0, 0), Partly.names if since else None, alarms=False, more=Partly.more)


async def test_only_what_was_touched_is_read_until_the_whole_is_due(tmp_path, monkeypatch):
    changes = tmp_path / "changes.json"
    reads = Reads(lambda: Partly(60, BASE, changes))
    feed = Feed(reads)
    await feed._once()
    Partly.wholes, Partly.names = 0, frozenset({"ATM-011", "ATM-999"})
    changes.write_text(
        '{"revision": 2, "terminals": {"ATM-011": {"unknown_components": 9}, "ATM-012": {"unknown_components": 7}}}'
    )
    assert (await feed._once()).terminals == {"ATM-011"}
    assert (Partly.wholes, len(feed.terminals), feed.terminals["ATM-012"].unknown_components) == (0, 60, 0)
    assert await feed._once() is None
    monkeypatch.setattr(module, "WHOLE_S", -1.0)
    assert await feed._once() is None  # it is being read beside the polls
    await feed._whole
    assert (await feed._once()).terminals == {
        "ATM-012"
    }  # nothing was written meanwhile, and the whole is shown all the same
    assert Partly.wholes == 1
    assert await feed._once() is None
    reads.close()


async def test_what_nobody_names_is_looked_for_at_once(tmp_path):
    changes = tmp_path / "changes.json"
    reads = Reads(lambda: Partly(60, BASE, changes))
    feed = Feed(reads)
    await feed._once()
    Partly.names, Partly.more = frozenset(), True
    changes.write_text('{"revision": 2, "terminals": {"ATM-012": {"unknown_components": 7}}}')
    assert (await feed._once()).terminals == frozenset()
    Partly.more = False
    assert await feed._once() is None
    await feed._whole
    assert (await feed._once()).terminals == {"ATM-012"}
    reads.close()


async def test_a_terminal_that_moves_leaves_the_one_part_and_joins_the_other(world):
    changes, feed, _ = world
    south, north = (Scope(regions=frozenset({name})) for name in ("South", "North"))
    tokens = {scope: json.loads(gzip.decompress(feed.document("", scope)))["token"] for scope in (south, north)}
    changes.write_text('{"revision": 2, "terminals": {"ATM-001": {"branch": "Airport", "region": "North"}}}')
    await feed._once()
    told = {scope: json.loads(gzip.decompress(feed.document(token, scope))) for scope, token in tokens.items()}
    assert (told[south]["removed"], told[south]["rows"]) == (["ATM-001"], [])
    assert (told[north]["removed"], [row[0] for row in told[north]["rows"]]) == ([], ["ATM-001"])
    assert json.loads(gzip.decompress(feed.document(tokens[south])))["removed"] == []
