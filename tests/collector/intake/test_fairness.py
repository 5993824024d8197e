"""One terminal's share: of the queue, of the time, and of patience with what proves to be nothing."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tillwatch.collector.intake import Message, fairness
from tillwatch.collector.intake.fairness import (
    BURST,
    LIFE_COST,
    MUTE_S,
    RATE,
    REFUSALS,
    SHARE,
    STRANGERS,
    UNIT,
    Dropped,
    FairQueue,
)
from tillwatch.collector.sequence import WINDOW


class World:
    def __init__(self, most: int = 4096, most_bytes: int = 64 * 1024**2, enrolled: set[str] | None = None) -> None:
        self.now = 1000.0
        self.queue = FairQueue(
            most, most_bytes, (lambda t: t in enrolled) if enrolled is not None else lambda _: True, lambda: self.now
        )

    def put(self, terminal: str, n: int = 1, *, size: int = 100, life: bool = False) -> list[Dropped | None]:
        return [
            self.queue.put(Message(f"tw/1/{terminal}/batch", bytes(size), i), terminal, life=life) for i in range(n)
        ]

    def drain(self) -> int:
        taken = 0
        while batch := self.queue.take(256):
            taken += len(batch)
        return taken


def names(messages: list[Message]) -> list[str]:
    return [message.topic.split("/")[2] for message in messages]


def test_a_flood_waits_behind_itself():
    world = World()
    assert Counter(world.put("loud", 5000)) == {None: SHARE, Dropped.FLOOD: 5000 - SHARE}
    assert world.put("b", 2) == [None, None]
    assert world.put("c") == [None]
    first = world.queue.take(5)
    assert names(first) == ["loud", "b", "c", "loud", "b"]
    assert [m.received for m in first if "loud" in m.topic] == [0, 1], "its own order stays"
    assert names(world.queue.take(100)) == ["loud"] * (SHARE - 2)
    assert (world.queue.count, world.queue.bytes) == (0, 0)
    assert world.queue.take_dropped() == {("loud", Dropped.FLOOD): 5000 - SHARE}
    assert world.queue.take_dropped() == {}


def test_an_honest_window_never_meets_a_limit():
    """A window in flight, acknowledged and filled again, with reconnects that send it twice: a whole day's backlog at once."""
    world = World()
    for round_ in range(1440 // WINDOW):
        world.now += 0.01
        assert set(world.put("a", WINDOW * (2 if round_ % 10 == 0 else 1))) == {None}
        assert world.put("a", life=True) == [None]
        world.drain()


def test_many_floods_together_leave_room_for_a_newcomer():
    world = World(most=400)
    for _ in range(SHARE):
        for n in range(300):
            world.put(f"loud{n}")
    assert 300 < world.queue.count < 400
    assert world.put("b") == [None]


def test_bytes_are_shared_too():
    world = World(most_bytes=8 * 1024**2)
    world.put("big", SHARE, size=128 * 1024)
    assert world.queue.bytes <= 8 * 1024**2 / 8 + 128 * 1024
    for _ in range(SHARE):
        for n in range(40):
            world.put(f"big{n}", size=128 * 1024)
    assert world.queue.bytes <= 8 * 1024**2
    assert world.put("b") == [None]
    dropped = world.queue.take_dropped()
    assert dropped["big", Dropped.FLOOD] > 0
    assert dropped["big9", Dropped.FULL] > 0


@pytest.mark.parametrize("seed", range(5))
def test_bounds_and_turns_hold_in_any_order(seed):
    rng = random.Random(seed)
    world = World(most=50, most_bytes=5000)
    last: dict[str, int] = {}
    sent = Counter[str]()
    for _ in range(3000):
        world.now += rng.random()
        if rng.random() < 0.8:
            name = rng.choice("aaaaaabcde")
            sent[name] += 1
            world.queue.put(
                Message(f"tw/1/{name}/batch", bytes(rng.randrange(300)), sent[name]), name, life=rng.random() < 0.1
            )
        else:
            for message in world.queue.take(rng.randrange(1, 9)):
                name = message.topic.split("/")[2]
                assert message.received > last.get(name, 0)
                last[name] = message.received
        assert 0 <= world.queue.count <= 50
        assert 0 <= world.queue.bytes <= 5000
    world.drain()
    assert (world.queue.count, world.queue.bytes) == (0, 0)
    assert set(last) == set("abcde")


def test_the_long_run_is_what_sealing_allows():
    world = World()
    taken = 0
    for _ in range(3600):
        world.put("a", SHARE)
        taken += world.drain()
        world.now += 0.5
    assert BURST <= taken <= BURST + 1800 * RATE + 1
    assert world.put("b", 3) == [None, None, None]


def test_large_batches_and_life_messages_cost_more():
    for size, life, cost in ((10, False, 1.0), (UNIT, False, 2.0), (120 * 1024, False, 16.0), (200, True, LIFE_COST)):
        world = World()
        taken = 0
        while world.put("a", size=size, life=life) == [None]:
            taken += world.drain()
        assert taken == int(BURST / cost)


def test_garbage_is_not_listened_to_for_a_while_and_told_once(caplog):
    world = World()
    for _ in range(3):
        for _ in range(REFUSALS):
            assert world.put("bad") == [None]
            world.drain()
            world.queue.refused("bad")
            world.now += 0.001
        assert world.put("bad", 10) == [Dropped.MUTED] * 10
        assert world.put("good") == [None]
        world.drain()
        world.now += MUTE_S
    assert world.queue.take_dropped() == {("bad", Dropped.MUTED): 30}
    assert caplog.text.count("terminal bad: 60 messages that prove to be nothing") == 1
    world.now += MUTE_S + 1
    world.queue.take_dropped()
    assert caplog.text.count("terminal bad: heard as everybody else again") == 1
    world.queue.take_dropped()
    assert len(caplog.records) == 2


def test_a_few_refusals_over_a_long_time_are_forgotten():
    world = World()
    for _ in range(1000):
        world.queue.refused("a")
        world.now += 1.1
        assert world.put("a") == [None]
        world.drain()


def test_a_fleet_of_any_size_is_heard_each_with_an_allowance_of_its_own(monkeypatch):
    """A hundred thousand terminals with a batch a minute are 1,700 a second; none of them is a stranger for having come late."""
    monkeypatch.setattr(fairness, "FORGETS_FROM", 100)
    world = World()
    most = 0
    for _ in range(3):
        for n in range(2_000):
            world.now += 0.01
            assert world.put(f"till-{n}") == [None]
            world.drain()
            most = max(most, len(world.queue._lanes))
    assert most == 100, "who has said nothing for a while is as good as new"
    assert not world.queue.take_dropped()


def test_after_an_outage_a_fleet_of_any_size_is_heard(monkeypatch):
    """All come at once with what has waited: nobody's allowance is whole, and each has one all the same."""
    monkeypatch.setattr(fairness, "FORGETS_FROM", 100)
    world = World()
    for _ in range(20):
        for n in range(2_000):
            world.now += 0.0001
            assert world.put(f"till-{n}", 8) == [None] * 8
            world.drain()
    assert len(world.queue._lanes) == 2_000
    world.now += 3600.0
    for n in range(2_000, 10_000):
        world.now += 0.1
        world.put(f"till-{n}")
        world.drain()
    assert len(world.queue._lanes) <= 4_000


def test_who_waits_is_muted_or_had_too_much_is_not_forgotten(monkeypatch):
    monkeypatch.setattr(fairness, "FORGETS_FROM", 10)
    world = World()
    world.put("waits")
    for _ in range(REFUSALS):
        world.queue.refused("liar")
    for _ in range(int(BURST / SHARE)):
        world.put("loud", SHARE)
        for message in world.queue.take(SHARE + 1):
            if "waits" in message.topic:
                world.queue.put(message, "waits", life=False)
    for n in range(1_000):
        world.put(f"till-{n}")
        world.queue.take(256)
    assert world.put("liar") == [Dropped.MUTED]
    assert Dropped.FLOOD in world.put("loud", SHARE)


def test_invented_names_share_one_allowance():
    world = World(enrolled={"a"})
    results = [why for n in range(1000) for why in world.put(f"x{n}")]
    assert Counter(results) == {None: SHARE, Dropped.FLOOD: 1000 - SHARE}
    assert world.put("a", 3) == [None] * 3
    assert world.queue.take_dropped() == {(STRANGERS, Dropped.FLOOD): 1000 - SHARE}
    assert len(world.queue._lanes) == 2
