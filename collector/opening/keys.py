"""The keys that an opener proves batches with, read from the state of the fold: all of them at the start, those that were missed since a moment later. A key
that was revoked meanwhile does no harm here, since the fold looks at the key of every batch again.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from tillwatch.agent.wire import Refusal, VerifyKey

log = logging.getLogger(__name__)

AT_ONCE = 5000
"""Terminals of one query."""
LOOK_S = 0.5
"""Between two looks for keys that were missed: until then the fold opens what they signed."""
MAX_MISSED = 5000
"""Terminals that are looked for at a time; of more names, which somebody invents, the rest is looked for when it speaks again."""
SIGNS = ("active", "retiring")
"""States of a key that may prove a batch; the fold says of a retiring one up to which."""


class Known:
    """The Keys of the wire, of what was read so far."""

    def __init__(self) -> None:
        self._keys: dict[str, dict[bytes, VerifyKey]] = {}
        self.missed: set[str] = set()

    def __len__(self) -> int:
        return len(self._keys)

    def knows(self, terminal: str) -> bool:
        if terminal in self._keys:
            return True
        self._miss(terminal)
        return False

    def key(self, terminal: str, key_id: bytes) -> VerifyKey | Refusal:
        found = self._keys.get(terminal, {}).get(key_id)
        if found is None:
            self._miss(terminal)
            return Refusal.UNKNOWN_KEY
        return found

    def learn(self, rows: Iterable[tuple[str, bytes, str]]) -> None:
        """rows: all keys of some terminals: (terminal, public key, state)."""
        learnt: dict[str, dict[bytes, VerifyKey]] = {}
        for terminal, public, state in rows:
            keys = learnt.setdefault(terminal, {})
            if state in SIGNS:
                key = VerifyKey(bytes(public))
                keys[key.key_id] = key
        self._keys.update(learnt)

    def _miss(self, terminal: str) -> None:
        if len(self.missed) < MAX_MISSED:
            self.missed.add(terminal)


class KeyReader:
    """Fills `known` out of the store. connect: a read-only connection, one for each look, so that a database that was away is found again."""

    def __init__(self, known: Known, connect: Callable[[], Any]) -> None:
        self._known, self._connect = known, connect

    async def load(self) -> None:
        """All of them. Raises sqlite3.Error."""
        after = ""
        while True:
            rows = await asyncio.to_thread(self._page, after)
            if not rows:
                return
            self._known.learn(rows)
            after = rows[-1][0]

    async def run(self) -> None:
        """Look for what was missed, until cancelled."""
        failing = False
        while True:
            await asyncio.sleep(LOOK_S)
            missed = self._known.missed
            if not missed:
                continue
            self._known.missed = set()
            try:
                self._known.learn(await asyncio.to_thread(self._of, sorted(missed)))
            except sqlite3.Error as error:
                if not failing:
                    log.warning("keys cannot be read (%s); the fold opens what they signed until they can", error)
                failing = True
            else:
                failing = False

    def _page(self, after: str) -> list[tuple[str, bytes, str]]:
        with closing(self._connect()) as db:
            rows: list[tuple[str, bytes, str]] = db.execute(
                "SELECT terminal, public, state FROM terminal_key WHERE terminal IN"
                " (SELECT id FROM terminal WHERE id > ? ORDER BY id LIMIT ?) ORDER BY terminal",
                (after, AT_ONCE),
            ).fetchall()
        return rows

    def _of(self, terminals: list[str]) -> list[tuple[str, bytes, str]]:
        marks = ",".join("?" * len(terminals))
        with closing(self._connect()) as db:
            rows: list[tuple[str, bytes, str]] = db.execute(
                f"SELECT terminal, public, state FROM terminal_key WHERE terminal IN ({marks})",  # noqa: S608 - question marks
                terminals,
            ).fetchall()
        return rows
