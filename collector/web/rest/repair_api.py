"""The routes of the technician's phone: what is mine and what nobody has taken on, and all that one repair needs: the card step by step, what to bring, whether the
readings say that it is mended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.alarm.rules import SILENT
from tillwatch.collector.incident.incident_views import ConsoleReader, IncidentFile, IncidentView
from tillwatch.collector.incident.incidents import RESOLVED, RESTORED, SETTLING, SYMPTOM
from tillwatch.collector.people.roles import Permission, Visitor, asking
from tillwatch.collector.predict.finding import Finding
from tillwatch.collector.terminal.dossier import RepairView
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.acts import possible
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, UNCHANGED, Language, Tags, known, unchanged
from tillwatch.collector.web.rest.inbox_api import urgency
from tillwatch.collector.web.rest.incident_schema import Incident
from tillwatch.collector.web.rest.risk_schema import Beside, Foreseen
from tillwatch.collector.web.rest.schema import Alarm, iso
from tillwatch.collector.web.translation import Translation

MAX_OPEN = 1_000
"""Incidents that are looked through."""
MAX_MINE = 100
"""Of one list on the phone: nobody drives to more in a day."""
MAX_FINDINGS = 1_000
MAX_REPAIRS = 10
"""Former verdicts on a terminal that are shown: what was changed lately."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class Bring(_Model):
    """Something to take along, and why: of the diagnosis card, of a prediction, or because it was changed there before."""

    text: Annotated[str, Field(examples=["The device as a spare"])]
    source: Annotated[str, Field(description="`card`, `foreseen` or `history`", examples=["card"])]
    terminal: str = ""
    component: str = ""
    why: Annotated[str, Field(description="What foresees it")] = ""
    at: Annotated[datetime | None, Field(description="When it was changed before")] = None


class MyItem(Incident):
    can: list[str]
    brings: list[Bring]


class My(_Model):
    """What a technician has to do: one's own first, then what nobody has taken on where one is at work."""

    me: Annotated[str, Field(examples=["zhang.min"])]
    mine: list[MyItem]
    unowned: list[MyItem]


class Mended(_Model):
    """What the readings say of the fault. state: `well` (they say that it is over), `still` (they say that it lasts), `unknown` (nothing is heard that could tell)."""

    state: Annotated[str, Field(examples=["still"])]
    since: datetime | None
    alarms: Annotated[list[Alarm], Field(description="Those that it is about, with what decided")]


class Past(_Model):
    """A verdict on an earlier incident of this terminal."""

    at: datetime | None
    incident: str
    text: str
    component: str
    verdict: str
    part: str


class Repair(_Model):
    """One repair. steps: of the card, in order; branch staff's before the engineer's."""

    incident: Incident
    means: str
    action: str
    steps: list[str]
    brings: list[Bring]
    told: Annotated[list[str], Field(description="Part numbers and names that the device told")]
    past: Annotated[list[Past], Field(description="Of this terminal, the newest first")]
    mended: Mended
    can: list[str]
    me: str


def add(api: APIRouter, parts: Parts) -> None:
    tag, words = Tags(parts.reads), Translation(parts.cards)

    @api.get(
        "/my", response_model=My, responses={**SOME, **UNCHANGED}, dependencies=[needs(Permission.ACT)],
        summary="My incidents, then those of my branches that nobody has taken on",
    )  # fmt: skip
    async def my(request: Request, response: Response, lang: Language = "en") -> Any:
        if await tag(request, response):
            return unchanged(response)
        visitor, now = asking(), parts.now()

        def read(reader: ConsoleReader) -> My:
            found = sorted(reader.incidents(now, limit=MAX_OPEN)[0], key=lambda view: urgency(view, now))
            mine = [each for each in found if _owns(visitor, each)][:MAX_MINE]
            unowned = [each for each in found if not each.owner and each.state not in (SETTLING, RESTORED)][:MAX_MINE]
            foreseen = _foreseen(reader, {each.terminal for each in (*mine, *unowned)}, lang)
            rules = reader.in_force().rules

            def item(view: IncidentView) -> MyItem:
                told, rule = Incident.of(words.incident(view, rules, lang)), rules.by_id.get(view.fault)
                card = words.card(rule, lang).engineer_brings if rule is not None else ()
                return MyItem(
                    **{name: getattr(told, name) for name in Incident.model_fields},
                    can=possible(view, visitor), brings=_brings(card, foreseen.get(view.terminal, ()), ()),
                )  # fmt: skip

            return My(me=visitor.name, mine=[item(each) for each in mine], unowned=[item(each) for each in unowned])

        return await parts.reads(read)

    @api.get(
        "/repairs/{incident}", response_model=Repair, responses={**PROBLEMS, **UNCHANGED}, dependencies=[needs(Permission.ACT)],
        summary="One repair: the card step by step, what to bring, and whether the readings say that it is mended",
    )  # fmt: skip
    async def repair(request: Request, response: Response, incident: str, lang: Language = "en") -> Any:
        if await tag(request, response):
            return unchanged(response)
        visitor, now = asking(), parts.now()

        def read(reader: ConsoleReader) -> Repair:
            file = reader.incident(incident, now)
            view, rules = file.view, reader.in_force().rules
            terminal = view.terminal
            components = tuple(reader.components(terminal)) if terminal else ()
            past = reader.dossier(terminal, now).repairs[:MAX_REPAIRS] if terminal else ()
            card = words.card_of(file, rules, lang, components)
            foreseen = _foreseen(reader, {terminal}, lang).get(terminal, ())
            own = [each.alarm for each in file.members if each.role != SYMPTOM and not each.until]
            return Repair(
                incident=Incident.of(words.incident(view, rules, lang)),
                means=card.means if card is not None else "",
                action=card.action if card is not None else file.action,
                steps=list(card.branch_checks) if card is not None else [],
                brings=_brings(card.engineer_brings if card is not None else (), foreseen, past),
                told=[f"{each.label}: {each.value}" for each in card.told] if card is not None else [],
                past=[
                    Past(at=iso(each.at), incident=each.incident, text=words.text(rules, each.fault, lang), component=each.component, verdict=each.verdict, part=each.part)
                    for each in past
                ],
                mended=Mended(state=mended(file, reader.terminal(terminal).connection if terminal else ""), since=iso(view.restored_at), alarms=[Alarm.of(words.alarm(each, rules, lang)) for each in own]),
                can=possible(view, visitor),
                me=visitor.name,
            )  # fmt: skip

        return await known(lambda: parts.reads(read), incident)


def _owns(visitor: Visitor, view: IncidentView) -> bool:
    return bool(visitor.name) and view.owner.casefold() == visitor.name.casefold()


def mended(file: IncidentFile, connection: str) -> str:
    """What the readings say: that nothing is heard is no sign of health, but where that is the fault itself."""
    if file.view.state in (RESTORED, RESOLVED) or file.view.restored_at:
        return "well"
    own = [each.alarm for each in file.members if each.role != SYMPTOM and not each.until]
    unheard = connection not in ("", "online") and all(each.rule != SILENT for each in own)
    if not own or unheard or any(each.condition == "unknown" for each in own):
        return "unknown"
    return "still" if any(each.condition == "active" for each in own) else "well"


def _foreseen(reader: ConsoleReader, terminals: Iterable[str], lang: str) -> Mapping[str, list[Foreseen]]:
    wanted, found = set(terminals) - {""}, list[Finding]()
    if wanted:
        found = [each for each in reader.findings(limit=MAX_FINDINGS) if each.terminal in wanted and not each.demoted]
    if not found:
        return {}
    policy, places = reader.in_force().policy, reader.places(wanted)
    branches = {name: branch for name, (branch, _) in places.items()}
    zones = {branch: policy.branch(branch).zone or policy.zone for branch in set(branches.values())}
    records = {(each.detector, each.kind): each for each in reader.records()}
    beside = Beside(lang, records, {}, zones, branches)
    of: dict[str, list[Foreseen]] = {}
    for each in found:
        of.setdefault(each.terminal, []).append(Foreseen.of(each, beside))
    return of


def _brings(card: Sequence[str], foreseen: Sequence[Foreseen], past: Sequence[RepairView]) -> list[Bring]:
    """What is named twice is brought once."""
    found = [Bring(text=text, source="card") for text in card]
    found += [
        Bring(text=each.kind or each.component, source="foreseen", terminal=each.terminal, component=each.component, why=each.reason)
        for each in foreseen
    ]  # fmt: skip
    found += [
        Bring(text=each.part, source="history", component=each.component, at=iso(each.at))
        for each in past
        if each.verdict == "part_changed" and each.part
    ]
    once: dict[tuple[str, str], Bring] = {}
    for each in found:
        once.setdefault((each.text, each.component), each)
    return list(once.values())
