from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.collector.stories.stage import Stage


@pytest.fixture
def staged(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Sets up a stage. Every story ends with a restart and with a rebuild from its entries."""
    with ExitStack() as ends:

        def make(**how: Any) -> Stage:
            stage = Stage(tmp_path, **how)
            ends.callback(stage.store.close)
            return stage

        yield make


@pytest.fixture
def stage(staged: Callable[..., Stage]) -> Iterator[Stage]:
    stage = staged()
    yield stage
    stage.restart()
    stage.rebuilt()
