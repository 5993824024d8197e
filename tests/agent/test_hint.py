"""That a hint reaches the sampler, and a flood of them seldom, is in test_sampler.py."""

from __future__ import annotations

import asyncio

from tillwatch.agent.hint import Hint


async def test_without_a_hint_it_is_the_time_that_counts():
    loop = asyncio.get_running_loop()
    due = loop.time() + 0.02
    assert not await Hint().before(due)
    assert loop.time() >= due
    assert not await Hint().before(loop.time() - 1)


async def test_a_hint_that_was_given_before_counts_once():
    hint, far = Hint(spacing=1_000.0), asyncio.get_running_loop().time() + 30
    hint.give()
    hint.give()
    assert await hint.before(far)
    assert not await hint.before(asyncio.get_running_loop().time() + 0.01)


async def test_one_that_comes_too_soon_is_kept():
    hint, loop = Hint(spacing=0.05), asyncio.get_running_loop()
    hint.give()
    assert await hint.before(loop.time() + 30)
    granted = loop.time()
    hint.give()
    assert not await hint.before(granted + 0.01)
    assert await hint.before(granted + 30)
    assert loop.time() >= granted + 0.05
