"""A world on a file, as the tests of the collector have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.collector.conftest import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "collector.db")
