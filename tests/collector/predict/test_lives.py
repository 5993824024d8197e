from __future__ import annotations

import pytest

from tillwatch.collector.predict.lives import parse_lives, strongest
from tillwatch.collector.predict.tables import TableError
from tillwatch.device_profiles.catalogue import kept_catalogue
from tillwatch.device_profiles.loader import load_yaml

SHIPPED = parse_lives()


@pytest.mark.parametrize("life", SHIPPED.by_id.values(), ids=lambda life: life.id)
def test_every_entry_speaks_of_signals_that_there_are(life) -> None:
    signals = kept_catalogue().signals
    named = [
        *life.signals,
        *life.temperature,
        *filter(None, (life.replaced, life.serial, life.step and life.step.signal)),
    ]
    assert [name for name in named if name not in signals] == []
    assert [name for name in life.temperature if signals[name].unit != "C"] == []
    words = {word for name in life.signals for word, _ in signals[name].states}
    assert set(life.runs) <= words
    if life.rating.source == "counter":
        assert {str(signals[name].kind) for name in life.signals} == {"counter"}
    if life.rating.source == "device_percent":
        assert {signals[name].unit for name in life.signals} == {"%"}


@pytest.mark.parametrize("life", SHIPPED.by_id.values(), ids=lambda life: life.id)
def test_every_figure_has_its_word(life) -> None:
    rating = life.rating
    assert rating.evidence
    assert life.words
    assert any(ord(letter) > 0x3000 for word in life.words for letter in word), (
        "no Chinese word names the part in a ticket"
    )
    assert rating.least <= rating.rated <= rating.most


@pytest.mark.parametrize(
    ("signal", "component", "model", "rated"),
    [
        ("printer.cuts", "receipt", "", 1_500_000),
        ("printer.cuts", "receipt", "TM-P60II", 500_000),
        ("printer.head.pulses", "receipt", "", 100_000_000),
        ("printer.lines", "receipt", "", 15_000_000),
        ("drive.loads", "host/drive:S1", "", 600_000),
        ("drive.starts", "host/drive:S1", "", 50_000),
        ("acceptor.stacked", "notes", "", 60_000),
        ("server.fan.speed", "bmc/fan:1", "", 70_000),
    ],
)
def test_the_figures_are_those_of_the_documents(signal: str, component: str, model: str, rated: float) -> None:
    found = SHIPPED.of(signal, component, model)
    assert [life.rating.rated for life in found] == [rated]


def test_a_battery_is_rated_in_days_and_at_its_temperature() -> None:
    (battery,) = SHIPPED.of("ups.battery.age", "ups")
    assert (battery.rating.rated, battery.rating.least, battery.rating.most) == (1461, 3 * 365.25, 5 * 365.25)
    assert battery.rating.stress is not None
    assert battery.rating.stress.factor(35) == 2
    (lithium,) = SHIPPED.of("ups.battery.age", "ups", "Smart-UPS Lithium-ion 1500")
    assert lithium.rating.rated == 9 * 365.25


def test_it_agrees_with_the_profiles_about_batteries() -> None:
    """Who looks at one figure beside the device and at another in a finding believes neither."""
    (battery,) = SHIPPED.of("ups.battery.age", "ups")
    rated = {
        (item.life.rated, item.life.unit, item.life.stress and item.life.stress.halve_every_k)
        for profile in load_yaml()
        for item in profile.scalars
        if item.life and item.signal.name == "ups.battery.temperature"
    }
    assert battery.rating.stress is not None
    assert rated == {(battery.rating.rated / 365.25, "years", battery.rating.stress.halve_every_k)}


def test_what_was_set_back_by_service_is_not_the_life_of_the_part() -> None:
    (since,) = SHIPPED.of("printer.cuts", "receipt/since-service")
    assert (since.counts, since.purpose, since.rating.rated) == ("service", "service", 0)


def test_what_the_device_says_beats_the_data_sheet() -> None:
    found = (*SHIPPED.of("drive.written", "host/drive:S1"), *SHIPPED.of("drive.wear", "host/drive:S1"))
    assert [life.id for life in strongest(found)] == ["drive.wear"]
    assert [life.id for life in strongest(found[:1])] == ["drive.written"]


def test_what_is_left_is_turned_into_what_is_used() -> None:
    (left,) = SHIPPED.of("server.disk.endurance", "bmc/disk:1")
    (used,) = SHIPPED.of("server.disk.wear", "bmc/disk:1")
    assert (left.share(93), used.share(104)) == (pytest.approx(0.07), pytest.approx(1.04))


def test_a_fan_runs_while_it_turns_and_a_display_while_it_is_on() -> None:
    (fan,) = SHIPPED.of("host.fan.speed", "host/fan:1")
    (display,) = SHIPPED.of("atm.display", "atm/Display1")
    assert [fan.running(value) for value in (0, 1200)] == [False, True]
    assert [display.running(word) for word in ("on", "off", "displayError", "unknown")] == [True, False, False, False]


def test_a_bank_sets_its_own_figure_and_keeps_the_rest() -> None:
    site = '[[life]]\nid = "dispenser.notes"\nrated = 2_000_000\nevidence = "Our contract"\nconfidence = "doc"\n'
    (belts,) = parse_lives(site).of("atm.unit.out.presented", "atm/CashDispenser unit:1")
    assert (belts.rating.rated, belts.rating.assumed, belts.part) == (2_000_000, False, "dispenser-transport")
    assert SHIPPED.by_id["dispenser.notes"].rating.rated == 0
    assert parse_lives(site).by_id["fan"] == SHIPPED.by_id["fan"]


def test_a_bank_adds_a_figure_for_its_model() -> None:
    site = """
[[life]]
id = "our.cutter"
part = "paper-cutter"
title = { en = "cutter", zh = "切刀" }
words = ["cutter", "切刀"]
signal = "printer.cuts"
component = "!*since-service"
model = "KPM*"
source = "counter"
rated = 900_000
unit = "cuts"
evidence = "Maker's letter of 2026-03-01"
confidence = "doc"
"""
    lives = parse_lives(site)
    assert [life.id for life in lives.of("printer.cuts", "receipt", "KPM180H")] == ["our.cutter"]
    assert [life.id for life in lives.of("printer.cuts", "receipt", "TM-T88")] == ["printer.cutter"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rated = -1", "rated: -1 is no number"),
        ('unit = "weeks"', "unit: 'weeks' is no unit of a calendar life; write one of d, years"),
        ("range = [5, 3]", "range: [5, 3] is not the least and the most around rated (4)"),
        ('source = "guess"', "source: 'guess' is not known; write one of counter"),
        ('source = "hours"', "unit: 'years': hours of operation"),
        ('source = "device_percent"', "rated: what the device says is of 100 %"),
        ('confidence = "sure"', "confidence: 'sure' is not known"),
        ('stress = { kind = "arrhenius", ref_c = 25 }', "stress: write stress = "),
        ('stress = { kind = "arrhenius", ref_c = 25, halve_every_k = 0 }', "stress: write stress = "),
        ('stress = { kind = "linear", ref_c = 25, halve_every_k = 10 }', "stress: write stress = "),
        ('step = { signal = "x", of = "mode", up = true, by = 3 }', "step: write step = "),
        ('step = { signal = "x", of = "max", up = true }', "step: write step = "),
        ("signal = []", "signal: is missing"),
        ("purpose = 1", "purpose: 1 is no text"),
    ],
)
def test_a_mistake_says_where_and_what_to_do(line: str, said: str) -> None:
    with pytest.raises(TableError) as caught:
        parse_lives(f'[[life]]\nid = "ups.battery"\n{line}\n', "bank.toml")
    assert said in str(caught.value)
    assert "[[life]] ups.battery, " in str(caught.value)
