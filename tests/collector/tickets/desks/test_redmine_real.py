"""Redmine, against a real one out of the Debian package: in `make test-long`, for its 20 s to set up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from tests.collector.tickets.desks.contract import Contract
from tests.collector.tickets.desks.redmine_server import RedmineServer, running

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedmineServer]:
    with running(tmp_path_factory.mktemp("redmine")) as server:
        yield server


class TestRealRedmine(Contract):
    slow_timeout_s = 5.0
    queueless: ClassVar = {"queue": "no-such-project"}
    keyless: ClassVar = {"key_field": "99"}
