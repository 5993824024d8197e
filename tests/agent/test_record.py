from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.agent.sources.conftest import Snmpd, snmpd  # noqa: F401 - a fixture
from tests.firmware_shims.conftest import read_transcript
from tests.firmware_shims.test_try import device
from tillwatch.agent import record as recording
from tillwatch.agent.__main__ import main
from tillwatch.agent.record import Listened, polled, quick, record_serial, without_names
from tillwatch.agent.redaction import NAMES_ONE
from tillwatch.agent.sources.snmp import recognise_device
from tillwatch.agent.sources.snmprec import Replay, read_recording
from tillwatch.agent.walk import no_progress
from tillwatch.device_profiles.compiled import Library, compile_folder
from tillwatch.firmware_shims.base import Mode, NotAllowedError, load_all
from tillwatch.firmware_shims.engine import Dialogue
from tillwatch.firmware_shims.transcript import Replay as SerialReplay
from tillwatch.firmware_shims.transcript import differences, parse, to_text

SHIMS = {shim.name: quick(shim) for shim in load_all() if Mode.EXCLUSIVE in shim.modes}


@pytest.mark.parametrize("name", SHIMS)
async def test_what_is_recorded_of_a_serial_device_replays_to_the_same_readings_and_names_nobody(name: str) -> None:
    shim = SHIMS[name]
    for spoken in read_transcript(name):
        said = {(each.part, each.signal): each.value for each in await polled(shim, SerialReplay(spoken.exchanges))}
        rounds, left_out = await record_serial(shim, SerialReplay(spoken.exchanges), 2, 0.0, no_progress)
        assert (len(rounds), left_out) == (2, [])
        again = await polled(shim, SerialReplay(rounds[0]))
        found = {(each.part, each.signal): each.value for each in again}
        for key, value in said.items():
            if key[1] not in NAMES_ONE:
                assert found[key] == value
            elif isinstance(value, str):
                assert {c for c in str(found[key]) if c.isalnum()} <= {"0"}
                assert not any(value.encode() in each.answer for each in rounds[0] if len(value) > 4)
        written = list(parse(to_text(name, rounds[0], again), "x.txt"))
        assert [each.exchanges for each in written] == [rounds[0]]
        assert differences(written[0], again) == []
        assert {each.request for each in rounds[0]} <= shim.whitelist


def test_some_shim_tells_a_serial_number_so_that_the_rule_is_exercised() -> None:
    told = {row.signal for shim in SHIMS.values() for row in shim.rows} & NAMES_ONE
    assert {"identity.serial", "cell.imei"} <= told


async def test_nothing_but_the_whitelist_reaches_the_port() -> None:
    shim = SHIMS["megatec_q1"]
    listened = Listened(SerialReplay([]))
    with pytest.raises(NotAllowedError):
        await Dialogue(shim, listened).send(b"S01\r")
    assert listened.exchanges == []


def test_an_answer_that_cannot_be_cleaned_is_left_out() -> None:
    shim = SHIMS["voltronic_p"]
    query = next(row.query for row in shim.rows if row.signal == "identity.serial")
    spoilt = next(each for spoken in read_transcript(shim.name) for each in spoken.exchanges if each.request == query.request and each.answer)  # fmt: skip
    clean = without_names(shim, spoilt)
    assert clean is not None
    assert clean.answer != spoilt.answer
    assert without_names(shim, type(spoilt)(spoilt.request, b"(??" + spoilt.answer[:4])) is None
    assert without_names(shim, type(spoilt)(spoilt.request)) == type(spoilt)(spoilt.request)


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_a_line_becomes_a_transcript_and_rows_for_decode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoken = next(read_transcript("megatec_q1"))
    answers = {each.request: each.answer for each in spoken.exchanges}
    transcript, rows = tmp_path / "ups.txt", tmp_path / "ups.jsonl"
    with device(answers) as path:
        assert main(["record", "--serial", path, "--shim", "megatec_q1", "-o", str(transcript)]) == 0
    with device(answers) as path:
        assert main(["record", "--serial", path, "--shim", "megatec_q1", "-o", str(rows), "--json"]) == 0
    said = capsys.readouterr().out
    assert f"{transcript}: recorded" in said
    again = list(parse(transcript.read_text(), transcript.name))
    assert again[0].expected["", "ups.input.voltage"] == (231.4, "V")
    assert main(["decode", str(rows), "--json"]) == 0
    decoded = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"ups.input.voltage", "ups.output.voltage.nominal"} <= {r["signal"] for row in decoded for r in row["readings"]}  # fmt: skip


async def test_only_what_the_profile_reads_is_recorded(
    snmpd: Snmpd,  # noqa: F811 - the fixture
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recording, "MIN_SECONDS", 0.0)
    first = tmp_path / "device.snmprec"
    arguments = ["record", "--snmp", f"127.0.0.1:{snmpd.port}", "--profile", "rfc1628", "--polls", "2", "--every", "0"]
    assert await asyncio.to_thread(main, [*arguments, "-o", str(first), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == [str(first), str(tmp_path / "device-2.snmprec")]
    raws = read_recording(first)
    assert raws["1.3.6.1.2.1.33.1.2.4.0"] == 97
    assert raws["1.3.6.1.2.1.1.5.0"] == b"device"
    assert not [oid for oid in raws if oid.startswith("1.3.6.1.4.1.")]
    assert "rfc1628" in await recognise_device(Replay(raws), Library(compile_folder()))
    assert set(said["changes"]) <= {"1.3.6.1.2.1.1.3.0"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--snmp", "127.0.0.1:9", "--timeout", "0.1"], "record: 127.0.0.1:9 (SNMPv2c): "),
        (["--snmp", "127.0.0.1", "--polls", "0"], "--polls is 1 to 100"),
        (["--snmp", "127.0.0.1", "--every", "1"], "--every at least 5 s"),
        (["--snmp", "127.0.0.1", "--profile", "rfc1682"], "no profile 'rfc1682'"),
        (["--serial", "/dev/null"], "--serial needs --shim"),
        (["--serial", "/dev/null", "--shim", "no_such_shim"], "no_such_shim"),
        (["--serial", "/dev/null", "--shim", "ebds"], "may not own its port"),
    ],
)
def test_what_goes_wrong_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(["record", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
