"""Cards by their words: in whichever language, every word, the best first."""

from __future__ import annotations

import pytest

from tillwatch.collector.alarm.card_search import MAX_WORDS, CardIndex
from tillwatch.collector.alarm.diagnosis import parse_cards
from tillwatch.collector.alarm.rules import parse_rules

RULES = parse_rules()
INDEX = CardIndex(parse_cards(), RULES.by_id.values())


def test_without_words_all_cards_are_there() -> None:
    assert {hit.rule for hit in INDEX.search("")} == set(RULES.by_id)
    assert all(hit.score == 0 for hit in INDEX.search("  "))


@pytest.mark.parametrize(
    ("question", "rule"),
    [
        ("ups.on-battery", "ups.on-battery"),
        ("UPS battery MAINS", "ups.on-battery"),
        ("市电", "ups.on-battery"),
        ("UPS 由电池供电", "ups.on-battery"),
        ("host.disk.percent", "disk.full"),
    ],
)
def test_a_card_is_found_in_either_language(question: str, rule: str) -> None:
    assert rule in [hit.rule for hit in INDEX.search(question)]


def test_every_word_must_stand_somewhere() -> None:
    assert INDEX.search("battery xylophone") == []
    both = {hit.rule for hit in INDEX.search("battery printer")}
    assert both <= {hit.rule for hit in INDEX.search("battery")} & {hit.rule for hit in INDEX.search("printer")}


def test_what_is_broken_counts_more_than_what_to_bring() -> None:
    hits = INDEX.search("电池")
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.rule))
    assert "text" in hits[0].where
    assert hits[0].score > hits[-1].score


def test_chinese_without_blanks_is_found_by_its_pairs() -> None:
    assert [hit.rule for hit in INDEX.search("电池充不进")]
    assert INDEX.search("电池长颈鹿") == []


def test_a_long_question_is_cut() -> None:
    assert INDEX.search(" ".join(["battery"] * MAX_WORDS + ["xylophone"])) == INDEX.search("battery " * MAX_WORDS)


def test_a_banks_own_words_are_found_too() -> None:
    own = parse_cards('["disk.full".en]\nengineer = ["A zebra-striped SSD"]\n', RULES.by_id)
    hits = CardIndex(own, RULES.by_id.values()).search("zebra-striped")
    assert [(hit.rule, hit.where) for hit in hits] == [("disk.full", ("engineer",))]
