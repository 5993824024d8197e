"""tests/collector/store/test_incident_reader.py over PostgreSQL."""

import pytest

from tests.collector.store.test_incident_reader import *  # noqa: F403 - all its tests, unchanged

pytestmark = pytest.mark.long
