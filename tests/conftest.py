from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.scale.servers.postgres import Server
    from tillwatch.collector.store.db import Postgres

# Assertions of the contract say what they saw, as those of a test file do; it is imported from several folders.
pytest.register_assert_rewrite("tests.collector.tickets.desks.contract")

# A busy machine is no defect: nothing here asserts on the wall clock.
settings.register_profile("house", deadline=None, max_examples=30)
settings.register_profile("long", deadline=None)  # `make test-long`: hypothesis' own hundred
settings.load_profile("house")


LONGEST = "tests/packaging/demo/test_demo.py"
"""The file that takes longest by far: it begins with the run, for at its end the other workers would wait for it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden anew instead of comparing; read the difference before you commit it",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL of this test process."""
    from tests.scale.servers import postgres

    with postgres.running() as server:
        yield server


@pytest.fixture
def database(postgres_server: Server) -> Iterator[Postgres]:
    """A new database of the collector's, with all tables."""
    where = postgres_server.database("tables")
    yield where
    postgres_server.drop(where)
