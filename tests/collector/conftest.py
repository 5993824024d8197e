from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.collector.sending import T0
from tillwatch.agent.wire import SigningKey
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.pipeline import Pipeline
from tillwatch.collector.store.db import Where
from tillwatch.collector.store.opening import open_store
from tillwatch.device_profiles.catalogue import kept_catalogue

if TYPE_CHECKING:
    from tests.collector.desk import Desk

COLLECTOR_KEY = SigningKey(b"collector".ljust(32, b"\0"))
UNITS = {name: signal.unit for name, signal in kept_catalogue().signals.items()}


class World:
    """A collector on a time that the test moves."""

    def __init__(self, path: Path, where: Where | None = None) -> None:
        """path: of the file, and of what stands beside it; where: the store, if it is not that file."""
        self.path, self.where = path, where or path
        self.now = T0
        self.store = open_store(self.where)
        self.pipeline = Pipeline(self.store, COLLECTOR_KEY, UNITS, clock=lambda: self.now)

    async def start(self, site: str = "") -> None:
        await self.pipeline.start(shipped_text(), site)

    async def tick(self, to: int) -> None:
        """Let the time pass without a word from anyone."""
        self.now = to
        await self.pipeline.take([])

    def restart(self) -> World:
        """As after a kill: nothing is said, the file is all that remains."""
        self.store.close()
        again = World(self.path, self.where)
        again.now = self.now
        return again


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "collector.db")


@pytest.fixture
def worlds(tmp_path: Path) -> Callable[[str], World]:
    return lambda name: World(tmp_path / f"{name}.db")


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """With one terminal whose disk is nearly full: alarm 1, level 3, in an incident of its own."""
    from tests.collector.desk import Desk

    made = Desk(tmp_path, capsys)
    made.enrol("atm-1")
    made.say("atm-1", "host/disk:/", "host.disk.percent", 93)
    return made
