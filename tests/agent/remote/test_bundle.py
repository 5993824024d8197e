"""The bundle: whole without secrets, bounded, and made of whatever can be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

from tests.agent.conftest import Terminal
from tillwatch.agent import config, identity
from tillwatch.agent.remote.bundle import pack, secrets, shown
from tillwatch.agent.wire import MAX_BUNDLE

TOML = """
[terminal]
state_dir = "state"
[[snmp]]
name = "ups"
host = "192.0.2.10"
community = "correct-horse"
[[snmp]]
name = "rack"
host = "192.0.2.11"
version = "3"
user = "tillwatch"
auth_env = "AUTH"
priv_env = "PRIV"
"""
SECRETS = {"AUTH": "auth-phrase-1", "PRIV": "priv-phrase-2"}


def made(folder: Path, *more: str, given: str = "") -> subprocess.CompletedProcess[bytes]:
    (folder / "agent.toml").write_text(TOML)
    command = [sys.executable, "-P", "-m", "tillwatch.agent", "bundle", "--config", str(folder / "agent.toml"), *more]
    return subprocess.run(command, input=given.encode(), capture_output=True, timeout=90, env={**os.environ, **SECRETS}, check=False)  # fmt: skip


def test_no_secret_is_in_it_wherever_it_was(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, 9)
    log = ["SNMP to 192.0.2.10 with correct-horse failed", "priv-phrase-2 is wrong", "card 4000 0000 0000 0002"]
    done = made(tmp_path, "--packed", given=json.dumps({"log": log, "sources": {"ups": "no answer"}}))
    assert done.returncode == 0, done.stderr
    text = zlib.decompress(done.stdout).decode()
    seed = (terminal.state_dir / identity.SEED).read_bytes()
    for secret in ("correct-horse", "auth-phrase-1", "priv-phrase-2", "4000 0000", seed.hex()):
        assert secret not in text
    bundle = json.loads(text)
    assert bundle["sources"] == {"ups": "no answer"}
    assert bundle["terminal"]["id"] == "atm-1"
    assert bundle["configuration"]["snmp"][0]["host"] == "192.0.2.10"
    assert bundle["configuration"]["snmp"][0]["community"] == "[removed]"
    assert bundle["removed"]["card numbers"] == 1
    assert bundle["removed"]["secrets"] >= 2
    assert not [finding for finding in bundle["doctor"] if finding["check"].startswith("source ")]


def test_a_configuration_that_is_wrong_is_said_and_not_repeated(tmp_path: Path) -> None:
    Terminal(tmp_path, 9)
    (tmp_path / "agent.toml").write_text("[snmp\n")
    command = [
        sys.executable,
        "-P",
        "-m",
        "tillwatch.agent",
        "bundle",
        "--config",
        str(tmp_path / "agent.toml"),
        "-o",
        str(tmp_path / "out"),
    ]
    assert subprocess.run(command, capture_output=True, timeout=90, check=False).returncode == 0
    bundle = json.loads((tmp_path / "out").read_text())
    assert bundle["configuration"] is None
    assert bundle["doctor"][0]["result"] == "fail"


def test_it_is_bounded_and_says_what_was_left_out() -> None:
    noise = [os.urandom(150).hex() for _ in range(2_000)]
    packed = pack({"made": "now", "versions": {}, "terminal": {}, "log": list(noise)})
    assert len(packed) <= MAX_BUNDLE
    bundle = json.loads(zlib.decompress(packed))
    assert bundle["log"] == noise[len(noise) - len(bundle["log"]) :]
    assert bundle["log_left_out"] == len(noise) - len(bundle["log"]) > 0
    packed = pack({"made": "now", "doctor": noise, "log": noise})
    assert len(packed) <= MAX_BUNDLE
    assert json.loads(zlib.decompress(packed))["left_out"]


def test_every_field_that_is_not_for_eyes_is_a_secret(tmp_path: Path, monkeypatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "agent.toml").write_text(TOML)
    settings = config.load(tmp_path / "agent.toml")
    found = set(secrets(settings))
    assert found >= {"correct-horse", "auth-phrase-1", "priv-phrase-2"}
    assert not any(secret in json.dumps(shown(settings)) for secret in found if len(secret) > 6)
