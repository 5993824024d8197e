from __future__ import annotations

from pathlib import Path

import pytest

from tillwatch.collector.fleet_load.running import LEAD_S, Load, begin_in_s
from tillwatch.collector.fleet_load.terminals import Fleet


def load(*, terminals: int = 1_000, ahead: float = 30.0, seconds: float = 0.0, processes: int = 1) -> Load:
    return Load(
        Fleet(terminals, "1"), 10.0, 40, seconds, ahead, 0.0, processes, 10, "127.0.0.1", 1883, Path("tls"), bytes(32)
    )


def test_a_run_begins_when_what_is_sealed_ahead_can_be_ready() -> None:
    assert begin_in_s(load(ahead=0.0), 0.001, 2) == pytest.approx(LEAD_S + 0.5)
    # 1,000 terminals with 3 batches each, of a millisecond.
    assert begin_in_s(load(), 0.001, 2) > 3 + LEAD_S
    assert begin_in_s(load(processes=2), 0.001, 2) < begin_in_s(load(), 0.001, 2)
    # Two processes on one core take as long as one.
    assert begin_in_s(load(processes=2), 0.001, 1) == pytest.approx(begin_in_s(load(), 0.001, 1))
    assert begin_in_s(load(seconds=10.0), 0.001, 2) < begin_in_s(load(), 0.001, 2)
