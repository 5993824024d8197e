"""The routes by which people act on incidents and alarms. Each act is done once for its Idempotency-Key, says what it has changed, and fails with 409 and the
reason where it changes nothing; an answer comes once the collector has it on record.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, HTTPException, Query, Request, Response

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.incident.incident_views import ConsoleReader
from tillwatch.collector.people.console_db import open_console, place
from tillwatch.collector.people.roles import Permission, asking
from tillwatch.collector.store.whereabouts import anchor
from tillwatch.collector.web.acting import NotTaken
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.lines import say
from tillwatch.collector.web.messages import TEXTS
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.acts import ALARM, INCIDENT, Act, Came, Fault, Ready, Wanted, look, outcomes
from tillwatch.collector.web.rest.acts_schema import Acted, IncidentId, Item, ItemAnswer, ItemAnswers, Items, Refused
from tillwatch.collector.web.rest.answers import PROBLEMS
from tillwatch.collector.web.rest.incident_schema import Incident, Line
from tillwatch.collector.web.rest.once import KEY, Answer, Once, Reused
from tillwatch.collector.web.rest.schema import Alarm
from tillwatch.collector.web.translation import Translation

REFUSALS: dict[int | str, dict[str, Any]] = {
    **PROBLEMS,
    409: {"model": Refused, "description": "It does not apply now, and changed nothing"},
    412: {"model": Refused, "description": "The incident has changed since the sequence given in If-Match"},
}


async def asked_in(
    lang: Annotated[
        str | None, Query(pattern="^(en|zh)$", description="Of what is said; as the person has chosen without it")
    ] = None,
) -> str:
    return lang or asking().language or "en"


async def keyed(
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=80,
            pattern=f"^{KEY.pattern}$",
            description="Of this act; sent again with the same one it is not done twice",
        ),
    ] = None,
) -> str:
    return idempotency_key or ""


async def matched(
    if_match: Annotated[
        str | None,
        Header(max_length=40, description="The incident's `seq`: only if it has not changed since", examples=['"3"']),
    ] = None,
) -> int | None:
    if if_match is None:
        return None
    number = if_match.strip().removeprefix("W/").strip('"')
    if not number.isdecimal() or len(number) > 18:
        raise HTTPException(422, f"header.if-match: {if_match!r} is no sequence of an incident")
    return int(number)


Lang = Annotated[str, Depends(asked_in)]
Key = Annotated[str, Depends(keyed)]
Seq = Annotated[int | None, Depends(matched)]


def add(api: APIRouter, parts: Parts) -> None:
    acting = _Acting(parts)
    parts.at_end.append(acting.end)
    for name, act in INCIDENT.items():
        _on_incident(api, acting, name, act)
    for name, act in ALARM.items():
        _on_alarm(api, acting, name, act)

    @api.post(
        "/incidents/acts",
        response_model=ItemAnswers,
        responses=REFUSALS,
        dependencies=[needs(Permission.ACT)],
        summary="Several acts at once, with an answer for each",
    )
    async def several(request: Request, items: Items, lang: Lang, key: Key) -> Response:
        return await acting.several(request, items.items, lang, key)


def _on_incident(api: APIRouter, acting: _Acting, name: str, act: Act) -> None:
    async def on_incident(
        request: Request, incident: IncidentId, body: Any, lang: Lang, key: Key, seq: Seq
    ) -> Response:
        return await acting.one(request, Wanted(name, body, incident=incident, seq=seq), lang, key)

    on_incident.__annotations__["body"] = act.body
    api.post(
        f"/incidents/{{incident}}/{name}", response_model=Acted, responses=REFUSALS, dependencies=[needs(Permission.ACT)], summary=act.summary,
        operation_id=f"incident_{name}",
    )(on_incident)  # fmt: skip


def _on_alarm(api: APIRouter, acting: _Acting, name: str, act: Act) -> None:
    async def on_alarm(request: Request, alarm: int, body: Any, lang: Lang, key: Key) -> Response:
        if not 0 < alarm < 2**62:
            raise HTTPException(404, f"no {alarm!r} in the store")
        return await acting.one(request, Wanted(name, body, alarm=alarm), lang, key)

    on_alarm.__annotations__["body"] = act.body
    api.post(
        f"/alarms/{{alarm}}/{name}", response_model=Acted, responses=REFUSALS, dependencies=[needs(Permission.ACT)], summary=act.summary,
        operation_id=f"alarm_{name}",
    )(on_alarm)  # fmt: skip


class _Acting:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._words = Translation(parts.cards)
        store = parts.store
        self._once = Once((lambda: open_console(place(anchor(store)))) if store is not None else _nowhere, parts.now)

    async def end(self) -> None:
        await asyncio.to_thread(self._once.close)

    async def one(self, request: Request, wanted: Wanted, lang: str, key: str) -> Response:
        async def work() -> Answer:
            (found,) = await self._do([wanted], key)
            return await self._answer(request, found, lang)

        async def begun(at: int) -> Answer | None:
            came = await self._again([wanted], key, at)
            return await self._answer(request, came[0], lang) if came is not None else None

        return await self._answered(request, key, work, begun)

    async def several(self, request: Request, items: Sequence[Item], lang: str, key: str) -> Response:
        meant: list[Wanted | Fault] = []
        for item in items:
            try:
                meant.append(Wanted.of(item))
            except Fault as fault:
                meant.append(fault)
        wanted = [each for each in meant if isinstance(each, Wanted)]

        async def told(came: Sequence[Came | Fault]) -> Answer:
            rest = iter(came)
            rules = await self._rules()
            answers = []
            for each in meant:
                found = each if isinstance(each, Fault) else next(rest)
                if isinstance(found, Fault):
                    refused = self._refused(request, found, lang)
                    answers.append(ItemAnswer(status=found.status, problem=refused))
                else:
                    answers.append(ItemAnswer(status=200, acted=self._acted(found, rules, lang)))
            return Answer(200, ItemAnswers(items=answers).model_dump_json().encode())

        async def work() -> Answer:
            return await told(await self._do(wanted, key))

        async def begun(at: int) -> Answer | None:
            came = await self._again(wanted, key, at)
            return await told(came) if came is not None else None

        return await self._answered(request, key, work, begun)

    async def _do(self, wanted: Sequence[Wanted], key: str) -> list[Came | Fault]:
        """All that apply are journaled together, in their order."""
        now, visitor = self._parts.now, asking()
        looked = await self._parts.reads(lambda reader: look(reader, wanted, visitor.name, now()))
        ready = [each for each in looked if isinstance(each, Ready)]
        if ready:
            named = {"request": key} if key else {}
            await self._parts.acts(visitor, *({**each.facts, **named} for each in ready))
        came = iter(await self._parts.reads(lambda reader: outcomes(reader, ready, now())))
        return [each if isinstance(each, Fault) else next(came) for each in looked]

    async def _again(self, wanted: Sequence[Wanted], key: str, since: int) -> list[Came | Fault] | None:
        """Of acts whose answer was lost: None where they were never left for the collector. Raises NotTaken while they wait for it."""
        visitor, now = asking(), self._parts.now
        state = await self._parts.reads(lambda reader: reader.asked(visitor.name or "console", key, since))
        if state == "waits":
            raise NotTaken("the collector has not taken this yet; it is kept and done as soon as it can")
        if not state:
            return None
        return await self._parts.reads(lambda reader: _standing(reader, wanted, now()))

    async def _answered(
        self,
        request: Request,
        key: str,
        work: Callable[[], Awaitable[Answer]],
        begun: Callable[[int], Awaitable[Answer | None]],
    ) -> Response:
        if not key:
            answer = await work()
        else:
            whole = b"\0".join((request.method.encode(), str(request.url.path).encode(), await request.body()))
            try:
                answer = await self._once(asking().name, key, whole, work, begun)
            except Reused:
                raise HTTPException(
                    422, "header.idempotency-key: it was used for another act; take a new one"
                ) from None
        good = answer.status < 400
        return Response(
            answer.body,
            answer.status,
            {"Cache-Control": "no-store"},
            "application/json" if good else "application/problem+json",
        )

    async def _rules(self) -> Rules:
        return await self._parts.reads(lambda reader: reader.in_force().rules)

    async def _answer(self, request: Request, found: Came | Fault, lang: str) -> Answer:
        if isinstance(found, Fault):
            return Answer(found.status, self._refused(request, found, lang).model_dump_json().encode())
        return Answer(200, self._acted(found, await self._rules(), lang).model_dump_json().encode())

    def _refused(self, request: Request, fault: Fault, lang: str) -> Refused:
        reason = Line.of(fault.reason, TEXTS[lang], str) if fault.reason is not None else None
        detail = say(TEXTS[lang], fault.reason) if fault.reason is not None else str(fault)
        title = HTTPStatus(fault.status).phrase
        return Refused(title=title, status=fault.status, detail=detail, instance=request.url.path, reason=reason)

    def _acted(self, came: Came, rules: Rules, lang: str) -> Acted:
        def rule_text(rule: str) -> str:
            return self._words.text(rules, rule, lang)

        return Acted(
            incident=Incident.of(self._words.incident(came.view, rules, lang)) if came.view is not None else None,
            alarm=Alarm.of(self._words.alarm(came.alarm, rules, lang)) if came.alarm is not None else None,
            changed=[Line.of(line, TEXTS[lang], rule_text) for line in came.lines],
            still_there=came.still_there,
        )


def _standing(reader: ConsoleReader, wanted: Sequence[Wanted], now: int) -> list[Came | Fault]:
    """How what they were on stands now; whether each applied is not known any more."""
    found: list[Came | Fault] = []
    for each in wanted:
        try:
            alarm = reader.alarm(each.alarm) if each.alarm else None
            name = alarm.incident if alarm is not None else each.incident
            found.append(Came(reader.incident(name, now).view if name else None, alarm, ()))
        except KeyError as missing:
            found.append(Fault(404, f"no {str(missing.args[0])!r} in the store"))
    return found


def _nowhere() -> sqlite3.Connection:
    """Of a console without a store: for as long as it runs."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    for text in sorted(
        each.read_text("utf-8")
        for each in files("tillwatch.collector.people").iterdir()
        if each.name.startswith("console_v")
    ):
        db.executescript(text)
    return db
