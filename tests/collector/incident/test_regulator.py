"""The regulator's clock through the whole fold: one incident when the share has lasted, at that very moment, over restarts, in service hours only;
and by any changes of states, that what is counted on the way equals what is counted anew.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender
from tillwatch.collector.alarm.rules import REGULATOR, shipped_text
from tillwatch.collector.duty.policy import parse_policy, shipped_policy
from tillwatch.collector.fold import Fold
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.incident.service_clocks import clocks_of, hours_of
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.records import StateChange
from tillwatch.collector.terminal.fleet import Terminal
from tillwatch.collector.tickets.message import Op

MINUTE, HOUR = 60 * S, 3600 * S
RULES = '[fold]\nsilent_least = "30d"\n'
"""Nobody is missed by the clock: who is lost is told by the broker."""
POLICY = """
[regulator]
share = 0.5
for = "30m"
report = "30m"
written = "12h"
step = [{ clock = "response", after = "0m", role = "director", channels = ["phone"], text = "Report the outage" }]
"""


def near(one: int, other: int) -> bool:
    """Entries of one moment are some ns apart in the journal."""
    return abs(one - other) < S


class Bank:
    """Four branches of four terminals in the north, and as many terminals in the south, so that the north is not all."""

    def __init__(self, world: World, policy: str = POLICY) -> None:
        self.world = world
        self.policy = policy
        self.north = {f"{branch}-{i}": Sender(f"{branch}-{i}") for branch in "abcd" for i in range(4)}
        self.south = {f"far-{i}": Sender(f"far-{i}") for i in range(16)}

    async def start(self) -> None:
        await self.world.pipeline.start(shipped_text(), RULES, None, (shipped_policy(), self.policy))

    async def enrol(self) -> None:
        for name, sender in (self.north | self.south).items():
            await sender.enrol(self.world.pipeline, name.partition("-")[0], "north" if name in self.north else "south")
            await self.world.pipeline.take([sender.life(self.world.now)])

    async def restart(self) -> None:
        self.world = self.world.restart()
        await self.start()

    async def lose(self, branches: str, at: int) -> None:
        """The broker tells of the end of all their connections at once, right after they spoke."""
        await self.back(branches, at)
        lost = [sender for name, sender in self.north.items() if name[0] in branches]
        await self.world.pipeline.take([each.life(at, state="offline", n=each.n) for each in lost])

    async def back(self, branches: str, at: int) -> None:
        self.world.now = at
        lost = [sender for name, sender in self.north.items() if name[0] in branches]
        await self.world.pipeline.take([each.life(at) for each in lost])

    def found(self) -> list[Incident]:
        return [each for each in self.world.pipeline.fold.book.incidents.values() if each.fault == REGULATOR]

    def events(self, corr_id: str) -> list[str]:
        rows = self.world.store.conn.execute(
            "SELECT kind FROM incident_event WHERE incident = ? ORDER BY seq", (corr_id,)
        )
        return [kind for (kind,) in rows]

    def rebuilt(self) -> None:
        copy = World(self.world.path.with_name("again.db"))
        copy.store.close()
        copy.path.unlink()
        rebuild(self.world.path, copy.path)
        again = World(copy.path)
        assert tables(again.store.conn) == tables(self.world.store.conn)
        again.store.close()


async def begun(world: World, policy: str = POLICY) -> Bank:
    bank = Bank(world, policy)
    await bank.start()
    await bank.enrol()
    return bank


async def test_half_of_a_region_for_half_an_hour_is_one_incident_with_the_clocks_of_the_report(world: World):
    bank = await begun(world)
    await bank.lose("a", T0 + MINUTE)
    await bank.lose("b", T0 + 10 * MINUTE)
    await world.tick(T0 + 3 * HOUR)
    (incident,) = bank.found()
    assert (incident.scope, incident.region, incident.terminal, incident.level) == ("region", "north", "", 1)
    assert near(incident.occurred_at, T0 + 10 * MINUTE)
    assert incident.opened_at == incident.announced_at == incident.occurred_at + 30 * MINUTE
    assert incident.cause.startswith("8 of 16 terminals serve nobody, the first since 2026-09-21T")
    policy = world.pipeline.fold.book.policy
    response, repair = clocks_of(policy, incident)
    hours = hours_of(policy, incident, "")
    assert response.due(hours) == incident.opened_at + 30 * MINUTE
    assert repair.due(hours) == incident.opened_at + 12 * HOUR
    assert incident.missed == ("response",)
    assert "escalated" in bank.events(incident.corr_id)
    bank.rebuilt()


async def test_the_ticket_lists_who_is_down_and_since_when(world: World):
    bank = await begun(world)
    await bank.lose("abc", T0 + MINUTE)
    await world.tick(T0 + HOUR)
    (incident,) = bank.found()
    message = world.pipeline.fold.following.teller.message(incident, Op.UPDATE, world.now)
    assert message.affected_count == 12
    assert message.affected == tuple(f"{branch}-{i}" for branch in "abc" for i in range(4))
    assert {each.value for each in message.evidence} == {"offline (network)"}
    assert all(near(each.at, T0 + MINUTE) for each in message.evidence)


async def test_it_ends_when_the_share_is_back_and_a_return_of_the_outage_reopens_it(world: World):
    bank = await begun(world)
    await bank.lose("abc", T0 + MINUTE)
    await world.tick(T0 + HOUR)
    await bank.back("a", T0 + 61 * MINUTE)
    assert bank.found()[0].state == "open"  # two branches are half of the region
    await bank.back("b", T0 + 62 * MINUTE)
    assert bank.found()[0].state == "restored"
    assert not any(
        each.stopped_at for each in clocks_of(world.pipeline.fold.book.policy, bank.found()[0])
    )  # to be reported all the same
    assert near(bank.found()[0].restored_at, T0 + 62 * MINUTE)
    await bank.lose("b", T0 + 70 * MINUTE)
    await world.tick(T0 + 80 * MINUTE)
    assert bank.found()[0].state == "restored"  # not for long enough
    await world.tick(T0 + 2 * HOUR)
    (incident,) = bank.found()
    assert incident.state == "open"
    assert bank.events(incident.corr_id).count("reopened") == 1
    bank.rebuilt()


async def test_less_than_the_share_or_not_for_long_enough_is_none(world: World):
    bank = await begun(world)
    await bank.lose("a", T0 + MINUTE)
    await world.tick(T0 + HOUR)
    await bank.lose("b", T0 + HOUR)
    await bank.back("b", T0 + 80 * MINUTE)
    await world.tick(T0 + 5 * HOUR)
    assert bank.found() == []


async def test_what_is_only_not_seen_is_no_outage(world: World):
    bank = await begun(world)
    for branch in "abcd":  # one of each: nothing says that they have one cause
        sender = bank.north[f"{branch}-0"]
        await world.pipeline.take([sender.life(world.now, state="offline", n=sender.n)])
    await world.tick(T0 + 5 * HOUR)
    states = world.pipeline.fold.standing.states
    assert {states[f"{branch}-0"].cause for branch in "abcd"} == {"unknown"}
    policy = POLICY.replace("0.5", "0.25")
    await world.pipeline.start(shipped_text(), RULES, None, (shipped_policy(), policy))
    await world.tick(T0 + 6 * HOUR)
    assert bank.found() == []


async def test_without_the_table_there_is_no_such_clock_and_taking_it_out_ends_what_it_began(world: World):
    bank = await begun(world, "")
    await bank.lose("abc", T0 + MINUTE)
    await world.tick(T0 + HOUR)
    assert bank.found() == []
    bank.policy = POLICY
    await bank.restart()
    await bank.world.tick(T0 + HOUR + MINUTE)
    assert [each.state for each in bank.found()] == ["open"]
    bank.policy = ""
    await bank.restart()
    assert [each.state for each in bank.found()] == ["restored"]
    bank.rebuilt()


async def test_a_restart_in_between_skips_nothing(world: World):
    bank = await begun(world)
    await bank.lose("ab", T0 + MINUTE)
    bank.world.now = T0 + 20 * MINUTE
    await bank.restart()
    await bank.world.tick(T0 + 40 * MINUTE)
    (incident,) = bank.found()
    assert near(incident.opened_at, T0 + 31 * MINUTE)
    bank.rebuilt()


async def test_an_outage_that_people_have_settled_is_not_told_again(world: World):
    bank = await begun(world)
    await bank.lose("abc", T0 + MINUTE)
    await world.tick(T0 + HOUR)
    act = {"action": "resolve", "incident": bank.found()[0].corr_id, "verdict": "true_fault", "actor": "li"}
    await world.pipeline.operate(act)
    await bank.lose("d", T0 + 61 * MINUTE)
    await world.tick(T0 + 3 * HOUR)
    assert [each.state for each in bank.found()] == ["resolved"]


async def test_only_service_hours_count(world: World):
    policy = f'{POLICY}\n[site]\ntime_zone = "UTC"\n[class.atm]\nservice = "opening"\n'
    bank = await begun(world, policy)  # at 14:13:20; it closes at 17:30
    closing = T0 + 3 * HOUR + 16 * MINUTE + 40 * S
    await bank.lose("abc", closing - 10 * MINUTE)
    opening = closing + 15 * HOUR
    await world.tick(opening + 29 * MINUTE)
    assert bank.found() == []
    await world.tick(opening + 31 * MINUTE)
    assert [each.opened_at for each in bank.found()] == [opening + 30 * MINUTE]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 7),
            st.sampled_from(["in_service", "out_of_service", "offline", "spare"]),
            st.integers(0, 40),
            st.sampled_from(["north", "south"]),
        ),
        max_size=60,
    )
)
def test_what_is_counted_on_the_way_is_what_a_restart_counts(changes):
    fold = Fold({})
    site = f'{POLICY}\n[site]\ntime_zone = "UTC"\n[class.pos]\nservice = "opening"\n'
    fold.book.policy = parse_policy(site)
    at = T0
    for number, state, minutes, region in changes:
        at += minutes * MINUTE
        fold.advance(at)
        name = f"t-{number}"
        terminal = fold.fleet.terminals.setdefault(
            name, Terminal(name, "hill", region, "pos" if number % 2 else "atm", T0)
        )
        terminal.region = region
        change = StateChange(name, at, at, state, cause="power" if state == "offline" else "")
        fold.standing.states[name] = change
        fold.regulating.see(terminal, change, at)
        fold.advanced_to = at
        before = {place: fold.timers.due(("regulator", place, "", "")) for place in ("north", "south")}
        fold.regulating.rearm(at)
        assert {place: fold.timers.due(("regulator", place, "", "")) for place in ("north", "south")} == before
        for place in ("north", "south"):
            down = [each for each in fold.fleet.terminals.values() if each.region == place and each.down_since]
            counted = sum(len(group.down) for group in fold.regulating._regions.get(place, {}).values())
            assert counted == len(down)
