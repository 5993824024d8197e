"""tests/collector/store/test_retention.py over PostgreSQL."""

import pytest

from tests.collector.store.test_retention import *  # noqa: F403 - all its tests, unchanged

pytestmark = pytest.mark.long
