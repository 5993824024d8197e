"""The courier: record before it leaves, one at a time, only where somebody listens, and again where nothing is heard."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.collector.conftest import COLLECTOR_KEY, World
from tests.collector.diagnosis.test_diagnosing import Story
from tests.collector.watch.running import until
from tillwatch.agent.wire import Outcome, VerifyKey, open_command
from tillwatch.collector.diagnosis import courier as couriers
from tillwatch.collector.diagnosis.courier import Courier


class Broker:
    """What an Intake is to the courier."""

    connected = True

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def publish_command(self, terminal: str, payload: bytes) -> None:
        self.sent.append((terminal, payload))


def opened(payload: bytes) -> object:
    return open_command("till-1", payload, {COLLECTOR_KEY.key_id: VerifyKey(COLLECTOR_KEY.public)}.get)


async def test_it_brings_one_after_the_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(couriers, "LOOK_S", 0.01)
    story, broker = Story(world), Broker()
    await story.begin()
    await world.pipeline.take([story.till.life(world.now), story.till.life(world.now, state="offline", n=1)])
    first, second = await story.ask(arguments={"component": "ups"}), await story.ask()
    courier = Courier(world.pipeline, broker, COLLECTOR_KEY, lambda: world.now)
    running = asyncio.create_task(courier.run())
    try:
        started = time.monotonic()
        while time.monotonic() - started < 0.2:
            assert broker.sent == [], "a terminal that is not connected hears nothing"
            await asyncio.sleep(0.02)
        await world.pipeline.take([story.till.life(world.now)])
        await until(lambda: broker.sent)
        assert story.orders[1].state == "sent", "recorded before it left"
        command = opened(broker.sent[0][1])
        assert (command.number, command.kind, dict(command.arguments)) == (
            first.number,
            "poll-now",
            {"component": "ups"},
        )
        assert command.epoch == story.till.epoch
        assert 0 < command.expires - command.issued <= 600 * 10**9

        await world.pipeline.take([story.till.life(world.now)])
        await until(lambda: len(broker.sent) == 2, what="the same once more, since the terminal has come back")
        assert broker.sent[0] == broker.sent[1]
        monkeypatch.setattr(couriers, "AGAIN_S", 0.05)
        await until(lambda: len(broker.sent) > 3, what="the same again, while nothing is heard")
        assert {opened(payload).number for _, payload in broker.sent} == {first.number}

        await story.result(first.number, Outcome.DONE)
        await until(lambda: opened(broker.sent[-1][1]).number == second.number, what="the next one")
        sealed = [entry for entry in story.orders if entry.state == "sent"]
        assert [order.n for order in sealed] == [second.n]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
