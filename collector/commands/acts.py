"""What an operator does at the command line becomes record: beside a running collector it journals the act, and without one the command
does so itself, as a collector that runs for an instant. No act takes effect without its entry.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tillwatch.collector.config import Config
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store import requests
from tillwatch.collector.store.db import Fence
from tillwatch.collector.store.lock import LEASE_POLL_S, InUseError, locked
from tillwatch.collector.store.opening import open_db, open_store
from tillwatch.collector.trust.pinned import own_authority, pin
from tillwatch.device_profiles.catalogue import kept_catalogue

ANSWER_S = 15.0
"""For the running collector to journal an act: it looks every second, and a commit of a slow disk takes a few."""
POLL_S = 0.05


class ActError(Exception):
    """The act is not record yet. The text says what becomes of it."""


def actor() -> str:
    """Who acts: the user of this process, and behind sudo the one who called it."""
    name = getpass.getuser()
    behind = os.environ.get("SUDO_USER", "")
    return f"{behind} (as {name})" if behind and behind != name else name


def prepare_data_dir(folder: Path) -> None:
    """Make it, or become its owner: what root writes here would lock the service out of its own database. Raises ActError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat()
    except OSError as error:
        msg = f"{folder}: {error.strerror}; run this as the collector's user, or set data_dir in [collector]"
        raise ActError(msg) from None
    if os.name == "posix" and os.geteuid() == 0 and owner.st_uid != 0:
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)


def act(config: Config, facts: dict[str, Any]) -> None:
    """Journal an act and return once it is stored and in effect. facts: `action` and what belongs to it; the actor is added. Blocks.

    Raises ActError, StoreError, AuthorityError, OtherAuthorityError or requests.RequestError.
    """
    with closing(open_db(config.store)) as db:
        number = requests.ask(db, {**facts, "actor": actor()})
        await_act(config, db, number)


def act_all(config: Config, many: Sequence[dict[str, Any]], done: Callable[[int], None] = lambda _: None) -> None:
    """The same of many acts, in their order. done: told how many are in effect. Those before a failure stay."""
    with closing(open_db(config.store)) as db:
        for first in range(0, len(many), requests.AT_ONCE):
            some = many[first : first + requests.AT_ONCE]
            number = 0
            for facts in some:
                number = requests.ask(db, {**facts, "actor": actor()})
            await_act(config, db, number)
            done(first + len(some))


def await_act(config: Config, db: Any, number: int) -> None:
    """Return once the request with this number is journaled, by the running collector or, if there is none, by this process."""
    until, next_try = time.monotonic() + ANSWER_S, 0.0
    while requests.waits(db, number):
        if time.monotonic() >= next_try:
            if _taken(config):
                continue
            # To ask a server for its lease is dear, and who has it is given some seconds each time.
            next_try = time.monotonic() + (0.0 if isinstance(config.store, Path) else LEASE_POLL_S)
        if time.monotonic() > until:
            msg = f"the running collector has not taken the act within {ANSWER_S:g} s; it does so as soon as it can write again"
            raise ActError(msg)
        time.sleep(POLL_S)


def _taken(config: Config) -> bool:
    """Whether no collector runs, here or beside the same server, and what waits was journaled in its place."""
    try:
        with locked(config.store, restoring=True) as lease:
            asyncio.run(_journal(config, lease))
    except InUseError:
        return False
    return True


async def _journal(config: Config, lease: Fence | None) -> None:
    """Be the collector for as long as its start takes: that journals what waits, under the rules that are in force."""
    own = own_authority(config.authority, config.store)
    store = open_store(config.store, lease)
    try:
        store.change(lambda db: pin(db, config.store, own))
        units = {name: known.unit for name, known in kept_catalogue().signals.items()}
        pipeline = Pipeline(store, own.ack_key, units)
        rules = pipeline.fold.book.rules
        await pipeline.start(rules.shipped, rules.text)
        await pipeline.stop()
    finally:
        store.close()
