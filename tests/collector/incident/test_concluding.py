"""One cause for many terminals, through the whole fold: who was lost at the same time belongs to it, who was lost before does not."""

from __future__ import annotations

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender
from tillwatch.collector.alarm.rules import BRANCH_UNREACHABLE, FLEET_UNREACHABLE, REGION_UNREACHABLE, SILENT
from tillwatch.collector.incident.incidents import Incident

RULES = '[fold]\nsilent_least = "30d"\n'
"""Nobody is missed by the clock: who is lost is told by the broker."""


class Bank:
    """Branches of four terminals in one region, all of them online at T0; more in another region, so that one region is not all."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.senders = {f"{branch}-{i}": Sender(f"{branch}-{i}") for branch in ("a", "b", "c", "d") for i in range(4)}
        self.others = {f"far-{i}": Sender(f"far-{i}") for i in range(16)}

    async def start(self) -> None:
        await self.world.start(RULES)
        for name, sender in (self.senders | self.others).items():
            branch = name.partition("-")[0]
            await sender.enrol(self.world.pipeline, branch, "north" if name in self.senders else "south")
            await self.world.pipeline.take([sender.life(self.world.now)])

    async def lose(self, *names: str, at_s: int) -> None:
        """The broker tells of the end of these connections, one second after the other."""
        for i, name in enumerate(names):
            sender = self.senders[name]
            self.world.now = T0 + (at_s + i) * S
            await self.world.pipeline.take([sender.life(self.world.now, state="offline", n=sender.n)])

    def told(self) -> list[Incident]:
        incidents = self.world.pipeline.fold.book.incidents.values()
        return sorted((each for each in incidents if each.announced), key=lambda each: each.announced_at)


async def test_a_region_takes_in_who_was_lost_before_enough_of_their_branch_were(world: World):
    bank = Bank(world)
    await bank.start()
    # One of the last branch first: nothing can be concluded of it when three others are known to be gone.
    await bank.lose("d-0", at_s=100)
    await bank.lose(*(f"{branch}-{i}" for branch in ("a", "b", "c") for i in range(4)), at_s=110)
    await bank.lose("d-1", "d-2", "d-3", at_s=130)
    await world.tick(T0 + 600 * S)
    assert [(each.scope, each.fault) for each in bank.told()] == [("region", REGION_UNREACHABLE)]
    members = world.pipeline.fold.book.members[bank.told()[0].corr_id]
    assert {terminal for _, terminal, _ in members} == set(bank.senders)


async def test_who_was_lost_long_before_keeps_a_ticket_of_his_own(world: World):
    bank = Bank(world)
    await bank.start()
    await bank.lose("a-0", at_s=100)
    world.now = T0 + 1990 * S
    await world.pipeline.take([bank.senders[f"a-{i}"].life(world.now) for i in (1, 2, 3)])
    await bank.lose("a-1", "a-2", "a-3", at_s=2000)
    await world.tick(T0 + 2600 * S)
    assert [(each.fault, each.terminal, each.parent) for each in bank.told()] == [
        (SILENT, "a-0", ""),
        (BRANCH_UNREACHABLE, "", ""),
    ]


async def test_everybody_is_found_lost_before_the_first_ticket_of_a_part(world: World):
    """Branch by branch enough are lost to conclude each, long before nine in ten of all are; the rest is explained by their branches."""
    bank = Bank(world)
    await bank.start()
    bank.senders |= bank.others
    far = list(bank.others)
    await bank.lose(*far[:3], at_s=100)
    await bank.lose(*(f"{branch}-{i}" for branch in ("a", "b", "c", "d") for i in range(4)), at_s=105)
    await bank.lose(*far[3:], at_s=125)
    await world.tick(T0 + 600 * S)
    assert [(each.scope, each.fault) for each in bank.told()] == [("fleet", FLEET_UNREACHABLE)]


async def test_who_came_back_shortly_before_belongs_to_the_branch_all_the_same(world: World):
    """His ticket is over; what takes him away now is the line of all of them."""
    bank = Bank(world)
    await bank.start()
    await bank.lose("a-0", at_s=100)
    world.now = T0 + 700 * S
    await world.pipeline.take([bank.senders[f"a-{i}"].life(world.now) for i in range(4)])
    await bank.lose("a-0", "a-1", "a-2", "a-3", at_s=1000)
    await world.tick(T0 + 1600 * S)
    own, branch = bank.told()
    assert (own.fault, own.state, own.parent) == (SILENT, "restored", "")
    assert branch.fault == BRANCH_UNREACHABLE
    assert len(world.pipeline.fold.book.members[branch.corr_id]) == 4


async def test_who_was_out_of_reach_for_a_moment_before_belongs_to_the_branch(world: World):
    """Nobody was told of that moment; what takes him away for long is the line of all of them, also where he is the last to be missed."""
    bank = Bank(world)
    await bank.start()
    await bank.lose("a-3", at_s=100)
    world.now = T0 + 130 * S
    await world.pipeline.take([bank.senders["a-3"].life(world.now)])
    world.now = T0 + 995 * S
    await world.pipeline.take([bank.senders[f"a-{i}"].life(world.now) for i in range(4)])
    await bank.lose("a-0", "a-1", "a-2", "a-3", at_s=1000)
    await world.tick(T0 + 1600 * S)
    assert [(each.fault, each.terminal) for each in bank.told()] == [(BRANCH_UNREACHABLE, "")]
