"""Phrases for tickets and messages out of one catalogue (words.toml), in English and Simplified Chinese, and the times and lengths in them. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from tillwatch.collector.tickets.outages import evidence

LANGUAGES = ("en", "zh")
CATALOGUE = Path(__file__).with_name("words.toml")

_PLACE = re.compile(r"\{([a-z_]+)\}")
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """`section.key` -> language -> text."""
    sections = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    return {f"{section}.{key}": texts for section, table in sections.items() for key, texts in table.items()}


def phrase(key: str, language: str, values: Mapping[str, object]) -> str:
    """One phrase. Of a value that is different in a language, `name.zh` is that one. A language that there is not: English. Raises KeyError for
    a key that there is not.
    """
    texts = catalogue()[key]

    def value(found: re.Match[str]) -> str:
        name = found[1]
        return str(values.get(f"{name}.{language}", values.get(name, "")))

    # In one pass: a device may have told "{by}".
    return _PLACE.sub(value, texts.get(language, texts[LANGUAGES[0]]))


def again(text: str, language: str) -> str:
    """What the fold concluded, in a language: its own words where there is no phrase for them."""
    for pattern, key in _causes():
        if found := pattern.fullmatch(text):
            return phrase(key, language, found.groupdict())
    return evidence(text, language)


@cache
def _causes() -> tuple[tuple[re.Pattern[str], str], ...]:
    causes = [(key, texts["en"]) for key, texts in catalogue().items() if key.startswith("cause.")]
    return tuple((re.compile(_PLACE.sub(r"(?P<\1>[0-9]+)", english)), key) for key, english in causes)


def stamp(at: int, zone: str) -> str:
    """A time of day that cannot be misread. at: UTC ns; zone: an IANA name, UTC where it is none."""
    return datetime.fromtimestamp(at // 10**9, UTC).astimezone(zone_of(zone)).isoformat(sep=" ", timespec="seconds")


def day_at(at: int, zone: str) -> date:
    """The day by the clocks of a zone. at: UTC ns; zone: an IANA name, UTC where it is none."""
    return datetime.fromtimestamp(at // 10**9, UTC).astimezone(zone_of(zone)).date()


def zone_of(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found; empty or a path; a folder of the time zones
        return UTC


def lasting(ns: int, language: str) -> str:
    """A length in its two largest units: `2 h 5 min`."""
    left = max(ns, 0) // 10**9
    told: list[str] = []
    for unit, seconds in _UNITS:
        n, left = divmod(left, seconds)
        if n or told:
            told.append(phrase(f"unit.{unit}", language, {"n": n}) if n else "")
        if len(told) == 2:
            break
    return " ".join(filter(None, told)) or phrase("unit.s", language, {"n": 0})
