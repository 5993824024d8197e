"""Who is told when: in turn, so many at once, again after a while or on a new connection, and nobody who is away."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from tests.collector.conftest import COLLECTOR_KEY, World
from tests.collector.rollout.test_rolling import Story
from tillwatch.agent.wire import Directive, Report, Running, VerifyKey, open_directive
from tillwatch.collector.rollout import courier as couriers
from tillwatch.collector.rollout.courier import AGAIN_S, Courier
from tillwatch.collector.rollout.states import Bundle
from tillwatch.collector.store.reader import SqliteReader

ALL = [{"name": "rest", "share": 1_000_000, "terminals": []}]


class Told:
    """An intake that keeps what it is handed."""

    connected = True

    def __init__(self) -> None:
        self.sent: list[Directive] = []

    def publish_directive(self, terminal: str, payload: bytes) -> None:
        pinned = {COLLECTOR_KEY.key_id: VerifyKey(COLLECTOR_KEY.public)}
        self.sent.append(open_directive(terminal, payload, pinned.get))

    def take(self) -> list[str]:
        names = [directive.terminal for directive in self.sent]
        self.sent.clear()
        return names


@pytest.fixture
async def story(world: World) -> Story:
    made = Story(world)
    await made.begin()
    return made


def courier_of(story: Story, intake: Any, looked_up: list[int] | None = None) -> Courier:
    def content(number: int) -> Bundle:
        if looked_up is not None:
            looked_up.append(number)
        with closing(SqliteReader(story.world.path)) as reader:
            return reader.config_bundle(number)

    return Courier(story.world.pipeline, intake, COLLECTOR_KEY, content, lambda: story.world.now)


async def test_in_turn_and_again(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(couriers, "AT_ONCE", 3)
    intake, looked_up = Told(), []
    courier = courier_of(story, intake, looked_up)
    courier.look(0.0)
    assert intake.take() == []
    bundle = await story.publish("winter")
    await story.start(bundle, ALL)
    courier.look(1.0)
    assert [directive.name for directive in intake.sent] == ["winter"] * 3
    assert {directive.number for directive in intake.sent} == {story.member("t-1").number}
    assert intake.take() == ["t-1", "t-2", "t-3"]
    courier.look(2.0)
    assert intake.take() == ["t-4"]
    courier.look(3.0)
    assert intake.take() == []
    # Whoever has answered is not told again; the others are, after a while.
    await story.answers("t-1", Running.TRYING)
    courier.look(2.0 + AGAIN_S)
    assert intake.take() == ["t-2", "t-3", "t-4"]
    assert looked_up == [bundle]


async def test_a_new_connection_is_told_at_once_and_who_is_away_is_not(story: Story) -> None:
    intake = Told()
    courier = courier_of(story, intake)
    await story.start(await story.publish("winter"), ALL)
    story.world.pipeline.fold.fleet.terminals["t-2"].connection = "offline"
    courier.look(1.0)
    assert intake.take() == ["t-1", "t-3", "t-4"]
    story.world.pipeline.fold.fleet.terminals["t-2"].connection = "online"
    story.world.pipeline.fold.fleet.terminals["t-3"].life_n += 1
    courier.look(2.0)
    assert intake.take() == ["t-2", "t-3"]


async def test_what_is_newest_alone_is_told_and_nothing_where_nothing_is_to_run(story: Story) -> None:
    intake = Told()
    courier = courier_of(story, intake)
    for name, seal in (("autumn", "60s"), ("winter", "90s")):
        await story.start(await story.publish(name, seal), ALL)
        await story.act("rollout-halt", rollout=story.rollout.rollout.n)
    courier.look(1.0)
    assert {directive.name for directive in intake.sent} == {"winter"}
    number = intake.sent[0].number
    intake.take()
    await story.act("rollout-return", rollout=story.rollout.rollout.n)
    courier.look(2.0)
    assert {(directive.name, directive.content) for directive in intake.sent} == {("", b"")}
    assert all(directive.number > number for directive in intake.sent)
    await story.report("t-1", Report(0, Running.OFF))
    courier.look(2.0 + AGAIN_S)
    assert "t-1" not in intake.take()[4:]
