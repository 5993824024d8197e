"""A bank's ticket desk, and sites that are ended with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector.tickets.conftest import Desk, desk, secret_file, until  # noqa: F401 - fixtures
from tests.collector.watch.running import Site


@pytest.fixture
def site(tmp_path: Path, desk: Desk, secret_file: Path) -> Iterator[Callable[..., Site]]:  # noqa: F811 - the fixture above
    made: list[Site] = []

    def make(**options: Any) -> Site:
        made.append(Site(tmp_path, desk.address, secret_file, **options))
        return made[-1]

    yield make
    for one in made:
        one.end()
