from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.sources.upsd import NAME, Upsd
from tests.agent.sources.xfs_server import Terminal
from tillwatch.agent import trial
from tillwatch.agent.model import Sample, State
from tillwatch.agent.sources.snmp_client import SnmpTarget
from tillwatch.agent.trial import Trial, main

RECORDINGS = Path(__file__).parents[1] / "recordings"
KEYS = {"component", "label", "signal", "value", "unit", "state", "oid"}


def test_json_has_one_object_with_profile_and_readings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(RECORDINGS / "rfc1628.snmprec"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["profile"] == "rfc1628"
    assert all(set(reading) == KEYS for reading in shown["readings"])
    assert {
        "component": "rfc1628/output:3",
        "label": "3",
        "signal": "ups.output.load",
        "value": 96.0,
        "unit": "%",
        "state": "crit",
        "oid": "1.3.6.1.2.1.33.1.4.4.1.5.3",
    } in [
        {**reading, "value": float(reading["value"])} if reading["signal"] == "ups.output.load" else reading
        for reading in shown["readings"]
    ]


def test_people_get_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(RECORDINGS / "rfc1628.snmprec")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("profile rfc1628, ")
    assert any("ups.battery.charge" in line and "19 %" in line and "crit" in line for line in shown)


def test_a_printer_without_paper_is_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(RECORDINGS / "rfc3805.snmprec"), "--json"]) == 0
    components = {each.pop("component"): each for each in json.loads(capsys.readouterr().out)["components"]}
    assert components["rfc3805/supply:Black toner"] == {"supply": "crit"}
    assert main([str(RECORDINGS / "rfc3805.snmprec")]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["component", "fitness", "supply", "security"] in shown


def test_a_profile_without_a_recording_is_shown_as_untested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile, device = tmp_path / "acme.yaml", tmp_path / "device.snmprec"
    profile.write_text(
        "title: A device\nmatch: {sysObjectID: 1.3.6.1.4.1.99999}\nscalars: {signal: ups.alarms, oid: 1.3.1.0}\n"
    )
    device.write_text("1.3.6.1.2.1.1.2.0|6|1.3.6.1.4.1.99999\n1.3.1.0|2|1\n")
    assert main([str(device), "--profile", str(profile)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "untested, no recording beside it: acme"
    assert main([str(device), "--profile", str(profile), "--json"]) == 0
    before = json.loads(capsys.readouterr().out)
    assert before["untested"] == ["acme"]
    device.rename(tmp_path / "acme.snmprec")
    profile.write_text(profile.read_text().replace("1.3.1.0", "1.3.2.0"))
    assert main([str(tmp_path / "acme.snmprec"), "--profile", str(profile), "--json"]) == 0
    after = json.loads(capsys.readouterr().out)
    assert after["untested"] == []
    assert after["versions"]["acme"] != before["versions"]["acme"]


def test_a_device_that_no_profile_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "coffee.snmprec").write_text("1.3.6.1.2.1.1.1.0|4|Coffee maker\n")
    assert main([str(tmp_path / "coffee.snmprec"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"profile": None, "readings": []}
    assert main([str(tmp_path / "coffee.snmprec")]) == 0
    assert capsys.readouterr().out == "no profile fits this device\n"


def test_several_profiles_are_joined(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = "".join((RECORDINGS / f"{name}.snmprec").read_text() for name in ("if-mib", "rfc1628"))
    (tmp_path / "both.snmprec").write_text(both)
    assert main([str(tmp_path / "both.snmprec"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["profile"] == "if-mib+rfc1628"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such-file.snmprec"], "try: no-such-file.snmprec: No such file or directory"),
        ([str(RECORDINGS / "rfc1628.snmprec"), "--profile", "rfc1682"], "try: no profile 'rfc1682'; write one of"),
        (["--snmp", "127.0.0.1:snmp"], "the port 'snmp' is not a number"),
        (["--snmp", "[::1"], "write [ADDRESS]:PORT"),
        (["--snmp", "127.0.0.1:99999"], "port 99999 is not one"),
        (["--snmp", "127.0.0.1:9", "--timeout", "0.1"], "try: 127.0.0.1:9 (SNMPv2c): "),
        (["--snmp", "127.0.0.1", "--v3-user", "u"], "auth_key must have at least 8 characters"),
        (["--serial", "/dev/null"], "--serial needs --shim"),
        (["--serial", "/dev/null", "--shim", "no_such_shim"], "no_such_shim"),
    ],
)
def test_what_goes_wrong_is_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_the_state_of_what_no_profile_judges() -> None:
    samples = (Sample("d", "a", 1), Sample("d", "b", None), Sample("d", "c", 1, State.CRIT))
    assert [reading["state"] for reading in Trial("p", samples).plain()["readings"]] == ["ok", "unknown", "crit"]


async def test_a_living_device(monkeypatch: pytest.MonkeyPatch) -> None:
    from tillwatch.agent.sources.snmprec import Replay, read_recording
    from tillwatch.device_profiles.compiled import Library, compile_folder

    monkeypatch.setattr(trial, "open_client", lambda target: Replay(read_recording(RECORDINGS / "rfc3805.snmprec")))
    found = await trial.try_snmp(SnmpTarget("printer-7"), Library(compile_folder()))
    assert found.profile == "rfc3805"
    assert {sample.component.partition("/")[0] for sample in found.samples} == {"printer-7"}


def test_pass_phrases_come_from_the_environment() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tillwatch.agent.trial import main; main(['--help'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "TILLWATCH_SNMP_AUTH_KEY" in done.stdout
    assert "--auth-key" not in done.stdout


async def test_a_ups_of_a_running_upsd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    upsd = Upsd(tmp_path, {"ups.status": "OL", "battery.charge": "87"})
    upsd.start()
    try:
        assert await asyncio.to_thread(main, ["--nut", f"127.0.0.1:{upsd.port}", "--ups", NAME, "--json"]) == 0
    finally:
        upsd.stop()
    shown = json.loads(capsys.readouterr().out)
    assert shown["profile"] == "nut"
    assert [reading["value"] for reading in shown["readings"] if reading["signal"] == "ups.battery.charge"] == [87]
    assert await asyncio.to_thread(main, ["--nut", f"127.0.0.1:{upsd.port}"]) == 1
    assert "does upsd run and LISTEN there?" in capsys.readouterr().err


async def test_the_services_of_an_atm(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    await terminal.start()
    try:
        assert await asyncio.to_thread(main, ["--xfs", f"127.0.0.1:{terminal.port}"]) == 0
    finally:
        await terminal.stop()
    assert terminal.deaths == []
    shown = capsys.readouterr().out.splitlines()
    assert any("atm/CashRecycler1 unit:A" in line and "atm.unit.supply" in line and "warn" in line for line in shown)
    assert any("atm/PinPad1" in line and "EPP-6" in line for line in shown)


def test_a_recorded_windows_machine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = RECORDINGS / "windows/till.json"
    assert main(["--windows", str(recording), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["profile"] == "windows"
    found = {(reading["component"], reading["signal"]): reading["value"] for reading in shown["readings"]}
    assert found["windows-storage/drive:ZDE7Q3LM", "drive.smart"] == "failing"
    assert found["windows-events/events:disk", "windows.event.disk"] == "badBlock"

    part = tmp_path / "part.json"
    part.write_text(json.dumps({"cim": {"devices": json.loads(recording.read_text("utf-8"))["cim"]["devices"]}}))
    assert main(["--windows", str(part)]) == 0
    shown_part = capsys.readouterr()
    assert "pnp.problem" in shown_part.out
    assert shown_part.err == "try: windows-storage: not answered\n"

    part.write_text('{"cim": {}}')
    assert main(["--windows", str(part)]) == 1
    assert capsys.readouterr().err == "try: windows-storage: not answered; windows-devices: not answered\n"
    assert main(["--windows", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err
