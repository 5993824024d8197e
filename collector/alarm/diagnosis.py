"""Quick diagnosis cards: for each rule what its alarm means, what branch staff may safely look at and what the engineer brings, in English
and Simplified Chinese. They stand in cards/*.toml beside rules/*.toml, and not in the rules: a rule is part of the record, a card may get
better every day.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tillwatch.agent.model import Value, device_of
from tillwatch.collector.alarm.rules import Rule, shipped_text

LANGUAGES = ("en", "zh")
MAX_TEXT = 400
"""Characters of one text: a card is read at a glance, on a telephone too, and all of it fits a ticket beside the evidence."""
MAX_ITEMS = 5
"""Of a list: nobody at a counter goes through more."""
MAX_TOLD = 3
"""Values of one signal that are shown where several parts of a device tell it, such as battery packs. The rest is on the device's page."""

COMPONENT = "component"
"""In `parts`: the name of the part itself, which often is what has to be ordered (`supply:Black toner`)."""

_WORDS = ("text", "cause", "consequence", "action")
_LISTS = ("branch", "engineer")
_KEYS = (*_WORDS, "means", *_LISTS)


class CardsError(ValueError):
    """A file of cards cannot be used. The text names the card, the key and the mend."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a device told of itself. label: in the language of the card; component: who told it, the part or the device it belongs to."""

    label: str
    value: str
    component: str


@dataclass(frozen=True, slots=True)
class Card:
    """One rule's card in one language. text, cause, consequence, action: the rule's own words, as an alarm or a ticket shows them.

    branch_checks: safe for staff of the branch: nothing is opened, nothing of the mains is touched. parts: signals that give part numbers,
    and COMPONENT. told, missing: filled by `fill`: what of these the device told, and the labels of what it did not.
    """

    rule: str
    language: str
    text: str
    cause: str
    consequence: str
    action: str
    means: str = ""
    branch_checks: tuple[str, ...] = ()
    engineer_brings: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    told: tuple[Told, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cards:
    """All cards: shipped, with a bank's own laid over them key by key. labels: of what a device tells, signal -> language -> text."""

    labels: Mapping[str, Mapping[str, str]]
    _shipped: Mapping[str, Mapping[str, Any]] = field(repr=False)
    _own: Mapping[str, Mapping[str, Any]] = field(repr=False)

    def card(self, rule: Rule, language: str) -> Card:
        """The card of a rule; one without what only a card says for a rule that has none. A language that there is not: English.

        A text of the rule that the bank changed is shown as the bank wrote it in every language: its shipped translation would
        say something else.
        """
        language = language if language in LANGUAGES else LANGUAGES[0]
        shipped, own = self._shipped.get(rule.id, {}), self._own.get(rule.id, {})
        theirs: Mapping[str, Any] = own.get(language, {})
        merged: Mapping[str, Any] = {**shipped.get(language, {}), **theirs}
        original = _shipped_words().get(rule.id, {})

        def word(key: str) -> str:
            said: str = getattr(rule, key)
            return str(merged.get(key, said)) if key in theirs or original.get(key) == said else said

        return Card(
            rule=rule.id,
            language=language,
            text=word("text"),
            cause=word("cause"),
            consequence=word("consequence"),
            action=word("action"),
            means=merged.get("means", ""),
            branch_checks=tuple(merged.get("branch", ())),
            engineer_brings=tuple(merged.get("engineer", ())),
            parts=tuple(own.get("parts", shipped.get("parts", ()))),
        )

    def fill(self, card: Card, component: str, latest: Mapping[str, Mapping[str, Value]]) -> Card:
        """The card with what the device told. component: of the alarm; latest: component -> signal -> value, of its terminal.

        The nearest counts: the part itself, the unit it is of, then the device. What tells who a device is never comes from a
        sister part: a disk's serial number is no other disk's.
        """
        told: list[Told] = []
        missing: list[str] = []
        for name in card.parts:
            label = self.labels[name][card.language]
            if name == COMPONENT:
                part = component.partition("/")[2]
                told += [Told(label, part.replace(":", " ", 1), component)] if part else []
            elif found := _nearest(name, component, latest):
                told.append(Told(label, *found))
            else:
                missing.append(label)
        return replace(card, told=tuple(told), missing=tuple(missing))


def parse_cards(site: str = "", rules: Iterable[str] = ()) -> Cards:
    """The shipped cards with a bank's own laid over them. rules: ids that there are, which the bank's cards must be of. Raises CardsError."""
    shipped, labels = _shipped_tables()
    try:
        own = tomllib.loads(site)
    except tomllib.TOMLDecodeError as error:
        msg = f"cards: {error}"
        raise CardsError(msg) from None
    known = set(rules)
    for name, entry in own.items():
        if known and name not in known:
            msg = f'card {name}: there is no such rule; a card begins with the id of a rule in quotes: ["ups.on-battery".zh]'
            raise CardsError(msg)
        for fault in _faults(entry, labels):
            msg = f"card {name}: {fault}"
            raise CardsError(msg)
    return Cards(labels, shipped, own)


def load_cards(path: Path | None, rules: Iterable[str] = ()) -> Cards:
    """As parse_cards, of a bank's file; None: there is none. Raises CardsError naming the file."""
    try:
        return parse_cards(path.read_text(encoding="utf-8") if path else "", rules)
    except OSError as error:
        msg = f"[cards] file: cannot read {path}: {error.strerror}"
        raise CardsError(msg) from None
    except (CardsError, UnicodeDecodeError) as error:
        msg = f"{path}: {error}"
        raise CardsError(msg) from None


@cache
def _shipped_tables() -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Mapping[str, str]]]:
    """The cards of all families, and the labels."""
    cards: dict[str, Mapping[str, Any]] = {}
    folder = files("tillwatch.collector") / "cards"
    for path in sorted(folder.iterdir(), key=lambda each: each.name):
        if path.name.endswith(".toml") and not path.name.startswith("_"):
            cards |= tomllib.loads(path.read_text(encoding="utf-8"))
    return cards, tomllib.loads((folder / "_labels.toml").read_text(encoding="utf-8"))


@cache
def _shipped_words() -> Mapping[str, Mapping[str, str]]:
    """Rule -> its texts in the table that these cards were written for."""
    return {row["id"]: row for row in tomllib.loads(shipped_text())["rule"]}


def _faults(entry: Any, labels: Mapping[str, object]) -> Iterator[str]:
    if not isinstance(entry, dict) or set(entry) - {"parts", *LANGUAGES}:
        yield f"holds parts, and a table for each language: {', '.join(LANGUAGES)}"
        return
    parts = entry.get("parts", [])
    if not isinstance(parts, list) or not all(isinstance(each, str) and each in labels for each in parts):
        yield f"parts is a list of {', '.join(sorted(labels))}"
    for language in LANGUAGES:
        words = entry.get(language, {})
        if not isinstance(words, dict) or set(words) - set(_KEYS):
            yield f"{language} holds {', '.join(_KEYS)}"
            return
        for key, value in words.items():
            texts = value if key in _LISTS else [value]
            if not isinstance(texts, list) or len(texts) > MAX_ITEMS:
                yield f"{language}, {key} is a list of at most {MAX_ITEMS} texts"
            elif not all(isinstance(text, str) and text.strip() and len(text) <= MAX_TEXT for text in texts):
                yield f"{language}, {key}: a text has 1 to {MAX_TEXT} characters"


def _nearest(signal: str, component: str, latest: Mapping[str, Mapping[str, Value]]) -> tuple[str, str] | None:
    """Its value as text, and the component that told it."""
    device = device_of(component)
    for name in dict.fromkeys((component, component.partition(" ")[0], device)):
        if value := _text(latest.get(name, {}).get(signal)):
            return value, name
    if signal.startswith("identity."):
        return None
    sisters = (_text(signals.get(signal)) for name, signals in sorted(latest.items()) if device_of(name) == device)
    values = list(dict.fromkeys(value for value in sisters if value))
    return (", ".join(values[:MAX_TOLD]), device) if values else None


def _text(value: Value | None) -> str:
    return "" if value is None else str(value).strip()
