from __future__ import annotations

import pytest

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
    for _ in range(2):
        budget.begin()
        for _ in range(REQUESTS_A_POLL):
            budget.request()
        with pytest.raises(SourceError, match=f"{REQUESTS_A_POLL} requests"):
            budget.request()
        assert budget.requests == REQUESTS_A_POLL


@pytest.mark.parametrize(
    ("requests", "varbinds", "took", "rest"),
    [
        (0, 0, 1.0, 0.0),
        (REQUESTS_A_MINUTE, 0, 0.0, 60.0),
        (0, 2 * VARBINDS_A_MINUTE, 0.0, 120.0),
        (REQUESTS_A_MINUTE, 2 * VARBINDS_A_MINUTE, 20.0, 100.0),
        (10, 200, 30.0, 0.0),
    ],
)
def test_what_was_asked_is_spread_out_to_what_a_minute_may_have(
    requests: int, varbinds: int, took: float, rest: float
) -> None:
    budget = Budget()
    budget.requests, budget.varbinds = requests, varbinds
    assert budget.rest(took) == rest


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
