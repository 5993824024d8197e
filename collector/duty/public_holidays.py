"""Public holidays, written as dates into the text of a policy before it is journaled. The library that knows them is asked here only: what a
replay reads are the dates of that day, whatever the library says by then.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator
from typing import Any

from tillwatch.collector.duty.tables import PolicyError

_PLACE = re.compile(r"[A-Z]{2,3}(-[A-Za-z0-9]{1,4})?")


def resolve(text: str, years: Collection[int]) -> str:
    """The text with a table [holidays.XX] for each country XX, or part of one such as DE-BY, that its calendars name and that has none yet.
    Raises PolicyError for a place that is not known.
    """
    try:
        policy = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"policy: {error}") from None
    known = policy.get("holidays", {})
    places = dict.fromkeys(place for place in _places(policy) if place not in known)
    tables = [_table(place, years) for place in places]
    if not tables:
        return text
    resolved = "\n".join([text.rstrip("\n"), *tables])
    try:
        tomllib.loads(resolved)
    except tomllib.TOMLDecodeError:
        raise PolicyError(
            "policy holidays: write each place as a table, [holidays.XX], with days and working_days below it"
        ) from None
    return resolved


def _places(policy: dict[str, Any]) -> Iterator[str]:
    calendars = policy.get("calendar", {})
    for calendar in calendars.values() if isinstance(calendars, dict) else ():
        named = calendar.get("holidays", ()) if isinstance(calendar, dict) else ()
        for place in [named] if isinstance(named, str) else named:
            if isinstance(place, str):
                yield place


def _table(place: str, years: Collection[int]) -> str:
    import holidays  # noqa: PLC0415 - a replay reads policies without it

    country, _, part = place.partition("-") if _PLACE.fullmatch(place) else ("", "", "")
    try:
        found = holidays.country_holidays(country, subdiv=part or None, years=years)
    except NotImplementedError:  # so the library says that it knows no such country, or no such part of it
        known = "a country such as CN, or a part of one such as DE-BY"
        raise PolicyError(
            f"[calendar] holidays: {place!r} is not known; write {known}, or its days in [holidays.{place}]"
        ) from None
    days = sorted(day.isoformat() for day in found)
    working = sorted(day.isoformat() for day in found.weekend_workdays if day.year in years)
    return f"\n[holidays.{place}]\ndays = {_list(days)}\nworking_days = {_list(working)}\n"


def _list(days: list[str]) -> str:
    return f"[{', '.join(repr(day) for day in days)}]".replace("'", '"')
