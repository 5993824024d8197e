"""What comes back to the collector: a task for each ticket system that can be asked, and the listener that ticket systems and Alertmanager call. Nothing is
decided here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from tillwatch.collector.config import Config
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.desk import Desk
from tillwatch.collector.tickets.port import Receiver, Watched
from tillwatch.collector.tickets.two_way import inbox
from tillwatch.collector.tickets.two_way.inbox import Inbox, changes_of
from tillwatch.collector.tickets.two_way.sync import Sync
from tillwatch.collector.trust.authority import Authority
from tillwatch.collector.web.inward.alerts import alerts
from tillwatch.collector.web.inward.hooks import Handler, hint, hook_app, hook_listener, push
from tillwatch.collector.web.inward.listening import Listener

log = logging.getLogger(__name__)


class Callers:
    """receivers: by name, those of [tickets.NAME] are asked where they can be."""

    def __init__(self, config: Config, pipeline: Pipeline, receivers: Mapping[str, Receiver]) -> None:
        self._config = config
        self._pipeline = pipeline
        self._syncs: dict[str, Sync] = {}
        for name in config.desks:
            receiver, connect = receivers[name], partial(outbox.connect, config.store)
            if isinstance(receiver, Desk):
                self._syncs[name] = Sync(connect, receiver.port, pipeline.ticket_changed, sweeps=receiver.port)
            elif isinstance(receiver, Watched):
                self._syncs[name] = Sync(connect, receiver, pipeline.ticket_changed)
        pushed = {
            name: changes_of(name, settings, pipeline.ticket_changed)
            for name, settings in config.desks.items()
            if name not in self._syncs
        }
        self._inbox = Inbox(partial(inbox.connect, config.store), pushed)
        self.listener: Listener | None = None

    async def listen(self, own: Authority) -> None:
        """Raises OSError with a text that names the port and the mend."""
        tickets, handlers = self._config.tickets, self._handlers()
        if not tickets.port:
            if handlers:
                log.warning("%s cannot be called: no port is set in [tickets]", ", ".join(sorted(handlers)))
            return
        chain = own.server_file(self._config.certificate_hosts)
        self.listener = hook_listener(hook_app(handlers), tickets.host, tickets.port, chain)
        await self.listener.start()

    async def close(self) -> None:
        if self.listener is not None:
            await self.listener.stop()

    def tasks(self) -> set[asyncio.Task[Any]]:
        """What runs as long as the collector does."""
        named: dict[str, Coroutine[Any, Any, Any]] = {
            f"tickets of {name}": sync.run() for name, sync in self._syncs.items()
        }
        named["ticket inbox"] = self._inbox.run()
        return {asyncio.create_task(work, name=name) for name, work in named.items()}

    def _handlers(self) -> dict[str, Handler]:
        handlers: dict[str, Handler] = {}
        for name, settings in self._config.desks.items():
            if not settings.takes_hooks:
                continue
            sync = self._syncs.get(name)
            handlers[f"/hooks/{name}"] = (
                hint(self._inbox, name, settings, sync.hint) if sync else push(self._inbox, name, settings)
            )
        for name, source in self._config.alerts.items():
            handlers[f"/alerts/{name}"] = alerts(name, source, self._pipeline.operate)
        return handlers
