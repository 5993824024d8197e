"""Maintenance windows as an iCalendar file (RFC 5545), for the calendars that people have already. Every stretch is an event of its own with its times in UTC: no
reader has to know the site's time zones, and summer time moves nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from tillwatch.collector.duty.planning import Occurrence

MEDIA_TYPE = "text/calendar; charset=utf-8"
PRODUCT = "-//tillwatch//maintenance windows//EN"
FOLD = 75
"""Octets of a line, RFC 5545, 3.1."""


def calendar(name: str, occurrences: Iterable[Occurrence], made_at: int) -> str:
    """name: of the calendar as its reader shows it; made_at: UTC ns."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PRODUCT}", "CALSCALE:GREGORIAN", f"X-WR-CALNAME:{_text(name)}"]
    for each in occurrences:
        lines += _event(each, made_at)
    lines.append("END:VCALENDAR")
    return "".join(f"{folded}\r\n" for line in lines for folded in _folded(line))


def _event(each: Occurrence, made_at: int) -> Iterator[str]:
    window = each.window
    yield "BEGIN:VEVENT"
    # The same stretch keeps its name, so that a calendar that fetches the file again changes nothing.
    yield f"UID:{_text(window.id)}-{each.since // 10**9}@tillwatch"
    yield f"DTSTAMP:{_time(made_at)}"
    yield f"DTSTART:{_time(each.since)}"
    yield f"DTEND:{_time(each.until)}"
    yield f"SUMMARY:{_text(f'{window.scope}: {window.reason}')}"
    said = (("", window.id), ("by ", window.by), ("approved by ", window.approved_by), ("change ", window.change_ref))
    yield f"DESCRIPTION:{_text(', '.join(f'{word}{value}' for word, value in said if value))}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _time(at: int) -> str:
    return datetime.fromtimestamp(at // 10**9, UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return "".join(" " if ord(one) < 32 else one for one in escaped.replace("\n", "\\n"))


def _folded(line: str) -> Iterator[str]:
    """In lines of FOLD octets at most, each further one behind a blank; no character is cut in two."""
    part, room = "", FOLD
    for one in line:
        size = len(one.encode())
        if size > room:
            yield part
            part, room = " ", FOLD - 1
        part += one
        room -= size
    yield part
