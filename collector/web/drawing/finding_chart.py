"""`GET /findings/ID.svg`: the signal of a finding with what was usual, its limit, and the range of dates that is foretold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import FastAPI, Query, Response

from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Permission
from tillwatch.collector.predict.finding import ANOMALY, Finding
from tillwatch.collector.predict.settings import DAY_NS, Tables
from tillwatch.collector.tickets.words import zone_of
from tillwatch.collector.web.drawing.chart_route import CACHE_S
from tillwatch.collector.web.drawing.svg_chart import DARK, LIGHT, Foretold, draw, drawable
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.messages import TEXTS
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.rest.answers import known
from tillwatch.collector.web.rest.risk_schema import drawn

BEFORE_NS, MOST_BEFORE_NS = 14 * DAY_NS, 180 * DAY_NS
"""History that stands before what is foretold: as much as lies ahead, within these."""
MOST_AHEAD_NS = 366 * DAY_NS
"""What comes later than in a year is drawn to the edge; the words say its date."""


def add(app: FastAPI, reads: Reads, tables: Tables, now: Callable[[], int]) -> None:
    """The route, before those of the pages."""

    @app.get("/findings/{finding}.svg", include_in_schema=False, dependencies=[needs(Permission.SEE)])
    async def chart(
        finding: str,
        language: Annotated[str, Query(alias="lang", pattern="^(en|zh)$")] = "en",
        theme: Annotated[str, Query(pattern="^(light|dark)$")] = "light",
    ) -> Response:
        def ask(reader: ConsoleReader) -> str:
            return _drawn(reader, reader.finding(finding), tables, now(), language, dark=theme == "dark")

        made = await known(lambda: reads(ask), finding)
        return Response(made, media_type="image/svg+xml", headers={"Cache-Control": f"private, max-age={CACHE_S}"})


def _drawn(reader: ConsoleReader, finding: Finding, tables: Tables, now: int, language: str, *, dark: bool) -> str:
    """Raises KeyError where there is nothing to draw."""
    what = drawn(finding)
    if what is None:
        raise KeyError(finding.id)
    component, signal = what
    today = finding.ended or now
    start, end = span(finding, today)
    view, policy = reader.terminal(finding.terminal), reader.in_force().policy
    interval = next((each.interval_s for each in reader.components(finding.terminal) if each.name == component), 0.0)
    history = reader.history(finding.terminal, component, signal, start, min(end, now))
    limit = _limit(finding, tables)
    foretold = Foretold(today, finding.due, limit, _usual(finding, tables))
    zone = zone_of(policy.branch(view.branch).zone or policy.zone)
    limits = () if limit is None else (limit,)
    return draw(history, start, end, interval, limits, zone, TEXTS[language], foretold, DARK if dark else LIGHT)


def span(finding: Finding, today: int) -> tuple[int, int]:
    """What the axis spans, UTC ns."""
    far = finding.due[2] if finding.due is not None else today
    ahead = min(max(far - today, 0), MOST_AHEAD_NS)
    before = min(max(ahead, BEFORE_NS), MOST_BEFORE_NS)
    return min(today - before, finding.begun - BEFORE_NS), today + max(ahead + ahead // 12, DAY_NS // 2)


def _limit(finding: Finding, tables: Tables) -> float | None:
    """Where it leads: as the finding says, else as the table does that watches for it."""
    told = finding.values.get("limit")
    if drawable(told):
        return float(told)
    watched = tables.watch.by_id.get(finding.detector.partition("/")[2])
    if watched is None or watched.share or watched.sensed is not None:
        return None
    return watched.limit_at(tables.rules)


def _usual(finding: Finding, tables: Tables) -> tuple[float, float] | None:
    """Of a counter it is told as a rate, which does not fit its curve."""
    low, high = finding.values.get("low"), finding.values.get("high")
    if finding.family != ANOMALY or finding.signal in tables.counters:
        return None
    return (float(low), float(high)) if drawable(low) and drawable(high) and low <= high else None
