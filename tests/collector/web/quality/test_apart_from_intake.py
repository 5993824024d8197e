"""The console is a process of its own: while it stands still, and while somebody floods it, the collector takes batches, raises alarms and answers."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing

import httpx2
import pytest

from tests.collector.desk import Desk
from tests.collector.web.running import Serving
from tillwatch.collector.store.reader import SqliteReader

CALLERS = 8


@pytest.fixture
def desk(tmp_path) -> Desk:
    made = Desk(tmp_path)
    made.enrol("atm-1", "atm-2")
    return made


@pytest.fixture
def serving(desk: Desk) -> Iterator[Serving]:
    running = Serving("-m", "tillwatch.collector.web", "--db", str(desk.path), "--port", "0")
    yield running
    assert running.stop()[0] == 0


def open_alarms(desk: Desk) -> set[tuple[str, str]]:
    with closing(SqliteReader(desk.path)) as reader:
        return {(alarm.terminal, alarm.rule) for alarm in reader.alarms()}


def test_a_console_that_stands_still_holds_nothing_up(desk, serving):
    with httpx2.Client(base_url=serving.url) as client:
        assert client.get("api/v1/alarms").json()["total"] == 0
        os.kill(serving.process.pid, signal.SIGSTOP)
        try:
            desk.say("atm-1", "ups", "ups.battery.charge", 10)  # a batch that is not stored raises
            assert ("atm-1", "ups.battery-low") in open_alarms(desk)
        finally:
            os.kill(serving.process.pid, signal.SIGCONT)
        assert client.get("api/v1/alarms").json()["total"] == 1


def test_a_console_that_is_flooded_holds_nothing_up(desk, serving):
    over, answers = threading.Event(), set()
    begun = threading.Barrier(CALLERS + 1, timeout=60)

    def call() -> None:
        with httpx2.Client(base_url=serving.url, timeout=60) as client:
            answers.add(client.get("console/fleet.json").status_code)
            begun.wait()
            while not over.is_set():
                for place in ("api/v1/terminals?limit=1000", "api/v1/alarms", ""):
                    answers.add(client.get(place).status_code)

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for each in callers:
        each.start()
    try:
        begun.wait()
        for n in range(20):
            desk.say("atm-1", "ups", "ups.battery.charge", 90 - n, lasting=5)
        desk.say("atm-2", "ups", "ups.battery.charge", 10)
        assert ("atm-2", "ups.battery-low") in open_alarms(desk)
    finally:
        over.set()
        for each in callers:
            each.join(60)
    assert answers <= {200, 429, 503}
    assert 200 in answers
