"""The routes of planned work: windows of a time, whom one covers and silences, and how one is made, changed and ended. What may be asked is checked where the command
checks it (duty/planning.py); what is done becomes an entry of the journal.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, HTTPException, Path, Query, Request, Response

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.duty import ical
from tillwatch.collector.duty.calendars import DAY_NS
from tillwatch.collector.duty.planning import (
    Extent,
    Place,
    PlanError,
    check_approval,
    check_span,
    check_words,
    extent,
    occurrences,
    overlapping,
    tonight,
    window_facts,
    zone_of_scope,
)
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.duty.windows import Window, moment_ns
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.read import AlarmView
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.messages import TEXTS
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, Language, moment, problem
from tillwatch.collector.web.rest.calendar_schema import (
    MAX_SCOPE,
    MAX_TIME,
    Coverage,
    Night,
    PlannedWindow,
    Stretch,
    WindowAsked,
    WindowPlan,
)
from tillwatch.collector.web.scope.scoped_oversight import may_plan
from tillwatch.collector.web.translation import Translation

MAX_SPAN_NS = 400 * DAY_NS
"""Of one look at the calendar: a year and some."""
MAX_SHOWN = 20
"""Terminals, branches, alarms and other windows that a preview names; all are counted."""
MAX_ALARMS = 5_000
"""Open alarms that a preview looks through."""
FEED_BACK_NS, FEED_AHEAD_NS = 31 * DAY_NS, 92 * DAY_NS
"""Of the iCalendar file: what a person may still want to look up, and as far as a window may be planned."""
WRITTEN: dict[int | str, dict[str, Any]] = {**PROBLEMS, 403: {**PROBLEMS[404], "description": "Outside of what the asker is there for"}}  # fmt: skip

WindowId = Annotated[str, Path(max_length=64, description="Of the window", examples=["M-3fa2c1d0"])]


@dataclass(frozen=True, slots=True)
class _Fleet:
    """What planning needs of the whole fleet, in one state of the store. parts: components of the terminal that the scope names."""

    places: Mapping[str, Place]
    policy: Policy
    rules: Rules
    windows: Mapping[str, Window]
    alarms: tuple[AlarmView, ...] = ()
    parts: tuple[str, ...] = ()


def add(api: APIRouter, parts: Parts) -> None:
    reads, now = parts.reads, parts.now
    translation = Translation(parts.cards)

    async def fleet(scope: str, *, alarms: bool = False) -> _Fleet:
        """Of the whole fleet: a share of it, and a name that is taken, are the same for everybody."""

        def ask(reader: ConsoleReader) -> _Fleet:
            places = {name: Place(*place) for name, place in reader.places().items()}
            owner = scope.partition("/")[0]
            components = tuple(c.name for c in reader.components(owner)) if "/" in scope and owner in places else ()
            open_now = tuple(reader.alarms(limit=MAX_ALARMS)) if alarms else ()
            book = reader.in_force()
            return _Fleet(places, book.policy, book.rules, reader.windows(), open_now, components)

        found = await reads.whole(ask)
        if not may_plan(asking().scope, scope, found.places):
            raise HTTPException(403, f"{scope} reaches beyond the part of the fleet that you are there for")
        return found

    @api.get(
        "/windows",
        response_model=WindowPlan,
        responses=SOME,
        dependencies=[needs(Permission.SEE)],
        summary="Maintenance windows, and when each is open",
    )
    async def windows(
        response: Response,
        start: Annotated[str | None, Query(alias="from", max_length=MAX_TIME, description="ISO 8601 or seconds since 1970; by default a day ago")] = None,
        end: Annotated[str | None, Query(alias="to", max_length=MAX_TIME, description="By default 31 days later")] = None,
    ) -> Any:  # fmt: skip
        since, until = _span(start, end, now())
        response.headers["Cache-Control"] = "no-store"  # what is to come is open by time alone
        found, policy = await reads(lambda reader: (reader.windows(), reader.in_force().policy))
        laid, left_out = occurrences(found.values(), since, until)
        own = {each.window.id for each in laid}
        planned = {each.id for each in policy.windows}
        return WindowPlan(
            windows=[PlannedWindow.of(each, now(), planned=name in planned) for name, each in found.items() if name in own],
            stretches=[Stretch.of(each) for each in laid], left_out=left_out, zone=policy.zone, may_plan=asking().may(Permission.PLAN),
        )  # fmt: skip

    @api.get(
        "/windows.ics",
        response_class=Response,
        responses={200: {"content": {"text/calendar": {}}}, **SOME},
        dependencies=[needs(Permission.SEE)],
        summary="Maintenance windows as an iCalendar file: from a month ago to a quarter ahead",
    )
    async def as_calendar(lang: Language = "en") -> Response:
        at = now()
        found = await reads(lambda reader: reader.windows())
        laid, _ = occurrences(found.values(), at - FEED_BACK_NS, at + FEED_AHEAD_NS)
        return Response(
            ical.calendar(TEXTS[lang]("calendar.title"), laid, at),
            media_type=ical.MEDIA_TYPE,
            headers={"Cache-Control": "no-store", "Content-Disposition": 'attachment; filename="tillwatch-windows.ics"'},
        )  # fmt: skip

    @api.get(
        "/windows/preview",
        response_model=Coverage,
        responses=WRITTEN,
        dependencies=[needs(Permission.PLAN)],
        summary="Whom a window would cover, and what it would keep silent",
    )
    async def preview(
        request: Request,
        response: Response,
        scope: Annotated[str, Query(min_length=1, max_length=MAX_SCOPE, examples=["branch:Harbour Road"])],
        start: Annotated[str, Query(alias="from", max_length=MAX_TIME)] = "now",
        end: Annotated[str, Query(alias="to", max_length=MAX_TIME)] = "",
        window: Annotated[str, Query(max_length=64, description="The window that is changed: it does not overlap itself")] = "",
        lang: Language = "en",
    ) -> Any:  # fmt: skip
        response.headers["Cache-Control"] = "no-store"
        known = await fleet(scope, alarms=True)
        try:
            covered = extent(scope, known.places, known.parts)
            zone = zone_of_scope(scope, known.policy, known.places)
            since = _time(start, "from", zone, now())
            until = _time(end, "to", zone, now()) if end else since + 1
        except PlanError as error:
            return _refused(request, error)
        asked = Window(window, scope, since, max(until, since + 1))
        return _coverage(known, asked, covered, zone, now(), lang)

    @api.get(
        "/windows/tonight",
        response_model=Night,
        responses=WRITTEN,
        dependencies=[needs(Permission.PLAN)],
        summary="What a window for tonight would be: the night by the clocks of the place",
    )
    async def night(
        request: Request,
        response: Response,
        scope: Annotated[str, Query(min_length=1, max_length=MAX_SCOPE, examples=["branch:Harbour Road"])],
    ) -> Any:
        response.headers["Cache-Control"] = "no-store"
        known = await fleet(scope)
        try:
            extent(scope, known.places, known.parts)
        except PlanError as error:
            return _refused(request, error)
        zone = zone_of_scope(scope, known.policy, known.places)
        since, until = tonight(zone, now())
        people = sorted({person.name for person in known.policy.roster.people.values()})
        return Night(scope=scope, zone=zone, since=_local(since, zone), until=_local(until, zone), people=people)

    @api.get(
        "/windows/{window}",
        response_model=Coverage,
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE)],
        summary="Whom a window covers, and what it keeps silent now",
    )
    async def one(response: Response, window: WindowId, lang: Language = "en") -> Any:
        response.headers["Cache-Control"] = "no-store"

        def ask(reader: ConsoleReader) -> _Fleet:
            found = reader.windows()
            if window not in found:
                raise HTTPException(404, f"there is no window {window}: it is over, or never was")
            places = {name: Place(*place) for name, place in reader.places().items()}
            owner = found[window].scope.partition("/")[0]
            components = tuple(c.name for c in reader.components(owner)) if owner in places else ()
            book = reader.in_force()
            return _Fleet(places, book.policy, book.rules, found, tuple(reader.alarms(limit=MAX_ALARMS)), components)

        known = await reads(ask)
        asked = known.windows[window]
        try:
            covered = extent(asked.scope, known.places, known.parts)
        except PlanError:  # what it was made for is gone
            covered = Extent((), (), 0.0)
        zone = zone_of_scope(asked.scope, known.policy, known.places)
        return _coverage(known, asked, covered, zone, now(), lang)

    @api.post(
        "/windows",
        response_model=PlannedWindow,
        status_code=201,
        responses=WRITTEN,
        dependencies=[needs(Permission.PLAN)],
        summary="Make a maintenance window",
    )
    async def make(request: Request, asked: WindowAsked) -> Any:
        return await _make(request, asked, replaces="")

    @api.put(
        "/windows/{window}",
        response_model=PlannedWindow,
        responses=WRITTEN,
        dependencies=[needs(Permission.PLAN)],
        summary="Change a window: another one is made, with a number of its own, and this one is cancelled",
    )
    async def change(request: Request, window: WindowId, asked: WindowAsked) -> Any:
        await _own(window)
        return await _make(request, asked, replaces=window)

    @api.delete(
        "/windows/{window}",
        status_code=204,
        responses=WRITTEN,
        dependencies=[needs(Permission.PLAN)],
        summary="Cancel a window, or end it now: what lasts in it is told",
    )
    async def cancel(window: WindowId) -> Response:
        await _own(window)
        await parts.acts(asking(), {"action": "window-cancel", "id": window})
        return Response(status_code=204)

    async def _own(window: str) -> None:
        """Raises HTTPException unless people made it, and this person may end it."""
        known = await reads.whole(lambda reader: (reader.windows(), reader.in_force().policy, reader.places()))
        found, policy, places = known
        if window not in found:
            raise HTTPException(404, f"there is no window {window}: it is over, or never was")
        if window in {each.id for each in policy.windows}:
            raise HTTPException(409, f"{window} stands in the site's policy; take it out there, and restart the collector")  # fmt: skip
        if not may_plan(asking().scope, found[window].scope, places):
            raise HTTPException(403, f"{window} reaches beyond the part of the fleet that you are there for")

    async def _make(request: Request, asked: WindowAsked, replaces: str) -> Any:
        visitor, at = asking(), now()
        known = await fleet(asked.scope)
        try:
            covered = extent(asked.scope, known.places, known.parts)
            zone = zone_of_scope(asked.scope, known.policy, known.places)
            since, until = _time(asked.since, "from", zone, at), _time(asked.until, "to", zone, at)
            check_span(since, until, at)
            reason = check_words(asked.reason, "reason", needed=True)
            approved = check_approval(asked.approved_by, visitor.name)
            change_ref = check_words(asked.change_ref, "change_ref")
            if covered.large and not asked.large:
                share = f"{covered.share:.0%} of the fleet would be silent"
                raise PlanError("large", f"{share}; say so, or choose a narrower scope")
        except PlanError as error:
            return _refused(request, error)
        made = Window(f"M-{secrets.token_hex(4)}", asked.scope, since, until, None, reason, visitor.name, approved, change_ref)  # fmt: skip
        owner = asked.scope.partition("/")[0]
        # The new one first: between the two nobody is called for work that goes on.
        await parts.acts(visitor, window_facts(made, approved, change_ref, owner if owner in known.places else ""))
        if replaces:
            await parts.acts(visitor, {"action": "window-cancel", "id": replaces})
        return PlannedWindow.of(made, now(), planned=False)

    def _coverage(known: _Fleet, window: Window, covered: Extent, zone: str, at: int, lang: str) -> Coverage:
        masked = []
        for view in known.alarms:
            place = known.places.get(view.terminal)
            if place is None or view.condition == "normal":
                continue
            if window.covers(view.terminal, place.branch, place.region, view.component):
                masked.append(translation.alarm(view, known.rules, lang))
        planned = {each.id for each in known.policy.windows}
        asked = window if window.weekly is None else Window(window.id, window.scope, at, at + 7 * DAY_NS)
        others = overlapping(asked, known.windows.values(), known.places)
        branches = sorted({known.places[name].branch for name in covered.terminals})
        told = [PlannedWindow.of(each, at, planned=each.id in planned) for each in others]
        return Coverage.of(covered, zone, branches, masked, told, MAX_SHOWN)


def _refused(request: Request, error: PlanError) -> Response:
    return problem(request, 422, f"{error.field}: {error}", [{"where": error.field, "what": str(error)}])


def _span(start: str | None, end: str | None, now: int) -> tuple[int, int]:
    since = moment(start, "from")
    first = now - DAY_NS if since is None else since
    until = moment(end, "to")
    last = first + 32 * DAY_NS if until is None else until
    if last <= first or last - first > MAX_SPAN_NS:
        raise HTTPException(422, f"query.to: after `from`, and at most {MAX_SPAN_NS // DAY_NS} days later")
    return first, last


def _time(text: str, field: str, zone: str, now: int) -> int:
    """UTC ns of `now`, or of ISO 8601, without an offset by the clocks of zone. Raises PlanError."""
    if text == "now":
        return now
    try:
        when = datetime.fromisoformat(text)
        if not 1971 <= when.year <= 9000:
            raise ValueError(text)
        return moment_ns(when, zone)
    except (ValueError, OverflowError):
        raise PlanError(field, f"{text!r} is no time; write such as 2026-11-28T22:00") from None


def _local(at: int, zone: str) -> str:
    return datetime.fromtimestamp(at // 10**9, UTC).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M")
