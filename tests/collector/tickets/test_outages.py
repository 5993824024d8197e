"""The evidence of an outage in Chinese: whatever is concluded has its words, and what is of another origin stays."""

from __future__ import annotations

import re

import pytest
from hypothesis import given

from tests.collector.terminal.test_causes import everything
from tillwatch.collector.terminal.causes import offline_cause
from tillwatch.collector.tickets.outages import catalogue, evidence

NAMES = re.compile(r"[a-z]+-[0-9]+(/[\w.-]+)?|UPS|Windows|coldStart|warmStart|linkDown|It is down")


@given(everything)
def test_whatever_is_concluded_is_said_in_chinese(facts):
    english = offline_cause(facts).evidence
    chinese = evidence(english, "zh")
    assert re.findall(r"[A-Za-z]+", NAMES.sub("", chinese)) == [], (english, chinese)
    numbers = [sorted(re.findall(r"[0-9]+", NAMES.sub("", said))) for said in (english, chinese)]
    assert numbers[0] == numbers[1]
    assert evidence(english, "en") == english


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "the UPS of the branch (srv-7/ups) was on battery with 12 % left, 40 s before its last word; the terminal was stopped in order",
            "网点的 UPS（srv-7/ups）由电池供电，剩余 12 %，在终端最后一次上报前 40 秒；终端系正常停止",
        ),
        (
            "12 of 40 terminals of the branch fell silent within 9 s; nothing there tells of the power",
            "网点的 40 台终端中有 12 台在 9 秒内停止上报；现场没有设备上报供电情况",
        ),
        (
            "it fell silent without a word, while 3 other terminals of the branch spoke on: its machine, its cable or its agent",
            "终端未作任何说明即停止上报，而网点的另外 3 台终端仍在上报：系该主机、其网线或其代理程序",
        ),
        (
            "same boot, nothing was read for 5 min: the machine ran on, the agent was killed and started again",
            "未重启，5 分钟内没有读数：主机持续运行，代理程序曾被强制终止后重新启动",
        ),
    ],
)
def test_examples(english, chinese):
    assert evidence(english, "zh") == chinese


def test_what_a_person_or_another_version_wrote_stays():
    assert evidence("", "zh") == ""
    assert evidence("The line was cut by diggers; it fell silent without a word", "zh") == (
        "The line was cut by diggers；终端未作任何说明即停止上报"
    )


def test_every_phrase_has_the_same_places_in_both_languages():
    for section, phrases in catalogue().items():
        for key, texts in phrases.items():
            places = [sorted(re.findall(r"\{(\w+)\}", texts[language])) for language in ("en", "zh")]
            assert places[0] == places[1], (section, key)
