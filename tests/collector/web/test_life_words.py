"""Rated lives in both languages: each that ships has its texts, and what a bank wrote stays."""

from __future__ import annotations

import re

import pytest

from tillwatch.collector.detect.wear import WearState, wear
from tillwatch.collector.predict.finding import Finding
from tillwatch.collector.predict.lifetimes import _fact
from tillwatch.collector.predict.lives import parse_lives
from tillwatch.collector.web import life_words
from tillwatch.collector.web.messages import TEXTS

LIVES = parse_lives().by_id
HAN = re.compile(r"[\u4e00-\u9fff]")
DAY = 86_400 * 10**9


@pytest.mark.parametrize("life", sorted(LIVES))
def test_a_life_that_ships_says_who_gives_its_figure_in_both_languages(life: str) -> None:
    said = LIVES[life].rating.evidence
    assert life_words.evidence(life, said, "en") == said
    assert HAN.search(life_words.evidence(life, said, "zh"))
    assert life_words.evidence(life, "our own contract", "zh") == "our own contract"
    if LIVES[life].unit not in ("", "%"):
        assert HAN.search(life_words.unit(LIVES[life].unit, "zh"))


def test_no_note_is_of_a_life_that_does_not_ship() -> None:
    notes = {key.partition(".")[2] for key in TEXTS["en"].texts if key.startswith("lifenote.")}
    assert notes == {life.replace(".", "_").replace("-", "_") for life in LIVES}


def finding(life: str) -> Finding:
    rating = LIVES[life].rating
    state = WearState(consumed=rating.rated / 2, at=100 * DAY, since=DAY, warmth=27.0 * 9, timed=9, unmeasured=9 * DAY)
    factors = tuple((name, _fact(value), 1.0) for name, value in wear(rating, state, None).evidence)
    return Finding(
        "f", f"wear/{life}", "wear", "t", "ups", "ups", "s", "open", "later", 0, 0, values={"unit": LIVES[life].unit}, factors=factors
    )  # fmt: skip


@pytest.mark.parametrize("life", ["ups.battery", "printer.cutter", "drive.wear"])
def test_all_that_a_finding_about_wear_rests_on_is_said_in_chinese(life: str) -> None:
    made = finding(life)
    said = {name: life_words.fact(made, name, value, "zh", "Asia/Shanghai") for name, value, _ in made.factors}
    assert set(said) >= {"source", "consumed", "since", "rated", "rated_range", "rated_by", "assumed"}
    for name, told in said.items():
        assert told is not None, name
        assert HAN.search(told[0]), name
        if isinstance(told[1], str) and name != "since":
            assert HAN.search(told[1]) or life == "drive.wear", name
    assert said["since"] is not None
    assert said["since"][1] == "1970-01-02"


def test_amounts_are_in_the_unit_that_people_know() -> None:
    battery, drive = finding("ups.battery"), finding("drive.wear")
    facts = {name: value for name, value, _ in battery.factors}
    assert life_words.fact(battery, "rated", facts["rated"], "zh", "") == ("额定寿命", round(facts["rated"], 1), "天")
    assert life_words.fact(battery, "mean_celsius", facts["mean_celsius"], "en", "") == (
        "mean temperature",
        27.0,
        "C",
    )
    shares = {name: value for name, value, _ in drive.factors}
    assert life_words.fact(drive, "consumed", shares["consumed"], "en", "") == ("used", 50.0, "%")
    assert life_words.fact(battery, "of-a-later-version", 1, "zh", "") is None
    trend = Finding("f", "trend/x", "trend", "t", "ups", "ups", "s", "open", "later", 0, 0)
    assert life_words.fact(trend, "rated", 1, "zh", "") is None
