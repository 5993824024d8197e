"""Parts against their like: what differs is found, what all have in common is not."""

from __future__ import annotations

import numpy as np

from tillwatch.collector.predict.buffer import Readings
from tillwatch.collector.predict.daily import Daily
from tillwatch.collector.predict.peering import Odd, Peers
from tillwatch.collector.predict.series import Registry
from tillwatch.collector.predict.settings import DAY_NS, parse_tables

TABLES = parse_tables()
FLEET, FIRST = 30, 19_700


def like(_terminal: str, component: str) -> str:
    return component


def lived(days: int, odd_from: int, model: str = "ups") -> tuple[Registry, Peers, list[Odd]]:
    """Temperatures that follow the season together; the first terminal's goes its own way from a day on."""
    registry, daily, rng = Registry(TABLES), Daily(), np.random.default_rng(7)
    peers = Peers(TABLES, registry, daily)
    rows = [registry.row(f"T{i}", model if i < FLEET else "lone", "ups.temperature") for i in range(FLEET + 2)]
    own = rng.normal(0, 1, len(rows))
    found: list[Odd] = []
    for day in range(days):
        values = 25 + day * 0.3 + own + rng.normal(0, 0.5, len(rows))
        values[0] += 12 if day >= odd_from else 0
        daily.add(Readings(np.array(rows, np.int32), np.full(len(rows), (FIRST + day) * DAY_NS), values))
        found = list(peers.day(FIRST + day, like))
    return registry, peers, found


def test_the_one_that_differs_is_rare_and_the_season_is_not():
    _, _, found = lived(40, 30)
    by_row = {each.row: each for each in found}
    assert by_row[0].nats > 5
    assert by_row[0].value > by_row[0].high
    assert by_row[0].peers == FLEET - 1
    assert max(each.nats for row, each in by_row.items() if row) < by_row[0].nats


def test_who_has_too_few_of_its_kind_has_no_peers():
    _, _, found = lived(20, 99)
    assert {each.row for each in found} == set(range(FLEET))


def test_it_is_restored_as_it_was():
    registry, peers, _ = lived(12, 99)
    daily = Daily()
    daily.grow(len(registry))
    daily.add(
        Readings(np.arange(FLEET, dtype=np.int32), np.full(FLEET, (FIRST + 12) * DAY_NS), np.linspace(20, 30, FLEET))
    )
    again = Peers(TABLES, registry, daily)
    again.restore(peers.state())
    peers._daily = daily
    assert list(again.day(FIRST + 12, like)) == list(peers.day(FIRST + 12, like))
