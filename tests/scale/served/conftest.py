"""What is tested here is the tests of the rooms themselves, over PostgreSQL: a file of each, with what it takes from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.conftest import desk, world, worlds
from tests.collector.tickets.conftest import message, until
from tests.scale.servers.postgres import Server
from tests.scale.serving import served
from tillwatch.collector.store import sqlite

__all__ = ["desk", "message", "until", "world", "worlds"]


@pytest.fixture(autouse=True)
def _served(postgres_server: Server) -> Iterator[None]:
    with served(postgres_server):
        yield


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """With all tables."""
    path = tmp_path / "collector.db"
    sqlite.open_db(path).close()
    return path
