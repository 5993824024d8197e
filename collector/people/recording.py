"""How what people did to accounts and sessions becomes record: each act waits in the console's file, in the transaction of what it tells of, and is
handed to the collector's store, where it is journaled as every act is. Where no collector runs it waits; a sign-in does not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tillwatch.collector.people.console_db import open_console, said, transaction, unsaid
from tillwatch.collector.store import requests
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.whereabouts import writing

log = logging.getLogger(__name__)

ROOM = requests.MAX_WAITING // 2
"""The other half of the table is for who acts on alarms: somebody who guesses passwords must not fill it."""
LOOK_S = 1.0
BUSY_S = 5.0
MAX_REFUSALS = 10
"""Refused sign-ins a minute that each have an act of their own; the rest of that minute is one act with their number."""
MINUTE_NS = 60 * 10**9


class Refusals:
    """Refused sign-ins, of which a guessing machine makes thousands. Pure; times in UTC ns."""

    def __init__(self) -> None:
        self._since = 0
        self._told = 0
        self._more = 0

    def take(self, facts: Mapping[str, Any], at: int) -> list[dict[str, Any]]:
        """What is to become record now."""
        out = self.due(at)
        if not self._since:
            self._since = at
        if self._told >= MAX_REFUSALS:
            self._more += 1
            return out
        self._told += 1
        return [*out, dict(facts)]

    def due(self, at: int) -> list[dict[str, Any]]:
        """The number of those that were left out, once the minute is over."""
        if not self._since or at - self._since < MINUTE_NS:
            return []
        since, more = self._since, self._more
        self._since = self._told = self._more = 0
        if not more:
            return []
        return [
            {"action": "sign-in-refused", "actor": "", "via": "console", "reason": "many", "count": more, "at": since}
        ]


class Recorder:
    """Hands over what waits. console, store: the two files. Raises ConsoleDbError."""

    def __init__(self, console: Path, store: Where) -> None:
        self._console = open_console(console)
        self._store = store
        self._trouble = ""

    async def run(self) -> None:
        """For as long as the console runs."""
        while True:
            await asyncio.to_thread(self.turn)
            await asyncio.sleep(LOOK_S)

    def turn(self) -> int:
        """One try; how many it handed over. What fails is logged once and stays. Blocks."""
        try:
            done = self._hand_over()
        except (requests.RequestError, sqlite3.Error) as error:
            if not self._trouble:
                log.warning("what people did waits: the store cannot take it: %s", error)
            self._trouble = str(error)
            return 0
        if self._trouble and done:
            log.info("the store takes what people did again")
            self._trouble = ""
        return done

    def _hand_over(self) -> int:
        done, waiting = 0, unsaid(self._console)
        if not waiting:
            return 0
        with closing(writing(self._store, BUSY_S)) as store:
            for number, facts in waiting:
                if requests.count(store) >= ROOM:
                    break
                # Who is killed between the two says it twice, and its `n` shows that it is the same.
                requests.ask(store, {**facts, "n": number})
                with transaction(self._console):
                    said(self._console, number)
                done += 1
        return done

    def close(self) -> None:
        self._console.close()
