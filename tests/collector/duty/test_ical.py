"""The iCalendar file read back by a plain reader of RFC 5545's lines: times, names, and texts that try to be lines of their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.collector.duty.clocks_of_places import HOUR, SHANGHAI, ns
from tillwatch.collector.duty.ical import FOLD, calendar
from tillwatch.collector.duty.planning import Occurrence, occurrences
from tillwatch.collector.duty.windows import Weekly, Window

NOW = ns("2026-02-14 15:00")


def read(text: str) -> list[tuple[str, str]]:
    """Unfolded and unescaped (RFC 5545, 3.1 and 3.3.11)."""
    assert text.endswith("\r\n")
    assert all(len(line.encode()) <= FOLD for line in text.split("\r\n"))
    found = []
    for line in text.replace("\r\n ", "").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        plain, escaped = "", False
        for one in value:
            plain += {"n": "\n"}.get(one, one) if escaped else "" if one == "\\" else one
            escaped = one == "\\" and not escaped
        found.append((name, plain))
    return found


def test_every_stretch_is_an_event_in_utc():
    weekly = Window("restart", "branch:Harbour", weekly=Weekly(SHANGHAI, (5,), 120, HOUR), reason="restart", approved_by="board")  # fmt: skip
    found, _ = occurrences([weekly], NOW, NOW + 14 * 24 * HOUR)
    events = read(calendar("tillwatch", found, NOW))
    assert [value for name, value in events if name == "DTSTART"] == ["20260220T180000Z", "20260227T180000Z"]
    assert [value for name, value in events if name == "DTEND"] == ["20260220T190000Z", "20260227T190000Z"]
    assert len({value for name, value in events if name == "UID"}) == 2
    assert ("SUMMARY", "branch:Harbour: restart") in events
    assert ("DESCRIPTION", "restart, approved by board") in events
    assert events[0] == ("BEGIN", "VCALENDAR")
    assert events[-1] == ("END", "VCALENDAR")


@given(st.text(max_size=300))
def test_no_text_leaves_its_line(reason):
    window = Window("M-1", "all", NOW, NOW + HOUR, reason=reason)
    lines = read(calendar("x", [Occurrence(window, NOW, NOW + HOUR)], NOW))
    names = [name for name, _ in lines]
    assert names.count("BEGIN") == names.count("END") == 2
    assert len(lines) == 5 + 9 + 1
    (summary,) = [value for name, value in lines if name == "SUMMARY"]
    printable = "".join(one if ord(one) >= 32 or one == "\n" else " " for one in reason)
    assert summary == f"all: {printable}"
