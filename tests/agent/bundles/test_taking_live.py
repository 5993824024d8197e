"""Bundles over a real broker to the agent as its service manager runs it: taken, tried, undone, and killed at every step of it."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from tillwatch.agent.bundles import keeping
from tillwatch.agent.keys import sha256
from tillwatch.agent.model import MS
from tillwatch.agent.wire import Directive, SigningKey, bundle_topic, report_of, seal_directive
from tillwatch.device_profiles.bundle import Content, pack

QUICK = Path(__file__).with_name("quick.py")
"""It changes the times of the modules that it imports: it is run, and never imported here."""
TOML = """
[terminal]
state_dir = "state"
[sampling]
fast = "0.5s"
seal = "0.3s"
[system]
name = "host"
only = ["", "disk:*"]
[bundles]
enabled = true
"""
SLOWER = pack(Content({"normal": "30s", "fast": "20s"}))
OTHER = pack(Content({"normal": "40s"}))
OVERRIDE = pack(Content(overrides="- signal: ups.battery.charge\n  limits: {warn_below: 40}\n"))
WRONG = pack(Content(overrides="- signal: ups.battery.chrage\n  limits: {warn_below: 40}\n"))


class Agent:
    """With a service manager that starts it again while it is wanted."""

    def __init__(self, folder, config=TOML, program=QUICK):
        self.folder, self.program = folder, program
        (folder / "agent.toml").write_text(config)
        self.log = folder / "agent.log"
        self.wanted = True
        self.starts = 0
        self.child = None
        self.task = asyncio.create_task(self.manage())

    async def manage(self):
        while self.wanted:
            with self.log.open("a") as log:
                command = [sys.executable, self.program, self.folder, "run", "--config", self.folder / "agent.toml"]
                self.child = await asyncio.create_subprocess_exec(*command, stderr=log, env={**os.environ})
            self.starts += 1
            await self.child.wait()

    async def end(self):
        self.wanted = False
        if self.child is not None and self.child.returncode is None:
            self.child.terminate()
        await asyncio.wait_for(self.task, 60)


@pytest.fixture
async def run(tmp_path):
    running = []

    def go(config=TOML, **how):
        running.append(Agent(tmp_path, config, **how))
        return running[-1]

    yield go
    for agent in running:
        agent.wanted = False
        with contextlib.suppress(ProcessLookupError):
            if agent.child is not None and agent.child.returncode is None:
                agent.child.kill()
        await agent.task


class Giver:
    """The collector's side of bundles: sends until it is told."""

    def __init__(self, collector, until):
        self.collector, self.until, self.number = collector, until, time.time_ns() // MS

    def directive(self, packed, name="b", **changes):
        self.number += 1
        members = {
            "terminal": "atm-1",
            "number": self.number,
            "epoch": self.collector.lives[-1].epoch if self.collector.lives else bytes(12),
            "issued": time.time_ns() // MS * MS,
            "name": name if packed else "",
            "digest": sha256(packed) if packed else b"",
            "content": packed,
        }
        return Directive(**{**members, **changes})

    def send(self, directive, key=None):
        payload = seal_directive(key or self.collector.terminal.collector_key, directive)
        self.collector.client.publish(bundle_topic("atm-1"), payload, qos=0)

    @property
    def reports(self):
        told = (report_of(reading.value) for reading in self.collector.readings if reading.signal == "monitor.config")
        return [report for report in told if report is not None]

    async def settles(self, directive, seconds=60):
        """The same until it is good or was given up; which of them."""
        deadline = time.monotonic() + seconds
        while True:
            for report in self.reports:
                if report.number == directive.number and report.state in ("good", "fallen-back"):
                    return str(report.state)
            assert time.monotonic() < deadline, self.reports[-3:]
            self.send(directive)
            await asyncio.sleep(0.1)

    async def ends(self, directive, state, seconds=60):
        """Send it again and again, as the collector does, until the terminal says that this became of it."""
        deadline = time.monotonic() + seconds
        while True:
            found = [each for each in self.reports if each.number == directive.number and each.state == state]
            if found:
                return found[0]
            assert time.monotonic() < deadline, (state, self.reports)
            self.send(directive)
            await asyncio.sleep(0.2)


@pytest.fixture
async def giver(collector, until):
    return Giver(collector, until)


async def greeted(collector, until):
    await until(lambda: collector.lives and collector.stored, 30, "the first batch of the agent")


def values(collector, signal_name):
    return [reading.value for reading in collector.readings if reading.signal == signal_name]


async def test_a_bundle_is_taken_tried_and_good_and_the_own_file_wins(collector, until, run, giver, tmp_path):
    agent = run()
    await greeted(collector, until)
    assert str(giver.reports[0].state) == "none"
    directive = giver.directive(SLOWER, "slower")
    good = await giver.ends(directive, "good")
    assert (good.name, good.digest) == ("slower", sha256(SLOWER).hex()[:12])
    assert [str(each.state) for each in giver.reports if each.number == directive.number] == ["trying", "good"]
    # One process all the time, for the service manager: it executes itself.
    assert agent.starts == 1
    # `fast` stands in the terminal's own file, `normal` only in the bundle.
    await until(lambda: 30.0 in values(collector, "monitor.interval"), 20, "the interval of the bundle")
    assert 20.0 not in values(collector, "monitor.interval")
    back = giver.directive(b"")
    await giver.ends(back, "good")
    assert giver.reports[-1].name == ""
    assert [path.name for path in (tmp_path / "state" / "bundles").iterdir()] == ["memory"]
    await agent.end()


async def test_what_is_wrong_is_refused_and_what_is_not_the_collectors_is_not_taken(collector, until, run, giver):
    run()
    await greeted(collector, until)
    wrong = giver.directive(WRONG, "wrong")
    refused = await giver.ends(wrong, "refused")
    assert "overrides.yaml:1" in refused.words
    assert "chrage" in refused.words
    assert (refused.digest, refused.name) == ("", "")
    older = giver.directive(OTHER, "other", number=wrong.number - 1)
    foreign = giver.directive(OTHER, "other")
    stream = giver.directive(OTHER, "other", epoch=bytes(12))
    giver.send(older)
    giver.send(foreign, SigningKey(os.urandom(32)))
    await until(lambda: values(collector, "monitor.config.rejected"), 20, "the word of a false message")
    giver.send(stream)
    good = await giver.ends(giver.directive(OVERRIDE, "override"), "good")
    assert good.name == "override"
    assert {each.number for each in giver.reports if each.state == "good"} == {giver.number}
    assert not {older.number, foreign.number, stream.number} & {each.number for each in giver.reports}


HANGS = """
import asyncio, runpy, sys
from tillwatch.agent.sources import system
from tillwatch.agent.bundles import keeping
from tillwatch.agent import prepared
WHAT = {what!r}
poll = system.SystemSource.poll
async def wrong(self, wanted):
    if wrong.on:
        if WHAT == "hang":
            import re
            re.match(r"(a+)+b", "a" * 64)
        if WHAT == "die":
            import os
            os._exit(1)
        if WHAT == "memory":
            wrong.held = bytearray(40 << 20)
        if WHAT == "mute":
            raise system.SourceError("no such object")
    return await poll(self, wanted)
import os
wrong.on = False
received = prepared.received
def seen():
    given = received()
    wrong.on = given is not None and bool(given.bundle)
    return given
prepared.received = seen
from tillwatch.agent import commands
commands.received = seen
system.SystemSource.poll = wrong
from pathlib import Path
runpy.run_path({quick!r}, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("what", "says"),
    [
        pytest.param("hang", "without a word", marks=pytest.mark.long),
        ("die", "without a word"),
        pytest.param("memory", "MiB", marks=pytest.mark.long),
        pytest.param("mute", "host answered before", marks=pytest.mark.long),
    ],
)
async def test_a_bundle_that_makes_the_agent_worse_is_undone_by_it(collector, until, run, giver, tmp_path, what, says):
    """The fault is in the source, and there only while a bundle runs: what a profile could do, done for certain."""
    program = tmp_path / "program.py"
    program.write_text(HANGS.format(what=what, quick=str(QUICK)))
    agent = run(program=program)
    await greeted(collector, until)
    await until(lambda: values(collector, "host.uptime") or len(collector.stored) > 2, 20, "readings of the machine")
    directive = giver.directive(OTHER, "other")
    fallen = await giver.ends(directive, "fallen-back", 40)
    assert says in fallen.words
    assert (fallen.digest, fallen.name) == ("", "")
    count = len(collector.stored)
    await until(lambda: len(collector.stored) > count + 2, 20, "batches after it")
    assert agent.child.returncode is None
    assert keeping.load(tmp_path / "state" / "bundles").candidate is None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("which", [pytest.param("every", marks=pytest.mark.long), "some"])
async def test_killed_at_every_step_it_runs_what_is_good_or_ends_what_was_begun(
    collector, until, run, giver, tmp_path, which
):
    """From taking to good some six writings; killed before and behind each of them, started again each time."""
    agent = run()
    await greeted(collector, until)
    first = giver.directive(SLOWER, "slower")
    await giver.ends(first, "good")
    (tmp_path / "count").write_text("0")
    await giver.ends(giver.directive(OTHER, "other"), "good")
    steps = int((tmp_path / "count").read_text())
    assert steps >= 5
    tried = []
    every = [(step, side) for step in range(1, steps + 1) for side in "-+"]
    for step, side in every if which == "every" else [(2, "+"), (4, "+")]:
        good, starts = giver.reports[-1].name, agent.starts
        name, packed = ("slower", SLOWER) if good == "other" else ("other", OTHER)
        (tmp_path / "count").write_text("0")
        (tmp_path / "kill").write_text(f"{step}{side}")
        directive = giver.directive(packed, name)
        became = await giver.settles(directive)
        tried.append((step, side, became, agent.starts - starts))
        memory = keeping.load(tmp_path / "state" / "bundles")
        # What runs is what was good before, or what was told: never nothing, never something between.
        assert memory.good is not None
        assert memory.good.name == (name if became == "good" else good), tried
        (tmp_path / "kill").unlink()
    assert {became for _, _, became, _ in tried} == {"good", "fallen-back"}, tried
    assert sum(starts for *_, starts in tried) >= len(tried) // 2, tried
    agent.child.send_signal(signal.SIGTERM)
    agent.wanted = False
    assert await asyncio.wait_for(agent.child.wait(), 60) == 0
