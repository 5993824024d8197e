"""The connection to a real mosquitto over TLS, as the configuration that tillwatch writes lets a terminal in."""

from __future__ import annotations

import asyncio
import contextlib

from tests.collector.intake.conftest import (  # noqa: F401 - fixtures
    authority,
    certified,
    free_port,
    intake,
    messages_fixture,
    mosquitto,
)
from tests.collector.watch.running import until
from tillwatch.agent.wire import batch_topic, life_topic
from tillwatch.collector.trust.authority import COLLECTOR_NAME, open_authority
from tillwatch.collector.watch.link import Link


class Linked:
    """A link with what it was told."""

    def __init__(self, port: int, tls: object, name: str = "watchdog") -> None:
        self.acks: list[bytes] = []
        self.connections = self.losses = 0
        self.link = Link(
            "127.0.0.1",
            port,
            name,
            tls,
            will=lambda: b"will",
            connected=self.count,
            lost=self.lose,
            heard=self.acks.append,
        )
        self.task: asyncio.Task[None] | None = None

    def count(self) -> None:
        self.connections += 1

    def lose(self) -> None:
        self.losses += 1

    async def start(self, connections: int = 1) -> None:
        if self.task is None:
            self.task = asyncio.create_task(self.link.run())
        await until(lambda: self.connections >= connections, what="the connection")

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)


@contextlib.asynccontextmanager
async def linked(*arguments: object):
    one = Linked(*arguments)
    try:
        yield one
    finally:
        await one.stop()


async def test_it_publishes_hears_acks_and_tells_what_the_broker_has(mosquitto, authority, certified, intake, messages):  # noqa: F811
    await mosquitto.start()
    tls = authority.client_context()
    collector = await intake(host="127.0.0.1", port=mosquitto.port, client_id=COLLECTOR_NAME, tls=tls)
    async with linked(mosquitto.port, certified(authority, "watchdog")) as one:
        taken: list[str] = []
        one.link.publish(batch_topic("watchdog"), b"too early", lambda: taken.append("early"))
        await one.start()
        one.link.publish(batch_topic("watchdog"), b"batch", lambda: taken.append("batch"))
        await until(lambda: taken == ["batch"], what="the broker's word")
        assert [(m.topic, m.payload) for m in await messages(collector, 1)] == [(batch_topic("watchdog"), b"batch")]
        collector.publish_ack("watchdog", b"stored")
        await until(lambda: one.acks == [b"stored"], what="the ack")
        # A goodbye is no death: no will comes between it and the next session.
        one.link.publish(life_topic("watchdog"), b"offline")
        await one.stop()
    async with linked(mosquitto.port, certified(authority, "watchdog")) as again:
        await again.start()
        again.link.publish(life_topic("watchdog"), b"online")
        assert [m.payload for m in await messages(collector, 2)] == [b"offline", b"online"]


async def test_it_comes_back_after_the_broker_and_says_so_once(mosquitto, authority, certified, caplog):  # noqa: F811
    caplog.set_level("INFO", "tillwatch")
    await mosquitto.start()
    async with linked(mosquitto.port, certified(authority, "watchdog")) as one:
        await one.start()
        mosquitto.kill()
        await until(lambda: not one.link.up, what="the loss")
        one.link.publish(batch_topic("watchdog"), b"meanwhile")
        await mosquitto.start()
        await one.start(connections=2)
        assert one.losses == 1
    said = [record.message.partition(": ")[2] for record in caplog.records if "MQTT broker" in record.message]
    assert said == ["connected", "connection lost; trying again until it answers", "connected"]


async def test_whom_the_broker_refuses_says_why_and_goes_on_trying(mosquitto, authority, certified, caplog, tmp_path):  # noqa: F811
    await mosquitto.start()
    stranger = certified(open_authority(tmp_path / "another"), "watchdog")
    stranger.load_verify_locations(authority.ca_file)
    one = Linked(mosquitto.port, stranger)
    task = one.task = asyncio.create_task(one.link.run())
    await until(lambda: "cannot connect" in caplog.text, what="the refusal")
    assert not task.done()
    assert one.connections == 0
    await one.stop()
