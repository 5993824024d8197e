from __future__ import annotations

import pytest

from tillwatch.collector.predict.finding import Finding
from tillwatch.collector.predict.settings import DAY_NS, parse_tables
from tillwatch.collector.predict.supplies import Latest, Stored, group_of, refills, route, signals_of, supplies

NOW = 20_000 * DAY_NS
TABLES = parse_tables()


def stored(component: str, terminal: str = "atm-1", branch: str = "Harbour", **signals: object) -> Stored:
    latest = {name.replace("_", "."): Latest(value, NOW) for name, value in signals.items()}  # type: ignore[arg-type]
    return Stored(terminal, branch, "North", "atm", component, True, "", NOW + 1, latest)


def cassette(count: float, component: str = "atm/CashDispenser unit:2", **more: object) -> Stored:
    return stored(component, atm_unit_count=count, atm_unit_capacity=2000, **more)


def finding(
    component: str, detector: str, days: tuple[float, float, float], terminal: str = "atm-1", **values: object
) -> Finding:
    near, likely, far = (NOW + round(each * DAY_NS) for each in days)
    family = detector.partition("/")[0]
    return Finding(
        "f1",
        detector,
        family,
        terminal,
        component,
        "",
        "x",
        "open",
        "soon",
        NOW,
        NOW,
        (near, likely, far),
        values=values,
    )


def one(*stores: Stored, findings: tuple[Finding, ...] = (), predicting: bool = True):
    (found,) = supplies(stores, findings, TABLES, predicting=predicting)
    return found


def test_every_shipped_entry_has_a_group():
    entries = [each for each in TABLES.watch.by_id.values() if each.kind in ("runout", "sensor")]
    assert [each.id for each in entries if group_of(each.id) == "other"] == []
    assert {"atm.unit.count", "atm.unit.capacity", "printer.tray.level", "host.disk.percent"} <= signals_of(TABLES)


def test_a_cassette_has_what_is_left_of_its_whole():
    row = one(cassette(500))
    assert (row.way, row.level, row.whole, row.left, row.word, row.why) == (
        "empties",
        500,
        2000,
        0.25,
        "enough",
        "beyond",
    )


@pytest.mark.parametrize(("count", "word"), [(0, "out"), (150, "low"), (1900, "enough")])
def test_a_level_alone_says_when_it_is_low(count, word):
    assert one(cassette(count)).word == word


def test_a_sensor_that_is_graver_than_the_level_counts():
    row = one(cassette(500, atm_unit_supply="empty"))
    assert (row.word, row.told, row.level) == ("out", "empty", 500)


def test_a_date_comes_with_its_range_and_its_finding():
    row = one(cassette(500), findings=(finding("atm/CashDispenser unit:2", "runout/cash.empties", (1, 2, 4)),))
    assert row.due is not None
    assert ([(each - NOW) / DAY_NS for each in row.due], row.finding, row.why) == ([1, 2, 4], "f1", "foretold")


def test_a_part_that_takes_in_is_full_and_a_cassette_that_was_filled_is_not_news():
    box = one(stored("acceptor", atm_unit_count=1900, atm_unit_capacity=2000))
    assert (box.way, box.left, box.word) == ("fills", pytest.approx(0.05), "low")
    assert one(cassette(2000)).way == "empties"
    reject = one(stored("atm/CashDispenser unit:reject", atm_unit_count=2000, atm_unit_capacity=2000))
    assert (reject.way, reject.word) == ("fills", "out")


def test_a_recycler_ends_both_ways():
    found = supplies([cassette(900, "atm/unit:1")], (), TABLES, predicting=True)
    assert {each.way for each in found} == {"empties", "fills"}


def test_what_only_has_a_sensor_says_so():
    row = one(stored("atm/ReceiptPrinter paper:upper", atm_paper="low"))
    assert (row.group, row.word, row.told, row.left, row.why) == ("paper", "low", "low", None, "sensor")
    assert one(stored("x", atm_paper="jammed")).word == "unknown"


def test_a_disk_is_measured_against_the_limit_of_its_rule():
    row = one(stored("host/disk:C", host_disk_percent=60.0))
    assert (row.group, row.way, row.limit) == ("disk", "fills", TABLES.watch.by_id["disk.space"].limit_at(TABLES.rules))
    assert row.left == pytest.approx(1 - 60 / row.limit)


def test_a_value_that_could_not_be_read_is_not_nothing():
    row = one(stored("printer", printer_tray_level=None))
    assert (row.word, row.left, row.why) == ("unknown", None, "unreadable")


def test_without_predictions_that_is_the_reason():
    assert one(cassette(500), predicting=False).why == "off"


def test_a_battery_stands_there_when_something_is_foreseen_of_it():
    worn = finding("ups", "wear/ups.battery", (20, 60, 140), used_share=0.93)
    found = supplies([cassette(500)], [worn], TABLES, predicting=True)
    battery = next(each for each in found if each.group == "battery")
    assert (battery.stored.component, battery.left, battery.why) == ("ups", pytest.approx(0.07), "foretold")


def test_what_is_out_comes_first_then_the_nearest_date_then_what_is_left():
    stores = [
        cassette(900), cassette(0, terminal="atm-2"), cassette(300, terminal="atm-3"), cassette(1800, terminal="atm-4"),
    ]  # fmt: skip
    dated = (finding("atm/CashDispenser unit:2", "runout/cash.empties", (3, 5, 9), "atm-4"),)
    found = supplies(stores, dated, TABLES, predicting=True)
    assert [each.stored.terminal for each in found] == ["atm-2", "atm-4", "atm-3", "atm-1"]


def test_a_route_goes_to_what_ended_first_and_lists_by_terminal():
    stores = [
        cassette(0, terminal="atm-2", branch="Lake"), cassette(150, terminal="atm-1", branch="Harbour"),
        cassette(1800, terminal="atm-3", branch="Harbour"), cassette(1900, terminal="atm-4", branch="Market"),
        stored("host/disk:C", terminal="atm-1", host_disk_percent=99.9),
    ]  # fmt: skip
    dated = (finding("atm/CashDispenser unit:2", "runout/cash.empties", (1, 2, 4), "atm-3"),)
    stops = route(supplies(stores, dated, TABLES, predicting=True), NOW, 3)
    assert [(stop.branch, stop.out, [each.stored.terminal for each in stop.supplies]) for stop in stops] == [
        ("Lake", 1, ["atm-2"]),
        ("Harbour", 0, ["atm-1", "atm-3"]),
    ]
    assert route(supplies(stores[2:4], dated, TABLES, predicting=True), NOW, 0.5) == []


def test_refills_are_jumps_towards_full():
    hours = [
        (i * DAY_NS, level) for i, level in enumerate((1000.0, 700.0, 400.0, 2000.0, 1700.0, 1750.0, 900.0, 2000.0))
    ]
    assert [(one.before, one.after) for one in refills(hours, "empties")] == [(900.0, 2000.0), (400.0, 2000.0)]
    assert [(one.before, one.after) for one in refills([(0, 900.0), (1, 1800.0), (2, 0.0)], "fills")] == [(1800.0, 0.0)]
    assert refills([], "fills") == []


def test_what_is_low_comes_before_what_lasts_for_weeks_and_after_what_ends_this_week():
    disk = {"host.disk.percent": 96}
    low = Stored("atm-2", "Harbour", "North", "atm", "host/disk:/", True, "", NOW + 1, {name: Latest(value, NOW) for name, value in disk.items()})  # fmt: skip
    soon, later = (
        (cassette(count, f"atm/CashDispenser unit:{n}"), finding(f"atm/CashDispenser unit:{n}", "runout/cash.empties", days, level=count, left=count, rate=10.0))
        for n, count, days in ((2, 900, (2, 3, 4)), (3, 1500, (40, 60, 80)))
    )  # fmt: skip
    rows = supplies([later[0], low, soon[0]], [later[1], soon[1]], TABLES, predicting=True)
    assert [(row.stored.component, row.word) for row in rows] == [
        ("atm/CashDispenser unit:2", "enough"),
        ("host/disk:/", "low"),
        ("atm/CashDispenser unit:3", "enough"),
    ]
