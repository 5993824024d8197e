"""What a terminal says of a command, recognised by what the agent really words."""

from __future__ import annotations

import pytest

from tests.collector.fake_diagnosis import FakeDiagnosis
from tillwatch.agent.remote import judging, orders
from tillwatch.agent.wire import Command
from tillwatch.collector.diagnosis.order import Order
from tillwatch.collector.diagnosis.saying import TOLD_BY_WHY, Said, said
from tillwatch.collector.web.messages import TEXTS

NANO = 10**9


def order(kind: str, outcome: str, words: str, why: str = "") -> Order:
    return Order(1, "t", kind, 0, 1, "li", "", "done", 1, {}, outcome=outcome, words=words, why=why)


def test_what_was_read_is_numbers_and_what_a_device_said_stays() -> None:
    done = orders._polled(1, {"ups": "", "door": ""})
    assert said(order("poll-now", "done", done.words)) == Said("read", {"n": 2, "of": 2})
    half = orders._polled(1, {"ups": "", "door": "no answer; 3 of 4 devices read"})
    assert said(order("poll-now", "failed", half.words, half.reason)) == Said(
        "read", {"n": 1, "of": 2}, "door: no answer; 3 of 4 devices read"
    )


def test_a_refusal_is_said_by_its_word_and_its_numbers() -> None:
    command = Command("t", 9, "poll-now", 0, 60 * NANO, b"e" * 16, {})
    late = judging.judge(command, now=72 * NANO, epoch=b"e" * 16, allow=("poll-now",), sources=(), past=judging.Past())
    assert late is not None
    assert said(order("poll-now", "refused", late.words, late.reason)) == Said("late", {"seconds": 12})
    denied = judging.judge(command, now=NANO, epoch=b"e" * 16, allow=(), sources=(), past=judging.Past())
    assert denied is not None
    assert denied.reason in TOLD_BY_WHY
    assert said(order("poll-now", "refused", denied.words, denied.reason)) == Said()
    past = judging.Past(recent=("poll-now",) * 1000)
    often = judging.judge(command, now=NANO, epoch=b"e" * 16, allow=("poll-now",), sources=(), past=past)
    assert often is not None
    assert said(order("poll-now", "refused", often.words, often.reason)).key == "most_commands"


@pytest.mark.parametrize(
    ("kind", "outcome", "words", "why", "told"),
    [
        ("raise-sampling", "done", "read 4 times as often for 15 minutes", "", Said("raised", {"factor": 4, "minutes": 15})),
        ("collect-bundle", "done", "18214 bytes", "", Said("bundle", {"bytes": 18214})),
        ("collect-bundle", "failed", "it did not end within 30 s", "timeout", Said("timeout", {"seconds": 30})),
        ("self-report", "done", "battery ups.battery.state good", "", Said(rest="battery ups.battery.state good")),
        ("poll-now", "done", "all of them were read", "", Said(rest="all of them were read")),
        ("raise-sampling", "interrupted", "the agent ended while it was carried out; it is not repeated", "", Said("interrupted")),
        ("poll-now", "failed", "KeyError: 'x'", "fault", Said(rest="KeyError: 'x'")),
    ],
)  # fmt: skip
def test_words_of_the_agent(kind: str, outcome: str, words: str, why: str, told: Said) -> None:
    assert said(order(kind, outcome, words, why)) == told


def test_every_key_has_its_text() -> None:
    fleet = FakeDiagnosis()
    fleet.base = 10**18
    found = [said(each) for each in fleet.orders()]
    assert {each.key for each in found} >= {"interrupted", ""}
    for key in ("read", "raised", "bundle", "late", "most_bundles", "most_commands", "timeout", "interrupted"):
        assert f"diagnosis.said_{key}" in TEXTS["zh"].texts
