"""The simulated UPS on its pseudo-terminal, asked by the agent's own source."""

from __future__ import annotations

import dataclasses

import pytest
from megatec_ups import MegatecUps

from tillwatch.agent.model import PollClass
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources import serial as serial_source
from tillwatch.agent.sources.serial import SerialSource


@pytest.fixture
async def ups(now):
    ups = MegatecUps(now, "u")
    ups.start()
    yield ups
    ups.close()


@pytest.fixture
async def source(ups):
    source = SerialSource("ups-1", ups.path, "megatec_q1")
    yield source
    await source.close()


async def read(source, wanted=PollClass.FAST):
    samples = await source.poll(wanted)
    assert {sample.component for sample in samples} <= {"ups-1"}
    return {sample.signal: sample.value for sample in samples}


async def test_a_mains_failure_from_beginning_to_end(ups, source, now):
    on_mains = await read(source)
    assert (on_mains["ups.output.source"], on_mains["ups.mains"], on_mains["ups.battery.status"]) == (
        "normal",
        "present",
        "normal",
    )
    assert on_mains["ups.input.voltage"] == pytest.approx(231, abs=4)
    ups.model.mains_fail()
    now.minutes(10)
    failed = await read(source)
    assert (failed["ups.output.source"], failed["ups.mains"], failed["ups.input.voltage"]) == ("battery", "failed", 0.0)
    assert failed["ups.input.frequency"] == 0.0
    assert failed["ups.battery.voltage"] < on_mains["ups.battery.voltage"]
    now.minutes(16)
    low = await read(source)
    assert low["ups.battery.status"] == "low"
    now.minutes(30)
    dead = await read(source)
    assert (dead["ups.output.source"], dead["ups.output.voltage"], dead["ups.shutdown"]) == ("none", 0.0, "active")
    ups.model.mains_return()
    now.minutes(90)
    back = await read(source)
    assert (back["ups.output.source"], back["ups.battery.status"]) == ("normal", "normal")


async def test_ratings_and_identity(source):
    slow = await read(source, PollClass.SLOW)
    assert slow == {
        "ups.output.voltage.nominal": 230.0,
        "ups.output.current.nominal": 4.0,
        "ups.battery.voltage.nominal": 24.0,
        "ups.output.frequency.nominal": 50.0,
        "identity.maker": "Example Power",
        "identity.model": "MQ-1000",
        "identity.firmware": "V1.07",
    }


async def test_silent_and_back(ups, source, monkeypatch):
    monkeypatch.setattr(source, "_shim", dataclasses.replace(source._shim, timeout=0.1, gap=0.1))
    ups.stop()
    with pytest.raises(SourceError, match=r"^megatec_q1: no answer.*switched on"):
        await source.poll(PollClass.FAST)
    ups.start()
    monkeypatch.undo()
    await source.close()
    assert (await read(source))["ups.mains"] == "present"


def test_what_would_change_it_is_echoed(now):
    ups = MegatecUps(now, "u")
    assert [ups.answer(request) for request in ("S.2", "C", "T", "Q")] == ["S.2", "C", "T", "Q"]


def test_the_answers_have_their_width(now):
    ups = MegatecUps(now, "u")
    for _ in range(200):
        now.minutes(1)
        assert len(ups.answer("Q1")) == 46
        if now.at == 60 * 60:
            ups.model.mains_fail()
    assert len(ups.answer("I")) == 38


def test_the_demo_speaks_for_itself():
    """Nothing of the product in it: what it proves must not be what it uses."""
    from pathlib import Path

    folder = Path(__file__).parents[3] / "packaging" / "demo"
    for name in ("drift", "ups_model", "megatec_ups", "snmp_responder", "devices"):
        assert "tillwatch." not in (folder / f"{name}.py").read_text(encoding="utf-8")


def test_the_whitelist_is_what_the_device_knows(now):
    ups = MegatecUps(now, "u")
    for request in serial_source.load("megatec_q1").whitelist:
        assert ups.answer(request.decode().strip()) != request.decode().strip()
