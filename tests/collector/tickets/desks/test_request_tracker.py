"""Request Tracker, against a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collector.tickets.desks.contract import Contract
from tests.collector.tickets.desks.request_tracker_server import RequestTrackerServer, running
from tillwatch.collector.tickets.message import TicketState


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RequestTrackerServer]:
    with running(tmp_path_factory.mktemp("rt")) as server:
        yield server


class TestRequestTracker(Contract):
    etags = True
    # Its lifecycle has no word for what was closed after it was resolved.
    changes = Contract.changes | {"close": TicketState.RESOLVED}
