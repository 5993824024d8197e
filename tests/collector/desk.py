"""A desk: the command line over a real store, and terminals whose faults the test makes. Between two commands the store is at rest, as beside a
collector that is not running; each act is journaled by the command itself.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.collector.conftest import World
from tests.collector.sending import S, Sender, reading
from tillwatch.agent.model import State, Value
from tillwatch.collector.__main__ import main
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.duty.policy import shipped_policy
from tillwatch.collector.incident.incident_views import IncidentFile, IncidentView
from tillwatch.collector.read import AlarmView
from tillwatch.collector.store.reader import SqliteReader

HOUR = 3600 * S
QUIET = """
[fold]
silent_least = "30d"
default_interval = "30d"
"""
"""Rules under which nobody falls silent while a test looks at something else."""


class Desk:
    """now: where the time of the store stands; it begins `ago`, twenty minutes: what ends before a command, and comes back after it, is one episode."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str] | None = None, policy: str = "", rules: str = "", ago: int = 20 * 60 * S
    ) -> None:  # fmt: skip
        (folder / "site").mkdir(mode=0o700)
        self.path = folder / "site" / "collector.db"
        self.file = folder / "collector.toml"
        self.file.write_text(f'[collector]\ndata_dir = "{folder / "site"}"\n')
        self.now = time.time_ns() - ago
        self.senders: dict[str, Sender] = {}
        self._capsys = capsys
        self._policy = policy
        self.rules = QUIET + rules
        self.feed(lambda world: world.pipeline.start(shipped_text(), self.rules, policy=(shipped_policy(), policy)))

    def feed(self, work: Callable[[World], Coroutine[Any, Any, None]]) -> None:
        """Let the store be a collector's for as long as this takes."""
        world = World(self.path)
        world.now = max(self.now, world.pipeline.fold.advanced_to + S)
        try:
            asyncio.run(work(world))
        finally:
            self.now = world.now
            world.store.close()

    def enrol(self, *names: str, branch: str = "Harbour", region: str = "North") -> None:
        async def work(world: World) -> None:
            for name in names:
                self.senders[name] = sender = Sender(name, boot_at=self.now - HOUR)
                await sender.enrol(world.pipeline, branch, region)
                await world.pipeline.take([sender.life(world.now)])

        self.feed(work)

    def say(
        self,
        terminal: str,
        component: str,
        signal: str,
        value: Value,
        state: State = State.NONE,
        *,
        lasting: float = 200.0,
    ) -> None:
        """A reading, and the same again after so many seconds."""

        async def work(world: World) -> None:
            for _ in range(2):
                told = reading(component, signal, world.now, value, state)
                await world.pipeline.take([self.senders[terminal].batch([told], world.now)])
                await world.tick(world.now + int(lasting * S))

        self.feed(work)

    def operate(self, **facts: Any) -> None:
        """What a command has journaled, by li.wei."""
        self.feed(lambda world: world.pipeline.operate({"actor": "li.wei", **facts}))

    def wait(self, seconds: float) -> None:
        self.feed(lambda world: world.tick(world.now + int(seconds * S)))

    # What a person does.

    def call(self, *words: str) -> tuple[int, str, str]:
        """Exit code, output and error."""
        assert self._capsys is not None
        self._capsys.readouterr()
        try:
            code = main([*words, "--config", str(self.file)])
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = self._capsys.readouterr()
        self.now = max(self.now, time.time_ns())
        return code, said.out, said.err

    def done(self, *words: str) -> str:
        code, out, error = self.call(*words)
        assert code == 0, error
        return out

    def json(self, *words: str) -> Any:
        return json.loads(self.done(*words, "--json"))

    def refused(self, *words: str, status: int = 1) -> str:
        code, out, error = self.call(*words)
        assert (code, out) == (status, ""), (code, out, error)
        return error

    def acts(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What is on record of people, in order."""
        return [
            (one["action"], one["terminal"], one["detail"]) for one in self.json("audit") if one["actor"] != "collector"
        ]

    # What is so.

    def alarm(self, number: int = 1) -> AlarmView:
        with closing(SqliteReader(self.path)) as reader:
            return reader.alarm(number)

    def incidents(self, *, living: bool = True) -> list[IncidentView]:
        with closing(SqliteReader(self.path)) as reader:
            return reader.incidents(time.time_ns(), living=living)[0]

    def incident(self, place: int = 0) -> IncidentFile:
        with closing(SqliteReader(self.path)) as reader:
            return reader.incident(self.incidents(living=False)[place].id, time.time_ns())
