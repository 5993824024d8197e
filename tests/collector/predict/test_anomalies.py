"""Episodes of parts: what stands is told, what jumps is not, and what came before an alarm is no chance."""

from __future__ import annotations

import numpy as np
import pytest

from tillwatch.collector.predict.anomalies import CONFIRM_NS, DAYS, EXPLAINED_NS, SERIES, Anomalies
from tillwatch.collector.predict.series import Registry
from tillwatch.collector.predict.settings import DAY_NS, parse_tables

TABLES = parse_tables()
FLEET, START = 50, 19_700 * DAY_NS
FAN = "host/fan:1"


class Watched:
    """Fans whose days are drawn; the first one's are given."""

    def __init__(self) -> None:
        self.registry, self.anomalies = Registry(TABLES), Anomalies(TABLES)
        for i in range(FLEET):
            self.registry.row(f"T{i}", FAN, "host.fan.speed")
        self.anomalies.grow(self.registry)
        self.rng, self.now = np.random.default_rng(5), START
        self.every = np.arange(FLEET)

    def day(self, first: float | None = None) -> tuple[tuple[int, int], ...]:
        scores = self.rng.gumbel(1, 0.4, FLEET).astype(np.float32).clip(0)
        scores[0] = scores[0] if first is None else first
        self.now += DAY_NS
        opened = self.anomalies.observe(DAYS, self.now, self.every, scores, self.now + DAY_NS)
        self.anomalies.end_day(self.registry, self.now)
        return opened

    def seen(self) -> float:
        """Days of the source beyond a score of 20."""
        return float(self.anomalies.tail.seen[self.anomalies.looked[DAYS].group[0], 160:].sum())


def lived(days: int = 80) -> Watched:
    watched = Watched()
    for _ in range(days):
        assert not watched.day()
    return watched


def test_what_is_rarer_than_the_share_of_the_budget_is_told_once():
    watched = lived()
    part = watched.registry.component[0]
    assert watched.day(12.0) == ((part, 0),)
    assert watched.day(12.0) == ()
    assert watched.anomalies.open[part] == START + 81 * DAY_NS


@pytest.mark.parametrize("alarm", [False, True])
def test_days_in_a_row_are_one_event_and_none_before_an_alarm(alarm: bool):
    watched = lived()
    for _ in range(5):
        watched.day(30.0)
    assert watched.seen() == 0
    if alarm:
        watched.anomalies.explained(watched.registry, "T0", FAN, watched.now + EXPLAINED_NS)
    watched.day()
    assert watched.seen() == (0 if alarm else 1)


def test_an_alarm_of_the_part_or_of_what_it_is_of_tells_what_follows():
    watched = lived()
    for i, component in enumerate((FAN, "host", "host/fan", "host/fan:11", "ups")):
        watched.anomalies.explained(watched.registry, f"T{i}", component, watched.now + EXPLAINED_NS)
    muted = watched.anomalies.muted[watched.anomalies.looked[DAYS].part[:5]] > watched.now
    assert muted.tolist() == [True, True, False, False, False]
    assert watched.day(20.0) == ()
    for _ in range(4):
        watched.day(1.0)
    assert len(watched.day(20.0)) == 1


def test_a_reading_by_itself_must_stand_for_hours():
    watched = lived()
    anomalies, row = watched.anomalies, np.zeros(1, np.intp)
    anomalies.looked[SERIES].threshold[0] = 10
    hour = CONFIRM_NS // 6
    high, low = np.array([20], np.float32), np.array([1], np.float32)
    now = watched.now
    assert not anomalies.observe(SERIES, now, row, high)
    assert not anomalies.observe(SERIES, now + hour, row, low)
    assert not anomalies.observe(SERIES, now + 7 * hour, row, high)
    assert anomalies.observe(SERIES, now + 13 * hour, row, high)


def test_it_is_restored_as_it_was():
    watched = lived(20)
    again = Anomalies(TABLES)
    again.restore(watched.anomalies.state(), watched.registry)
    scores = np.full(FLEET, 11.0, np.float32)
    for each in (watched.anomalies, again):
        each.observe(DAYS, watched.now, watched.every, scores, watched.now + DAY_NS)
        each.end_day(watched.registry, watched.now)
    assert np.array_equal(again.tail.seen, watched.anomalies.tail.seen)
    assert np.array_equal(again.open, watched.anomalies.open)
    assert np.array_equal(again.looked[DAYS].threshold, watched.anomalies.looked[DAYS].threshold)
