"""The keys that openers prove with: read at the start, looked for when they are missed."""

from __future__ import annotations

import asyncio
from functools import partial

from tests.collector.sending import Sender
from tillwatch.agent.wire import Refusal, VerifyKey
from tillwatch.collector.opening import keys
from tillwatch.collector.opening.keys import MAX_MISSED, KeyReader, Known
from tillwatch.collector.store.db import connect


async def test_all_at_the_start_and_who_comes_later_a_moment_after(world, monkeypatch):
    monkeypatch.setattr(keys, "AT_ONCE", 2)
    monkeypatch.setattr(keys, "LOOK_S", 0.01)
    await world.start()
    senders = [Sender(f"atm-{n}") for n in range(6)]
    for one in senders[:5]:
        await one.enrol(world.pipeline)
    known = Known()
    reader = KeyReader(known, partial(connect, world.path, read_only=True, timeout_s=5))
    await reader.load()
    assert len(known) == 5
    for one in senders[:5]:
        assert known.knows(one.name)
        assert isinstance(known.key(one.name, one.key.key_id), VerifyKey)
        assert known.key(one.name, b"another.") is Refusal.UNKNOWN_KEY
    late = senders[5]
    assert not known.knows(late.name)
    looking = asyncio.create_task(reader.run())
    try:
        await late.enrol(world.pipeline)
        async with asyncio.timeout(60):
            while not known.knows(late.name):
                await asyncio.sleep(0.01)
        await world.pipeline.operate({"action": "revoke", "terminal": "atm-0", "reason": "stolen", "actor": "test"})
        known.key("atm-0", b"another.")
        async with asyncio.timeout(60):
            while known.key("atm-0", senders[0].key.key_id) is not Refusal.UNKNOWN_KEY:
                await asyncio.sleep(0.01)
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def test_names_that_somebody_invents_are_bounded():
    known = Known()
    for n in range(MAX_MISSED + 10):
        assert not known.knows(f"x{n}")
    assert len(known.missed) == MAX_MISSED
