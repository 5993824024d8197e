"""Events to signals."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.counters import CATALOGUE, assert_catalogued
from tests.agent.sources.windows_machine import event, recorded
from tillwatch.agent.model import State
from tillwatch.agent.sources.windows_events import CHANNELS, PNP, RULES, SYSTEM, WORDS, Event, events, meaning, samples


def said(*found):
    return {(sample.component, sample.signal): sample.value for sample in samples("w", found, Counter())}


def one(channel, text):
    found, unread = events(channel, text)
    assert (len(found), unread) == (1, 0)
    return found[0]


def test_the_recorded_machine():
    found = []
    for channel, text in recorded()["events"].items():
        some, unread = events(channel, text)
        assert unread == 0
        found += some
    totals = Counter()
    told = list(samples("w", found, totals))
    assert_catalogued(told)
    words = {sample.signal: sample.value for sample in told if sample.signal.startswith("windows.event.")}
    assert words == {
        "windows.event.disk": "badBlock",
        "windows.event.filesystem": "damaged",
        "windows.event.machine": "fatal",
        "windows.event.memory": "none",
        "windows.event.power": "unclean",
        "windows.event.crash": "crashed",
        "windows.event.driver": "notLoaded",
        "windows.event.service": "crashed",
    }
    assert totals == {
        "disk": 4,
        "filesystem": 1,
        "machine": 2,
        "memory": 0,
        "power": 2,
        "crash": 1,
        "driver": 2,
        "service": 1,
    }
    texts = {sample.component: sample.value for sample in told if sample.signal == "windows.events.text"}
    assert texts["w/events:service"] == "a service ended unexpectedly (Service Control Manager 7031 收银外设服务)"
    assert "MEMORY.DMP" not in texts["w/events:crash"], "what is not in the table is not shown"


def test_an_event_is_taken_apart():
    found = one(SYSTEM, event(77, "disk", 153, 3, r"\Device\Harddisk0\DR0", "2"))
    assert found == Event(SYSTEM, 77, "disk", 153, 3, {"0": r"\Device\Harddisk0\DR0", "1": "2"})
    meant = meaning(found)
    assert (meant.group, meant.word, meant.state) == ("disk", "retried", State.WARN)
    assert meant.text.endswith(r"(disk 153 \Device\Harddisk0\DR0)")


def test_own_data_of_a_provider():
    text = event(5, "Microsoft-Windows-Kernel-PnP", 411, 2).replace(
        "<EventData></EventData>",
        "<UserData><Q xmlns='urn:q'><DeviceInstanceId>USB\\1</DeviceInstanceId></Q></UserData>",
    )
    assert one(PNP, text).data == {"DeviceInstanceId": "USB\\1"}


def test_the_level_tells_a_corrected_error_from_a_fatal_one():
    words = [
        meaning(one(SYSTEM, event(1, "Microsoft-Windows-WHEA-Logger", number, level))).word
        for number, level in ((17, 3), (18, 2), (47, 3), (46, 1))
    ]
    assert words == ["corrected", "fatal", "corrected", "fatal"]


@pytest.mark.parametrize("text", [event(1, "disk", 5, 2), event(1, "Application Popup", 153, 2), event(1, "", 7, 2)])
def test_what_is_not_in_the_table_means_nothing(text):
    assert meaning(one(SYSTEM, text)) is None
    assert meaning(Event("Application", 1, "disk", 7, 2, {})) is None


def test_the_table_keeps_to_the_catalogue():
    for group, words in WORDS.items():
        assert {word: state.name.lower() for word, state in words.items()} == CATALOGUE[f"windows.event.{group}"][
            "states"
        ]
    for rule in RULES:
        assert rule.channel in CHANNELS
        assert {rule.word, rule.grave or rule.word} <= WORDS[rule.group].keys()
    keys = [(rule.channel, provider, number) for rule in RULES for provider in rule.providers for number in rule.ids]
    assert len(keys) == len(set(keys))


def test_the_worst_is_told_first_and_the_same_once():
    found = [
        *(one(SYSTEM, event(n, "disk", 153, 3, "X")) for n in range(40)),
        one(SYSTEM, event(50, "disk", 52, 2, "Y")),
    ]
    told = said(*found)
    assert told["w/events:disk", "windows.event.disk"] == "predicted"
    assert told["w/events:disk", "windows.events"] == 41
    assert told["w/events:disk", "windows.events.text"].count(";") == 1
    assert told["w/events:disk", "windows.events.text"].startswith("the drive predicts its failure")


def test_nothing_new_is_well():
    told = said()
    assert {value for (_, signal), value in told.items() if signal.startswith("windows.event.")} == {"none"}
    assert len(told) == 2 * len(WORDS)


def test_one_damaged_event_takes_no_other_with_it():
    good = event(8, "disk", 7, 2, "A")
    for bad in (
        good.replace("</Data>", "</Date>", 1),
        good.replace(">8<", ">eight<"),
        good.replace("<Level>2</Level>", ""),
        event(8, "disk", 7, 2, "z" * 300_000),
    ):
        found, unread = events(SYSTEM, bad + "\r\n" + good)
        assert (len(found), unread) == (1, 1)


@given(st.data())
def test_a_damaged_answer_gives_events_that_can_be_sent(data):
    text = event(8, "disk", 7, 2, "A & B") + event(9, "Ntfs", 55, 2, DriveName="C:")
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = data.draw(
        st.sampled_from([text[:place], text[:place] + data.draw(st.characters()) + text[place + 1 :], text[place:]])
    )
    found, unread = events(SYSTEM, damaged)
    assert len(found) + unread <= 2
    assert_catalogued(samples("w", found, Counter()))
