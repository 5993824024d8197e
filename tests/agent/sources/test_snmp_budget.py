from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.agent.sources import SourceError
from tillwatch.agent.sources.snmp_budget import (
    HR_DEVICE_STATUS,
    HR_PRINTER_ERRORS,
    HR_PRINTER_STATUS,
    MAX_BACK_OFF_S,
    REQUESTS_A_MINUTE,
    REQUESTS_A_POLL,
    VARBINDS_A_MINUTE,
    BackOff,
    Budget,
    sleeping,
)
from tillwatch.agent.sources.snmp_values import Raw


def test_a_poll_ends_with_its_budget_and_the_next_begins_anew() -> None:
    budget = Budget()
    for _ in range(REQUESTS_A_POLL + 1):
        budget.request()  # a person's walk
    for _ in range(2):
        budget.begin()
        for _ in range(REQUESTS_A_POLL):
            budget.request()
        with pytest.raises(SourceError, match=f"{REQUESTS_A_POLL} requests"):
            budget.request()
        assert budget.requests == REQUESTS_A_POLL


def test_what_is_beyond_a_minute_s_share_is_made_up_for_by_rest() -> None:
    """However it is spread over the minute, and no rest is owed for what stays below."""
    budget = Budget()
    rests = []
    for now, requests, varbinds in (
        (0.0, REQUESTS_A_MINUTE, 0),
        (30.0, REQUESTS_A_MINUTE // 2, 0),
        (40.0, REQUESTS_A_MINUTE // 2, 0),
        (60.0, 0, 0),
        (1000.0, 0, 4 * VARBINDS_A_MINUTE),
        (1180.0, 1, 20),
        (1181.0, 0, 0),
    ):
        budget.begin()
        budget.requests, budget.varbinds = requests, varbinds
        rests.append(round(budget.rest(now), 6))
    assert rests == [0.0, 0.0, 20.0, 0.0, 180.0, 0.1, 0.0]


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3 * REQUESTS_A_MINUTE), st.floats(0, 90)), min_size=1, max_size=40))
def test_over_any_time_a_device_is_asked_no_more_than_its_minutes_and_one(polls: list[tuple[int, float]]) -> None:
    budget, now, asked = Budget(), 0.0, 0
    for requests, later in polls:
        budget.begin()
        budget.requests = requests
        asked += requests
        now += budget.rest(now)
        assert asked <= REQUESTS_A_MINUTE * (1 + now / 60) + 1e-6
        now += later


def test_silence_is_asked_into_less_and_less_and_an_answer_ends_that() -> None:
    back_off = BackOff()
    assert [back_off.failed() for _ in range(8)] == [0.0, 10.0, 20.0, 40.0, 80.0, 160.0, MAX_BACK_OFF_S, MAX_BACK_OFF_S]
    for _ in range(5000):
        assert back_off.failed() == MAX_BACK_OFF_S
    back_off.answered()
    assert back_off.failed() == 0.0


def engine(index: int, device: Raw | None, printer: Raw, errors: Raw | None = b"\0\0") -> dict[str, Raw]:
    raws = {
        f"{HR_DEVICE_STATUS}{index}": device,
        f"{HR_PRINTER_STATUS}{index}": printer,
        f"{HR_PRINTER_ERRORS}{index}": errors,
    }
    return {oid: raw for oid, raw in raws.items() if raw is not None}


@pytest.mark.parametrize(
    ("raws", "asleep"),
    [
        ({}, None),
        ({f"{HR_DEVICE_STATUS}1": 2}, None),
        (engine(1, 2, 1), True),
        (engine(1, 2, 1, None), True),
        (engine(1, 2, 1, b""), True),
        (engine(1, 2, 1, b"\x40"), False),
        (engine(1, 2, 3), False),
        (engine(1, 5, 1), False),
        (engine(1, None, 1), False),
        ({**engine(1, 2, 1), **engine(2, 2, 1)}, True),
        ({**engine(1, 2, 1), **engine(2, 2, 4)}, False),
    ],
)
def test_standby_is_told_from_idle_busy_and_ill(raws: dict[str, Raw], asleep: bool | None) -> None:
    assert sleeping(raws) is asleep
