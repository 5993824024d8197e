"""tests/collector/predict/test_follower.py over PostgreSQL."""

import pytest

from tests.collector.predict.test_follower import *  # noqa: F403 - all its tests, unchanged

pytestmark = pytest.mark.long

del test_killed_anywhere_it_ends_as_if_it_never_was  # noqa: F821 - its process has a file of its own
