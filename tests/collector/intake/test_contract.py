"""What both intakes promise to the loop behind them, however messages come to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tillwatch.collector.intake import Intake, Message
from tillwatch.collector.intake.amqp import AmqpSettings
from tillwatch.collector.intake.fairness import SHARE
from tillwatch.collector.intake.forwarded import ForwardedIntake
from tillwatch.collector.intake.mqtt import MqttIntake, MqttSettings
from tillwatch.collector.opening.groups import Group

Feed = Callable[..., None]
Flood = Callable[[str], None]
"""A terminal says one message more than it may."""


def over_mqtt() -> tuple[Intake, Feed, Flood]:
    intake = MqttIntake(MqttSettings("127.0.0.1", 1, "x"))

    def feed(*messages: tuple[str, bytes]) -> None:
        for topic, payload in messages:
            intake._on_message(None, topic, payload, 1, {})

    def flood(terminal: str) -> None:
        feed(*(batch(terminal, n) for n in range(SHARE + 1)))

    return intake, feed, flood


def behind_openers() -> tuple[Intake, Feed, Flood]:
    intake = ForwardedIntake(AmqpSettings((("127.0.0.1", 1),), "v", "u", "p"), 1)
    number = 0

    def feed(*messages: tuple[str, bytes]) -> None:
        nonlocal number
        number += 1
        intake._take(Group("o", 1, number - 1, number, [Message(*one, 0) for one in messages]), "answers")

    def flood(terminal: str) -> None:
        intake._take(Group("p", 1, 0, 1, [], {(terminal, "flood"): 1}), "answers")

    return intake, feed, flood


@pytest.fixture(params=[over_mqtt, behind_openers])
def made(request: pytest.FixtureRequest) -> tuple[Intake, Feed, Flood]:
    return request.param()


@pytest.fixture
def fed(made: tuple[Intake, Feed, Flood]) -> tuple[Intake, Feed]:
    return made[0], made[1]


def batch(terminal: str, n: int) -> tuple[str, bytes]:
    return f"tw/1/{terminal}/batch", bytes((n,))


async def test_messages_of_a_terminal_come_in_its_order_and_in_groups_of_at_most_so_many(fed):
    intake, feed = fed
    feed(*(batch(name, n) for n in range(5) for name in ("t1", "t2")))
    got = []
    while len(got) < 10:
        some = await asyncio.wait_for(intake.get_batch(3, 0), 60)
        assert 1 <= len(some) <= 3
        got += some
        intake.settled(len(some), stored=True)
    for name in ("t1", "t2"):
        assert [m.payload[0] for m in got if name in m.topic] == list(range(5))


async def test_a_group_waits_for_the_first_and_then_only_a_little(fed):
    intake, feed = fed
    waiting = asyncio.create_task(intake.get_batch(10, 0.001))
    await asyncio.sleep(0)
    assert not waiting.done()
    feed(batch("t1", 1))
    assert [m.payload for m in await asyncio.wait_for(waiting, 60)] == [b"\x01"]


async def test_a_wait_that_is_cancelled_loses_no_message(fed):
    intake, feed = fed
    waiting = asyncio.create_task(intake.get_batch(10, 60))
    await asyncio.sleep(0)
    feed(batch("t1", 1))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert len(await asyncio.wait_for(intake.get_batch(10, 0), 60)) == 1


async def test_nothing_that_is_told_to_terminals_waits_or_fails_without_a_broker(fed):
    intake, feed = fed
    assert not intake.connected
    for _ in range(3):
        intake.publish_ack("t1", b"a")
        intake.publish_command("t1", b"c")
        intake.publish_directive("t1", b"d")
        intake.refused("t1")
    feed(batch("t1", 1))
    await asyncio.wait_for(intake.get_batch(10, 0), 60)
    intake.settled(1, stored=False)
    intake.settled(0, stored=True)


async def test_what_was_dropped_and_who_is_too_fast_is_told_once(made):
    intake, _, flood = made
    flood("t1")
    assert intake.dropped == 1
    assert intake.take_dropped() == {("t1", "flood"): 1}
    assert intake.take_slow() == frozenset({"t1"})
    assert intake.take_dropped() == {}
    assert intake.take_slow() == frozenset()
    assert intake.dropped == 1


async def test_it_can_be_stopped_whether_it_was_started_or_not_and_whether_a_broker_is_there_or_not(fed):
    intake, _ = fed
    await intake.stop()
    await intake.start()
    assert not intake.connected
    await intake.stop()
    await intake.stop()
