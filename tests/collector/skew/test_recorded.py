"""What a terminal and a collector of the released version said to each other, opened by today's code; and what today's code says with more in it than the
released version knew, opened by today's rules of reading. This always runs: it needs no code of then.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack
import pytest

from tests.collector.conftest import World
from tests.collector.sending import S
from tests.collector.skew.record_conversation import AGENT, BATCHES, COLLECTOR, EPOCH, TERMINAL, conversation
from tillwatch.agent import framing, wire
from tillwatch.agent.wire import AckState, Life, Refusal, VerifyKey, WireError
from tillwatch.collector.intake import Message
from tillwatch.collector.proof.rebuild import rebuild

HERE = Path(__file__).parent
RECORDED = [json.loads(path.read_text()) for path in sorted(HERE.glob("conversation-*.json"))]


def pinned(key_id: bytes) -> VerifyKey | None:
    return VerifyKey(COLLECTOR.public) if key_id == COLLECTOR.key_id else None


def messages(said: Any) -> list[tuple[str, bytes]]:
    return [(topic, bytes.fromhex(payload)) for topic, payload in said]


def numbered(payload: bytes, version: int) -> bytes:
    return payload[:2] + bytes((version,)) + payload[3:]


async def enrolled(world: World) -> None:
    await world.start()
    world.now += 600 * S
    place = {"branch": "hill", "region": "north", "class": "atm"}
    await world.pipeline.operate({"action": "enrol", "terminal": TERMINAL, **place, "public": AGENT.public})


def marks(world: World) -> dict[bytes, int]:
    return {epoch: stream.mark for epoch, stream in world.pipeline.fold.fleet.terminals[TERMINAL].streams.items()}


@pytest.mark.parametrize("recorded", RECORDED)
@pytest.mark.parametrize("version", [framing.MAJOR, framing.MAJOR + 1])
async def test_what_a_released_terminal_said_is_stored(world: World, recorded: dict[str, Any], version: int) -> None:
    await enrolled(world)
    replies = await world.pipeline.take(
        [Message(topic, numbered(payload, version), world.now) for topic, payload in messages(recorded["said"])]
    )
    assert marks(world) == {EPOCH: BATCHES}
    assert (replies[TERMINAL].state, world.pipeline.refusals.by_reason) == (AckState.OK, {})
    told = wire.open_ack(TERMINAL, world.pipeline.ack(TERMINAL, replies[TERMINAL], slow=False), lambda _: VerifyKey(_key(world).public))  # fmt: skip
    assert (told.epoch, told.seq) == (EPOCH, BATCHES)
    rebuild(world.path, world.path.with_name("again.db"))


def _key(world: World) -> Any:
    return world.pipeline._key


@pytest.mark.parametrize("recorded", RECORDED)
@pytest.mark.parametrize("version", [framing.MAJOR, framing.MAJOR + 1])
def test_what_a_released_collector_answered_is_understood(recorded: dict[str, Any], version: int) -> None:
    (_, ack), (_, command) = messages(recorded["answered"])
    told = wire.open_ack(TERMINAL, numbered(ack, version), pinned)
    assert (told.epoch, told.seq, told.state) == (EPOCH, BATCHES, AckState.OK)
    asked = wire.open_command(TERMINAL, numbered(command, version), pinned)
    assert (asked.kind, asked.arguments) == ("poll-now", {"component": "host"})


async def test_two_versions_away_is_refused_and_kept_by_the_terminal(world: World) -> None:
    await enrolled(world)
    far = [Message(topic, numbered(payload, framing.MAJOR + 2), world.now) for topic, payload in messages(RECORDED[0]["said"])]  # fmt: skip
    # No ack: whatever is not acknowledged stays in the spool, and comes again when the collector reads it.
    assert await world.pipeline.take(far) == {}
    assert world.pipeline.refusals.by_reason == {"version": 1 + BATCHES}
    assert marks(world) == {}
    near = [Message(topic, payload, world.now) for topic, payload in messages(RECORDED[0]["said"])]
    await world.pipeline.take(near)
    assert marks(world) == {EPOCH: BATCHES}


@pytest.mark.parametrize("version", [0, framing.MAJOR + 2, 255])
def test_a_terminal_takes_no_word_of_a_version_that_it_cannot_read(version: int) -> None:
    (_, ack), (_, command) = messages(RECORDED[0]["answered"])
    for opened, payload in ((wire.open_ack, ack), (wire.open_command, command)):
        with pytest.raises(WireError) as caught:
            opened(TERMINAL, numbered(payload, version), pinned)
        assert caught.value.reason is Refusal.VERSION


@pytest.mark.parametrize("recorded", RECORDED)
def test_today_says_the_same_and_more_at_most(recorded: dict[str, Any]) -> None:
    """Members of headers are added, never taken away or given another type: who was released reads those that it knows."""
    now = conversation()
    for part in ("said", "answered"):
        for (topic, then), (same, today) in zip(messages(recorded[part]), messages(now[part]), strict=True):
            assert topic == same
            for old, new in zip(_members(then), _members(today), strict=True):
                assert {name: type(value) for name, value in old.items()}.items() <= {name: type(value) for name, value in new.items()}.items()  # fmt: skip


def _members(payload: bytes) -> list[dict[str, Any]]:
    header, body, _ = wire.split_frame(wire.frame_of(payload))
    found = [header, body] if body else [header]
    return [msgpack.unpackb(part, strict_map_key=False) for part in found]


def test_members_of_tomorrow_are_ignored() -> None:
    """A header with a member that nobody knows, sealed by its own key."""
    topic = wire.life_topic(TERMINAL)
    _, payload = messages(RECORDED[0]["said"])[0]
    header = _members(payload)[0] | {"tomorrow": [1, {"a": b"b"}]}
    sealed = framing.plain(framing.seal_frame(AGENT, "life", topic, header, b""))

    class Keys:
        def knows(self, _: str) -> bool:
            return True

        def key(self, _: str, key_id: bytes) -> VerifyKey | Refusal:
            return VerifyKey(AGENT.public)

    life = wire.open_life(topic, sealed, Keys())
    assert isinstance(life, Life)
    assert life.terminal == TERMINAL
