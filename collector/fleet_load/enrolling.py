"""Simulated terminals become terminals of a collector: all of them at once, into the store of one that does not run. Each is an act of the log like any
other enrolment. A store that knows real terminals is left alone: simulated faults would call real people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

from tillwatch.agent.wire import VerifyKey
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.commands.acts import actor
from tillwatch.collector.commands.output import CommandError
from tillwatch.collector.config import Config
from tillwatch.collector.fleet_load.terminals import PREFIX, Fleet
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.lock import InUseError, locked
from tillwatch.collector.store.opening import open_store
from tillwatch.collector.trust.pinned import own_authority, pin
from tillwatch.device_profiles.catalogue import load_catalogue

GROUP = 500
"""Enrolments of one transaction."""


def enrol(config: Config, fleet: Fleet, progress: Callable[[int], None]) -> int:
    """Enrol those that are not, or that have other keys; how many there were. Raises CommandError where a collector runs over this store, or where it has
    other terminals than simulated ones.
    """
    with ExitStack() as stack:
        try:
            lease = stack.enter_context(locked(config.store))
        except InUseError as error:
            raise CommandError(f"--enrol writes into the store of a collector that does not run: {error}") from None
        own = own_authority(config.authority, config.store)
        store = open_store(config.store, lease)
        stack.callback(store.close)
        store.change(lambda db: pin(db, config.store, own))
        units = {name: known.unit for name, known in load_catalogue().signals.items()}
        pipeline = Pipeline(store, own.ack_key, units)
        known = pipeline.fold.fleet.terminals
        if real := next((name for name in known if not name.startswith(PREFIX)), ""):
            raise CommandError(
                f"{config.store} knows the terminal {real}, which is not simulated: --enrol takes a store of its own, for a test"
            )
        return asyncio.run(_enrol(pipeline, fleet, progress))


async def _enrol(pipeline: Pipeline, fleet: Fleet, progress: Callable[[int], None]) -> int:
    await pipeline.start(shipped_text(), "")
    wanted = _wanted(pipeline, fleet)
    count = 0
    while some := list(islice(wanted, GROUP)):
        await pipeline.operate_all(some)
        count += len(some)
        progress(count)
    await pipeline.stop()
    return count


def _wanted(pipeline: Pipeline, fleet: Fleet) -> Iterator[dict[str, Any]]:
    who, known = actor(), pipeline.fold.fleet
    for n, one in enumerate(fleet.places()):
        key = fleet.key(n)
        if not known.knows(one.terminal) or not isinstance(known.key(one.terminal, key.key_id), VerifyKey):
            place = {"branch": one.branch, "region": one.region, "class": one.terminal_class}
            yield {"action": "enrol", "actor": who, "terminal": one.terminal, **place, "public": key.public}
