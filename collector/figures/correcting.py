"""What a person says of a stretch of a terminal's time, for the command line and the console: what must be said, and what it changes in the figures. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tillwatch.collector.alarm.rules import PARTIES
from tillwatch.collector.figures.availability import COUNTS, History, stretches
from tillwatch.collector.figures.intervals import Span, intersect, total
from tillwatch.collector.records import COUNTS_AS, Correction

MAX_REASON = 200
"""Characters: one line on a page."""


class CorrectionError(ValueError):
    """It cannot be meant so. field: `from`, `to`, `reason`, `counts_as` or `party`; the text says what to write instead."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def check(since: int, until: int, counts_as: str, reason: str, party: str, now: int) -> str:
    """The reason without blanks around it. Times in UTC ns. Raises CorrectionError."""
    if not 0 < since < until <= now:
        msg = "the end lies after the beginning, and nothing is corrected that has not been yet; what is planned is a maintenance window"
        raise CorrectionError("to", msg)
    said = reason.strip()
    if not said or len(said) > MAX_REASON or not said.isprintable():
        raise CorrectionError("reason", f"say why, in up to {MAX_REASON} printable characters")
    if counts_as not in COUNTS_AS:
        raise CorrectionError("counts_as", f"one of {', '.join(COUNTS_AS)}")
    if party not in PARTIES:
        raise CorrectionError("party", f"one of {', '.join(PARTIES)}")
    return said


def facts(terminal: str, since: int, until: int, counts_as: str, reason: str, party: str) -> dict[str, Any]:
    """Of the act, as it is journaled."""
    return {
        "action": "correct", "terminal": terminal, "from": since, "to": until, "counts_as": counts_as, "reason": reason, "party": party,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Effect:
    """before, after: ns of the correction's scheduled time by what it counts as (network), without this and all later ones, and with this one; what is in
    neither is out of the schedule. counts: whether it still decides any of its time, or later ones have taken all of it.
    """

    correction: Correction
    before: Mapping[str, int]
    after: Mapping[str, int]
    scheduled: int
    counts: bool


def effects(history: History, hours: Sequence[Span], outages: Iterable[Span] = ()) -> list[Effect]:
    """Of each correction, in the order in which they were made."""
    away, found = list(outages), []
    for one in sorted(history.corrections, key=lambda each: each.n):
        span = intersect(hours, [(one.since, one.until)])
        earlier = [each for each in history.corrections if each.n < one.n]
        later = [(each.since, each.until) for each in history.corrections if each.n > one.n]
        found.append(
            Effect(
                one,
                _counted(replace(history, corrections=earlier), span, away),
                _counted(replace(history, corrections=[*earlier, one]), span, away),
                total(span),
                total(intersect([(one.since, one.until)], later)) < one.until - one.since,
            )
        )
    return found


def _counted(history: History, span: Sequence[Span], away: Iterable[Span]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for each in stretches(history, span, away):
        counted[each.counts[0]] += each.length
    return {word: counted[word] for word in COUNTS if counted[word]}
