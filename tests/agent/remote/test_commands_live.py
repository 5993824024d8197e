"""Commands over a real broker to the agent as its service manager runs it: each kind, and everything that is no command."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import zlib

import pytest

from tillwatch.agent import identity, spool_file
from tillwatch.agent.model import MS
from tillwatch.agent.wire import (
    Assembly,
    Command,
    Outcome,
    SigningKey,
    WireError,
    command_topic,
    result_of,
    seal_command,
)

TOML = """
[terminal]
state_dir = "state"
[sampling]
fast = "2s"
normal = "8s"
seal = "30s"
[system]
name = "host"
only = ["", "disk:*"]
[commands]
enabled = true
"""
CARD = "4000 0000 0000 0002"
"""A test number of the card industry: its check digit is right, and nobody has it."""


class Agent:
    def __init__(self, folder, config=TOML):
        self.folder = folder
        (folder / "agent.toml").write_text(config)
        self.log = folder / "agent.log"
        self.start()

    def start(self):
        with self.log.open("a") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "tillwatch.agent", "run", "--config", self.folder / "agent.toml"],
                stderr=log,
                env={**os.environ},
            )

    def end(self, number=signal.SIGTERM):
        self.child.send_signal(number)
        self.child.wait(60)


def outcome_in(spool, number):
    with contextlib.closing(spool_file.connect(spool, read_only=True)) as db:
        return db.execute("SELECT outcome FROM command WHERE number = ?", (number,)).fetchone()[0]


@pytest.fixture
def run(tmp_path):
    running = []

    def go(config=TOML):
        running.append(Agent(tmp_path, config))
        return running[-1]

    yield go
    for agent in running:
        if agent.child.poll() is None:
            agent.child.kill()
            agent.child.wait()


class Giver:
    """The collector's side of commands."""

    def __init__(self, collector, until):
        self.collector, self.until, self.number = collector, until, time.time_ns() // MS
        self.terminal = collector.terminal.who.terminal

    async def greeted(self):
        await self.until(lambda: self.collector.lives, 30, "the birth of the agent")

    def command(self, kind, arguments=None, **changes):
        self.number += 1
        now = time.time_ns() // MS * MS
        members = {
            "terminal": self.terminal,
            "number": self.number,
            "kind": kind,
            "issued": now,
            "expires": now + 600 * 10**9,
            "epoch": self.collector.lives[-1].epoch if self.collector.lives else bytes(12),
            "arguments": arguments or {},
        }
        return Command(**{**members, **changes})

    def send(self, command, key=None, topic=None):
        payload = seal_command(key or self.collector.terminal.collector_key, command)
        self.publish(payload, topic)
        return payload

    def publish(self, payload, topic=None):
        self.collector.client.publish(topic or command_topic(self.terminal), payload, qos=0)

    def told(self, signal):
        return [reading for reading in self.collector.readings if reading.signal == signal]

    def results(self, number):
        found = (result_of(reading.value) for reading in self.told("monitor.command"))
        return [result for result in found if result is not None and result.number == number]

    async def result(self, number, seconds=60):
        return (await self.until(lambda: self.results(number), seconds, f"a result of {number}"))[0]

    async def ask(self, kind, arguments=None, **changes):
        command = self.command(kind, arguments, **changes)
        self.send(command)
        return await self.result(command.number)


class Silent:
    """A device that takes connections and says nothing; each connection ends with its peer."""

    def __init__(self):
        self.asked, self._tasks = 0, set()

    async def start(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader, writer):
        self.asked += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            with contextlib.suppress(ConnectionError):
                await reader.read()
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def stop(self):
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def silent():
    made = Silent()
    yield made
    await made.stop()


@pytest.fixture
def giver(collector, until):
    return Giver(collector, until)


@pytest.mark.long
async def test_each_kind_is_carried_out_once_and_told(run, giver):
    run(TOML + f'[[nut]]\nname = "ups {CARD}"\nhost = "127.0.0.1"\nport = 9\n')
    await giver.greeted()
    polled = await giver.ask("poll-now", {"component": "host/disk:/"})
    assert (polled.outcome, polled.words) == (Outcome.DONE, "1 of 1 devices read")
    kinds = [reading.value for reading in giver.told("monitor.commands")]
    assert kinds == ["poll-now raise-sampling collect-bundle self-report"]

    everything = await giver.ask("poll-now")
    assert (everything.outcome, everything.reason) == (Outcome.FAILED, "unread")
    assert everything.words.startswith("1 of 2 devices read; ups")

    raised = await giver.ask("raise-sampling", {"minutes": 1, "factor": 4})
    assert (raised.outcome, raised.words) == (Outcome.DONE, "read 4 times as often for 1 minutes")
    await giver.until(lambda: [one.value for one in giver.told("monitor.sampling")] == [4], 60)
    await giver.until(
        lambda: any(one.value == 2.0 for one in giver.told("monitor.interval") if one.component == "host"), 60
    )

    none = await giver.ask("self-report", {"component": "host"})
    assert (none.outcome, none.reason) == (Outcome.REFUSED, "no-report")

    bundle = await giver.ask("collect-bundle")
    assert bundle.outcome is Outcome.DONE, bundle
    assembly = Assembly(bundle.number)
    for reading in giver.told("monitor.bundle"):
        assembly.take(reading.value)
    made = json.loads(zlib.decompress(assembly.whole()))
    assert made["terminal"]["id"] == giver.terminal
    assert {finding["check"] for finding in made["doctor"]} >= {"identity", "spool", "clock", "broker", "commands"}
    assert set(made["sources"]) == {"host", "ups [removed]"}
    assert any("command" in line for line in made["log"])
    assert CARD not in json.dumps(made)
    assert made["removed"]["card numbers"] > 0
    assert len(giver.told("monitor.command")) == 5


@pytest.mark.long
async def test_what_is_no_command_for_this_terminal_is_answered_with_a_word_or_not_at_all(run, giver, terminal):
    run(TOML + 'allow = ["poll-now"]\n')
    await giver.greeted()
    done = giver.command("poll-now", {"component": "host"})
    payload = giver.send(done)
    assert (await giver.result(done.number)).outcome is Outcome.DONE

    for kind, arguments, changes, reason in (
        ("collect-bundle", {}, {}, "not-allowed"),
        ("reboot", {}, {}, "kind"),
        ("poll-now", {"component": "safe"}, {}, "component"),
        ("poll-now", {"force": 1}, {}, "arguments"),
        ("poll-now", {}, {"epoch": bytes(12)}, "epoch"),
        ("poll-now", {}, {"expires": time.time_ns() // MS * MS - 10**9, "issued": 10**9}, "expired"),
        ("poll-now", {}, {"expires": time.time_ns() // MS * MS + 7200 * 10**9}, "lifetime"),
        ("poll-now", {}, {"number": 7}, "stale"),
    ):
        refused = await giver.ask(kind, arguments, **changes)
        assert (refused.outcome, refused.reason) == (Outcome.REFUSED, reason)

    # None of these is the collector's word to this terminal: they are counted, and answered to nobody.
    before = len(giver.told("monitor.command"))
    giver.publish(payload)
    giver.send(giver.command("poll-now"), key=SigningKey(bytes(32)))
    giver.send(giver.command("poll-now", terminal="atm-2"))
    giver.publish(b"\0" * 100)
    last = await giver.ask("poll-now", {"component": "host"})
    assert last.outcome is Outcome.DONE
    assert len(giver.told("monitor.command")) == before + 1
    rejected = await giver.until(lambda: giver.told("monitor.command.rejected"), 60)
    assert rejected[0].value in {"1 replayed", "1 unknown_key"}


@pytest.mark.long
async def test_killed_while_it_is_carried_out_it_is_never_carried_out_again(silent, run, giver, until):
    """Recorded first: a device that does not answer holds the command; then the power goes."""
    port = await silent.start()
    config = TOML.replace('"8s"', '"1h"').replace('"2s"', '"1h"').replace('"30s"', '"2s"')
    agent = run(config + f'[[nut]]\nname = "ups"\nhost = "127.0.0.1"\nport = {port}\n')
    await giver.greeted()
    await until(
        lambda: "ups: " in (log := agent.log.read_text()) and "no answer" in log,
        60,
        "the first poll of the device to fail",
    )
    polls = silent.asked
    command = giver.command("poll-now", {"component": "ups"})
    payload = giver.send(command)
    await until(lambda: silent.asked > polls, 30, "the poll that was asked for")
    agent.end(signal.SIGKILL)
    lives = len(giver.collector.lives)
    agent.start()
    await until(lambda: len(giver.collector.lives) > lives + 1 or giver.results(command.number), 60)
    giver.publish(payload)
    told = await giver.result(command.number)
    assert told.outcome is Outcome.INTERRUPTED
    rejected = await giver.until(lambda: giver.told("monitor.command.rejected"), 90)
    assert rejected[0].value == "1 replayed"
    assert [result.outcome for result in giver.results(command.number)] == [Outcome.INTERRUPTED]
    agent.end(signal.SIGKILL)


async def test_off_nobody_listens(run, giver, until):
    agent = run(TOML.replace("enabled = true", "enabled = false").replace("30s", "1s"))
    await giver.greeted()
    await until(lambda: giver.told("monitor.commands"), 60)
    assert giver.told("monitor.commands")[0].value == "off"
    command = giver.command("poll-now")
    giver.send(command)
    agent.end()
    assert "command" not in agent.log.read_text()
    assert not giver.results(command.number)
    with pytest.raises(WireError):
        seal_command(SigningKey(bytes(32)), giver.command("poll-now", terminal="no/terminal"))


@pytest.mark.long
async def test_a_raised_sampling_outlives_a_restart_only_to_its_end(run, giver, until):
    agent = run(TOML.replace('"30s"', '"2s"'))
    await giver.greeted()
    raised = await giver.ask("raise-sampling", {"minutes": 1, "factor": 3})
    assert raised.outcome is Outcome.DONE
    spool = giver.collector.terminal.state_dir / identity.SPOOL
    await until(lambda: outcome_in(spool, raised.number) == "done", what="the outcome to be written down")
    agent.end(signal.SIGKILL)
    agent.start()
    await until(lambda: [one.value for one in giver.told("monitor.sampling")].count(3) == 2, 60)
