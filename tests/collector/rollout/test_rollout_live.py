"""Bundles end to end: collector and three agents as processes, over mosquitto as `broker-config` sets it up, beside a real SNMP device."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.agent.sources.conftest import Snmpd
from tests.collector.test_service import Line
from tests.collector.watch.running import until
from tests.mosquitto import Mosquitto
from tillwatch.collector.proof.rebuild import rebuild, tables
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import SqliteStore
from tillwatch.collector.trust.authority import open_authority

AGENT = """
import sys
from tillwatch.agent import uplink
from tillwatch.agent.bundles import probation, taking
uplink.FIRST_FLUSH, uplink.BACKOFF_FIRST, uplink.BACKOFF_MOST = 0.2, 0.2, 1.0
taking.QUIET_S, taking.LOOK_S = 0.5, 0.1
probation.LEAST_S, probation.MOST_S = 2.0, 6.0
from tillwatch.agent.__main__ import main
sys.exit(main())
"""
DEVICE = """
[[snmp]]
name = "ups"
host = "127.0.0.1"
port = {port}
fast = "1s"
normal = "1s"
slow = "2s"
[bundles]
enabled = true
"""
BAD = """
title: UPS of the house, read too narrowly
match: [{sysObjectID: 1.3.6.1.4.1.99999.7}]
scalars:
  - {signal: identity.maker, oid: 1.3.6.1.2.1.33.1.1.1.0}
"""
GOOD = """
- signal: ups.battery.charge
  limits: {warn_below: 98}
"""


class Fleet(Line):
    """Terminals till-1, till-2, till-3 in folders of their names."""

    device = 0

    def toml(self, name: str) -> Path:
        file = super().toml(name)
        file.write_text(file.read_text() + DEVICE.format(port=self.device))
        return file

    def join(self, name: str) -> None:
        token = self.collector("enrol-token", name, "--branch", "B", "--region", "R", "--class", "atm").stdout.strip()
        done = self.agent(name, "enrol", token)
        assert done.returncode == 0, done.stderr

    def run(self, name: str, **environment: str) -> None:
        self._spawn(name, sys.executable, "-P", "-c", AGENT, "run", "--config", str(self.toml(name)), **environment)

    def told(self, *arguments: str) -> Any:
        done = self.collector(*arguments, "--json")
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def states(self) -> dict[str, tuple[str, str]]:
        """Terminal -> what it says of what it was told, and the bundle that it runs by its own word."""
        with closing(SqliteReader(self.config.database)) as reader:
            return {view.member.terminal: (view.member.state, view.member.said[3]) for view in reader.members()}

    def newest(self) -> str:
        with closing(SqliteReader(self.config.database)) as reader:
            return reader.rollouts(1)[0].rollout.state

    async def all_say(self, state: str, runs: str, *names: str) -> None:
        await until(
            lambda: all(self.states()[name] == (state, runs) for name in names),
            60,
            f"{names} {state} {runs}: {self.states()}",
        )

    def folder_of(self, name: str, **files: str) -> str:
        folder = self.folder / name
        for path, text in files.items():
            file = folder / path.replace("__", "/")
            file = file.with_name(f"{file.name}.yaml")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return str(folder)

    def publish(self, name: str, **files: str) -> None:
        done = self.collector(
            "bundle", "publish", self.folder_of(name, **files), "--name", name, "--reason", "colder rooms"
        )
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    assert shutil.which("snmpd", path="/usr/sbin"), "snmpd is missing: make packages"
    daemon = Snmpd(tmp_path_factory.mktemp("snmpd"))
    daemon.start()
    yield daemon
    daemon.stop()


@pytest.fixture
async def fleet(tmp_path: Path, device: Snmpd) -> AsyncIterator[Fleet]:
    made = Fleet(tmp_path)
    made.device = device.port
    port = made.config.broker.port
    text = made.file.read_text().replace("[broker]\n", "[broker]\nembedded = false\n")
    made.file.write_text(text + "[rollout]\nenabled = true\n")
    made.config.collector.data_dir.mkdir(mode=0o700)
    outside = Mosquitto(tmp_path / "mosquitto", port, open_authority(made.config.authority))
    await outside.start()
    try:
        yield made
    finally:
        for name in list(made.running):
            made.stop(name, signal.SIGKILL)
        outside.kill()


pytestmark = pytest.mark.timeout(400)
"""Three agents, a collector and some twenty commands, on whatever machine this is."""
NAMES = ("till-1", "till-2", "till-3")


async def begin(fleet: Fleet) -> None:
    await fleet.start()
    for name in NAMES:
        fleet.join(name)
        fleet.run(name)
    await until(
        lambda: all(fleet.states()[name][0] == "none" for name in NAMES), what="all to say that they take bundles"
    )
    await until(
        lambda: len(fleet.rows("SELECT 1 FROM component WHERE name LIKE 'ups%'")) >= 3, what="readings of the device"
    )


@pytest.mark.long
async def test_a_bad_one_halts_at_the_first_ring_and_returns_and_a_good_one_reaches_all(
    fleet: Fleet, tmp_path: Path
) -> None:
    await begin(fleet)
    fleet.publish("narrow", profiles__voltwerk=BAD)
    wrong = fleet.collector(
        "bundle",
        "publish",
        fleet.folder_of("typo", overrides="- signal: ups.batery.charge\n  limits: {warn_below: 98}\n"),
        "--name",
        "typo",
        "--reason",
        "x",
    )
    assert wrong.returncode == 1
    assert "overrides.yaml:1: no profile reads 'ups.batery.charge'" in wrong.stderr
    fleet.publish("cold", overrides=GOOD)

    rings = "pilot=till-1,rest"
    started = fleet.told("rollout", "start", "narrow", "--rings", rings, "--minutes", "5", "--reason", "colder rooms")
    assert [(ring["name"], ring["told"]) for ring in started["rings"]] == [("pilot", 1), ("rest", 0)]
    await until(lambda: fleet.newest() != "running", 60, "the halt")
    over = fleet.told("rollout", "status")["rollouts"][0]
    assert over["state"] == "returned"
    assert [(loss["terminal"], loss["why"]) for loss in over["losses"]] == [("till-1", "fallen-back")]
    assert "ups gave" in over["losses"][0]["words"]
    await fleet.all_say("good", "", "till-1")
    assert {fleet.states()[name] for name in NAMES[1:]} == {("none", "")}, "nobody else was told anything"

    # One is away meanwhile. It is told the newest when it comes back, and nothing else.
    fleet.stop("till-3")
    fleet.told(
        "rollout",
        "start",
        "cold",
        "--rings",
        rings,
        "--minutes",
        "5",
        "--reason",
        "colder rooms",
        "--good",
        "60%",
        "--bad",
        "40%",
    )
    await fleet.all_say("good", "cold", "till-1")
    fleet.told("rollout", "halt", "--reason", "all at once, please")
    fleet.told(
        "rollout",
        "start",
        "cold",
        "--rings",
        "rest",
        "--minutes",
        "5",
        "--reason",
        "all",
        "--good",
        "60%",
        "--bad",
        "40%",
    )
    await fleet.all_say("good", "cold", "till-1", "till-2")
    fleet.run("till-3")
    await fleet.all_say("good", "cold", "till-3")
    taken = [line for line in fleet.log("till-3").splitlines() if "directive" in line]
    assert len(taken) == 1, taken

    # A person takes it back.
    back = fleet.told("rollout", "return", "--reason", "summer")
    assert back["state"] == "returned"
    await fleet.all_say("good", "", *NAMES)
    acts = [
        (act["action"], act["actor"], act["detail"].get("reason"))
        for act in fleet.told("audit")
        if act["action"].startswith(("bundle", "rollout"))
    ]
    assert [action for action, _, _ in acts] == [
        "bundle",
        "bundle",
        "rollout",
        "rollout",
        "rollout-halt",
        "rollout",
        "rollout-return",
    ]
    assert all(who and why for _, who, why in acts)
    for name in NAMES:
        fleet.stop(name)
    fleet.stop("collector")
    copy = tmp_path / "copy.db"
    rebuild(fleet.config.database, copy)
    with closing(SqliteStore(fleet.config.database)) as kept, closing(SqliteStore(copy)) as again:
        for table in ("config_bundle", "rollout", "terminal_ring"):
            assert tables(kept.conn)[table] == tables(again.conn)[table]


@pytest.mark.long
async def test_two_rings_one_after_the_other_to_the_end(fleet: Fleet) -> None:
    """In the times of a minute that a ring has at least."""
    await begin(fleet)
    fleet.publish("cold", overrides=GOOD)
    fleet.told("rollout", "start", "cold", "--rings", "pilot=till-1,rest", "--minutes", "1", "--reason", "colder rooms")
    await fleet.all_say("good", "cold", "till-1")
    assert fleet.states()["till-2"] == ("none", "")
    await until(lambda: fleet.newest() == "done", 200, "the end")
    await fleet.all_say("good", "cold", *NAMES)
