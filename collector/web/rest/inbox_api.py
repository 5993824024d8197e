"""The route of the alarm inbox: all that it lists and counts, of one state of the store. What is urgent comes first; what only waits for a word comes last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.alarm.alarms import CHILD
from tillwatch.collector.incident import applies
from tillwatch.collector.incident.incident_views import ConsoleReader, IncidentView, InForce
from tillwatch.collector.incident.incidents import RESTORED, SETTLING
from tillwatch.collector.people import accounts
from tillwatch.collector.people.roles import GRANTS, Permission, asking
from tillwatch.collector.read import AlarmView, TerminalView
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.acts import possible
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, UNCHANGED, Language, Tags, known, unchanged
from tillwatch.collector.web.rest.incident_schema import Incident
from tillwatch.collector.web.rest.risk_api import said_of
from tillwatch.collector.web.rest.schema import Alarm, iso
from tillwatch.collector.web.translation import Translation

MAX_ITEMS = 500
"""Incidents in one inbox: nobody works through more one by one. The rest is behind the filters of /incidents."""
MAX_ALARMS = 5_000
"""Open alarms that are looked through."""
MAX_NEAR = 100
"""Incidents of one branch that are offered for a merge."""
MAX_LOOSE = 200
"""Alarms that no living incident speaks of, listed; they are counted all the same."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class InboxItem(Incident):
    """An incident, with what the list needs to be worked through."""

    data_at: Annotated[
        datetime | None, Field(description="When its terminal was last heard; null for more than one terminal")
    ]
    connection: Annotated[
        str, Field(description="Of its terminal: `online`, `offline`, `silent`, `new`, `revoked`, or empty")
    ]
    own: Annotated[list[int], Field(description="Its open alarms that are not explained by it alone", examples=[[41]])]
    masks: Annotated[
        dict[str, int], Field(description="What silences how many of its alarms", examples=[{"shelved": 1}])
    ]
    forgotten: Annotated[
        int, Field(description="Of its alarms those that somebody had taken on for longer than that counts")
    ]
    can: Annotated[
        list[str], Field(description="Acts that apply now and that the asker may do", examples=[["acknowledge"]])
    ]


class Choice(_Model):
    id: Annotated[str, Field(examples=["zhang.min"])]
    name: Annotated[str, Field(examples=["Zhang Min"])]


class Inbox(_Model):
    """The alarm inbox. Counts are of all that the asker may see, whatever is listed."""

    items: list[InboxItem]
    total: int
    loose: Annotated[list[Alarm], Field(description="Alarms that no living incident speaks of")]
    loose_total: int
    masks: Annotated[
        dict[str, int], Field(description="Alarms that are silenced, by what", examples=[{"shelved": 3, "flapping": 1}])
    ]
    forgotten: Annotated[
        int, Field(description="Alarms that somebody had taken on, which last, and which nobody has any more")
    ]
    unseen: Annotated[int, Field(description="Alarms that are over and that nobody has acknowledged")]
    me: Annotated[str, Field(description="Who asks; empty: nobody in particular")]


class Neighbour(_Model):
    """An incident that another one may have its cause with."""

    id: str
    text: str
    terminal: str
    component: str
    level: int


class Handling(_Model):
    """What acts may name."""

    people: Annotated[list[Choice], Field(description="Of the roster, and with an account that may act")]
    reasons: Annotated[list[Choice], Field(description="For a hold, of the policy")]
    neighbours: Annotated[list[Neighbour], Field(description="Incidents that the one asked for may be merged into")]
    me: str


@dataclass(frozen=True, slots=True)
class _Read:
    incidents: Sequence[IncidentView]
    total: int
    alarms: Sequence[AlarmView]
    forgotten: frozenset[int]
    force: InForce
    foretold: Mapping[tuple[str, str, str], str]


def add(api: APIRouter, parts: Parts) -> None:
    tag, words = Tags(parts.reads), Translation(parts.cards)

    @api.get(
        "/inbox", response_model=Inbox, responses={**SOME, **UNCHANGED}, dependencies=[needs(Permission.SEE)],
        summary="The alarm inbox: incidents by urgency, with all that somebody needs who works through them",
    )  # fmt: skip
    async def inbox(request: Request, response: Response, lang: Language = "en") -> Any:
        if await tag(request, response):
            return unchanged(response)
        now, visitor = parts.now(), asking()
        await parts.feed.ready()
        terminals = parts.feed.terminals_of(visitor.scope)

        def read(reader: ConsoleReader) -> _Read:
            found, total = reader.incidents(now, limit=MAX_ITEMS)
            alarms = reader.alarms(limit=MAX_ALARMS)
            return _Read(found, total, alarms, reader.forgotten(), reader.in_force(), said_of(reader, lang, None))

        said = await parts.reads(read)
        rules = said.force.rules
        of: dict[str, list[AlarmView]] = {}
        for alarm in said.alarms:
            of.setdefault(alarm.incident, []).append(alarm)
        listed = {view.id for view in said.incidents}
        loose = [alarm for alarm in said.alarms if alarm.incident not in listed]
        return Inbox(
            items=[
                _item(words.incident(view, rules, lang), of.get(view.id, ()), said.forgotten, terminals.get(view.terminal), possible(view, visitor))
                for view in sorted(said.incidents, key=lambda view: urgency(view, now))
            ],
            total=said.total,
            loose=[Alarm.of(words.alarm(alarm, rules, lang, said.foretold)) for alarm in loose[:MAX_LOOSE]],
            loose_total=len(loose),
            masks=_masked(said.alarms),
            forgotten=sum(alarm.id in said.forgotten for alarm in said.alarms),
            unseen=sum(alarm.returned for alarm in said.alarms),
            me=visitor.name,
        )  # fmt: skip

    @api.get(
        "/handling", response_model=Handling, responses=PROBLEMS, dependencies=[needs(Permission.ACT)],
        summary="What acts may name: people, reasons for a hold, and where an incident may be merged into",
    )  # fmt: skip
    async def handling(
        response: Response,
        incident: Annotated[
            str, Query(max_length=64, description="Whose neighbours are asked for; empty: nobody's")
        ] = "",
        lang: Language = "en",
    ) -> Any:
        response.headers["Cache-Control"] = "no-store"
        now = parts.now()

        def read(reader: ConsoleReader) -> tuple[InForce, list[IncidentView]]:
            if not incident:
                return reader.in_force(), []
            one = reader.incident(incident, now).view
            found, _ = reader.incidents(now, limit=MAX_ITEMS)
            return reader.in_force(), [each for each in found if applies.to_merge(one.id, one, each.id, each) is None]

        force, near = await known(lambda: parts.reads(read), incident)
        return Handling(
            people=[Choice(id=name, name=text) for name, text in _hands(parts, force).items()],
            reasons=[Choice(id=word, name=text) for word, text in force.policy.hold_reasons.items()],
            neighbours=[
                Neighbour(id=each.id, text=words.text(force.rules, each.fault, lang), terminal=each.terminal, component=each.component, level=each.level)
                for each in near[:MAX_NEAR]
            ],
            me=asking().name,
        )  # fmt: skip


def _hands(parts: Parts, force: InForce) -> dict[str, str]:
    """Whom an incident may be handed to: the people of the roster, and whoever has an account and may act."""
    found = {person.id: person.name for person in force.policy.roster.people.values()}
    for one in accounts.everybody(parts.people.directory.db) if parts.people is not None else ():
        if one.active and not one.board and Permission.ACT in GRANTS[one.role]:
            found.setdefault(one.name, one.full_name or one.name)
    return found


def urgency(view: IncidentView, now: int) -> tuple[int, int, int, int, int]:
    """What to do first: what is broken before what waits, what waits before what is over by its readings; the graver before the milder; what nobody has taken on
    before the rest; the sooner target first, of which a missed one is the soonest.
    """
    waits = 1 if view.on_hold else 0
    rank = 2 if view.state == RESTORED else waits
    due = min((each.due for each in view.clocks if not each.stopped_at and each.due), default=now + 10**18)
    return rank, view.level, int(bool(view.responded_at)) + int(view.state == SETTLING), due, -view.opened_at


def _item(
    view: IncidentView,
    alarms: Sequence[AlarmView],
    forgotten: frozenset[int],
    terminal: TerminalView | None,
    can: list[str],
) -> InboxItem:
    plain = Incident.of(view)
    own = [each.id for each in alarms if each.condition != "normal" and all(mask.kind != CHILD for mask in each.masks)]
    return InboxItem(
        **{name: getattr(plain, name) for name in Incident.model_fields},
        data_at=iso(terminal.last_received) if terminal is not None else None,
        connection=terminal.connection if terminal is not None else "",
        own=own,
        masks=_masked(alarms),
        forgotten=sum(each.id in forgotten for each in alarms),
        can=can,
    )


def _masked(alarms: Iterable[AlarmView]) -> dict[str, int]:
    return dict(Counter(mask.kind for alarm in alarms for mask in alarm.masks))
