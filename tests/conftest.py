from __future__ import annotations

import pytest
from hypothesis import settings

# Assertions of the contract say what they saw, as those of a test file do; it is imported from several folders.
pytest.register_assert_rewrite("tests.collector.tickets.desks.contract")

settings.register_profile("house", deadline=None)  # a busy machine is no defect: nothing here asserts on the wall clock
settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write tests/golden anew instead of comparing; read the difference before you commit it",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
