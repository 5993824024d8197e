"""tests/collector/store/test_requests.py over PostgreSQL."""

import pytest

from tests.collector.store.test_requests import *  # noqa: F403 - all its tests, unchanged

pytestmark = pytest.mark.long
