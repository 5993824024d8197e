"""A fleet after its broker was restarted: real uplinks on a clock that jumps, and a broker that says when it was asked."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from tillwatch.agent import uplink as uplink_module
from tillwatch.agent.identity import Broker
from tillwatch.agent.mqtt import LinkError
from tillwatch.agent.uplink import BACKOFF_FIRST, BACKOFF_MOST, Uplink
from tillwatch.agent.wire import Ack, AckState, SigningKey, VerifyKey, seal_ack

FLEET = 300
COLLECTOR = SigningKey(b"collector".ljust(32, b"\0"))


class _Jumping(selectors.DefaultSelector):
    """Does not wait: what would be waited for is now."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.jumping = _Jumping()
        super().__init__(self.jumping)

    def time(self) -> float:
        return self.jumping.now


class _Spool:
    """With nothing in it: what is looked at is when its owner speaks."""

    epoch, acked, floor, next_seq, lost, offered, offering, notices = b"e" * 12, 0, 1, 1, 0, 1, False, ()

    def __init__(self) -> None:
        self.n = 0

    def next_life(self) -> int:
        self.n += 1
        return self.n

    def offer(self) -> None: ...


class _Broker:
    """up: whether it takes connections, at most `most` in a second; asked: when clients tried to connect."""

    def __init__(self) -> None:
        self.up, self.most = True, FLEET
        self.asked: list[float] = []
        self.taken: deque[float] = deque()
        self.links: dict[str, _Link] = {}

    def restart(self) -> None:
        links, self.links = self.links, {}
        self.asked.clear()
        for link in links.values():
            link.lost.set()

    async def connect(self, *_: Any, client_id: str, on_message: Any, **__: Any) -> _Link:
        now = asyncio.get_running_loop().time()
        self.asked.append(now)
        while self.taken and now - self.taken[0] >= 1:
            self.taken.popleft()
        if not self.up or len(self.taken) >= self.most:
            raise LinkError("refused")
        self.taken.append(now)
        link = self.links[client_id] = _Link(client_id, on_message)
        return link


class _Link:
    denied = ()

    def __init__(self, client_id: str, on_message: Any) -> None:
        self.lost = asyncio.Event()
        self._client_id, self._heard = client_id, on_message

    def publish(self, _: str, __: bytes) -> None:
        """A life message; the collector answers it."""
        ack = Ack(_Spool.epoch, 0, 0, AckState.OK, 8, 0, 0)
        answer = seal_ack(COLLECTOR, self._client_id, ack)
        asyncio.get_running_loop().call_later(0.01, self._heard, "", answer)

    async def close(self) -> None:
        self.lost.set()


async def _until(condition: Callable[[], bool], most: float) -> float:
    """How long it took."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    while not condition():
        assert loop.time() - begin < most
        await asyncio.sleep(0.1)
    return loop.time() - begin


def _live(monkeypatch: pytest.MonkeyPatch, story: Callable[[_Broker], Coroutine[Any, Any, None]]) -> None:
    random.seed(11)
    broker = _Broker()
    monkeypatch.setattr(uplink_module, "Link", broker)
    pinned = {COLLECTOR.key_id: VerifyKey(COLLECTOR.public)}

    async def live() -> None:
        fleet = []
        for n in range(FLEET):
            who: Any = SimpleNamespace(terminal=f"till-{n}", key=SigningKey(n.to_bytes(32, "big")), ack_keys=pinned)
            spool: Any = _Spool()
            who.rotations, who.former = (), ()
            fleet.append(asyncio.create_task(Uplink(who, spool, Broker("127.0.0.1", 1, tls=False), None).run()))
        try:
            await _until(lambda: len(broker.links) == FLEET or any(one.done() for one in fleet), 60)
            await asyncio.sleep(60)
            for one in fleet:
                assert not one.done(), one.result()
            await story(broker)
        finally:
            for one in fleet:
                one.cancel()
            await asyncio.gather(*fleet, return_exceptions=True)

    with asyncio.Runner(loop_factory=_Loop) as runner:
        runner.run(live())


def test_a_short_restart_brings_them_back_within_a_second_and_not_at_once(monkeypatch):
    async def story(broker: _Broker) -> None:
        broker.restart()
        took = await _until(lambda: len(broker.links) == FLEET, 60)
        assert took <= BACKOFF_FIRST + 0.2
        assert len(broker.asked) == FLEET
        tenths = Counter(int((at - broker.asked[0]) * 10) for at in broker.asked)
        assert max(tenths.values()) < 2 * FLEET / 10, "drawn evenly over the second, 30 a tenth on average"

    _live(monkeypatch, story)


def test_a_long_outage_ends_in_no_storm(monkeypatch):
    async def story(broker: _Broker) -> None:
        broker.up = False
        broker.restart()
        await asyncio.sleep(600)
        # Of the 600 s each has tried a dozen times, ever more seldom.
        assert len(broker.asked) < 14 * FLEET
        broker.asked.clear()
        broker.up, broker.most = True, FLEET // 20
        took = await _until(lambda: len(broker.links) == FLEET, 3 * BACKOFF_MOST)
        assert took <= 2 * BACKOFF_MOST
        seconds = Counter(int(at) for at in broker.asked)
        assert max(seconds.values()) <= FLEET / 20, "never more in a second than the broker takes"

    _live(monkeypatch, story)


def test_a_broker_that_takes_few_at_a_time_gets_them_all(monkeypatch):
    async def story(broker: _Broker) -> None:
        broker.most = FLEET // 30
        broker.restart()
        took = await _until(lambda: len(broker.links) == FLEET, BACKOFF_MOST)
        assert took < BACKOFF_MOST, "30 s are the least that it can take"
        assert len(broker.asked) < 8 * FLEET

    _live(monkeypatch, story)
