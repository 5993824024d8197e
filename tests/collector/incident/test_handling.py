"""Which incident an alarm belongs to, through the whole fold: what comes and goes, what is out of sight, what follows from what."""

from __future__ import annotations

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import State, Value
from tillwatch.collector.incident.incidents import LIVING, Incident

MINUTE = 60 * S
RULES = """
[fold]
silent_least = "30d"
[[rule]]
id = "x.comes-and-goes"
signal = "host.load"
above = [{ limit = 90, level = 2 }]
for = "10s"
hold = "10s"
text = "t"
cause = "c"
consequence = "c"
action = "a"
owner = "o"
review = "2027-01-01"
"""
DISPENSER = "atm/CashDispenser"


class Site:
    """One terminal, of which the tests say what its parts say. at: minutes since T0."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sender = Sender("atm-1")

    async def start(self) -> Site:
        await self.world.start(RULES)
        await self.sender.enrol(self.world.pipeline)
        await self.world.pipeline.take([self.sender.life(T0)])
        return self

    async def says(self, at: float, component: str, signal: str, value: Value, state: State = State.NONE) -> None:
        await self.wait(at)
        now = self.world.now
        await self.world.pipeline.take([self.sender.batch([reading(component, signal, now, value, state)], now)])

    async def load(self, at: float, value: float) -> None:
        await self.says(at, "cpu", "host.load", value)

    async def turns(self, at: float, count: int) -> float:
        """The load comes and goes, each time for half a minute; when it ends, gone."""
        for turn in range(count):
            await self.load(at + turn, 95.0)
            await self.load(at + turn + 0.5, 12.0)
        return at + count

    async def wait(self, at: float) -> None:
        """With a tick a minute, as the collector has them."""
        until = T0 + round(at * MINUTE)
        while self.world.now + MINUTE < until:
            await self.world.tick(self.world.now + MINUTE)
        await self.world.tick(until)

    async def offline(self, at: float) -> None:
        await self.wait(at)
        await self.world.pipeline.take([self.sender.life(self.world.now, state="offline", n=self.sender.n)])

    async def online(self, at: float) -> None:
        await self.wait(at)
        await self.world.pipeline.take([self.sender.life(self.world.now)])

    def told(self, fault: str = "") -> list[Incident]:
        known = self.world.pipeline.fold.book.incidents.values()
        return [each for each in known if each.announced and (not fault or each.fault == fault)]


@pytest.fixture
async def site(world: World) -> Site:
    return await Site(world).start()


async def test_what_flaps_is_one_episode_however_long_it_rests_between(site: Site):
    """Longer than an episode would be taken up again after, and shorter than calm is."""
    rests = await site.turns(1, 6)
    await site.load(rests + 40, 95.0)
    await site.load(rests + 41, 12.0)
    await site.wait(rests + 240)
    incidents = site.told("x.comes-and-goes")
    assert [(each.intermittent, each.restored_at > 0) for each in incidents] == [(False, True)]
    assert not site.world.pipeline.fold.book.of(incidents[0].corr_id)


async def test_silence_is_not_calm(site: Site):
    lost = await site.turns(1, 6)
    await site.offline(lost)
    await site.online(lost + 300)
    await site.turns(lost + 301, 2)
    assert [each.intermittent for each in site.told("x.comes-and-goes")] == [True]
    await site.wait(lost + 600)
    assert [each.state in LIVING and each.restored_at > 0 for each in site.told("x.comes-and-goes")] == [True]


async def test_a_consequence_takes_no_second_cause_for_its_own(site: Site):
    """Without the dispenser no cash: that a cassette runs low beside it is another matter, and its ticket is."""
    await site.says(1, DISPENSER, "atm.device", "hardwareError", State.CRIT)
    await site.says(2, f"{DISPENSER} dispenser", "atm.cash", "stop", State.CRIT)
    await site.says(10, f"{DISPENSER} unit:1", "atm.unit.supply", "low", State.WARN)
    await site.wait(60)
    assert [(each.fault, each.level) for each in site.told()] == [("atm.device", 2), ("atm.supply", 3)]


async def test_what_is_out_of_sight_when_its_window_ends_is_told_when_it_is_seen(site: Site):
    """It may have ended unseen; nobody is sent for that."""
    await site.world.pipeline.operate({
        "action": "window", "actor": "p", "id": "w", "scope": "all", "from": T0 + MINUTE, "to": T0 + 60 * MINUTE, "reason": "works",
    })  # fmt: skip
    await site.says(5, DISPENSER, "atm.device", "offline", State.CRIT)
    await site.offline(20)
    await site.wait(90)
    assert site.told("atm.device") == []
    await site.online(100)
    await site.says(100.1, DISPENSER, "atm.device", "online", State.OK)
    await site.wait(200)
    assert site.told("atm.device") == []


async def test_what_lasts_when_it_is_seen_again_is_told(site: Site):
    await site.world.pipeline.operate({
        "action": "window", "actor": "p", "id": "w", "scope": "all", "from": T0 + MINUTE, "to": T0 + 60 * MINUTE, "reason": "works",
    })  # fmt: skip
    await site.says(5, DISPENSER, "atm.device", "offline", State.CRIT)
    await site.offline(20)
    await site.online(100)
    await site.says(100.1, DISPENSER, "atm.device", "offline", State.CRIT)
    await site.wait(120)
    assert [each.state for each in site.told("atm.device")] == ["open"]


async def opened(site: Site) -> int:
    """Messages that say that something is open, or open again."""
    (found,) = site.world.store.conn.execute("SELECT count(*) FROM outbox WHERE op = 'open'").fetchone()
    return int(found)


async def test_a_moment_out_of_reach_does_not_reopen_what_was_settled(site: Site):
    await site.offline(1)
    await site.online(20)
    await site.offline(40)
    await site.online(41)
    await site.wait(60)
    assert [each.state for each in site.told()] == ["restored"]
    assert await opened(site) == 1


async def test_what_lasts_again_goes_on_in_its_ticket(site: Site):
    await site.offline(1)
    await site.online(20)
    await site.offline(40)
    await site.wait(60)
    (incident,) = site.told()
    assert (incident.state, incident.reopened) == ("open", 0)
    assert await opened(site) == 2
    await site.online(70)
    assert [each.state for each in site.told()] == ["restored"]


async def test_what_flaps_on_after_somebody_resolved_it_is_told(site: Site):
    """Single turns are not; that it is not mended is."""
    rests = await site.turns(1, 6)
    (incident,) = site.told("x.comes-and-goes")
    before = await opened(site)
    await site.world.pipeline.operate({
        "action": "resolve", "actor": "lin", "incident": incident.corr_id, "verdict": "true_fault", "part": "", "note": "",
    })  # fmt: skip
    await site.turns(rests + 1, 3)
    (incident,) = site.told("x.comes-and-goes")
    assert (incident.intermittent, incident.reopened, await opened(site) - before) == (True, 1, 1)
