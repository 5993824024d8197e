"""What people write as times, lengths and names at the command line."""

from __future__ import annotations

from datetime import datetime

import pytest

from tillwatch.collector.commands.acting import another, length, moment, words
from tillwatch.collector.commands.acts import actor
from tillwatch.collector.commands.output import CommandError

S = 10**9
NOW = 1_790_000_000 * S


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * S


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("now", NOW),
        ("+90m", NOW + 5400 * S),
        ("+2h", NOW + 7200 * S),
        ("+1d", NOW + 86_400 * S),
        ("2026-03-29T02:30", ns("2026-03-29T03:00+02:00")),  # there is no such time: the clocks go on at three
        ("2026-07-01T09:00", ns("2026-07-01T09:00+02:00")),
        ("2026-07-01", ns("2026-07-01T00:00+02:00")),
        ("2026-07-01T09:00:30+08:00", ns("2026-07-01T09:00:30+08:00")),
        ("2026-07-01T09:00:00Z", ns("2026-07-01T09:00:00+00:00")),
    ],
)
def test_times(text: str, at: int) -> None:
    assert moment(text, "Europe/Berlin", "--to", NOW) == at


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "25:00", "2026-13-01", "+", "+2", "+2w", "+-1h", "+0h", "+99999d", "2026-07-01T09:00+25:00"],
)
def test_what_is_no_time_is_said_with_the_mend(text: str) -> None:
    with pytest.raises(CommandError, match=r"--to .*write ") as told:
        moment(text, "Europe/Berlin", "--to", NOW)
    assert told.value.status == 2


def test_lengths_have_one_unit() -> None:
    assert length("15m", "--for") == 900 * S
    with pytest.raises(CommandError, match="write 30m, 2h or 1d"):
        length("1h30m", "--for")


@pytest.mark.parametrize("text", ["x" * 201, "two\nlines", "bell\a"])
def test_words_are_one_printable_line(text: str) -> None:
    with pytest.raises(CommandError, match="printable characters"):
        words(text, "--note")


def test_words_that_are_needed_are_not_empty() -> None:
    assert words("  on my way ", "--note") == "on my way"
    assert words(None, "--note") == ""
    with pytest.raises(CommandError, match="--reason is empty"):
        words("  ", "--reason", needed=True)


def test_who_agrees_is_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "Li.Wei")
    own = actor()
    assert another("chen", "--second") == "chen"
    for name in ("li.wei", own.partition(" (as ")[2].rstrip(")")):
        with pytest.raises(CommandError, match="that is you"):
            another(name, "--second")
