"""Diagnosis cards by their words, in both languages at once: whoever knows the English name of a fault finds the Chinese card, and the other way round. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tillwatch.collector.alarm.diagnosis import COMPONENT, LANGUAGES, Cards
from tillwatch.collector.alarm.rules import Rule

MAX_WORDS = 12
"""Words of one question; more are ignored."""
_HAN = re.compile(r"[㐀-鿿]")
_WEIGHTS = {"text": 8, "rule": 6, "parts": 4, "means": 3, "cause": 3, "consequence": 2, "action": 2, "branch": 1, "engineer": 2}  # fmt: skip
"""What a word counts by where it stands: what is broken before what to bring for it."""


@dataclass(frozen=True, slots=True)
class Hit:
    """score: greater fits better; where: the places in which words were found, of _WEIGHTS."""

    rule: str
    score: int
    where: tuple[str, ...]


class CardIndex:
    """All cards of a table of rules, ready to be looked through. Some hundred cards of some kilobytes: looking at all of them takes a millisecond."""

    def __init__(self, cards: Cards, rules: Iterable[Rule]) -> None:
        self._texts = {rule.id: dict(_texts(cards, rule)) for rule in rules}

    def search(self, question: str) -> list[Hit]:
        """Cards in which every word stands, in whichever language, the best first; all of them for no words."""
        words = question.casefold().split()[:MAX_WORDS]
        hits = (self._hit(rule, texts, words) for rule, texts in self._texts.items())
        return sorted((hit for hit in hits if hit is not None), key=lambda hit: (-hit.score, hit.rule))

    @staticmethod
    def _hit(rule: str, texts: dict[str, str], words: list[str]) -> Hit | None:
        score, where = 0, dict[str, None]()
        for word in words:
            found = [place for place, text in texts.items() if _stands(word, text)]
            if not found:
                return None
            score += sum(_WEIGHTS[place] for place in found)
            where |= dict.fromkeys(found)
        return Hit(rule, score, tuple(where))


def _stands(word: str, text: str) -> bool:
    """Chinese is written without blanks: a run of it that does not stand as it is, is taken two signs at a time."""
    if word in text:
        return True
    if not _HAN.search(word) or len(word) < 3:
        return False
    return all(word[i : i + 2] in text for i in range(len(word) - 1))


def _texts(cards: Cards, rule: Rule) -> Iterator[tuple[str, str]]:
    """Place -> its text in all languages."""
    shown = [cards.card(rule, language) for language in LANGUAGES]
    labels = [cards.labels[name][card.language] for card in shown for name in card.parts if name != COMPONENT]
    yield "text", " ".join(card.text for card in shown).casefold()
    yield "rule", f"{rule.id} {' '.join(rule.signals)} {rule.party}".casefold()
    yield "parts", " ".join(labels).casefold()
    for place in ("means", "cause", "consequence", "action"):
        yield place, " ".join(str(getattr(card, place)) for card in shown).casefold()
    yield "branch", " ".join(each for card in shown for each in card.branch_checks).casefold()
    yield "engineer", " ".join(each for card in shown for each in card.engineer_brings).casefold()
