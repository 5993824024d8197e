"""What findings say to people, in English and Simplified Chinese: keys and values become sentences here and nowhere else, for page, command line and
ticket alike. Pure.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from tillwatch.collector.predict.finding import Finding, Record
from tillwatch.collector.tickets.words import zone_of

LANGUAGES = ("en", "zh")
FILE = "words.toml"
DIGITS = 3
"""Significant digits: the range beside it says how little the fourth would mean."""

PLACE = re.compile(r"\{([a-z_]+)\}")
WHOLE = "terminal-"
"""Before the name of a factor that is about the whole terminal."""
SYMBOLS: Mapping[str, str] = {"C": "°C", "ohm": "Ω"}
"""Units of the catalogue that people write otherwise; as part of one (`C/d`) too."""
_NAMED = ("factor",)
"""Values that are names of [factor], said in the reader's language."""


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """`section.key` -> language -> text."""
    text = files("tillwatch.collector.predict").joinpath(FILE).read_text(encoding="utf-8")
    sections = tomllib.loads(text)
    return {f"{section}.{key}": texts for section, table in sections.items() for key, texts in table.items()}


def phrase(key: str, language: str, values: Mapping[str, Any], zone: str = "") -> str:
    """One phrase; a language that there is not is English. Raises KeyError for a key that there is not."""
    texts = catalogue()[key]
    return PLACE.sub(lambda found: _said(found[1], values, language, zone), texts.get(language, texts[LANGUAGES[0]]))


def reason(finding: Finding, language: str, zone: str = "") -> str:
    """Why: what is seen, and what was usual. A reason of a later version is said by its family."""
    if finding.reason not in catalogue():
        return phrase(f"family.{finding.family}", language, {})
    return phrase(finding.reason, language, finding.values, zone)


def when(finding: Finding, language: str, zone: str = "") -> str:
    """The range of dates; empty where no date is told."""
    if finding.due is None:
        return ""
    near, likely, far = finding.due
    return phrase("range.days", language, {"near_at": near, "likely_at": likely, "far_at": far}, zone)


def sentences(finding: Finding, language: str, zone: str = "") -> Iterator[str]:
    """All that is to be said beside the chart: why, when, and how far to believe it."""
    yield reason(finding, language, zone)
    if finding.due is not None:
        yield when(finding, language, zone)
    yield from track(finding.record or Record(finding.detector, finding.kind), language, zone)
    if finding.demoted:
        yield phrase("record.demoted", language, {"kind": finding.kind})


def track(record: Record, language: str, zone: str = "") -> Iterator[str]:
    """How often the detector was right."""
    judged = record.hits + record.false
    values = {
        "kind": record.kind,
        "judged": judged,
        "hits": record.hits,
        "missed": record.missed,
        "since_at": record.since,
    }
    yield phrase("record.some" if judged else "record.none", language, values, zone)


def _said(name: str, values: Mapping[str, Any], language: str, zone: str) -> str:
    value = values.get(f"{name}.{language}", values.get(name, ""))
    if name in _NAMED:
        return factor(str(value), language)
    if name == "unit":
        symbol = "/".join(SYMBOLS.get(part, part) for part in str(value).split("/"))
        return f" {symbol}" if symbol and symbol != "%" else symbol
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if name.endswith("_at"):
        return day(int(value), zone)
    if name.endswith("_share"):
        return f"{100 * value:.0f}%"
    if name.endswith("_days"):
        return f"{value:.0f}"
    return number(value)


def factor(name: str, language: str) -> str:
    """What speaks for a failure, or for a grade; as it is named where there is no phrase for it."""
    if name.startswith(WHOLE):
        return phrase("factor.elsewhere", language, {"name": factor(name.removeprefix(WHOLE), language)})
    return phrase(f"factor.{name}", language, {}) if f"factor.{name}" in catalogue() else name


def day(at: int, zone: str) -> str:
    """at: UTC ns; zone: an IANA name, UTC where it is none."""
    return datetime.fromtimestamp(at // 10**9, UTC).astimezone(zone_of(zone)).date().isoformat()


def number(value: float) -> str:
    """With DIGITS significant digits, never with an exponent that people would have to read."""
    if isinstance(value, int) or abs(value) >= 10**DIGITS:
        return f"{value:,.0f}"
    return f"{value:.{DIGITS}g}" if abs(value) >= 1e-4 or not value else f"{value:.1e}"
