"""The routes of the monitoring's own health: for people, and as `/metrics` for another monitoring system."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from tillwatch.collector.config import Config, ConfigError, is_loopback, load_config
from tillwatch.collector.people.roles import Permission, Role, Visitor, asking, on_behalf_of
from tillwatch.collector.watch.commands import status
from tillwatch.collector.web import metrics
from tillwatch.collector.web.entry.door import NEEDS, needs, refuse
from tillwatch.collector.web.messages import TEXTS
from tillwatch.collector.web.monitoring import Seen, Watched, judge
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.predicting import how_far
from tillwatch.collector.web.reads import Busy, Unreadable
from tillwatch.collector.web.rest.answers import SOME, Language
from tillwatch.collector.web.rest.monitoring_schema import Monitoring

MACHINE = Visitor("", Role.VIEWER, anonymous=True)
"""A program on this machine, which may read the store's folder as well."""
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
"""Behind a proxy everybody comes from this machine."""
KEPT_NS = 10 * 10**9
"""How old what is told may be: the look at ten thousand spools and at the disk is one for all who ask."""


class Looking:
    """What is known of the monitoring, looked at once for all who see the same."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._kept: dict[tuple[object, ...], Seen] = {}
        self._turn = asyncio.Lock()

    async def __call__(self) -> Seen:
        sees = asking().scope
        key = (tuple(sorted(sees.regions)), tuple(sorted(sees.branches)))
        async with self._turn:
            known = self._kept.get(key)
            now = self._parts.now()
            if known is not None and 0 <= now - known.now < KEPT_NS:
                return known
            if len(self._kept) > 100:  # one for each scope that people have
                self._kept.clear()
            self._kept[key] = await self._look(now)
            return self._kept[key]

    async def _look(self, now: int) -> Seen:
        parts, scope = self._parts, asking().scope
        await parts.feed.ready()
        terminals = [view for view in parts.feed.terminals.values() if scope.covers(view.branch, view.region)]
        try:
            health, facts, (position, _), found = await parts.reads(
                lambda r: (r.health(), r.monitoring(now), r.foretold(), r.findings(limit=1))
            )
        except (Busy, Unreadable):
            return Seen(now, terminals, None, None, None)
        said = position, max((each.at for each in found), default=0)
        far = how_far(parts.predicting, health.journal_entries, health.last_entry_at, said, now)
        config = await asyncio.to_thread(self._configured)
        watched = None
        if config is not None:
            facts = replace(facts, keep_bytes=config.retention.size)
            watched = await asyncio.to_thread(_watched, config, now)
        return Seen(now, terminals, health, facts, far, watched)

    def _configured(self) -> Config | None:
        """As it stands now; None where nobody said which, or it cannot be used any more: the collector says so at its next start."""
        if self._parts.config is None:
            return None
        try:
            return load_config(self._parts.config)
        except ConfigError:
            return None


def _watched(config: Config, now: int) -> Watched:
    if config.watchdog is None:
        return Watched(there=False)
    said = status(config.watchdog, now)
    ok = bool(said["ok"])
    return Watched(there=True, ok=ok, said=said["warning"] if ok else said["text"], known=ok or bool(said["since"] or said["whole"]))  # fmt: skip


def add(api: APIRouter, parts: Parts) -> None:
    look = Looking(parts)

    @api.get(
        "/monitoring",
        response_model=Monitoring,
        responses=SOME,
        dependencies=[needs(Permission.SEE)],
        summary="How the monitoring itself is: each part with its figure, its limits, what it means and what to do",
    )
    async def monitoring(response: Response, lang: Language = "en") -> Any:
        response.headers["Cache-Control"] = "no-store"
        seen = await look()
        return Monitoring.of(judge(seen), seen.now, TEXTS[lang])


async def _allowed(request: Request) -> None:
    """Who may by role or token, and who asks from this machine itself."""
    own = request.client is not None and is_loopback(request.client.host)
    if not own or any(name in request.headers for name in FORWARDED):
        refuse(Permission.METRICS)


setattr(_allowed, NEEDS, Permission.METRICS)


def add_metrics(app: FastAPI, parts: Parts, release: str) -> None:
    """`/metrics`, at the root, where Prometheus looks for it."""
    look = Looking(parts)

    @app.get("/metrics", include_in_schema=False, dependencies=[Depends(_allowed)])
    async def exposed() -> Response:
        visitor = asking() if asking().may(Permission.METRICS) else MACHINE
        with on_behalf_of(visitor):
            seen = await look()
        scope = visitor.scope
        own = {view.id for view in seen.terminals}
        alarms = Counter(
            each.level for each in parts.feed.alarms if each.condition != "normal" and (scope.whole or each.terminal in own)
        )  # fmt: skip
        body = await asyncio.to_thread(metrics.exposition, seen, judge(seen), alarms, release)
        return Response(body, media_type=metrics.CONTENT_TYPE, headers={"Cache-Control": "no-store"})
