"""Dates as devices write them, without strptime and the locale that it loads. A format is written with yyyy, yy, mm, dd and mon (Jan);
`DateAndTime` are the 8 or 11 octets of SNMPv2-TC. What stands behind the date in a text, such as a time, is not read.
"""

from __future__ import annotations

import functools
import re
from datetime import date

DATE_AND_TIME = "DateAndTime"
_TOKENS = {
    "yyyy": r"(?P<y>\d{4})",
    "yy": r"(?P<y>\d{2})",
    "mm": r"(?P<m>\d{1,2})",
    "dd": r"(?P<d>\d{1,2})",
    "mon": r"(?P<mon>[A-Za-z]{3})[a-z]*",
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_PIVOT = 70
"""Two digits from here are of 19xx: UPS cards are younger than 1970 and none was made in 2070."""


@functools.cache
def compiled(form: str) -> re.Pattern[str]:
    """Raises ValueError where the format has no year, month and day."""
    pattern = "".join(_TOKENS.get(part, re.escape(part)) for part in re.split(r"(yyyy|yy|mm|dd|mon)", form))
    try:
        found = re.compile(rf"\s*{pattern}(?!\d)")
    except re.error:
        raise ValueError(form) from None
    if not {"y", "d"} <= set(found.groupindex) or not {"m", "mon"} & set(found.groupindex):
        raise ValueError(form)
    return found


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def parse(raw: object, text: str, form: str) -> date | None:
    """The day, or None: `00/00/0000` and the like are none. raw: the value itself, where it is octets; text: the same as text."""
    if form == DATE_AND_TIME:
        if not isinstance(raw, bytes) or len(raw) not in {8, 11}:
            return None
        return _day(int.from_bytes(raw[:2], "big"), raw[2], raw[3])
    found = compiled(form).match(text)
    if not found:
        return None
    parts = found.groupdict()
    year = int(parts["y"])
    if len(parts["y"]) == 2:
        year += 1900 if year >= _PIVOT else 2000
    word = (parts.get("mon") or "").lower()
    if word and word not in _MONTHS:
        return None
    return _day(year, _MONTHS.index(word) + 1 if word else int(parts["m"]), int(parts["d"]))
