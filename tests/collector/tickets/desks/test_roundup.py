"""Roundup, against a real tracker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.collector.tickets.desks.contract import Contract
from tests.collector.tickets.desks.roundup_server import RoundupServer, running


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RoundupServer]:
    with running(tmp_path_factory.mktemp("roundup")) as server:
        yield server


class TestRoundup(Contract):
    etags = True

    @staticmethod
    def writing(method: str, path: str) -> bool:
        return method in {"PATCH", "DELETE"} or (method == "POST" and "/issue/@poe/" in path)
