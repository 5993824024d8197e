"""The catalogue: complete in both languages, nothing missing, nothing unused; times and lengths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tillwatch.collector.incident import incidents
from tillwatch.collector.tickets import words
from tillwatch.collector.tickets.words import LANGUAGES, again, catalogue, lasting, phrase, stamp

COLLECTOR = Path(words.__file__).resolve().parents[1]
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in COLLECTOR.rglob("*.py"))
SAID = {f"note.{key}" for key in re.findall(r"""\b(?:say|Saying)\(\s*"([a-z_]+)\"""", SOURCE)}
SAID |= {f"note.{key}" for pair in re.findall(r'say\("([a-z_]+)" if \w+ else "([a-z_]+)"', SOURCE) for key in pair}
OPERATORS = (COLLECTOR / "operators.py").read_text(encoding="utf-8")
SAID |= {f"note.{key}" for key in re.findall(r'"([a-z_]+)"', OPERATORS.partition("_KINDS: ")[2].partition("}")[0])}
STATES = {f"state.{state}" for state in (*incidents.LIVING, incidents.RESOLVED, incidents.CLOSED, incidents.DROPPED)}


def test_every_phrase_is_in_both_languages_with_the_same_places():
    for key, texts in catalogue().items():
        assert set(texts) == set(LANGUAGES), key
        places = [sorted(re.findall(r"\{(\w+)\}", texts[language])) for language in LANGUAGES]
        assert places[0] == places[1], key
        assert all(texts.values()), key


def test_every_saying_has_its_phrase():
    assert {key for key in SAID if key not in catalogue()} - NO_SAYINGS == set()
    assert set(catalogue()) >= STATES


NO_SAYINGS = {"note.acknowledge", "note.assign", "note.in", "note.hold", "note.resume", "note.resolve", "note.close"}
"""What people ask for; the other column of that table is what is said."""


def test_no_phrase_is_unused():
    text = (COLLECTOR / "tickets" / "text.py").read_text(encoding="utf-8")
    direct = set(re.findall(r'"([a-z]+\.[a-z_]+)"', SOURCE))
    used = SAID | STATES | direct | {f"text.{key}" for key in re.findall(r"""["']([a-z_]+)["']""", text)}
    used |= {f"unit.{unit}" for unit, _ in words._UNITS}
    used |= {key for key in catalogue() if key.startswith("cause.")}  # what the fold says itself: see the next but one
    assert set(catalogue()) - used == set()


def test_a_value_that_looks_like_a_place_stays_as_it_is():
    assert phrase("note.closed_but_there", "en", {"by": "{by} {clock}"}).startswith("{by} {clock} closed it")


def test_a_value_may_be_another_one_in_a_language():
    values = {"incident": "HWM-1", "title": "Fire", "title.zh": "火警"}
    assert phrase("note.explained_titled", "zh", values) == "由事件 HWM-1 引起：火警"
    assert phrase("note.explained_titled", "en", values) == "Explained by HWM-1: Fire"


@pytest.mark.parametrize(
    ("text", "zh"),
    [
        ("40 of 42 within 90 s", "90 秒内，42 台中有 40 台"),
        ("3 branches within 120 s", "120 秒内，3 个网点"),
        ("90 of 100 terminals of 4 branches", "4 个网点的 100 台终端中有 90 台"),
        ("40 of 42", "40 of 42"),
    ],
)
def test_what_was_concluded_is_said_again(text, zh):
    assert (again(text, "zh"), again(text, "en")) == (zh, text)


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (0, "0 s", "0 秒"),
        (-5, "0 s", "0 秒"),
        (59, "59 s", "59 秒"),
        (60, "1 min", "1 分钟"),
        (3_725, "1 h 2 min", "1 小时 2 分钟"),
        (90_061, "1 d 1 h", "1 天 1 小时"),
        (86_400 + 61, "1 d", "1 天"),
    ],
)
def test_lengths_are_told_in_two_units(seconds, en, zh):
    assert (lasting(seconds * 10**9, "en"), lasting(seconds * 10**9, "zh")) == (en, zh)


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("Asia/Shanghai", "2026-09-21 22:13:20+08:00"),
        ("America/New_York", "2026-09-21 10:13:20-04:00"),
        ("", "2026-09-21 14:13:20+00:00"),
        ("No/Such", "2026-09-21 14:13:20+00:00"),
        ("../etc", "2026-09-21 14:13:20+00:00"),
    ],
)
def test_times_are_local_and_say_how_far_from_utc(zone, told):
    assert stamp(1_790_000_000 * 10**9, zone) == told
