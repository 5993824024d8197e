from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scale.servers.victoriametrics import VictoriaMetrics


@pytest.fixture(scope="session")
def shared_victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    """One for all tests that only write what nobody else writes."""
    server = VictoriaMetrics(tmp_path_factory.mktemp("victoria"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def victoria(tmp_path: Path) -> Iterator[VictoriaMetrics]:
    """One that the test may kill and stop."""
    server = VictoriaMetrics(tmp_path / "victoria")
    server.start()
    yield server
    server.kill()
