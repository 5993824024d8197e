"""The console as one ASGI application: the REST API, the pages, and the door before both. It reads the
store; what people do is left there for the collector to journal.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from tillwatch.collector.alarm.diagnosis import Cards, load_cards
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Visitor
from tillwatch.collector.web import answers, api, chart_route, finding_chart, pages
from tillwatch.collector.web.acting import Acts, NotTaken
from tillwatch.collector.web.door import Authenticate, Door, anybody
from tillwatch.collector.web.feed import Feed
from tillwatch.collector.web.guard import Guard
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.predicting import Predicting
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.translation import Translation


def release() -> str:
    try:
        return version("tillwatch")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0"


async def nothing_taken(_: Visitor, __: Mapping[str, Any]) -> None:
    """Acts of a console without a store to write."""
    raise NotTaken("this console only shows; nothing was done")


class Console:
    """The application and what it lives on. `open_reader` is called once on each reading thread. with_pages=False: the API alone. cards: None for those
    that ship; predicting: None where they are switched on and nothing is known of their process; acts: how what people do becomes record; authenticate: who
    asks; config, database: see Parts.
    """

    def __init__(
        self,
        open_reader: Callable[[], ConsoleReader],
        *,
        now: Callable[[], int] = time.time_ns,
        with_pages: bool = True,
        cards: Cards | None = None,
        predicting: Predicting | None = None,
        acts: Acts = nothing_taken,
        authenticate: Authenticate = anybody,
        config: Path | None = None,
        database: Path | None = None,
    ) -> None:
        self.reads = Reads(open_reader)
        cards = cards or load_cards(None)
        self.feed = Feed(self.reads, now, Translation(cards))
        self.app = FastAPI(
            title="tillwatch",
            summary="The state of a fleet of terminals, read-only",
            version=release(),
            docs_url=None,  # the documentation pages of FastAPI load from a CDN; banks have no internet
            redoc_url=None,
            openapi_url=f"{api.PREFIX}/openapi.json",
            lifespan=self._lifespan,
            telemetry={
                "tracing": False,
                "metrics": False,
                "logs": False,
                "auto_configure": False,
            },  # nothing leaves the bank
        )
        parts = Parts(self.reads, self.feed, now, acts, cards, predicting or Predicting(), config, database)
        answers.add_problem_handlers(self.app)
        self.app.include_router(api.router(parts))
        chart_route.add(self.app, self.reads, now)
        finding_chart.add(self.app, self.reads, parts.predicting.tables, now)
        if with_pages:
            pages.mount(self.app, parts)
        self.app.add_middleware(
            GZipMiddleware, minimum_size=1_000, compresslevel=4
        )  # 9 takes three times as long for 5 %
        self.app.add_middleware(Door, authenticate=authenticate)
        self.app.add_middleware(Guard)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self.feed.start()
        try:
            yield
        finally:
            await self.feed.stop()
            self.reads.close()
