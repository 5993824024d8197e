"""What leaves the collector: receivers, the routes to them, a sender for each, and a look at what waits too long. Nothing is decided here."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Coroutine
from contextlib import closing
from functools import partial
from typing import Any

from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.desks.webhook import WebhookPort
from tillwatch.collector.tickets.message import TicketMessage
from tillwatch.collector.tickets.overdue import Overdue, overdue
from tillwatch.collector.tickets.port import DRILLS, Destination, Receiver
from tillwatch.collector.tickets.receivers import ReceiverError, open_receivers
from tillwatch.collector.tickets.sender import OutboxSender
from tillwatch.collector.tickets.signature import read_secrets

log = logging.getLogger(__name__)

LOOK_EVERY_S = 10.0
"""Between two looks at what waits too long: the shortest limit in use is two minutes."""


class Dispatch:
    """Raises ConfigError for a receiver that cannot be made."""

    def __init__(self, config: Config) -> None:
        self._config = config
        try:
            self._receivers: dict[str, Receiver] = {
                **open_receivers("tickets", config.desks),
                **open_receivers("channels", config.channels),
            }
            if config.watchdog is not None and config.watchdog.secret_file is not None:
                # Drills go to the watchdog and nowhere else; without one they wait.
                secret = read_secrets(config.watchdog.secret_file)
                self._receivers[DRILLS] = WebhookPort(config.watchdog.receiver, secret, name=DRILLS)
        except ReceiverError as error:
            raise ConfigError(str(error)) from None
        except (ValueError, OSError) as error:
            msg = f"[watchdog]: {error}"
            raise ConfigError(msg) from None
        self._senders: list[OutboxSender] = []
        self._overdue: tuple[Overdue, ...] = ()

    def route(self, message: TicketMessage, at: int, stays: str) -> tuple[Destination, ...]:  # noqa: ARG002
        """Whom a message is told."""
        if message.drill:
            return (Destination(DRILLS),)
        return (Destination(stays or next(iter(self._config.desks), "")),)

    async def begin(self, pipeline: Pipeline) -> None:
        """Once the pipeline has started and before anything comes in: what waits for a receiver that is no more finds its way."""
        self._pipeline = pipeline
        pipeline.store.route = self.route
        known = {*self._config.desks, *self._config.channels, DRILLS}
        if self._config.desks:
            with closing(outbox.connect(self._config.database)) as db:
                if moved := outbox.reroute(db, known, self.route):
                    log.warning(
                        "%d messages waited for receivers that are not configured and were sent another way", moved
                    )
        else:
            log.warning("no ticket system is configured: incidents wait in the outbox; see [tickets.NAME]")
        for name, receiver in self._receivers.items():
            sender = OutboxSender(
                partial(outbox.connect, self._config.database),
                receiver,
                connector=name,
                on_change=pipeline.ticket_changed,
            )
            self._senders.append(sender)

    def tasks(self) -> set[asyncio.Task[Any]]:
        """What runs as long as the collector does."""
        named: dict[str, Coroutine[Any, Any, Any]] = {f"outbox {each.connector}": each.run() for each in self._senders}
        named["overdue"] = self._watch()
        return {asyncio.create_task(work, name=name) for name, work in named.items()}

    def wake(self, _: object = None) -> None:
        """New messages were committed."""
        for each in self._senders:
            each.wake()

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except sqlite3.Error as error:
                log.debug("not now: %s", error)  # the pipeline meets the same store, and says so
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Tell another way what waits too long, and journal whether anything does."""
        policy = self._pipeline.fold.book.policy
        limits = {level: target.undelivered_ns for level, target in policy.targets.items()}
        now = self._pipeline.now()
        found = await asyncio.to_thread(self._read, limits, now)
        before = {each.connector for each in self._overdue}
        for each in found:
            if each.connector not in before:
                await self._pipeline.ticket_changed(_facts(each))
        for name in sorted(before - {each.connector for each in found}):
            await self._pipeline.ticket_changed(_facts(Overdue(name)))
        self._overdue = found

    def _read(self, limits: dict[int, int], now: int) -> tuple[Overdue, ...]:
        with closing(outbox.connect(self._config.database)) as db:
            return overdue(db, limits, now)


def _facts(each: Overdue) -> dict[str, Any]:
    waiting = {str(level): list(what) for level, what in each.waiting.items()}
    return {"connector": each.connector, "origin": "delivery", "undelivered": waiting}
