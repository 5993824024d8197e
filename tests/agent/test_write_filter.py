"""Answers in the form that Windows gives them, written by hand from the documented classes UWF_Filter and UWF_Volume."""

import json
from pathlib import Path

import pytest

from tillwatch.agent import doctor
from tillwatch.agent.config import load
from tillwatch.agent.settings import Config
from tillwatch.agent.write_filter import (
    QUESTION,
    FilterState,
    UnifiedWriteFilter,
    Volume,
    WriteFilterError,
    here,
    parse,
)

STATE = r"C:\ProgramData\tillwatch"
ON = {"enabled": True, "volumes": [{"drive": "C:", "protected": True, "excluded": []}]}
VOLUMES_TWO = [
    {"drive": "C:", "protected": True, "excluded": None},
    {"drive": "D:", "protected": False, "excluded": []},
]


def excluding(*names):
    return {"enabled": True, "volumes": [{"drive": "c:", "protected": True, "excluded": list(names)}]}


@pytest.mark.parametrize(
    ("answer", "discarded"),
    [
        (ON, True),
        ({**ON, "enabled": False}, False),
        ({"enabled": True, "volumes": VOLUMES_TWO}, True),
        ({"enabled": True, "volumes": VOLUMES_TWO[1:]}, False),
        ({"enabled": True, "volumes": []}, False),
        ({"enabled": True, "volumes": [{"drive": None, "protected": True, "excluded": []}]}, False),
        (excluding(r"\ProgramData\tillwatch"), False),
        (excluding(r"C:\programdata\TILLWATCH"), False),
        (excluding(r"\ProgramData"), False),
        (excluding(r"\ProgramData\tillwatch\spool.db"), True),
        (excluding(r"\ProgramData\till"), True),
    ],
)
def test_what_is_discarded(answer, discarded):
    assert parse(json.dumps(answer)).discards(STATE) is discarded


@pytest.mark.parametrize(
    "answer",
    ["", "Get-CimInstance : Access denied", "[]", "null", '{"enabled": true}', '{"enabled": 1, "volumes": [1]}'],
)
def test_an_answer_that_is_none_is_told(answer):
    with pytest.raises(WriteFilterError, match="cannot be read"):
        parse(answer)


def test_is_asked_only_where_it_is_installed(tmp_path):
    asked = []

    def ask(question):
        asked.append(question)
        return json.dumps(ON)

    manager = tmp_path / "uwfmgr.exe"
    assert UnifiedWriteFilter(manager, ask).state() is None
    manager.touch()
    assert UnifiedWriteFilter(manager, ask).state() == FilterState(
        enabled=True, volumes=(Volume("C:", protected=True),)
    )
    assert asked == [QUESTION]


def test_this_machine_has_none():
    assert here() is None
    assert list(doctor._filter(Config(None, Path("state")), here())) == []


class Told:
    def __init__(self, state):
        self.told = state

    def state(self):
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


@pytest.mark.parametrize(
    ("state", "result"),
    [
        (FilterState(enabled=True, volumes=(Volume("", protected=True),)), ["fail"]),
        (FilterState(enabled=True), ["ok"]),
        (FilterState(enabled=False), ["ok"]),
        (None, []),
        (WriteFilterError("no"), ["warn"]),
    ],
)
def test_doctor_says_it_with_the_mend(tmp_path, state, result):
    (tmp_path / "agent.toml").write_text('[terminal]\nstate_dir = "state"\n')
    found = list(doctor._filter(load(tmp_path / "agent.toml", None), Told(state)))
    assert [finding.result for finding in found] == result
    assert all(finding.mend for finding in found if finding.result == "fail")
