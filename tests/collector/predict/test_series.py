"""Rows of series: one each, for what is worth watching, within bounds."""

from __future__ import annotations

from tillwatch.collector.predict import series
from tillwatch.collector.predict.series import NONE, Registry
from tillwatch.collector.predict.settings import parse_tables

TABLES = parse_tables()


def test_a_series_has_one_row_and_a_device_a_part_of_its_own():
    registry = Registry(TABLES)
    first = registry.row("T", "ups/battery", "ups.battery.charge")
    assert registry.row("T", "ups/battery", "ups.battery.charge") == first == 0
    assert registry.row("T", "ups/battery", "ups.battery.cycles") == 1
    assert registry.device(0) == ("T", "ups")
    assert registry.part("T", "ups") == 1
    assert (registry.counts, registry.judged, registry.whole) == ([False, True], [True, True], [False, True])
    assert registry.known("T", "ups", "ups.battery.charge") == NONE


def test_what_is_no_number_of_the_catalogue_has_none_and_takes_no_place():
    registry = Registry(TABLES)
    for signal in ("identity.serial", "device.uptime", "experimental.x", "nonsense"):
        assert registry.row("T", "x", signal) == NONE
    assert (len(registry), registry.refused) == (0, 0)


def test_one_terminal_cannot_take_the_places_of_others(monkeypatch):
    monkeypatch.setattr(series, "MAX_SERIES", 5)
    monkeypatch.setattr(series, "MAX_TERMINAL_SERIES", 3)
    registry = Registry(TABLES)
    rows = [registry.row("T", f"p{i}", "ups.output.load") for i in range(5)]
    assert rows == [0, 1, 2, NONE, NONE]
    assert [registry.row("U", f"p{i}", "ups.output.load") for i in range(3)] == [3, 4, NONE]
    assert registry.refused == 3


def test_rows_stay_where_they_were():
    registry = Registry(TABLES)
    registry.part("T", "ups")
    for name in ("b", "a", "c"):
        registry.row("T", name, "ups.output.load")
    again = Registry(TABLES)
    again.restore(registry.state())
    assert (again.names, again.components, again.component) == (registry.names, registry.components, registry.component)
    assert again.row("T", "a", "ups.output.load") == 1
    assert again.rows_of("T") == registry.rows_of("T")
