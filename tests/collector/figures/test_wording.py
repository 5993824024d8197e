"""The catalogue of the report: complete in both languages, nothing missing, nothing unused; and how numbers are said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tillwatch.collector.alarm.rules import PARTIES
from tillwatch.collector.figures import wording
from tillwatch.collector.figures.availability import DEFINITIONS
from tillwatch.collector.figures.course import PHASES
from tillwatch.collector.figures.rollup import FLEET, KINDS, Scope
from tillwatch.collector.figures.tally import Ratio
from tillwatch.collector.figures.wording import CATALOGUE, Wording
from tillwatch.collector.figures.work_view import QUALITY, RATIOS
from tillwatch.collector.incident.incidents import VERDICTS
from tillwatch.collector.records import CAUSES, COUNTS_AS, LIFE_CYCLE, OFFLINE, STATES
from tillwatch.collector.web.messages import LANGUAGES, catalogue

FOLDER = Path(wording.__file__).parent
ALL = catalogue(CATALOGUE)
EXACT = re.compile(r"""["']([a-z]+\.[a-z0-9_]+)["']""")
FAMILIES = {
    "scope": KINDS,
    "counts": COUNTS_AS,
    "definition": DEFINITIONS,
    "service": (*RATIOS, *QUALITY, *PHASES),
    "cause": CAUSES,
    # What is out of the schedule has no stretch, and an offline time is named by its cause.
    "state": (*(set(STATES) - {*LIFE_CYCLE, OFFLINE}), "outage"),
    "party": PARTIES,
    "verdict": VERDICTS,
    "load": ("since", "until", "by", "reason"),
    "scopes": ("regions", "branches", "vendors", "terminals"),
    "changes": ("entry", "from", "to", "counts_as", "by", "made", "why"),
}
"""Keys that are made of a word of a closed list."""


def definitions():
    source = (FOLDER / "report.py").read_text("utf-8")
    names = re.search(r"names = \((.*?)\)", source, re.DOTALL)
    words = re.findall(r'"(\w+)"', names[1]) if names else []
    return {f"definitions.{word}{suffix}" for word in words for suffix in ("", "_text")}


def made():
    return {f"{family}.{word}" for family, words in FAMILIES.items() for word in words} | definitions()


def written():
    text = "\n".join(path.read_text("utf-8") for path in FOLDER.glob("*.py"))
    return {key for key in EXACT.findall(text) if key.partition(".")[0] in {name.partition(".")[0] for name in ALL}}


def test_every_message_is_in_every_language_with_the_same_places():
    for key, texts in ALL.items():
        assert set(texts) == set(LANGUAGES), key
        places = {language: sorted(re.findall(r"\{(\w+)\}", text)) for language, text in texts.items()}
        assert places["en"] == places["zh"], key
        assert all(texts.values()), key


def test_no_message_is_missing_and_none_unused():
    assert sorted(made() - set(ALL)) == []
    assert sorted(written() - set(ALL) - {"report.css", "report.html", "report.xlsx"}) == []
    assert sorted(set(ALL) - made() - written()) == []


EN, ZH = (Wording(language, "Asia/Shanghai", {"atm.jam": "Something is jammed"}) for language in ("en", "zh"))
S = 10**9


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (None, "–"),
        (0, "0 min"),
        (1, "1 s"),
        (59 * S, "59 s"),
        (60 * S, "1 min"),
        (3599 * S, "1 h"),
        (5400 * S, "1 h 30 min"),
        (47 * 3600 * S, "47 h"),
        (49 * 3600 * S, "2 d 1 h"),
        (96 * 3600 * S, "4 d"),
    ],
)
def test_spans_are_said_in_two_units_at_most(ns, said):
    assert EN.span(ns) == said


def test_shares_times_and_names():
    assert EN.percent(None) == EN.range(None, 1.0) == "–"
    assert EN.percent(0.0049999) == "0.500%"
    assert EN.range(0.99, 0.995, 2) == "99.00 … 99.50%"
    assert EN.at(1_790_000_000 * S) == "2026-09-21 22:13"
    assert EN.at(0) == "–"
    assert (EN.of(Ratio(3, 4)), EN.of(Ratio(3, 4, 1))) == ("3 of 4", "3 of 4; 1 not to be judged")
    assert [EN.reason(word) for word in ("atm.jam", "offline:power", "offline:solar flare", "supervisor", "a <b> wrote this", "ups.odd")] == [
        "Something is jammed", "Offline: power", "offline:solar flare", "Supervisor", "a <b> wrote this", "ups.odd",
    ]  # fmt: skip
    assert ZH.reason("offline:power") == "离线：断电"
    assert (EN.scope(FLEET), EN.scope(Scope("vendor", "")), ZH.scope(Scope("branch", "滨海"))) == (
        "Fleet",
        "Maker not known",
        "网点 滨海",
    )
    assert EN.one("verdict", "of a newer version") == "of a newer version"
