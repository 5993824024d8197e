"""What PowerShell is asked, and what becomes of its answer: against a program that prints what the script would."""

import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agent.sources.windows_machine import RECORDING
from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.windows_cim import (
    MAX_PART,
    MAX_ROWS,
    Answer,
    PowerShell,
    Query,
    answers,
    count,
    part,
    plain,
    script,
    system_program,
)
from tillwatch.agent.sources.windows_devices import QUERIES as ABOUT_DEVICES
from tillwatch.agent.sources.windows_storage import QUERIES as ABOUT_STORAGE

ALL = (*ABOUT_DEVICES, *ABOUT_STORAGE)
shell_only = pytest.mark.skipif(sys.platform == "win32", reason="the program of the test is a shell script")


def test_the_script_needs_no_quoting_and_only_reads():
    text = script(ALL)
    assert '"' not in text
    assert text.isascii()
    assert "\n" not in text
    assert set(re.findall(r"\b([A-Z][A-Za-z]+)-[A-Z]\w+", text)) == {"Get", "Select", "ConvertTo"}
    # Constrained language mode: no methods but those of core types, no types named.
    assert "::" not in text
    assert set(re.findall(r"\.(\w+)\(", text)) == {"ToCharArray"}
    assert set(re.findall(r"\[(\w+)\]", text)) == {"string", "int"}
    assert text.count("{") == text.count("}")
    assert text.count("(") == text.count(")")
    for query in ALL:
        assert f"'{query.of}'" in text


def test_rows_hold_what_was_asked_for_and_no_more():
    query = Query("one", "root/cimv2", "Win32_Thing", ("A", "B"))
    said = {"one": {"rows": [{"A": 1, "B": None, "CimClass": {}}, 7, None]}}
    assert answers(json.dumps(said), [query]) == {"one": Answer(({"A": 1, "B": None},))}
    assert answers(json.dumps({"one": {"rows": {"A": 2}}}), [query])["one"].rows == ({"A": 2},)
    assert answers('{"one": {"rows": []}}', [query])["one"] == Answer()
    assert (
        answers('{"one": {"error": "HRESULT 0x80041003: \\u62d2\\u7edd\\u8bbf\\u95ee"}}', [query])["one"].error
        == "HRESULT 0x80041003: 拒绝访问"
    )
    assert answers('{"one": {"error": ""}}', [query])["one"].error == "refused"
    assert answers("{}", [query])["one"].error == "not answered"
    many = {"one": {"rows": [{"A": n} for n in range(MAX_ROWS + 5)]}}
    assert len(answers(json.dumps(many), [query])["one"].rows) == MAX_ROWS


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["devices", "rows", "error", "x"]), inner),
        max_leaves=20,
    )
)
def test_whatever_is_said_is_an_answer_or_a_value_error(said):
    try:
        found = answers(json.dumps(said), ABOUT_DEVICES)
    except ValueError:
        assert not isinstance(said, dict)
        return
    assert set(found) == {"devices"}


@pytest.mark.parametrize("text", ["", "nope", "[]", "[" * 100_000, "{"])
def test_what_is_no_answer(text):
    with pytest.raises(ValueError):
        answers(text, ABOUT_DEVICES)


def test_values():
    assert plain("  a\x00b\t ") == "ab"
    assert plain(None) == plain(5) == ""
    assert [count(value, 255) for value in (0, 255, 256, -1, True, 3.0, "3", None)] == [
        0,
        255,
        None,
        None,
        None,
        None,
        None,
        None,
    ]
    assert part("device", r"USB\VID_1/2") == r"device:USB\VID_1|2"
    first, second = (part("device", "X" * 60 + end) for end in "12")
    assert first != second
    assert len(first) == len(second) == MAX_PART
    assert system_program("wevtutil.exe").startswith((r"C:\Windows", "C:/Windows")) or sys.platform == "win32"


@pytest.fixture
def powershell(tmp_path):
    path = tmp_path / "powershell"

    def write(body: str) -> PowerShell:
        path.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {tmp_path}/asked\n{body}\n")
        path.chmod(0o755)
        return PowerShell(str(path))

    return write


@shell_only
async def test_one_program_answers_all_questions(powershell, tmp_path):
    (tmp_path / "said").write_text(json.dumps(json.loads(RECORDING.read_text("utf-8"))["cim"]))
    found = await powershell(f"cat {tmp_path}/said").ask(ALL)
    assert {name: len(answer.rows) for name, answer in found.items()} == {
        "devices": 8,
        "physical": 3,
        "reliability": 2,
        "predicted": 1,
        "plugged": 2,
    }
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["-NoLogo", "-NoProfile", "-NonInteractive", "-Command", script(ALL)]


@shell_only
async def test_what_goes_wrong_is_told_without_the_script(powershell, tmp_path):
    with pytest.raises(SourceError, match=r"exit status 1.*blocked by your administrator") as told:
        await powershell("echo 'This program is blocked by your administrator.' >&2; exit 1").ask(ALL)
    assert "Get-CimInstance" not in str(told.value)
    with pytest.raises(SourceError, match=r"exit status 0.*nothing"):
        await powershell("").ask(ALL)
    with pytest.raises(SourceError, match="prints over") as told:
        await powershell("head -c 3000000 /dev/zero").ask(ALL)
    assert "Get-CimInstance" not in str(told.value)
    with pytest.raises(SourceError, match="is not installed"):
        await PowerShell(str(tmp_path / "none")).ask(ALL)
