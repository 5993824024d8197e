"""What a ticket says: the incident, what is broken, and everybody whom it concerns, at the time of one change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tillwatch.collector.alarm.alarms import Alarm
from tillwatch.collector.alarm.diagnosis import Card, Cards
from tillwatch.collector.alarm.rules import Rule
from tillwatch.collector.book import Book
from tillwatch.collector.incident.incidents import CONSEQUENCE, ROOT, TERMINAL, Incident
from tillwatch.collector.terminal.fleet import Fleet
from tillwatch.collector.tickets.message import MAX_AFFECTED, Evidence, Op, TicketMessage, TicketState


class Stricken(NamedTuple):
    """A terminal that an incident without alarms of its own concerns. since: UTC ns; why: its state, and what decided."""

    terminal: str
    since: int
    why: str


class Teller:
    """page: address of the console. cards, language: of the diagnosis cards, and with them of what tickets say. stricken: whom an incident concerns
    beyond its alarms, at a time.
    """

    def __init__(self, book: Book, fleet: Fleet, page: str, cards: Cards, language: str) -> None:
        self._cards = cards
        self._language = language
        self._book = book
        self._fleet = fleet
        self._page = page
        self.stricken: Callable[[Incident, int], tuple[Stricken, ...]] = lambda _, __: ()

    def place(self, terminal: str) -> tuple[str, str]:
        """(branch, region)."""
        known = self._fleet.terminals[terminal]
        return known.branch, known.region

    def title(self, incident: Incident) -> str:
        rule = self._book.rule(incident.fault)
        text = self._cards.card(rule, self._language).text if rule is not None else incident.fault
        if incident.alert:
            text = f"{text}: {incident.cause}"
        if incident.scope == TERMINAL:
            return f"{text} ({incident.terminal}{' ' if incident.component else ''}{incident.component})"
        place = incident.branch or incident.region
        if incident.alert:
            return f"{text} ({place})" if place else text
        return f"{text} ({place}: {incident.cause})" if place else f"{text} ({incident.cause})"

    def message(
        self,
        incident: Incident,
        op: Op,
        at: int,
        note: str = "",
        told: tuple[tuple[str, str, str], ...] = (),
        wish: TicketState | None = None,
        source: str = "",
    ) -> TicketMessage:
        """As it is now. The incident's seq is that of this message."""
        known = self._fleet.terminals.get(incident.terminal)
        own = self._book.of(incident.corr_id, ROOT, CONSEQUENCE)
        rule = self._book.rule(incident.fault)
        stricken = self.stricken(incident, at)
        affected = [each.terminal for each in stricken] or sorted(
            {each.terminal for each in self._book.of(incident.corr_id)} | ({incident.terminal} - {""})
        )
        evidence = [each for alarm in self._speakers(incident, own) for each in _evidence(rule, alarm)]
        evidence += [Evidence(each.terminal, each.why, "", each.since) for each in stricken]
        card = self._card(incident, rule)
        page = f"/terminal/{incident.terminal}" if incident.scope == TERMINAL else "/alarms"
        return TicketMessage(
            incident=incident.corr_id,
            op=op,
            seq=incident.seq,
            level=incident.level,
            terminal=incident.terminal,
            branch=incident.branch,
            region=incident.region,
            component=incident.component,
            what=card.text if incident.scope == TERMINAL and not incident.alert else self.title(incident),
            at=at,
            since=incident.occurred_at,
            evidence=tuple(evidence),
            cause=incident.cause or card.cause,
            consequence=card.consequence,
            action=card.action,
            address=f"{self._page}{page}" if self._page else "",
            scope=incident.scope,
            state=incident.state,
            note=note or (f"Intermittent: {card.text}" if incident.intermittent else ""),
            affected=tuple(affected[:MAX_AFFECTED]),
            affected_count=len(affected),
            parent=incident.parent,
            told=told,
            drill=incident.drill,
            fault=incident.fault,
            terminal_class=known.terminal_class if known is not None else "",
            wish=wish,
            source=source,
            means=card.means,
            checks=card.branch_checks,
            brings=card.engineer_brings,
            parts=tuple((each.label, each.value) for each in card.told),
        )

    def _card(self, incident: Incident, rule: Rule | None) -> Card:
        """With what the device has told of its parts."""
        if rule is None:
            return Card(incident.fault, self._language, incident.fault, "", "", "")
        card = self._cards.card(rule, self._language)
        terminal = self._fleet.terminals.get(incident.terminal)
        if terminal is None or not card.parts:
            return card
        latest = {
            name: {signal: series.value for signal, series in part.series.items() if series.value is not None}
            for name, part in terminal.components.items()
        }
        return self._cards.fill(card, incident.component, latest)

    def _speakers(self, incident: Incident, own: list[Alarm]) -> list[Alarm]:
        """Its alarms; of one that is over the last that decided."""
        if own or incident.scope != TERMINAL:
            return own
        last = self._book.alarms.get((incident.fault, incident.terminal, incident.component))
        return [last] if last is not None else []


def _evidence(rule: Rule | None, alarm: Alarm) -> tuple[Evidence, ...]:
    detail: Mapping[str, Any] = alarm.detail
    if detail.get("signal"):
        return (Evidence(detail["signal"], detail["value"], detail["unit"], detail["at"]),)
    name = rule.id if rule is not None else alarm.rule
    told = {**detail.get("evidence", {})}
    return tuple(Evidence(f"{name}.{kind}", text, "", detail["at"]) for kind, text in told.items())
