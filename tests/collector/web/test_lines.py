"""Lines as text: what is filled in is written as people write it."""

from __future__ import annotations

import time

import pytest

from tillwatch.collector.incident.case import Line
from tillwatch.collector.web.lines import say, span, stamp
from tillwatch.collector.web.messages import TEXTS


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (45, "45 s"), (90, "90 s"), (120, "2 min"), (5400, "90 min"), (14400, "4 h"), (86400, "1 d"), (0.5, "0.5 s")],
)  # fmt: skip
def test_lengths_have_the_largest_unit_that_is_whole(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_times_are_of_this_place_and_say_their_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    try:
        assert stamp(1_790_000_000_123_456_789) == "2026-09-21 22:13:20+08:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_line_is_filled_in_its_language_and_leaves_no_loose_blanks() -> None:
    line = Line("rule", "why.above", {"signal": "host.disk.percent", "value": 93.25, "unit": "", "limit": 90.0})
    assert say(TEXTS["en"], line) == "host.disk.percent was 93.25, above the limit of 90."
    masked = Line("mask", "why.masked_before", {"mask_key": "mask.shelved", "since_at": 0, "until_at": 0})
    assert "已搁置" in say(TEXTS["zh"], masked)
    assert "mask.unheard-of" in say(
        TEXTS["en"], Line("mask", masked.key, {**masked.values, "mask_key": "mask.unheard-of"})
    )
