"""How far a part lies from its own past: nothing of what comes later, nothing of its neighbours, and the same after a restart."""

from __future__ import annotations

import numpy as np
import pytest

from tillwatch.collector.predict.buffer import Readings
from tillwatch.collector.predict.daily import Daily
from tillwatch.collector.predict.series import Registry
from tillwatch.collector.predict.settings import DAY_NS, parse_tables
from tillwatch.collector.predict.strays import MOST, NAMES, Strays, away_from_past, paces

TABLES = parse_tables()
READS, RATE = "cardreader.reads.failed", "atm.unit.reject.rate"
UNITS = [("T", "atm/CashDispenser"), ("T", "cardreader"), ("U", "cardreader"), ("U", "atm/CashDispenser")]


def lived(days: int, rate: float, pace: float, since: int) -> tuple[Registry, Daily, np.ndarray]:
    """A cassette that rejects, and a reader that counts, which change to this rate and pace on a day. Returns what is found at the end."""
    registry, daily = Registry(TABLES), Daily()
    cassette, reader = registry.row("T", "atm/CashDispenser unit:1", RATE), registry.row("T", "cardreader", READS)
    other = registry.row("U", "cardreader", READS)
    counts = np.zeros(2)
    rng = np.random.default_rng(1)
    for day in range(days):
        counts += rng.poisson([pace if day >= since else 5.0, 5.0])
        level = (rate if day >= since else 0.6) + rng.normal(0, 0.05)
        values = np.array([level, *counts])
        at = np.full(3, day * DAY_NS + DAY_NS // 2)
        daily.add(Readings(np.array([cassette, reader, other], np.int32), at, values))
    daily.grow(len(registry))
    return registry, daily, Strays(registry, daily, TABLES.compared).day(days - 1, UNITS)


def test_a_rate_that_rises_is_seen_of_the_whole_device_and_of_no_other() -> None:
    _, _, found = lived(50, 3.0, 5.0, 45)
    higher, faster = NAMES.index("readings higher 3 d"), NAMES.index("counts faster 3 d")
    assert found[0, higher] == MOST
    assert np.isnan(found[3, higher])
    assert found[0, NAMES.index("readings lower 3 d")] == -MOST
    assert np.isnan(found[1, higher])
    assert abs(found[2, faster]) < 3
    assert np.isnan(found[0, faster])


def test_a_counter_that_runs_faster_is_seen_and_one_that_began_anew_is_not() -> None:
    _, _, found = lived(50, 0.6, 40.0, 47)
    faster = NAMES.index("counts faster 3 d")
    assert found[1, faster] > 5 > abs(found[2, faster])
    anew = np.cumsum(np.full((1, 64), 5.0, np.float32), axis=1)
    anew[0, 60:] -= anew[0, 59]
    assert away_from_past(paces(anew), 0.0, 0.5)[0].tolist() == pytest.approx([0, 0])


def test_of_a_part_without_a_past_nothing_is_said() -> None:
    _, _, found = lived(12, 3.0, 40.0, 8)
    assert np.isnan(found).all()
    empty = Strays(Registry(TABLES), Daily(), TABLES.compared)
    assert np.isnan(empty.day(10, UNITS)).all()
    assert empty.day(10, []).shape == (0, len(NAMES))


def test_series_that_come_later_and_a_restart_change_nothing_of_the_others() -> None:
    registry, daily, found = lived(50, 3.0, 5.0, 45)
    strays = Strays(registry, daily, TABLES.compared)
    np.testing.assert_array_equal(strays.day(49, UNITS), found)
    registry.row("V", "cardreader", READS)
    daily.grow(len(registry))
    np.testing.assert_array_equal(strays.day(49, UNITS), found)
    again, kept = Registry(TABLES), Daily()
    again.restore(registry.state())
    kept.restore(daily.state())
    np.testing.assert_array_equal(Strays(again, kept, TABLES.compared).day(49, UNITS), found)
    earlier = Strays(registry, daily, TABLES.compared).day(44, UNITS)
    np.testing.assert_array_equal(earlier, lived(45, 3.0, 5.0, 45)[2])
