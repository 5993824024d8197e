"""tests/collector/rollout/test_rolling.py over PostgreSQL."""

import pytest

from tests.collector.rollout.test_rolling import *  # noqa: F403 - all its tests, unchanged

pytestmark = pytest.mark.long
