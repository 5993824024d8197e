"""What the doctor says of alarms and incidents that nobody cares for, and of what must never be."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender
from tillwatch.collector.config import Config
from tillwatch.collector.incident_check import examine_incidents
from tillwatch.collector.sections import CollectorSection

HOUR = 3600 * S
RULES = '[fold]\nsilent_least = "30d"\n'


class Site:
    """One terminal that has been silent since T0."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.config = Config(collector=CollectorSection(data_dir=world.path.parent))
        assert self.config.database == world.path
        self.sender = Sender("atm-1")

    async def start(self) -> Site:
        await self.world.start(RULES)
        await self.sender.enrol(self.world.pipeline)
        await self.world.pipeline.take([self.sender.life(T0)])
        await self.world.pipeline.take([self.sender.life(T0, state="offline", n=self.sender.n)])
        await self.world.tick(T0 + 10 * 60 * S)
        return self

    async def act(self, action: str, **facts: object) -> None:
        await self.world.pipeline.operate({"action": action, "actor": "li", **facts})

    def said(self) -> dict[str, tuple[str, str]]:
        return {subject: (state, text) for subject, state, text in examine_incidents(self.config, self.world.now)}

    def spoil(self, statement: str) -> dict[str, tuple[str, str]]:
        with closing(sqlite3.connect(self.world.path)) as db, db:
            assert db.execute(statement).rowcount
        return self.said()


@pytest.fixture
async def site(world: World) -> Site:
    return await Site(world).start()


async def test_all_is_well_for_a_day(site: Site):
    assert site.said() == {
        "standing incidents": ("ok", "none is open for more than a day; 1 are not settled"),
        "alarms and incidents": ("ok", "1 open alarms, each with its incident or a reason for none"),
    }
    await site.world.tick(T0 + 25 * HOUR)
    state, text = site.said()["standing incidents"]
    assert state == "warn"
    assert text.endswith("resolve what is mended, put what waits on hold with its reason")
    (corr_id,) = site.world.pipeline.fold.book.incidents
    await site.act("hold", incident=corr_id, reason="parts")
    assert site.said()["standing incidents"][0] == "ok"


async def test_what_somebody_took_on_and_forgot(site: Site):
    (alarm,) = site.world.pipeline.fold.book.alarms.values()
    await site.act("acknowledge", terminal=alarm.terminal, alarm=alarm.id, note="")
    assert "forgotten alarms" not in site.said()
    await site.world.tick(T0 + 5 * HOUR)
    assert site.said()["forgotten alarms"] == (
        "warn",
        "acknowledged, expired and still there: terminal.silent atm-1; acknowledge them again or see to them",
    )
    await site.act("acknowledge", terminal=alarm.terminal, alarm=alarm.id, note="")
    assert "forgotten alarms" not in site.said()


async def test_what_is_shelved(site: Site):
    (alarm,) = site.world.pipeline.fold.book.alarms.values()
    await site.act(
        "shelve",
        terminal=alarm.terminal,
        alarm=alarm.id,
        until=site.world.now + HOUR,
        reason="works in the branch",
        second="",
    )
    assert site.said()["shelved alarms"][1].startswith("terminal.silent atm-1 by li until 2026-09-21T")


async def test_a_ticket_that_nobody_makes(site: Site):
    found = site.spoil("UPDATE outbox SET state = 'done' WHERE op = 'open'")
    (corr_id,) = site.world.pipeline.fold.book.incidents
    assert found["incidents without ticket"][0] == "fail"
    assert found["incidents without ticket"][1].startswith(f"no ticket, and no message that makes one: {corr_id}; ")
    assert "alarms and incidents" not in found
    link = "INSERT INTO ticket_link (incident, connector, external_id, url, state) VALUES ('{}', 'hook', '', '', '{}')"
    assert "incidents without ticket" not in site.spoil(link.format(corr_id, "open")), "not every receiver has numbers"
    assert "incidents without ticket" in site.spoil("UPDATE ticket_link SET state = ''"), "it was deleted"
    assert "incidents without ticket" not in site.spoil("UPDATE outbox SET state = 'dead' WHERE op = 'open'"), (
        "a person retries it"
    )


async def test_what_must_never_be(site: Site):
    assert site.spoil("DELETE FROM outbox")["untold incidents"][0] == "fail"
    copied = "INSERT INTO incident SELECT incident || '-2', terminal, branch, level, state, opened_at, restored_at, seq, region, scope, announced_at, closed_at, drill, body FROM incident"
    names = [row[1] for row in site.world.store.conn.execute("PRAGMA table_info(incident)")]
    assert site.spoil(copied.replace("incident || '-2'", f"{names[0]} || '-2'"))["double incidents"][0] == "fail"
    found = site.spoil("UPDATE alarm SET incident = ''")
    assert found["alarms without incident"][0] == "fail"
    assert "nobody hears of terminal.silent atm-1" in found["alarms without incident"][1]
    assert "alarms and incidents" not in found
