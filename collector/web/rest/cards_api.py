"""The routes of diagnosis cards: all of them to be searched in both languages, and one with what this fleet has seen of its fault."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from tillwatch.collector.alarm.card_search import CardIndex
from tillwatch.collector.alarm.diagnosis import COMPONENT, Card
from tillwatch.collector.alarm.rules import PARTIES, Rule, Rules
from tillwatch.collector.duty.calendars import DAY_NS
from tillwatch.collector.people.roles import Permission
from tillwatch.collector.web.entry.door import needs
from tillwatch.collector.web.parts import Parts
from tillwatch.collector.web.rest.answers import PROBLEMS, SOME, Language, Limit, Offset
from tillwatch.collector.web.rest.rules_schema import FixFound, IncidentShort
from tillwatch.collector.web.rest.schema import Page, iso
from tillwatch.collector.web.translation import Translation

DAYS = 365
"""Of what was seen of a fault: parts fail seldom."""
MAX_QUESTION = 200
_PARTY = f"^({'|'.join(PARTIES)})$"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class CardShort(_Model):
    """A card in a list."""

    rule: Annotated[str, Field(examples=["ups.on-battery"])]
    text: Annotated[str, Field(examples=["UPS runs on battery"])]
    means: str
    party: Annotated[str, Field(examples=["power"])]
    signals: list[str]
    open: Annotated[int, Field(description="Alarms of it that last now")]
    where: Annotated[
        list[str],
        Field(
            description="Where the words were found: `text`, `rule`, `parts`, `means`, `cause`, `consequence`, `action`, `branch`, `engineer`"
        ),
    ]

    @classmethod
    def of(cls, rule: Rule, card: Card, standing: int, where: tuple[str, ...]) -> CardShort:
        return cls(
            rule=rule.id,
            text=card.text,
            means=card.means,
            party=rule.party,
            signals=list(rule.signals),
            open=standing,
            where=list(where),
        )


class CardWhole(_Model):
    """One card, with what this fleet has seen of its fault within a year."""

    rule: str
    language: str
    text: str
    means: str
    cause: str
    consequence: str
    action: str
    branch_checks: Annotated[
        list[str], Field(description="Safe for staff of the branch: nothing is opened, nothing of the mains is touched")
    ]
    engineer_brings: list[str]
    parts: Annotated[list[str], Field(description="What of the device tells which part it is")]
    party: str
    owner: str
    raised: Annotated[int, Field(description="Episodes within a year")]
    last_at: datetime | None
    incidents: Annotated[list[IncidentShort], Field(description="Those that are not settled first")]
    fixes: Annotated[list[FixFound], Field(description="What technicians found, the most frequent first")]
    related: Annotated[list[str], Field(description="Rules whose fault comes with this one")]


def add(api: APIRouter, parts: Parts) -> None:
    reads, now = parts.reads, parts.now
    translation = Translation(parts.cards)
    kept: list[tuple[Rules, CardIndex]] = []

    def index(rules: Rules) -> CardIndex:
        """Made once for a table of rules."""
        if not kept or kept[0][0] is not rules:
            kept[:] = [(rules, CardIndex(parts.cards, rules.by_id.values()))]
        return kept[0][1]

    @api.get(
        "/cards",
        response_model=Page[CardShort],
        responses=SOME,
        dependencies=[needs(Permission.SEE)],
        summary="Diagnosis cards, the best fit first: words are looked for in both languages",
    )
    async def cards(
        response: Response,
        q: Annotated[str, Query(max_length=MAX_QUESTION, description="Words, all of which must stand on the card", examples=["battery runtime"])] = "",
        party: Annotated[str | None, Query(pattern=_PARTY, description="Only faults that this party answers for")] = None,
        lang: Language = "en",
        limit: Limit = 200,
        offset: Offset = 0,
    ) -> Any:  # fmt: skip
        response.headers["Cache-Control"] = "no-store"
        book, fired = await reads(lambda reader: (reader.in_force(), reader.rules_fired(now())))
        hits = [hit for hit in index(book.rules).search(q) if party in (None, book.rules.by_id[hit.rule].party)]
        items = []
        for hit in hits[offset : offset + limit]:
            rule = book.rules.by_id[hit.rule]
            standing = fired[hit.rule].open if hit.rule in fired else 0
            items.append(CardShort.of(rule, translation.card(rule, lang), standing, hit.where))
        return Page[CardShort](items=items, total=len(hits), limit=limit, offset=offset)

    @api.get(
        "/cards/{rule}",
        response_model=CardWhole,
        responses=PROBLEMS,
        dependencies=[needs(Permission.SEE)],
        summary="One diagnosis card, with open incidents of its fault and what was found before",
    )
    async def one(
        response: Response,
        rule: Annotated[str, Path(max_length=100, examples=["ups.on-battery"])],
        lang: Language = "en",
    ) -> Any:
        response.headers["Cache-Control"] = "no-store"
        at = now()
        book, record = await reads(lambda r: (r.in_force(), r.rule_record(rule, at - DAYS * DAY_NS, at)))
        found = book.rules.by_id.get(rule)
        if found is None:
            raise HTTPException(404, f"there is no rule {rule!r} in force, and no card of it")
        card = translation.card(found, lang)
        return CardWhole(
            rule=rule, language=card.language, text=card.text, means=card.means, cause=card.cause, consequence=card.consequence, action=card.action,
            branch_checks=list(card.branch_checks), engineer_brings=list(card.engineer_brings),
            parts=[parts.cards.labels[name][card.language] for name in card.parts if name != COMPONENT], party=found.party, owner=found.owner,
            raised=record.count.raised, last_at=iso(record.count.last_at),
            incidents=[IncidentShort.of(each) for each in record.incidents], fixes=[FixFound.of(each) for each in record.fixes],
            related=[each for each in found.follows if each != rule and each in book.rules.by_id][:20],
        )  # fmt: skip
