"""A collector of a large installation: its openers and its console run as long as it does; the fold, with all that hangs on it, runs at the one of them that
holds the lease. The others stand by, and take the lease when it runs out. Whoever loses it ends at once and writes nothing more: it begins again as a standby.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import NoReturn, Protocol

from tillwatch.collector.broker_settings import amqp_settings
from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.ending import on_signal
from tillwatch.collector.intake.amqp import AmqpSettings
from tillwatch.collector.notify import READY, WATCHDOG, notify, watchdog_s
from tillwatch.collector.opening.process import OpenerProcess
from tillwatch.collector.store.db import Fence, Postgres
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust.pinned import own_authority

log = logging.getLogger(__name__)

FENCED_EXIT = 75
"""EX_TEMPFAIL of sysexits.h: begin again. The unit starts it anew, and it is a standby."""
STANDBY_S = 1.0
"""Between two attempts to take the lease. It is good for ten."""
LOOK_S = 0.2
"""Between two looks whether the lease is still ours. A write without it is refused by the database whatever this sees."""


class Lease(Fence, Protocol):
    """What says who folds. acquire() blocks, and raises StoreError where it cannot be asked; until: monotonic s, 0 once it is lost for good."""

    @property
    def until(self) -> float: ...
    def acquire(self) -> bool: ...
    def held_by(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Holding:
    """Of whoever folds. taken: monotonic s when it took the lease. console: one was started beside it."""

    lease: Lease
    settings: AmqpSettings
    taken: float
    ended: asyncio.Event
    console: bool


async def serve(
    config: Config,
    fold: Callable[[Holding], Awaitable[int]],
    console: Callable[[AsyncExitStack], Awaitable[object]] | None,
) -> int:
    """Run until a signal ends it; the exit code. fold: runs under the lease until the signal; console: begins what ends with the stack. Errors of
    configuration and start come up to the caller.
    """
    where = config.store
    if not isinstance(where, Postgres):
        raise ConfigError(f'{config.source}: [amqp] needs postgres = "postgresql://..." in [store]')
    from tillwatch.collector.store.postgres import lease as leases  # noqa: PLC0415 - its library is an extra

    assert config.amqp is not None
    settings = amqp_settings(config, own_authority(config.authority, where), f"fold of {config.collector.name}")
    ended = asyncio.Event()
    on_signal(ended)
    async with AsyncExitStack() as stack:
        beside = [
            asyncio.create_task(OpenerProcess(config, index).run(), name=f"opener {index}")
            for index in range(config.amqp.openers)
        ]
        stack.push_async_callback(_over, beside)
        if console is not None:
            await console(stack)
        lease = leases.Lease(where)
        try:
            taken = await _stand_by(lease, ended)
        except BaseException:
            lease.close()
            raise
        if not taken:
            lease.close()
            return 0
        with leases.kept(lease):
            log.info("the lease is ours, epoch %d: the fold is loaded", lease.epoch)
            watching = asyncio.create_task(_watch(lease, config.collector.name), name="lease")
            stack.push_async_callback(_over, [watching])
            return await fold(Holding(lease, settings, time.monotonic(), ended, console is not None))


async def _stand_by(lease: Lease, ended: asyncio.Event) -> bool:
    """Wait until the lease is ours; False where a signal came first."""
    standing, failing, told = False, False, 0.0
    while not ended.is_set():
        try:
            if await asyncio.to_thread(lease.acquire):
                return True
            if not standing:
                holder = await asyncio.to_thread(lease.held_by)
                log.info("standing by: %s folds", holder or "another collector")
                notify(READY)
            standing, failing = True, False
        except StoreError as error:
            if not failing:
                log.warning("the lease cannot be asked for (%s); trying again until it can", error)
            failing = True
        interval = watchdog_s()
        if standing and interval and time.monotonic() - told >= interval:
            notify(WATCHDOG)
            told = time.monotonic()
        try:
            async with asyncio.timeout(STANDBY_S):
                await ended.wait()
        except TimeoutError:
            pass
    return False


async def _watch(lease: Lease, name: str) -> None:
    while lease.until:  # noqa: ASYNC110 - a thread keeps it, and what it finds is a time
        await asyncio.sleep(LOOK_S)
    leave(lease, name)


def leave(lease: Lease, name: str) -> NoReturn:
    """End this process, whose lease is lost: what it knows is old, and another one writes or will. Its children end with the pipes to it."""
    log.critical(
        "collector %s has lost the lease of epoch %d and ends; it begins again as a standby", name, lease.epoch
    )
    for handler in logging.getLogger().handlers:
        handler.flush()
    os._exit(FENCED_EXIT)


async def _over(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
