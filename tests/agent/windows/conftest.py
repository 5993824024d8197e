import pytest

from tests.agent.windows.stand_in import Machine


@pytest.fixture
def machine():
    """A Windows that must have all its memory and handles back at the end."""
    found = Machine()
    yield found
    assert found.allocated == {}
