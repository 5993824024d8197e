"""The console as one ASGI application: the REST API, the pages, and the door before both. It reads the
store; what people do is left there for the collector to journal.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from tillwatch.collector.alarm.diagnosis import Cards, load_cards
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.console_db import ConsoleDbError
from tillwatch.collector.people.directory import Full
from tillwatch.collector.people.oidc import Provider
from tillwatch.collector.people.recording import Recorder
from tillwatch.collector.people.roles import Visitor
from tillwatch.collector.people.settings import ConsoleSection
from tillwatch.collector.people.signing_in import SigningIn
from tillwatch.collector.store.db import Where
from tillwatch.collector.web import pages
from tillwatch.collector.web.acting import Acts, NotTaken
from tillwatch.collector.web.drawing import chart_route, finding_chart
from tillwatch.collector.web.entry import sign_in, sign_in_oidc
from tillwatch.collector.web.entry.door import Door, House
from tillwatch.collector.web.entry.guard import Guard
from tillwatch.collector.web.feed import Feed
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.predicting import Predicting
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.rest import answers, api, described, monitoring_api
from tillwatch.collector.web.translation import Translation

TELL_S = 10.0
"""How soon after its minute the number of refused sign-ins is told."""


def release() -> str:
    try:
        return version("tillwatch")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0"


async def nothing_taken(visitor: Visitor, *facts: Mapping[str, Any]) -> None:  # noqa: ARG001 - an answer to any
    """Acts of a console without a store to write."""
    raise NotTaken("this console only shows; nothing was done")


class Console:
    """The application and what it lives on. `open_reader` is called once on each reading thread. with_pages=False: the API alone. cards: None for those
    that ship; predicting: None where they are switched on and nothing is known of their process; acts: how what people do becomes record; people: accounts and
    sessions, None where everybody looks and nobody acts; recorder: hands over what is told of them; provider: who vouches for people; config, database: see Parts.
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
        people: SigningIn | None = None,
        recorder: Recorder | None = None,
        provider: Provider | None = None,
        config: Path | None = None,
        database: Where | None = None,
    ) -> None:
        self.people, self._recorder = people, recorder
        settings = people.settings if people is not None else ConsoleSection()
        # Behind a proxy on this machine browsers speak TLS with that: a name makes them reach it, and none does so in the clear.
        self.house = House(people.directory if people is not None else None, secure=settings.far, rate=settings.rate)
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
        parts = Parts(
            self.reads, self.feed, now, acts, cards, predicting or Predicting(), config, database, people, self.house,
        )  # fmt: skip
        self._at_end = parts.at_end
        answers.add_problem_handlers(self.app)
        self.app.include_router(api.router(parts))
        described.describe(self.app)
        monitoring_api.add_metrics(self.app, parts, release())
        chart_route.add(self.app, self.reads, now)
        finding_chart.add(self.app, self.reads, parts.predicting.tables, now)
        if people is not None:
            sign_in.add(self.app, people, self.house, provider.settings.label if provider is not None else "")
            if provider is not None:
                sign_in_oidc.add(self.app, people, self.house, provider)
                parts.at_end.append(provider.close)
        if with_pages:
            pages.mount(self.app, parts)
        self.app.add_middleware(
            GZipMiddleware, minimum_size=1_000, compresslevel=4
        )  # 9 takes three times as long for 5 %
        self.app.add_middleware(Door, house=self.house)
        self.app.add_middleware(Guard, names=settings.names, secure=settings.far)

    @asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        self.feed.start()
        at_work = [asyncio.create_task(self.house.watch(), name="watch who has pages open")]
        if self.people is not None:
            at_work.append(asyncio.create_task(self._tell(self.people), name="tell of refused sign-ins"))
        if self._recorder is not None:
            at_work.append(asyncio.create_task(self._recorder.run(), name="hand over what people did"))
        try:
            yield
        finally:
            for task in at_work:
                task.cancel()
            await asyncio.gather(*at_work, return_exceptions=True)
            await self.feed.stop()
            for end in self._at_end:
                await end()
            self.reads.close()

    async def _tell(self, people: SigningIn) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            with suppress(Full, ConsoleDbError, sqlite3.Error):  # the next turn tells it
                await people.tell_due()
