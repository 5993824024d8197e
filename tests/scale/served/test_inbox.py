"""tests/collector/tickets/two_way/test_inbox.py over PostgreSQL."""

from tests.collector.tickets.two_way.test_inbox import *  # noqa: F403 - all its tests, unchanged
