"""tests/collector/trust/test_registry.py over PostgreSQL."""

import pytest

from tests.collector.trust.test_registry import *  # noqa: F403 - all its tests, unchanged

pytestmark = pytest.mark.long

del test_the_secret_itself_is_nowhere_in_the_database  # noqa: F821 - it reads the bytes of a file
