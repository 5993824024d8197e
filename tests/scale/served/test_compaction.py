"""tests/collector/store/test_compaction.py over PostgreSQL."""

import pytest

from tests.collector.store.test_compaction import *  # noqa: F403 - all its tests, unchanged

pytestmark = pytest.mark.long
