"""`GET /chart/TERMINAL/COMPONENT/SIGNAL.svg?from=&to=`: the address of the small chart that stands in tickets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query, Response

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Permission
from tillwatch.collector.read import History
from tillwatch.collector.tickets.words import zone_of
from tillwatch.collector.web.drawing.svg_chart import draw
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.messages import TEXTS
from tillwatch.collector.web.reads import Reads
from tillwatch.collector.web.rest.answers import known, moment
from tillwatch.collector.web.rest.api import DAY_S, MAX_SPAN_S, NANO

CACHE_S = 60
"""A ticket that many look at asks once a minute; what came late is seen soon."""


def add(app: FastAPI, reads: Reads, now: Callable[[], int]) -> None:
    """The route, before those of the pages."""

    @app.get(
        "/chart/{terminal}/{component:path}/{signal}.svg", include_in_schema=False, dependencies=[needs(Permission.SEE)]
    )
    async def chart(
        terminal: str,
        component: str,
        signal: str,
        start: Annotated[str | None, Query(alias="from", max_length=40)] = None,
        end: Annotated[str | None, Query(alias="to", max_length=40)] = None,
        language: Annotated[str, Query(alias="lang", pattern="^(en|zh)$")] = "en",
    ) -> Response:
        until, since = moment(end, "to"), moment(start, "from")
        last = now() if until is None else until
        first = last - DAY_S * NANO if since is None else since
        if first >= last:
            raise HTTPException(422, "query.from: must be before `to`")
        if last - first > MAX_SPAN_S * NANO:
            raise HTTPException(422, "query.from: more than ten years before `to`; ask for less")
        if last - now() > MAX_SPAN_S * NANO:
            raise HTTPException(422, "query.to: more than ten years ahead")

        def ask(reader: ConsoleReader) -> tuple[History, float, tuple[float, ...], str]:
            view, force = reader.terminal(terminal), reader.in_force()
            found = reader.history(terminal, component, signal, first, last)
            interval = next((each.interval_s for each in reader.components(terminal) if each.name == component), 0.0)
            zone = force.policy.branch(view.branch).zone or force.policy.zone
            return found, interval, tuple(_limits(force.rules, component, signal)), zone

        found, interval, limits, zone = await known(lambda: reads(ask), f"{terminal} {component} {signal}")
        drawn = draw(found, first, last, interval, limits, zone_of(zone), TEXTS[language])
        return Response(drawn, media_type="image/svg+xml", headers={"Cache-Control": f"private, max-age={CACHE_S}"})


def _limits(rules: Rules, component: str, signal: str) -> Iterator[float]:
    """Of the rules about it, the gravest first."""
    steps = [
        step
        for rule in rules.by_signal.get(signal, ())
        if rule.component is None or rule.component.match(component)
        for step in (*rule.limits.above, *rule.limits.below)
        if math.isfinite(step.limit)
    ]
    yield from dict.fromkeys(step.limit for step in sorted(steps, key=lambda step: step.level))
