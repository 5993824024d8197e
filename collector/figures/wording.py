"""How the report says things: shares, spans, times in the zone of the report, and the names of reasons, parties and scopes, in one language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tillwatch.collector.figures.rollup import Scope
from tillwatch.collector.figures.tally import Mean, Ratio
from tillwatch.collector.records import OFFLINE
from tillwatch.collector.tickets.outages import evidence
from tillwatch.collector.web.messages import LANGUAGES, Text, catalogue

CATALOGUE = Path(__file__).with_name("messages.toml")
_ALL = catalogue(CATALOGUE)
TEXTS = {language: Text(language, {key: texts[language] for key, texts in _ALL.items()}) for language in LANGUAGES}
DASH = "–"
"""Where there is no base."""
S = 10**9
MINUTE, HOUR = 60 * S, 3600 * S


class Wording:
    """titles: what the alarms of rules are called, by rule id."""

    def __init__(self, language: str, zone: str, titles: Mapping[str, str]) -> None:
        self.text = TEXTS[language]
        self.zone_name = zone
        self._zone = ZoneInfo(zone)
        self.titles = titles

    def __call__(self, key: str, **values: object) -> str:
        return self.text(key, **values)

    def percent(self, share: float | None, digits: int = 3) -> str:
        return DASH if share is None else f"{share * 100:.{digits}f}%"

    def range(self, least: float | None, most: float | None, digits: int = 3) -> str:
        if least is None or most is None:
            return DASH
        return f"{least * 100:.{digits}f} … {most * 100:.{digits}f}%"

    def span(self, ns: int | None) -> str:
        """Two units at most: nobody plans by the seconds of a day."""
        if ns is None:
            return DASH
        if 0 < ns < MINUTE:
            return self("unit.seconds", n=max(1, round(ns / S)))
        minutes = round(ns / MINUTE)
        if minutes < 60:
            return self("unit.minutes", n=minutes)
        if minutes < 2 * 1440:
            return self("unit.hours" if minutes % 60 else "unit.whole_hours", n=minutes // 60, m=minutes % 60)
        hours = round(ns / HOUR)
        return self("unit.days" if hours % 24 else "unit.whole_days", n=hours // 24, m=hours % 24)

    def at(self, ns: int) -> str:
        """By the minute."""
        return f"{self._local(ns):%Y-%m-%d %H:%M}" if ns else DASH

    def day(self, ns: int) -> str:
        return f"{self._local(ns):%Y-%m-%d}"

    def _local(self, ns: int) -> datetime:
        return datetime.fromtimestamp(ns // S, UTC).astimezone(self._zone)

    def met(self, ratio: Ratio) -> str:
        return self.percent(ratio.share, 1)

    def of(self, ratio: Ratio) -> str:
        if ratio.open:
            return self("summary.of_open", part=ratio.part, base=ratio.base, open=ratio.open)
        return self("summary.of", part=ratio.part, base=ratio.base)

    def mean(self, mean: Mean) -> str:
        return self.span(mean.mean)

    def rule(self, rule: str) -> str:
        return self.titles.get(rule, rule)

    def reason(self, reason: str) -> str:
        """Of a stretch: a rule, a state, an offline time with its cause, or what a person wrote."""
        kind, _, cause = reason.partition(":")
        if kind == OFFLINE and f"cause.{cause}" in self.text.texts:
            return self(f"cause.{cause}")
        return self.one("state", reason) if f"state.{reason}" in self.text.texts else self.rule(reason)

    def why(self, why: str, source: str) -> str:
        """The evidence of an outage; what a person wrote of a correction stays as it is."""
        return why if source == "correction" else evidence(why, self.text.language)

    def one(self, family: str, word: str) -> str:
        """The name of a word of a closed list; one of a newer version stays as it is."""
        key = f"{family}.{word}"
        return self(key) if key in self.text.texts else word

    def scope(self, scope: Scope) -> str:
        kind = self(f"scope.{scope.kind}")
        if scope.kind == "fleet":
            return kind
        return f"{kind} {scope.name or self('report.unknown')}"
