"""Rules tried over the past for people at the console: one at a time, each in a process of its own that can be called off, with a time limit. What came of it is kept for
whoever asked until the console ends, and nowhere else; nothing is switched on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tillwatch.collector.child import end
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.whereabouts import as_text

log = logging.getLogger(__name__)

AT_ONCE = 1
"""Each takes a core for minutes, and the collector has two."""
WAITING = 4
"""That wait for their turn; more are told to ask again."""
KEPT = 20
"""Trials that are remembered, of all people together, the newest."""
LIMIT_S = 900.0
"""A year of ten terminals folds in a minute; of a large fleet a month does."""
STOP_S = 3.0
MAX_LINE = 8 * 1024**2
"""Bytes of what came of one: 4,000 episodes of some hundred bytes, and their terminals."""

WAITS, RUNNING, DONE, FAILED, CALLED_OFF, TOO_LONG = "waiting", "running", "done", "failed", "cancelled", "too_long"
OVER = frozenset({DONE, FAILED, CALLED_OFF, TOO_LONG})


class Full(Exception):  # noqa: N818  # a state, answered with 503
    """Too many wait."""


@dataclass(frozen=True, slots=True)
class Asked:
    """text: TOML laid over the rules in force; since, until: UTC ns; terminal: empty for all; only: what the asker may see, None for all."""

    rule: str
    text: str
    since: int
    until: int
    terminal: str = ""
    only: frozenset[str] | None = None


@dataclass(slots=True)
class Trial:
    """owner: who asked: nobody else sees it. share: of the way; report: once it is done; trouble: why it is not; times UTC ns."""

    id: str
    owner: str
    asked: Asked
    asked_at: int
    state: str = WAITS
    share: float = 0.0
    done_at: int = 0
    trouble: str = ""
    report: dict[str, Any] | None = field(default=None, repr=False)


class Trials:
    """where: the store that is read; now: UTC ns."""

    def __init__(self, where: Where, now: Callable[[], int], limit_s: float = LIMIT_S) -> None:
        self._where = where
        self._now = now
        self._limit = limit_s
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._kept: dict[str, Trial] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, owner: str, asked: Asked) -> Trial:
        """Raises Full."""
        if sum(each.state not in OVER for each in self._kept.values()) >= AT_ONCE + WAITING:
            raise Full(f"{AT_ONCE + WAITING} trials run or wait already")
        trial = Trial(secrets.token_hex(8), owner, asked, self._now())
        for old in [each.id for each in self._kept.values() if each.state in OVER][: max(0, len(self._kept) - KEPT + 1)]:  # fmt: skip
            del self._kept[old]
        self._kept[trial.id] = trial
        task = asyncio.create_task(self._run(trial), name=f"trial {trial.id}")
        self._tasks[trial.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(trial.id, None))
        return trial

    def of(self, owner: str) -> list[Trial]:
        """The newest first."""
        return [each for each in reversed(self._kept.values()) if each.owner == owner]

    def get(self, owner: str, number: str) -> Trial:
        """Raises KeyError, also for somebody else's."""
        trial = self._kept[number]
        if trial.owner != owner:
            raise KeyError(number)
        return trial

    async def call_off(self, trial: Trial) -> None:
        """Returns when its process is gone."""
        task = self._tasks.get(trial.id)
        if task is None:
            return
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def close(self) -> None:
        for task in tuple(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run(self, trial: Trial) -> None:
        try:
            async with self._turns:
                trial.state = RUNNING
                async with asyncio.timeout(self._limit):
                    await self._once(trial)
        except TimeoutError:
            trial.state = TOO_LONG
        except asyncio.CancelledError:
            trial.state = CALLED_OFF
            raise
        except Exception as error:
            log.exception("trial of %s", trial.asked.rule)
            trial.state, trial.trouble = FAILED, type(error).__name__
        finally:
            trial.done_at = self._now()

    async def _once(self, trial: Trial) -> None:
        asked = trial.asked
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tillwatch.collector.backtest"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            body = {
                "db": as_text(self._where), "rule": asked.rule, "text": asked.text, "since": asked.since, "until": asked.until, "terminal": asked.terminal,
                "only": sorted(asked.only) if asked.only is not None else None,
            }  # fmt: skip
            process.stdin.write(json.dumps(body).encode())
            await process.stdin.drain()
            process.stdin.close()
            while line := await process.stdout.readline():
                self._heard(trial, json.loads(line))
            if trial.state == RUNNING:
                trial.state, trial.trouble = FAILED, f"its process ended with {await process.wait()}; see the log"
        finally:
            await end(process, STOP_S)

    @staticmethod
    def _heard(trial: Trial, said: dict[str, Any]) -> None:
        if "share" in said:
            trial.share = float(said["share"])
        elif "failed" in said:
            trial.state, trial.trouble = FAILED, str(said["failed"])
        elif "report" in said:
            trial.state, trial.share, trial.report = DONE, 1.0, said["report"]
