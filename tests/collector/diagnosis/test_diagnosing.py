"""Commands in the fold: what the journal says, what the terminal says, what time brings; and a rebuild gives the same rows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests.collector.conftest import World
from tests.collector.sending import S, Sender, reading
from tillwatch.agent.model import AGENT
from tillwatch.agent.wire import PIECE, RESULT, Outcome, Result, pieces_of
from tillwatch.collector.diagnosis.order import Order
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore

ASK = {"action": "command", "actor": "li.na", "kind": "poll-now", "arguments": {}, "reason": "is it there?"}


class Story:
    """One terminal, and what is asked of it."""

    def __init__(self, world: World) -> None:
        self.world, self.till = world, Sender("till-1")

    async def begin(self) -> None:
        await self.world.start()
        await self.till.enrol(self.world.pipeline)
        await self.say([reading("host", "host.cpu.percent", self.world.now, 5.0)])

    async def say(self, readings: list, seconds: int = 1) -> None:
        self.world.now += seconds * S
        await self.world.pipeline.take([self.till.batch(readings, self.world.now)])

    async def ask(self, **changes: object) -> Order:
        self.world.now += S
        await self.world.pipeline.operate({**ASK, "terminal": "till-1", **changes})
        return self.orders[0]

    async def sent(self, order: Order) -> None:
        self.world.now += S
        facts = {"action": "command-sent", "actor": "collector", "terminal": "till-1", "n": order.n, "sha256": b"x"}
        await self.world.pipeline.operate(facts)

    async def result(self, number: int, outcome: Outcome, reason: str = "", words: str = "", of: str = AGENT) -> None:
        text = Result(number, outcome, reason, words).text()
        await self.say([reading(of, RESULT, self.world.now, text)])

    @property
    def orders(self) -> list[Order]:
        with closing(SqliteReader(self.world.path)) as reader:
            return list(reader.orders())

    def same_again(self, folder: Path) -> None:
        copy = folder / "again.db"
        rebuild(self.world.path, copy)
        with closing(SqliteStore(copy)) as again, closing(SqliteStore(self.world.path)) as kept:
            assert tables(kept.conn)["command"] == tables(again.conn)["command"]
        copy.unlink()


async def test_asked_sent_done(world: World, tmp_path: Path) -> None:
    story = Story(world)
    await story.begin()
    order = await story.ask()
    assert (order.state, order.by, order.reason) == ("asked", "li.na", "is it there?")
    await story.result(order.number, Outcome.DONE)
    assert story.orders[0].state == "asked", "what was not sent cannot be answered"
    await story.sent(order)
    await story.result(order.number, Outcome.DONE, of="ups")
    await story.result(order.number + 1, Outcome.DONE)
    assert story.orders[0].state == "sent", "neither another component's word nor another number counts"
    await story.result(order.number, Outcome.DONE, words="3 of 3 devices read")
    await story.result(order.number, Outcome.INTERRUPTED)
    assert (story.orders[0].state, story.orders[0].words) == ("done", "3 of 3 devices read")
    story.same_again(tmp_path)


async def test_time_alone_expires_it_and_a_late_word_still_counts(world: World, tmp_path: Path) -> None:
    story = Story(world)
    await story.begin()
    never, late = await story.ask(), await story.ask(kind="collect-bundle")
    await story.sent(late)
    await world.tick(world.now + 601 * S)
    assert [order.state for order in story.orders] == ["sent", "expired"]
    world = story.world = world.restart()
    await world.start()
    await world.tick(world.now + 301 * S)
    assert [order.state for order in story.orders] == ["expired", "expired"]
    story.world = world = world.restart()
    await world.start()
    await story.result(late.number, Outcome.FAILED, "fault", "no disk")
    await story.result(never.number, Outcome.DONE)
    first, second = story.orders
    assert (first.state, first.outcome, first.why) == ("done", "failed", "fault")
    assert second.state == "expired", "what never left cannot have been done"
    story.same_again(tmp_path)


async def test_numbers_rise_over_restarts_and_only_so_many_wait(world: World, tmp_path: Path) -> None:
    story = Story(world)
    await story.begin()
    asked = [await story.ask() for _ in range(5)]
    assert [order.state for order in asked] == ["asked"] * 4 + ["refused"]
    assert world.pipeline.fold.diagnosing.next()[0].n == asked[0].n
    story.world = world = world.restart()
    await world.start()
    world.now -= 3600 * S
    await story.sent(asked[0])
    await story.result(asked[0].number, Outcome.REFUSED, "rate", "12 commands in an hour are taken, not more")
    assert story.orders[-1].state == "refused"
    later = await story.ask()
    assert later.number > max(order.number for order in asked)
    assert world.pipeline.fold.diagnosing.next()[0].n == asked[1].n
    await story.ask(terminal="nobody")
    assert len(story.orders) == 6
    story.same_again(tmp_path)


async def test_a_bundle_is_put_together_again_from_its_readings(world: World) -> None:
    story = Story(world)
    await story.begin()
    order = await story.ask(kind="collect-bundle")
    await story.sent(order)
    content = bytes(range(256)) * 20
    pieces = list(pieces_of(order.number, content))
    for part in (pieces[3:], pieces[:2]):
        await story.say([reading(AGENT, PIECE, world.now + at * 10**6, each) for at, each in enumerate(part)])
    await story.result(order.number, Outcome.DONE)
    with closing(SqliteReader(world.path)) as reader:
        assert (reader.bundle(order.n).content, reader.bundle(order.n).missing) == (None, 1)
    await story.say([reading(AGENT, PIECE, world.now, pieces[2])])
    with closing(SqliteReader(world.path)) as reader:
        assert reader.bundle(order.n).content == content
        kept = next(one for one in reader.components("till-1") if one.name == AGENT)
        assert {signal.signal for signal in kept.signals} >= {PIECE, RESULT}
