"""What leaves the collector: receivers, the routes to them, a sender for each, and a look at what waits too long. Nothing is decided here."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import closing, suppress
from functools import partial
from typing import Any

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.config import Config, ConfigError
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.routes import checked_routes
from tillwatch.collector.routing.router import Router
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.sqlite import StoreError
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.desks.webhook import WebhookPort
from tillwatch.collector.tickets.message import TicketMessage
from tillwatch.collector.tickets.overdue import Overdue, late_messages, overdue, still_late
from tillwatch.collector.tickets.port import DRILLS, Receiver
from tillwatch.collector.tickets.receivers import ReceiverError, open_receivers
from tillwatch.collector.tickets.sender import OutboxSender
from tillwatch.collector.tickets.signature import read_secrets

log = logging.getLogger(__name__)

LOOK_EVERY_S = 10.0
"""Between two looks at what waits too long: the shortest limit in use is two minutes."""

MAX_UNHEARD = 1000
"""Late messages that are offered again at each look because nobody was on duty for them: the latest, some 20 ms of work."""


class Dispatch:
    """clock: of the senders, UTC ns. Raises ConfigError for a receiver that cannot be made, or a table of routes by which an incident does not find
    its way.
    """

    def __init__(
        self, config: Config, policy: Policy, rules: Rules, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._config = config
        self._clock = clock
        self._table, remarks = checked_routes(config, policy, rules)
        for each in remarks:
            log.warning("%s: %s", config.tickets.routes, each.text)
        try:
            self.receivers: dict[str, Receiver] = {
                **open_receivers("tickets", config.desks),
                **open_receivers("channels", config.channels),
            }
            if config.watchdog is not None and config.watchdog.secret_file is not None:
                # Drills go to the watchdog and nowhere else; without one they wait.
                secret = read_secrets(config.watchdog.secret_file)
                self.receivers[DRILLS] = WebhookPort(config.watchdog.receiver, secret, name=DRILLS)
        except ReceiverError as error:
            raise ConfigError(str(error)) from None
        except (ValueError, OSError) as error:
            msg = f"[watchdog]: {error}"
            raise ConfigError(msg) from None
        self._senders: list[OutboxSender] = []
        self._overdue: tuple[Overdue, ...] = ()
        self._told: dict[int, int] = {}
        self._unheard: tuple[int, ...] = ()

    def attach(self, pipeline: Pipeline) -> None:
        """Before the pipeline starts: what time brought while the collector was away is told, too."""
        self._pipeline = pipeline
        self._router = Router(self._table, lambda: pipeline.fold.book.policy)
        pipeline.store.route = self._router.legs
        for receiver in self.receivers.values():
            if isinstance(receiver, Desk):
                receiver.contracts = self._contracts
        pipeline.on_messages = self.wake
        pipeline.on_act = self._acted

    def begin(self) -> None:
        """Once it has started and before anything comes in: what waits for a receiver that is no more finds its way."""
        known = {*self._config.desks, *self._config.channels, DRILLS}
        if self._config.desks:
            with closing(outbox.connect(self._config.store)) as db:
                if moved := outbox.reroute(db, known, self._router.legs):
                    log.warning(
                        "%d messages waited for receivers that are not configured and were sent another way", moved
                    )
        else:
            log.warning("no ticket system is configured: incidents wait in the outbox; see [tickets.NAME]")
        for name, receiver in self.receivers.items():
            sender = OutboxSender(
                partial(outbox.connect, self._config.store),
                receiver,
                connector=name,
                on_change=self._pipeline.ticket_changed,
                clock=self._clock,
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

    def _contracts(self, message: TicketMessage) -> list[str]:
        return [each.line for each in self._router.contracts(message, message.at)]

    def _acted(self, facts: Mapping[str, Any]) -> None:
        """A person wants it tried again: also what had said that it wants no more."""
        if facts.get("action") == "ticket-retry":
            for each in self._senders:
                if facts.get("connector") in ("", each.connector):
                    each.enable()

    async def _watch(self) -> None:
        while True:
            try:
                await self.look()
            except (StoreError, sqlite3.Error) as error:
                log.debug("not now: %s", error)  # the pipeline meets the same store, and says so
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Tell another way what waits too long, and journal whether anything does."""
        policy = self._pipeline.fold.book.policy
        limits = {level: target.undelivered_ns for level, target in policy.targets.items()}
        now = self._pipeline.now()
        found, late, last = await asyncio.to_thread(self._read, limits, now)
        ways_of = {number: self._router.undelivered(message, now) for number, message in late.items()}
        told = [(late[number], ways) for number, ways in ways_of.items() if ways]
        if told:
            calls = 0

            def call(db: Db) -> None:
                nonlocal calls
                calls = sum(outbox.enqueue(db, message, now, ways) for message, ways in told)

            await self._pipeline.change(call)
            if calls:
                log.warning("%d messages are not delivered in time: %d calls are made another way", len(late), calls)
                self.wake()
        # Whoever comes on duty later hears of what nobody could be told.
        unheard = [number for number, ways in ways_of.items() if not ways] if self._table.fallback else []
        self._unheard = tuple(unheard[-MAX_UNHEARD:])
        self._told |= last  # not before it is in the store: what a busy one did not take is told at the next look
        before = {each.connector for each in self._overdue}
        for each in found:
            if each.connector not in before:
                await self._pipeline.ticket_changed(_facts(each))
        for name in sorted(before - {each.connector for each in found}):
            await self._pipeline.ticket_changed(_facts(Overdue(name)))
        self._overdue = found

    def _read(
        self, limits: dict[int, int], now: int
    ) -> tuple[tuple[Overdue, ...], dict[int, TicketMessage], dict[int, int]]:
        """What waits for too long, which of its messages were not told another way yet, by row, and by level the last row of those."""
        with closing(outbox.connect(self._config.store)) as db:
            rows, last = list(still_late(db, self._unheard)), {}
            for level, limit in limits.items():
                fresh = late_messages(db, level, now - limit, self._told.get(level, 0)) if limit else []
                rows += fresh
                if fresh:
                    last[level] = fresh[-1][0]
            found = overdue(db, limits, now)
        late = {}
        for number, body in rows:
            with suppress(ValueError):  # a row that cannot be read is its sender's to report
                late[number] = TicketMessage.unpack(body)
        return found, late, last


def _facts(each: Overdue) -> dict[str, Any]:
    waiting = {str(level): list(what) for level, what in each.waiting.items()}
    return {"connector": each.connector, "origin": "delivery", "undelivered": waiting}
