"""What a ticket says: the incident, what is broken, and everybody whom it concerns, at the time of one change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from tillwatch.collector.alarm.alarms import Alarm
from tillwatch.collector.alarm.diagnosis import Card, Cards
from tillwatch.collector.alarm.rules import Rule
from tillwatch.collector.book import Book
from tillwatch.collector.incident.incidents import CONSEQUENCE, ROOT, TERMINAL, Incident
from tillwatch.collector.predict.finding import Finding
from tillwatch.collector.terminal.fleet import Fleet
from tillwatch.collector.tickets.message import (
    MAX_AFFECTED,
    MAX_FORETOLD,
    Evidence,
    Op,
    Says,
    TicketMessage,
    TicketState,
    Words,
    said,
    say,
)
from tillwatch.collector.tickets.words import LANGUAGES, again

UNSAID = ("monitor.", "identity.")
"""What is told of the reading itself, and who the device is: that stands elsewhere."""
BESIDE = 6
"""Numbers of the same component that stand beside what decided: how full the battery is where the alarm says only that it is in use."""


class Stricken(NamedTuple):
    """A terminal that an incident without alarms of its own concerns. since: UTC ns; why: its state, and what decided."""

    terminal: str
    since: int
    why: str


class Teller:
    """page: address of the console. cards, language: of the diagnosis cards, and with them of what tickets say. units: signal -> unit. stricken: whom an incident concerns
    beyond its alarms, at a time. foretold: of (rule, terminal, component), what is foreseen.
    """

    def __init__(
        self, book: Book, fleet: Fleet, page: str, cards: Cards, language: str, units: Mapping[str, str]
    ) -> None:
        self._units = units
        self._cards = cards
        self._language = language
        self._book = book
        self._fleet = fleet
        self._page = page
        self.foretold: Callable[[str, str, str], tuple[Finding, ...]] = lambda _, __, ___: ()
        self.stricken: Callable[[Incident, int], tuple[Stricken, ...]] = lambda _, __: ()

    def place(self, terminal: str) -> tuple[str, str]:
        """(branch, region)."""
        known = self._fleet.terminals[terminal]
        return known.branch, known.region

    def title(self, incident: Incident) -> str:
        return self._title(incident, self._language, incident.cause)

    def titles(self, incident: Incident) -> dict[str, str]:
        """As values of a saying, in every language."""
        told = {f"title.{one}": self._title(incident, one, again(incident.cause, one)) for one in LANGUAGES[1:]}
        return {"title": self._title(incident, LANGUAGES[0], incident.cause), **told}

    def _title(self, incident: Incident, language: str, cause: str) -> str:
        rule = self._book.rule(incident.fault)
        text = self._cards.card(rule, language).text if rule is not None else incident.fault
        if incident.alert:
            text = f"{text}: {cause}"
        if incident.scope == TERMINAL:
            return f"{text} ({incident.terminal}{' ' if incident.component else ''}{incident.component})"
        place = incident.branch or incident.region
        if incident.alert:
            return f"{text} ({place})" if place else text
        return f"{text} ({place}: {cause})" if place else f"{text} ({cause})"

    def message(
        self,
        incident: Incident,
        op: Op,
        at: int,
        says: Says = (),
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
        foretold = self.foretold(incident.fault, incident.terminal, incident.component)[:MAX_FORETOLD]
        evidence = [each for finding in foretold for each in self._rests_on(finding)]
        if not foretold:
            evidence = [each for alarm in self._speakers(incident, own) for each in _evidence(rule, alarm)]
        evidence += self._beside(incident, {each.signal for each in evidence})
        evidence += [Evidence(each.terminal, each.why, "", each.since) for each in stricken]
        if incident.intermittent and not says:
            texts = {language: self._card(incident, rule, language).text for language in LANGUAGES}
            says = say("intermittent_still", text=texts["en"], **{"text.zh": texts["zh"]})
        policy, words = self._book.policy, self._words(incident, rule, self._language)
        return TicketMessage(
            incident=incident.corr_id,
            op=op,
            seq=incident.seq,
            level=incident.level,
            terminal=incident.terminal,
            branch=incident.branch,
            region=incident.region,
            component=incident.component,
            what=words.what,
            at=at,
            since=incident.occurred_at,
            evidence=tuple(evidence),
            cause=words.cause,
            consequence=words.consequence,
            action=words.action,
            address=f"{self._page}/incident/{incident.corr_id}" if self._page else "",
            scope=incident.scope,
            state=incident.state,
            note=said(says, "en"),
            affected=tuple(affected[:MAX_AFFECTED]),
            affected_count=len(affected),
            parent=incident.parent,
            told=told,
            drill=incident.drill,
            fault=incident.fault,
            terminal_class=known.terminal_class if known is not None else "",
            wish=wish,
            source=source,
            means=words.means,
            checks=words.checks,
            brings=words.brings,
            parts=words.parts,
            says=says,
            also={each: self._words(incident, rule, each) for each in LANGUAGES if each != self._language},
            zone=policy.branch(incident.branch).zone or policy.zone,
            foretold=foretold,
        )

    def _words(self, incident: Incident, rule: Rule | None, language: str) -> Words:
        card, cause = self._card(incident, rule, language), again(incident.cause, language)
        return Words(
            what=card.text
            if incident.scope == TERMINAL and not incident.alert
            else self._title(incident, language, cause),
            cause=cause or card.cause,
            consequence=card.consequence,
            action=card.action,
            means=card.means,
            checks=card.branch_checks,
            brings=card.engineer_brings,
            parts=tuple((each.label, each.value) for each in card.told),
        )

    def _card(self, incident: Incident, rule: Rule | None, language: str) -> Card:
        """With what the device has told of its parts."""
        if rule is None:
            return Card(incident.fault, language, incident.fault, "", "", "")
        card = self._cards.card(rule, language)
        terminal = self._fleet.terminals.get(incident.terminal)
        if terminal is None or not card.parts:
            return card
        latest = {
            name: {signal: series.value for signal, series in part.series.items() if series.value is not None}
            for name, part in terminal.components.items()
        }
        return self._cards.fill(card, incident.component, latest)

    def _rests_on(self, finding: Finding) -> Iterator[Evidence]:
        """The newest first."""
        for component, signal, at, value in reversed(finding.readings):
            yield Evidence(signal, value, self._units.get(signal, ""), at, component)

    def _beside(self, incident: Incident, told: set[str]) -> Iterator[Evidence]:
        """The latest numbers of what is broken, its own before those of its parts."""
        terminal = self._fleet.terminals.get(incident.terminal)
        if terminal is None or not incident.component:
            return
        name = incident.component
        parts = [each for each in sorted(terminal.components) if each == name or each.startswith(f"{name}/")]
        found = (
            Evidence(signal, series.value, self._units.get(signal, ""), series.at, part)
            for part in parts
            for signal, series in sorted(terminal.components[part].series.items())
            if isinstance(series.value, int | float) and signal not in told and not signal.startswith(UNSAID)
        )
        yield from islice(found, BESIDE)

    def _speakers(self, incident: Incident, own: list[Alarm]) -> list[Alarm]:
        """Its alarms; of one that is over the last that decided."""
        if own or incident.scope != TERMINAL:
            return own
        last = self._book.alarms.get((incident.fault, incident.terminal, incident.component))
        return [last] if last is not None else []


def _evidence(rule: Rule | None, alarm: Alarm) -> tuple[Evidence, ...]:
    detail: Mapping[str, Any] = alarm.detail
    if detail.get("signal"):
        return (Evidence(detail["signal"], detail["value"], detail["unit"], detail["at"], alarm.component),)
    name = rule.id if rule is not None else alarm.rule
    told = {**detail.get("evidence", {})}
    return tuple(Evidence(f"{name}.{kind}", text, "", detail["at"], alarm.component) for kind, text in told.items())
