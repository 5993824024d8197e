"""Rated lives in the reader's language: who gives the figure of a part, and what a finding about wear rests on. Chosen by the id of the life and the name of the
fact; what a bank wrote in a file of its own stays as the bank wrote it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from tillwatch.collector.predict import words
from tillwatch.collector.predict.finding import WEAR, Finding
from tillwatch.collector.predict.lives import parse_lives
from tillwatch.collector.web.messages import TEXTS

SHARES = frozenset({"without_temperature"})
AMOUNTS = frozenset({"consumed", "rated"})
"""In the unit of the life."""
Said = tuple[str, int | float | str | bool | None, str]
"""What it is called, its value, its unit."""


@cache
def _shipped() -> Mapping[str, str]:
    return {life.id: life.rating.evidence for life in parse_lives().by_id.values()}


def evidence(life: str, text: str, language: str) -> str:
    """Who gives the figure of that life. text: as the table in force has it."""
    if _shipped().get(life) != text:
        return text
    return TEXTS[language](f"lifenote.{life.replace('.', '_').replace('-', '_')}")


def unit(name: str, language: str) -> str:
    """Of a life; one of a bank's own as the bank wrote it."""
    return TEXTS[language].texts.get(f"lifeunit.{name.replace(' ', '_')}", name)


def fact(finding: Finding, name: str, value: Any, language: str, zone: str) -> Said | None:
    """What a finding about wear rests on; None for what is no such fact, or of a later version."""
    say = TEXTS[language]
    if finding.family != WEAR or f"wearfact.{name}" not in say.texts:
        return None
    called = say(f"wearfact.{name}")
    source = next((given for key, given, _ in finding.factors if key == "source"), "")
    match name, value:
        case "source", str() if f"wearfact.source_{value}" in say.texts:
            return called, say(f"wearfact.source_{value}"), ""
        case "since", int() if not isinstance(value, bool):
            return called, words.day(value, zone), ""
        case "rated_range", [least, most]:
            amounts = [_amount(each, source, finding, language) for each in (least, most)]
            ends = [f"{words.number(number)}{unit_}" for number, unit_ in amounts]
            return called, say("wearfact.range", least=ends[0], most=ends[1]), ""
        case "rated_by", str():
            return called, evidence(finding.detector.partition("/")[2], value, language), ""
        case "assumed", bool():
            return called, say("wearfact.yes" if value else "wearfact.no"), ""
        case "mean_celsius", int() | float():
            return called, round(value, 1), "C"
        case (_, int() | float()) if name in SHARES:
            return called, round(100 * value, 1), "%"
        case (_, int() | float()) if name in AMOUNTS:
            number, unit_ = _amount(value, source, finding, language)
            return called, round(number, 1), unit_.strip()
    return called, value if isinstance(value, int | float | str | bool) else str(value), ""


def _amount(value: float, source: object, finding: Finding, language: str) -> tuple[float, str]:
    """A life that the device tells is a share of 1 inside, and one by the calendar is in days."""
    if source == "device_percent":
        return 100 * value, " %"
    name = "d" if source == "calendar" else str(finding.values.get("unit", ""))
    return value, f" {unit(name, language)}" if name else ""
