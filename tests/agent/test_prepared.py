"""What one process works out and the next one uses."""

import os
import subprocess
import sys
from dataclasses import fields

import pytest

from tillwatch.agent import config, settings
from tillwatch.agent.prepared import HANDED_OVER, RESIDENT, Prepared, compiled_library, library_of, prepare
from tillwatch.agent.settings import Config, ConfigError
from tillwatch.device_profiles.catalogue import load_catalogue
from tillwatch.device_profiles.model import Kind

EVERYTHING = """
[terminal]
state_dir = "state"
[collector]
host = "192.0.2.1"
tls = true
ca = "ca.crt"
[sampling]
seal = "30s"
[spool]
max_bytes = "64 MiB"
[system]
disable = ["net:veth*"]
[smart]
drives = ["/dev/sda", "/dev/bus/0 -d megaraid,8"]
[ipmi]
[[snmp]]
name = "ups"
host = "192.0.2.2"
version = "3"
user = "monitor"
auth_env = "AUTH"
priv_env = "PRIV"
[[serial]]
name = "small"
port = "/dev/ttyS0"
shim = "megatec_q1"
[profiles]
folder = "own"
"""


def test_knows_the_catalogue(tmp_path):
    prepared = prepare(Config(None, tmp_path), verbose=True)
    signals = load_catalogue().signals
    assert prepared.names == signals.keys()
    assert prepared.counters == {name for name, signal in signals.items() if signal.kind is Kind.COUNTER}
    assert prepared.counters
    assert prepared.verbose


def test_a_library_that_is_gone_is_an_error_with_its_mend(tmp_path):
    library_of(Config(None, tmp_path))
    assert compiled_library(Config(None, tmp_path)).ids
    (tmp_path / "profiles.msgpack").write_bytes(b"no")
    with pytest.raises(ConfigError, match=r"profiles\.msgpack.*start the agent again"):
        compiled_library(Config(None, tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one process prepares and stays")
def test_the_successor_has_the_same_pid_and_every_value(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTH", "authentication")
    monkeypatch.setenv("PRIV", "privacy-of-it")
    (tmp_path / "own").mkdir()
    (tmp_path / "agent.toml").write_text(EVERYTHING)
    read = config.parse(EVERYTHING, tmp_path / "agent.toml")
    code = (
        "import os, sys; from pathlib import Path; from tillwatch.agent.prepared import *\n"
        "found = received()\n"
        "if found is None:\n"
        "    from tillwatch.agent import config\n"
        "    print(os.getpid(), flush=True)\n"
        "    hand_over(Prepared(config.load(Path(sys.argv[1])), frozenset({'a'}), frozenset({'b'}), verbose=True))\n"
        "print(os.getpid()); print(found); print(HANDED_OVER in os.environ, found.config.snmp[0].auth_secret, found.config.snmp[0].priv_secret)\n"
        "print(*(os.environ.get(name) for name in RESIDENT))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "agent.toml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**{k: v for k, v in os.environ.items() if k not in RESIDENT}, "MALLOC_ARENA_MAX": "3"},
    )
    assert done.returncode == 0, done.stderr
    before, after, found, secrets, environment = done.stdout.splitlines()
    assert before == after
    # One name each: a set shows several in an order of its process.
    assert found == repr(Prepared(read, frozenset({"a"}), frozenset({"b"}), verbose=True))
    assert secrets == "False authentication privacy-of-it"
    assert environment.split() == ["3", *(value for name, value in RESIDENT.items() if name != "MALLOC_ARENA_MAX")]


def test_nothing_is_received_where_nobody_handed_over():
    code = "from tillwatch.agent.prepared import received; print(received())"
    environment = {name: value for name, value in os.environ.items() if name != HANDED_OVER}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=environment
    )
    assert done.stdout.strip() == "None"


def test_every_value_of_the_configuration_can_be_handed_over():
    """A field of another type than these would need the codec to know it."""
    simple = {"str", "int", "float", "bool", "Path"}
    known = simple | {name for name in vars(settings) if name.endswith(("Config", "Intervals"))}
    for name in known - simple:
        for field in fields(getattr(settings, name)):
            words = str(field.type).replace("tuple[", "").replace("]", "").replace(", ...", "").replace(",", " |")
            assert {word.strip() for word in words.split("|")} <= {*known, "None"}, (name, field.name)
