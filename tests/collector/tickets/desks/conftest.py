"""Assertions of the contract say what they saw, as those of a test file do."""

import pytest

pytest.register_assert_rewrite("tests.collector.tickets.desks.contract")
