"""The command `new-authority`: the state of an installation whose keys are lost, or known to somebody else, is given others. That is an act of the log."""

from __future__ import annotations

import argparse
import asyncio
import sqlite3

from tillwatch.collector.commands.acting import made, words
from tillwatch.collector.commands.acts import ActError, actor, prepare_data_dir
from tillwatch.collector.commands.output import DONE, CommandError, print_json
from tillwatch.collector.config import Config
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.db import Fence
from tillwatch.collector.store.lock import InUseError, locked
from tillwatch.collector.store.opening import open_store
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.trust import pinned
from tillwatch.collector.trust.authority import Authority, open_authority
from tillwatch.device_profiles.catalogue import kept_catalogue

LEASE_S = 15.0
"""The lease of a collector that was killed a moment ago runs out meanwhile."""


def run_new_authority(config: Config, options: argparse.Namespace) -> int:
    reason = words(options.reason, "--reason", needed=True)
    if not made(config):
        raise CommandError(f"{config.store} holds no state yet: the collector makes an authority at its first start")
    try:
        prepare_data_dir(config.collector.data_dir)
        with locked(config.store, LEASE_S) as lease:
            own = asyncio.run(_given(config, lease, reason))
    except (ActError, InUseError, StoreError, sqlite3.Error) as error:
        raise CommandError(str(error)) from None
    if options.json:
        print_json({"authority": str(own.folder), "fingerprint": own.fingerprint.hex()})
        return DONE
    print(f"{config.store} belongs to the authority in {own.folder}, fingerprint {own.fingerprint.hex()}")
    print("Terminals that enrolled with another one enrol anew: tillwatch-collector enrol-token")
    print(
        "Further collectors of this installation need a copy of the folder, a broker outside its configuration once more: broker-config"
    )
    return DONE


async def _given(config: Config, lease: Fence | None, reason: str) -> Authority:
    """Be the collector for as long as it takes to journal it."""
    store = open_store(config.store, lease)
    try:
        own = open_authority(config.authority)
        units = {name: known.unit for name, known in kept_catalogue().signals.items()}
        pipeline = Pipeline(store, own.ack_key, units)
        rules = pipeline.fold.book.rules
        await pipeline.start(rules.shipped, rules.text)
        facts = {"action": "new-authority", "actor": actor(), "fingerprint": own.fingerprint, "reason": reason}
        await pipeline.operate(facts, lambda db: pinned.replace(db, own))
        await pipeline.stop()
    finally:
        store.close()
    return own
