"""The sources over the recorded machine, and what becomes of one that refuses."""

import json
import logging

import pytest

from tests.agent.counters import assert_catalogued
from tests.agent.sources.windows_machine import event, recorded
from tillwatch.agent.model import PollClass
from tillwatch.agent.settings import WINDOWS_PARTS, WindowsConfig
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.windows import UNTRIED, EventsSource, PosSource, windows_sources
from tillwatch.agent.sources.windows_recorded import recorded_sources, sources_of

NORMAL, SLOW = PollClass.NORMAL, PollClass.SLOW
ALL = WindowsConfig(
    enabled=True, parts=WINDOWS_PARTS, expected=(("card reader", r"USB\VID_0801*"),), ignore=(r"SWD\*",)
)


async def polled(source):
    try:
        return [sample for wanted in sorted(source.classes) for sample in await source.poll(wanted)]
    finally:
        await source.close()


async def test_every_part_reads_the_recorded_machine(tmp_path):
    sources = sources_of(recorded(), ALL, tmp_path)
    assert [source.name for source in sources] == [
        "windows-storage",
        "windows-devices",
        "windows-events",
        "windows-pos",
    ]
    for source in sources:
        samples = await polled(source)
        assert_catalogued(samples)
        assert {sample.component.partition("/")[0] for sample in samples} == {source.name}
        others = frozenset(PollClass) - source.classes
        assert [await source.poll(wanted) for wanted in others] == [[]] * len(others)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["windows-devices.json", "windows-events.json"]


async def test_events_are_told_once_and_across_a_restart(tmp_path):
    said, only = recorded(), WindowsConfig(enabled=True, parts=("events",))
    first = {
        (sample.component, sample.signal): sample.value for sample in await polled(*sources_of(said, only, tmp_path))
    }
    disk = "windows-events/events:disk"
    assert (first[disk, "windows.event.disk"], first[disk, "windows.events"]) == ("badBlock", 4)
    said["events"]["System"] = event(48_300, "disk", 153, 3, "X") + said["events"]["System"]
    again = {
        (sample.component, sample.signal): sample.value for sample in await polled(*sources_of(said, only, tmp_path))
    }
    assert (again[disk, "windows.event.disk"], again[disk, "windows.events"]) == ("retried", 5)


async def test_a_device_that_had_a_problem_is_known_after_a_restart(tmp_path):
    said, only = recorded(), WindowsConfig(enabled=True, parts=("devices",))
    await polled(*sources_of(said, only, tmp_path))
    said["cim"]["devices"]["rows"] = [row | {"ConfigManagerErrorCode": 0} for row in said["cim"]["devices"]["rows"]]
    found = await polled(*sources_of(said, only, tmp_path))
    assert [sample.value for sample in found if sample.signal == "pnp.problem"] == ["ok"] * 4


@pytest.mark.parametrize(
    ("part", "changed", "why"),
    [
        ("storage", {"cim": {"physical": {"error": "HRESULT 0x8004100e"}}}, "^HRESULT 0x8004100e"),
        ("storage", {"cim": {"physical": {"rows": []}}}, "no physical drive"),
        ("storage", {"cim": []}, "no object"),
        ("devices", {"cim": {"devices": {"rows": []}}}, "no device"),
        ("devices", {"cim": {}}, "not answered"),
        ("pos", {"pos": []}, "no point-of-service device"),
        ("pos", {"pos": {}}, "no list"),
    ],
)
async def test_what_cannot_be_read_is_told(part, changed, why):
    (source,) = sources_of(recorded() | changed, WindowsConfig(enabled=True, parts=(part,)))
    with pytest.raises(SourceError, match=why):
        await polled(source)


async def test_counters_that_are_refused_are_told_once(caplog):
    said = recorded()
    said["cim"]["reliability"] = {"error": "HRESULT 0x80041003: denied"}
    (source,) = sources_of(said, WindowsConfig(enabled=True, parts=("storage",)))
    await polled(source)
    await polled(source)
    assert caplog.messages == [
        "windows-storage: MSFT_StorageReliabilityCounter: HRESULT 0x80041003: denied; they need an administrator's right"
    ]


async def test_a_channel_beside_the_first_fails_alone(caplog):
    class Log:
        async def newest(self, channel):
            if channel != "System":
                raise SourceError("Access is denied")
            return event(3, "disk", 7, 2)

        async def after(self, channel, record, most):
            return event(3, "disk", 7, 2)

    found = {sample.signal: sample.value for sample in await polled(EventsSource("e", Log(), since=0))}
    assert found["windows.event.disk"] == "badBlock"
    assert caplog.messages == ["e: Access is denied"]


async def test_events_that_cannot_be_read_are_counted():
    said = {"events": {"System": event(3, "disk", 7, 2) + event(2, "disk", 7, 2).replace(">2<", ">two<")}}
    (source,) = sources_of(said, WindowsConfig(enabled=True, parts=("events",)))
    assert {sample.signal: sample.value for sample in await polled(source)}["windows.events.unread"] == 1


def test_that_nobody_has_tried_it_is_told_once(tmp_path, caplog):
    sources = windows_sources(ALL, tmp_path)
    assert [type(source) for source in sources][-1] is PosSource
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert UNTRIED in caplog.text
    assert list(tmp_path.iterdir()) == []


async def test_a_recording_has_what_it_has(tmp_path):
    file = tmp_path / "machine.json"
    file.write_text(json.dumps({"pos": recorded()["pos"]}))
    assert [source.name for source in recorded_sources(file)] == ["windows-pos"]
    for text in ("", "[]", "{}", "[" * 100_000):
        file.write_text(text)
        with pytest.raises(ValueError, match="no recording of Windows"):
            recorded_sources(file)
