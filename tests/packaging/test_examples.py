"""The example configurations load as they are and with every line that is commented out; what they call a default is one."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
COMMENTED = re.compile(r"^#(?=[\w\[])", re.MULTILINE)


def example(name: str) -> str:
    return (PACKAGING / f"{name}.example.toml").read_text("utf-8")


@pytest.fixture
def whole(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Every line in force, with the secrets where it looks for them."""
    path = tmp_path / "config.toml"
    path.write_text(COMMENTED.sub("", example(request.param)), "utf-8")
    for secret in re.findall(r'_file = "([^"]+)"', path.read_text("utf-8")):
        (tmp_path / secret).write_text("a secret of some length\n")
    return path


def test_agent_example_changes_nothing(tmp_path: Path) -> None:
    from tillwatch.agent import config

    path = tmp_path / "agent.toml"
    path.write_text(example("agent"), "utf-8")
    assert replace(config.load(path), path=None) == config.Config(None, config.default_state_dir())


@pytest.mark.parametrize("whole", ["agent"], indirect=True)
def test_agent_example_loads_whole(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tillwatch.agent import config, device_settings

    monkeypatch.setattr(device_settings, "PLATFORM", "win32")
    loaded, default = config.load(whole), config.Config(None, config.default_state_dir())
    assert (loaded.state_dir, loaded.intervals, loaded.seal, loaded.spool) == (
        default.state_dir,
        default.intervals,
        default.seal,
        default.spool,
    )
    devices = (*loaded.snmp, *loaded.serial, *loaded.nut, *loaded.xfs)
    assert [device.name for device in devices] == [
        *("ups", "printer"),
        *("ups-counter", "acceptor", "validator"),
        *("ups-server-room", "atm"),
    ]
    shown = {"enabled", "name", "listen", "port"}
    assert {key: getattr(loaded.traps, key) for key in shown} == {
        key: True if key == "enabled" else getattr(default.traps, key) for key in shown
    }
    assert loaded.windows == replace(
        default.windows,
        enabled=True,
        expected=(("cardreader", r"USB\VID_0801&PID_0011\*"),),
        ignore=(r"SWD\MMDEVAPI\*",),
        intervals=loaded.windows.intervals,
        where=loaded.windows.where,
    )
    assert loaded.windows.intervals.normal == 300.0
    assert set(tomllib.loads(whole.read_text("utf-8"))) == {
        "bundles",
        "commands",
        "sampling",
        "spool",
        "terminal",
        "collector",
        "system",
        "profiles",
        "smart",
        "ipmi",
        "snmp",
        "serial",
        "nut",
        "xfs",
        "traps",
        "windows",
    }


def test_agent_example_names_what_exists() -> None:
    named = tomllib.loads(COMMENTED.sub("", example("agent")))
    profiles = {path.stem for path in (PACKAGING.parent / "device_profiles").rglob("*.yaml")}
    shims = {path.stem for path in (PACKAGING.parent / "firmware_shims").glob("*.py")}
    assert {device["profile"] for device in named["snmp"] if "profile" in device} <= profiles
    assert {device["shim"] for device in named["serial"]} <= shims


def test_agent_example_has_modes_that_its_shims_have() -> None:
    from tillwatch.agent.sources.serial import source

    named = tomllib.loads(COMMENTED.sub("", example("agent")))
    for device in named["serial"]:
        assert (
            source(device["name"], device["port"], device["shim"], mode=device.get("mode", "")).name == device["name"]
        )


def test_collector_example_changes_nothing(tmp_path: Path) -> None:
    from tillwatch.collector import config

    path = tmp_path / "collector.toml"
    path.write_text(example("collector"), "utf-8")
    assert replace(config.load_config(path), source=None) == config.Config()


@pytest.mark.parametrize("whole", ["collector"], indirect=True)
def test_collector_example_loads_whole(whole: Path) -> None:
    from tillwatch.collector import config

    # The one thing that stands against another one in the same file: the broker of several collectors is outside.
    whole.write_text(whole.read_text("utf-8").replace("embedded = true", "embedded = false"), "utf-8")
    loaded, default = config.load_config(whole), config.Config()
    assert (loaded.collector, loaded.intake) == (default.collector, default.intake)
    shown = {"names": (), "certificate": None, "key": None, "totp": ()}
    assert replace(loaded.console, **shown) == default.console
    assert replace(loaded.broker, address="", crl_file=None, embedded=True) == default.broker
    assert replace(loaded.enrolment, address="", hosts=()) == default.enrolment
    assert loaded.desks["webhook"].secret() == "a secret of some length"
    assert loaded.watchdog is not None
    shown = {"secret_file": None, "complain_url": "", "complain_secret_file": None}
    assert replace(loaded.watchdog, **shown) == config.WatchdogSection()


def test_policy_example_changes_nothing() -> None:
    from tillwatch.collector.duty.policy import parse_policy

    assert replace(parse_policy(example("policy")), text="") == parse_policy()


def test_policy_example_loads_whole_and_calls_defaults_what_they_are() -> None:
    from tillwatch.collector.duty.policy import parse_policy

    text = COMMENTED.sub("", example("policy"))
    loaded, default = parse_policy(text), parse_policy()
    assert (loaded.zone, loaded.incident, loaded.interruption) == (default.zone, default.incident, default.interruption)
    assert loaded.classes == default.classes
    assert loaded.calendars["opening"] == default.calendars["opening"]
    assert loaded.calendars["business"].week == default.calendars["business"].week
    assert replace(loaded.targets[2], steps=default.targets[2].steps) == default.targets[2]
    assert loaded.hold_reasons["parts"] == default.hold_reasons["parts"]
    assert loaded.regulator is not None


def test_policy_example_teaches_every_table() -> None:
    from tillwatch.collector.duty.policy import shipped_policy

    shown = set(tomllib.loads(COMMENTED.sub("", example("policy"))))
    assert set(tomllib.loads(shipped_policy())) <= shown
    assert {"branch", "person", "shift", "link", "window", "regulator", "holidays"} <= shown


def test_policy_example_shows_every_key_of_the_incident() -> None:
    from dataclasses import fields

    from tillwatch.collector.duty.policy import IncidentSettings

    shown = tomllib.loads(COMMENTED.sub("", example("policy")))["incident"]
    assert set(shown) == {field.name.removesuffix("_ns") for field in fields(IncidentSettings)}


def test_routes_example_changes_nothing() -> None:
    from tillwatch.collector.routing.table import RouteTable, parse_routes

    assert parse_routes(example("routes"), "routes.toml", ("desk",)) == RouteTable(("desk",), source="routes.toml")


def test_routes_example_loads_whole_with_nothing_to_be_said_against_it() -> None:
    from tillwatch.collector.alarm.rules import parse_rules
    from tillwatch.collector.duty.policy import parse_policy
    from tillwatch.collector.routing.check import NOTE, Known, examine
    from tillwatch.collector.routing.table import parse_routes

    table = parse_routes(COMMENTED.sub("", example("routes")), "routes.toml", ("desk", "night"))
    assert (len(table.routes), len(table.notify), list(table.contracts)) == (5, 3, ["north-atm"])
    assert table.fallback is not None
    channels = {through for row in table.notify for through in row.through} | set(table.fallback.through)
    known = Known(parse_policy(), channels, parse_rules().by_id)
    assert [each for each in examine(table, known) if each.state != NOTE] == []
