"""Rules of several signals, latched rules and exceptions, through the whole fold: what is raised, when it ends, and that a rebuild agrees."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.agent.model import Quality, State, Value
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.read import AlarmView
from tillwatch.collector.store.reader import SqliteReader

WORDS = 'text = "t"\ncause = "c"\nconsequence = "c"\naction = "a"\nowner = "o"\nreview = "2027-01-01"\nfor = "10s"\nhold = "10s"\n'
RULES = f"""
[fold]
silent_least = "30d"
default_interval = "30d"
[[rule]]
id = "terminal.silent"
for = "30d"
[[rule]]
id = "drive.ill"
for = "10s"
hold = "10s"
[[rule]]
id = "x.one"
signal = "host.load"
above = [{{ limit = 90, level = 3 }}]
judged = {{ crit = 2 }}
component = ["*", "!spare"]
{WORDS}
[[rule]]
id = "x.unless"
signal = "x.status"
judged = {{ warn = 3, crit = 2 }}
unless = "x.better"
{WORDS}
"""

Row = tuple[str, str, Value, State]


class Site:
    def __init__(self, world: World) -> None:
        self.world = world
        self.sender = Sender("atm-1")

    async def start(self) -> Site:
        await self.world.start(RULES)
        await self.sender.enrol(self.world.pipeline)
        await self.world.pipeline.take([self.sender.life(T0)])
        return self

    async def says(
        self, *rows: Row, quality: Quality = Quality.GOOD, wait_s: int = 15
    ) -> dict[tuple[str, str], AlarmView]:
        """The alarms that are open when it has lasted wait_s seconds."""
        world = self.world
        world.now += S
        sent = [
            reading(component, signal, world.now, value, state, quality) for component, signal, value, state in rows
        ]
        await world.pipeline.take([self.sender.batch(sent, world.now)])
        await world.tick(world.now + wait_s * S)
        return self.open()

    def open(self) -> dict[tuple[str, str], AlarmView]:
        with closing(SqliteReader(self.world.path)) as reader:
            listed = reader.alarms(open_only=True)
        # Those that are over and were seen by nobody stay on the list.
        return {(view.rule, view.component): view for view in listed if view.condition != "normal"}

    def kinds(self) -> list[str]:
        return [kind for (kind,) in self.world.store.conn.execute("SELECT kind FROM alarm_event ORDER BY seq")]

    def rebuilt(self) -> None:
        """The same entries give the same state."""
        copy = World(self.world.path.with_name("again.db"))
        copy.store.close()
        copy.path.unlink()
        rebuild(self.world.path, copy.path)
        again = World(copy.path)
        assert tables(again.store.conn) == tables(self.world.store.conn)
        again.store.close()


@pytest.fixture
async def site(world: World) -> Site:
    return await Site(world).start()


def smart(signal: str, value: Value, state: State) -> Row:
    return "d/1", f"drive.{signal}", value, state


async def test_a_part_has_one_alarm_whose_level_is_the_worst_of_its_signals(site: Site):
    raised = await site.says(smart("smart", "passed", State.OK), smart("sectors.pending", 8, State.WARN))
    assert [(key, view.level, view.signal, view.value) for key, view in raised.items()] == [
        (("drive.ill", "d/1"), 3, "drive.sectors.pending", 8)
    ]
    raised = await site.says(smart("smart", "failing", State.CRIT), smart("sectors.pending", 9, State.WARN))
    assert [(view.level, view.signal, view.value) for view in raised.values()] == [(2, "drive.smart", "failing")]
    # One of the two is well again: the other still asks for its level.
    raised = await site.says(smart("smart", "passed", State.OK))
    assert [(view.level, view.signal, view.value) for view in raised.values()] == [(3, "drive.sectors.pending", 9)]
    assert await site.says(smart("sectors.pending", 0, State.OK)) == {}
    assert site.kinds() == ["raised", "level", "level", "cleared"]
    site.rebuilt()


async def test_the_order_of_the_signals_makes_no_difference(site: Site):
    for rows in (
        (smart("smart", "passed", State.OK), smart("wear", 95, State.WARN)),
        (smart("wear", 95, State.WARN), smart("smart", "passed", State.OK)),
    ):
        for _ in range(3):
            assert set(await site.says(*rows)) == {("drive.ill", "d/1")}
    assert site.kinds() == ["raised"]


async def test_a_signal_that_cannot_be_read_does_not_end_an_alarm(site: Site):
    await site.says(smart("sectors.pending", 8, State.WARN))
    await site.says(smart("sectors.pending", None, State.UNKNOWN), quality=Quality.ERROR)
    assert set(await site.says(smart("smart", "passed", State.OK), wait_s=60)) == {("drive.ill", "d/1")}


async def test_a_word_of_level_0_is_an_exception_to_what_is_judged(site: Site):
    assert await site.says(smart("thresholds", "past", State.WARN)) == {}
    assert await site.says(smart("thresholds", "usage", State.WARN)) != {}


async def test_of_a_judgement_and_a_limit_the_graver_counts(site: Site):
    raised = await site.says(
        ("a", "host.load", 95, State.OK), ("b", "host.load", 10, State.CRIT), ("c", "host.load", 99, State.CRIT),
        ("d", "host.load", 10, State.WARN), ("spare", "host.load", 99, State.CRIT),
    )  # fmt: skip
    assert {key[1]: view.level for key, view in raised.items()} == {"a": 3, "b": 2, "c": 2}


async def test_a_rule_leaves_a_component_that_says_the_same_better(site: Site):
    assert set(await site.says(("p", "x.status", "bad", State.CRIT))) == {("x.unless", "p")}
    # The better signal comes later than the alarm: it has nothing to say any more.
    ended = await site.says(("p", "x.better", "fine", State.OK), ("p", "x.status", "bad", State.CRIT))
    assert ended == {}
    assert await site.says(("p", "x.status", "bad", State.CRIT), wait_s=600) == {}
    site.rebuilt()


def door(word: str) -> Row:
    return "k/door", "env.door", word, {"closed": State.OK, "open": State.WARN, "forced": State.CRIT}[word]


async def acknowledge(site: Site, number: int) -> None:
    act = {"action": "acknowledge", "terminal": "atm-1", "alarm": number, "actor": "li.wei", "note": "seen"}
    await site.world.pipeline.operate(act)


async def test_what_points_at_a_person_stays_open_until_somebody_has_looked(site: Site):
    (view,) = (await site.says(door("forced"))).values()
    assert (view.rule, view.level) == ("env.intrusion", 2)
    assert set(await site.says(door("closed"), wait_s=3600)) == {("env.intrusion", "k/door")}
    assert site.kinds() == ["raised", "returned"]
    again = site.world.restart()  # it is kept over a restart as well
    site.world = again
    await again.start(RULES)
    await acknowledge(site, view.id)
    assert site.open() == {}
    assert site.kinds() == ["raised", "returned", "acknowledged", "cleared"]
    site.rebuilt()
    # Taken on while it lasts, it ends when the door does.
    (view,) = (await site.says(door("forced"))).values()
    await acknowledge(site, view.id)
    assert set(site.open()) == {("env.intrusion", "k/door")}
    assert await site.says(door("closed")) == {}


async def test_a_latched_alarm_that_is_over_ends_with_the_rule_that_kept_it(site: Site):
    await site.says(door("forced"))
    await site.says(door("closed"))
    again = site.world.restart()
    site.world = again
    await again.start(RULES + '[[rule]]\nid = "env.intrusion"\nlatched = false\n')
    assert site.open() == {}
    site.rebuilt()


async def test_a_rule_that_is_switched_off_ends_its_alarms(site: Site):
    assert await site.says(smart("smart", "failing", State.CRIT)) != {}
    again = site.world.restart()
    site.world = again
    await again.start(RULES + '[[rule]]\nid = "drive.ill"\noff = "drives are leased"\n')
    assert site.open() == {}
    site.rebuilt()


def test_the_shipped_table_is_one_text():
    assert shipped_text().count("[fold]") == 1


LATE_S = 600
"""A backlog that is not yet history: the pipeline takes a quarter of an hour for that."""


async def says_late(site: Site, value: float, at: int) -> dict[tuple[str, str], AlarmView]:
    """A reading of `at` that arrives now, and a moment for the clock to make something of it."""
    late = reading("cpu", "host.load", at, value, State.NONE)
    await site.world.pipeline.take([site.sender.batch([late], at, received=site.world.now)])
    await site.world.tick(site.world.now + S)
    return site.open()


async def test_what_comes_late_is_not_confirmed_by_the_clock(site: Site):
    """After minutes without a line a terminal tells one after the other what it read: right behind a fault may come its end."""
    began = site.world.now + S
    site.world.now = began + LATE_S * S
    assert await says_late(site, 95.0, began) == {}
    assert await says_late(site, 12.0, began + 5 * S) == {}
    await site.world.tick(site.world.now + 2 * LATE_S * S)
    assert site.kinds() == []
    site.rebuilt()


@pytest.mark.parametrize("told", [True, False], ids=["readings of now say so", "nobody says anything else"])
async def test_a_fault_that_comes_late_and_lasts_is_raised(site: Site, told: bool):
    began = site.world.now + S
    site.world.now = began + LATE_S * S
    assert await says_late(site, 95.0, began) == {}
    if told:
        assert set(await site.says(("cpu", "host.load", 95.0, State.NONE), wait_s=1)) == {("x.one", "cpu")}
    else:
        await site.world.tick(site.world.now + LATE_S * S)
        assert set(site.open()) == {("x.one", "cpu")}
    site.rebuilt()


async def test_what_was_to_last_while_the_collector_was_away_is_told_by_what_comes_first(site: Site):
    """Nobody could be heard: that the fault had lasted long enough by then shows only when the terminal has spoken."""
    world, began = site.world, site.world.now + S
    await site.says(("cpu", "host.load", 95.0, State.NONE), wait_s=5)
    site.world = world.restart()
    site.world.now = began + 2 * LATE_S * S
    await site.world.start(RULES)
    await site.world.tick(site.world.now + 5 * S)
    assert await site.says(("cpu", "host.load", 12.0, State.NONE)) == {}
    await site.world.tick(site.world.now + LATE_S * S)
    assert site.kinds() == []
    site.rebuilt()


async def test_a_fault_that_lasts_over_a_restart_is_raised(site: Site):
    world = site.world
    await site.says(("cpu", "host.load", 95.0, State.NONE), wait_s=5)
    site.world = world.restart()
    site.world.now += 2 * LATE_S * S
    await site.world.start(RULES)
    await site.world.tick(site.world.now + LATE_S * S)
    assert set(site.open()) == {("x.one", "cpu")}
    site.rebuilt()
