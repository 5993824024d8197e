from __future__ import annotations

from pathlib import Path

import pytest

from tillwatch.device_profiles.catalogue import load_catalogue
from tillwatch.device_profiles.model import Kind
from tillwatch.device_profiles.yaml_nodes import ProfileError

CATALOGUE = load_catalogue()


@pytest.mark.parametrize("name", sorted(CATALOGUE.signals))
def test_every_signal_is_whole(name: str) -> None:
    signal = CATALOGUE.signals[name]
    assert signal.meaning
    assert name == name.lower()
    assert "." in name
    assert bool(signal.states) == (signal.kind is Kind.STATE)
    assert not (signal.unit and signal.kind in {Kind.STATE, Kind.TEXT})


def test_every_unit_is_used() -> None:
    assert {signal.unit for signal in CATALOGUE.signals.values()} - {""} == CATALOGUE.units


def test_what_the_agent_says_of_itself_is_there() -> None:
    source = CATALOGUE.signals["monitor.source"]
    assert (source.severity("ok"), source.severity("failed"), source.severity("never heard of")) == (
        "ok",
        "unknown",
        "unknown",
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("units: [s]\nsignals:\n  a.b: {kind: gauge, unit: h, meaning: x}\n", "catalogue.yaml:3: 'h' is no unit"),
        (
            "units: [s]\nsignals:\n  a.b: {kind: state, meaning: x}\n",
            "catalogue.yaml:3: a.b is a state: add `states: {word: severity}`",
        ),
        ("units: [s]\nsignals:\n  a.b: {kind: state, meaning: x, states: {on: good}}\n", "'good' is no severity"),
        ("units: [s]\nsignals:\n  a.b: {kind: text, unit: s, meaning: x}\n", "a text has no unit"),
        ("units: [s]\nsignals:\n  a.b: {kind: gauge}\n", "a.b needs its meaning"),
        (
            "units: [s]\nsignals:\n  a.b: {kind: gauge, meaning: x, axis: suply}\n",
            "'suply' is no axis; did you mean supply?",
        ),
        ("units: [s]\nsignals:\n  a.b: {kind: gauge, meaning: x, axis: {supply: [low]}}\n", "write one axis"),
        (
            "units: [s]\nsignals:\n  a.b: {kind: state, meaning: x, states: {on: ok}, axis: {supply: of}}\n",
            "'of' is no word of its states",
        ),
        (
            "units: [s]\nsignals:\n  experimental.b: {kind: gauge, meaning: x}\n",
            "an experimental signal is described where it is used",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "catalogue.yaml").write_text(text)
    with pytest.raises(ProfileError) as caught:
        load_catalogue(tmp_path)
    assert said in str(caught.value)
