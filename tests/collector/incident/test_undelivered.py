"""What waits for the ticket system, as an incident of the monitoring itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.stories.stage import DAY, HOUR, MINUTE, S, Stage
from tillwatch.collector.incident.incidents import DROPPED, OPEN, RESTORED, SETTLING
from tillwatch.collector.journal import Kind
from tillwatch.collector.tickets.message import Op

FAULT = "tickets.undelivered"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.restart()
    stage.rebuilt()
    stage.store.close()


def waits(stage: Stage, levels: dict[str, list[int]], *, connector: str = "rt", reason: str = "503") -> None:
    facts = {"origin": "delivery", "connector": connector, "undelivered": levels, "reason": reason}
    stage.enter(Kind.TICKET_CHANGE, "", facts)


def test_level_1_is_late_after_two_minutes(stage: Stage) -> None:
    """Until then nobody is told, and a restart changes nothing of that."""
    with stage.quiet():
        waits(stage, {"1": [3, stage.now], "2": [1, stage.now]})
        stage.wait(MINUTE)
        stage.restart()
        stage.wait(59 * S)
    assert stage.incident(FAULT).state == SETTLING
    stage.wait(S)
    incident = stage.incident(FAULT)
    assert (incident.state, incident.component, incident.scope) == (OPEN, "rt", "fleet")
    assert stage.told[0].op is Op.OPEN
    assert "3 of level 1, 1 of level 2 wait, the first since " in stage.told[0].what
    assert ("duty engineer", "duty engineer", "phone") in stage.told[0].told
    waits(stage, {})
    assert stage.incident(FAULT).state == RESTORED
    assert stage.told[-1].op is Op.RESOLVE


def test_level_2_has_five_minutes_and_level_3_waits(stage: Stage) -> None:
    with stage.quiet():
        waits(stage, {"3": [40, stage.now]})
        stage.wait(DAY)
        assert stage.incidents() == []
        waits(stage, {"2": [1, stage.now], "3": [40, stage.now - DAY]})
        stage.wait(5 * MINUTE - S)
    stage.wait(S)
    assert stage.incident(FAULT).state == OPEN


def test_what_is_late_already_is_told_at_once(stage: Stage) -> None:
    waits(stage, {"1": [1, stage.now - HOUR]})
    assert stage.incident(FAULT).state == OPEN
    with stage.quiet():
        waits(stage, {"1": [2, stage.now - HOUR]}, reason="504")
    assert "504" in stage.incident(FAULT).cause


def test_delivered_in_time_is_nobodys_business(stage: Stage) -> None:
    """However often it happens; and the oldest that was delivered is not waited for any more."""
    with stage.quiet():
        for _ in range(5):
            waits(stage, {"1": [1, stage.now]})
            stage.wait(MINUTE)
            waits(stage, {"1": [1, stage.now]})
            stage.wait(90 * S)
            waits(stage, {})
            stage.wait(HOUR)
    assert [each.state for each in stage.incidents()] == [DROPPED]
    waits(stage, {"1": [1, stage.now]})
    stage.wait(2 * MINUTE)
    assert [each.state for each in stage.incidents()] == [OPEN]


def test_each_outage_and_each_connector_has_its_own(stage: Stage) -> None:
    for connector in ("rt", "jira", "rt"):
        waits(stage, {"1": [1, stage.now - HOUR]}, connector=connector)
        stage.wait(MINUTE)
        waits(stage, {}, connector=connector)
        stage.wait(5 * HOUR)
    stage.wait(30 * DAY)
    assert sorted((each.component, each.episode) for each in stage.incidents()) == [("jira", 1), ("rt", 1), ("rt", 2)]
    assert len({each.corr_id for each in stage.incidents()}) == 3
