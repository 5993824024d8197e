"""Every sentence is there in both languages, with the values that it is filled with, and none stands there for nobody."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tillwatch.collector import predict
from tillwatch.collector.predict.finding import ANOMALY, FAMILIES, GRADES, LATER, OPEN, Finding, Record
from tillwatch.collector.predict.panel import EVENTS, TERMINAL
from tillwatch.collector.predict.unusual import REASONS
from tillwatch.collector.predict.words import LANGUAGES, PLACE, catalogue, factor, number, phrase, reason, sentences

SOURCE = "\n".join(path.read_text("utf-8") for path in Path(next(iter(predict.__path__))).glob("*.py"))
DAY_NS = 86_400 * 10**9
FINDING = Finding("id", "anomaly/series", ANOMALY, "T", "ups", "ups", "s", OPEN, LATER, 0, 0)


def test_each_text_is_in_both_languages_and_has_the_same_values():
    for key, texts in catalogue().items():
        assert set(texts) == set(LANGUAGES), key
        assert all(text.strip() for text in texts.values()), key
        assert len({frozenset(PLACE.findall(text)) for text in texts.values()}) == 1, key
        assert re.search(r"[\u4e00-\u9fff]", texts["zh"]), key


def test_each_reason_that_the_engine_gives_has_a_sentence_and_each_sentence_a_reason():
    told = {key for key in catalogue() if key.partition(".")[0] in {*FAMILIES, "record", "range"}}
    given = {*REASONS.values(), *re.findall(r'"((?:anomaly|trend|runout|wear|failure|record|range)\.[a-z-]+)"', SOURCE)}
    made = {f"anomaly.{source}" for source in ("device", "peers")} | {
        f"trend.{way}" for way in ("rising", "falling", "reached")
    }
    assert told == given | made


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_factor_of_the_panel_has_a_name(language: str):
    for event in (*EVENTS, "all-events", "age", "kind", "class", "model", "wear", "faults", "overdue"):
        assert factor(event, language) != event
    assert factor(f"{TERMINAL}-hardware", language) != factor("hardware", language)
    assert "{" not in factor(f"{TERMINAL}-hardware", language)


def test_words_of_families_grades_and_outcomes():
    for section, names in (
        ("family", FAMILIES),
        ("grade", GRADES),
        ("outcome", ("hit", "false", "prevented", "unknown")),
    ):
        assert {key for key in catalogue() if key.startswith(f"{section}.")} == {f"{section}.{name}" for name in names}


def test_values_are_said_as_people_read_them():
    values = {"what": "ups.temperature", "unit": "C", "value": 41.2345, "low": 20.0, "high": 30.5}
    said = reason(replace(FINDING, reason="anomaly.level", values=values), "en")
    assert said == "ups.temperature is 41.2 °C; usual is 20 to 30.5 °C"
    assert "41.2 °C" in reason(replace(FINDING, reason="anomaly.level", values=values), "zh")
    assert phrase("failure.rule", "en", {"horizon_days": 30.0, "factor": "age"}).endswith("its age")
    assert [number(value) for value in (0.0, 1234567.0, 12, 0.00001234, 0.012345)] == [
        "0",
        "1,234,567",
        "12",
        "1.2e-05",
        "0.0123",
    ]


def test_a_finding_says_when_and_how_far_to_believe_it():
    record = Record("anomaly/series", "ups", hits=3, false=1, missed=2, since=10 * DAY_NS)
    finding = replace(
        FINDING, reason="anomaly.level", due=(DAY_NS, 2 * DAY_NS, 3 * DAY_NS), record=record, demoted=True
    )  # fmt: skip
    said = list(sentences(finding, "en", "Asia/Shanghai"))
    assert said[1] == "Expected between 1970-01-02 and 1970-01-04, most likely on 1970-01-03"
    assert "Of 4 findings" in said[2]
    assert "3 came true; 2 faults" in said[2]
    assert "trend page" in said[3]


def test_a_reason_of_a_later_version_is_said_by_its_family():
    assert reason(replace(FINDING, reason="anomaly.of-tomorrow"), "en") == "Unusual"
