"""What rules say, in the reader's language: the words stand in the diagnosis cards, and a text that the bank changed stays as the bank wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from tillwatch.agent.model import Value
from tillwatch.collector.alarm.diagnosis import Card, Cards
from tillwatch.collector.alarm.rules import Rule, Rules
from tillwatch.collector.incident.incident_views import IncidentFile, IncidentView
from tillwatch.collector.read import AlarmView, ComponentView
from tillwatch.collector.tickets.outages import evidence

NOTHING: Mapping[tuple[str, str, str], str] = MappingProxyType({})
MAX_KEPT = 2_000
"""Cards that are kept at hand: every rule of a large table in both languages."""


class Translation:
    def __init__(self, cards: Cards) -> None:
        self._cards = cards
        self._kept: dict[tuple[str, ...], Card] = {}

    def card(self, rule: Rule, language: str) -> Card:
        """Without what a device told."""
        key = (rule.id, language, rule.text, rule.cause, rule.consequence, rule.action)
        if key not in self._kept:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            self._kept[key] = self._cards.card(rule, language)
        return self._kept[key]

    def text(self, rules: Rules, rule: str, language: str) -> str:
        """Of a rule by its id; the id itself where the table does not have it any more."""
        known = rules.by_id.get(rule)
        return self.card(known, language).text if known is not None else rule

    def alarm(
        self, view: AlarmView, rules: Rules, language: str, foretold: Mapping[tuple[str, str, str], str] = NOTHING
    ) -> AlarmView:
        """foretold: (rule, terminal, component) -> what is foreseen, in the reader's language."""
        if said := foretold.get((view.rule, view.terminal, view.component)):
            view = replace(view, value=said)
        rule = rules.by_id.get(view.rule)
        if rule is None:
            return view
        card = self.card(rule, language)
        return replace(view, text=card.text, cause=card.cause, consequence=card.consequence, action=card.action)

    def component(self, view: ComponentView, rules: Rules, language: str) -> ComponentView:
        """Its reason, where that is the text of a rule that raised an alarm on it."""
        rule = next((each for each in rules.by_id.values() if each.text == view.reason), None) if view.reason else None
        return view if rule is None else replace(view, reason=self.card(rule, language).text)

    def incident(self, view: IncidentView, rules: Rules, language: str) -> IncidentView:
        view = replace(view, cause=evidence(view.cause, language))
        return replace(view, text=self.text(rules, view.fault, language)) if view.fault in rules.by_id else view

    def card_of(
        self, file: IncidentFile, rules: Rules, language: str, components: tuple[ComponentView, ...]
    ) -> Card | None:
        """The card of an incident's fault, with what its device told. components: of its terminal."""
        rule = rules.by_id.get(file.view.fault)
        if rule is None:
            return None
        latest: dict[str, dict[str, Value]] = {
            part.name: {signal.signal: signal.value for signal in part.signals} for part in components
        }
        return self._cards.fill(self.card(rule, language), file.view.component, latest)
