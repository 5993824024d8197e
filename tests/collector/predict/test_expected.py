"""What is foretold through the engine: stores that run out, values that drift to a limit, sensors, wear, and what ends all of that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.collector.predict.feeding import START, Heard, column
from tillwatch.collector.predict.engine import TICK_NS, Engine
from tillwatch.collector.predict.finding import CLOSED, HIT, OPEN, PREVENTED, Finding, Happened
from tillwatch.collector.predict.settings import DAY_NS, parse_tables
from tillwatch.collector.predict.words import LANGUAGES, sentences

TABLES = parse_tables()
Value = Callable[[float], float | str | None]


def days(engine: Engine, series: dict[tuple[str, str], Value], first: int, last: int, heard: Heard) -> Heard:
    """Four readings a day of each series, whose value is that of the day; None where it is not read."""
    for step in range(first * 4, last * 4):
        at = START + step * DAY_NS // 4 + 60 * 10**9
        read = [(name, value(step / 4)) for name, value in series.items()]
        engine.read("T", [column(*name, at, value) for name, value in read if value is not None], at)
        said = engine.advance(at + TICK_NS)
        heard.findings += said.findings
        heard.grades += said.grades
        heard.records += said.records
    return heard


def of_family(heard: Heard, family: str) -> list[Finding]:
    return [each for each in heard.findings if each.family == family]


def speaks(finding: Finding) -> None:
    for language in LANGUAGES:
        said = list(sentences(finding, language))
        assert all(said)
        assert not any("{" in each for each in said)


def test_a_disk_that_fills_up_is_told_with_its_range_and_no_more_once_it_was_cleared():
    rng = np.random.default_rng(3)
    level = 40 + np.cumsum(np.abs(rng.normal(0.8, 0.2, 400))) / 4

    def filling(day: float) -> float:
        return float(level[int(day * 4)]) if day < 50 else 30 + 0.1 * (day - 50)

    engine, disk = Engine(TABLES), {("host/disk:C", "host.disk.percent"): filling}
    heard = days(engine, disk, 0, 50, Heard())
    found = of_family(heard, "runout")
    assert found
    first = found[0]
    assert first.detector == "runout/disk.space"
    reaches = START + int(np.flatnonzero(level >= 97)[0]) * DAY_NS // 4
    assert first.due is not None
    assert first.due[0] - DAY_NS <= reaches <= first.due[2] + DAY_NS
    speaks(first)
    after = of_family(days(engine, disk, 50, 58, Heard()), "runout")
    assert [(each.status, each.outcome) for each in after][-1] == (CLOSED, PREVENTED)


def test_an_alarm_of_the_disk_makes_the_finding_a_hit():
    engine, disk = Engine(TABLES), {("host/disk:C", "host.disk.percent"): lambda day: 50 + day * 0.75}
    heard = days(engine, disk, 0, 50, Heard())
    assert of_family(heard, "runout")
    engine.happened(Happened(START + 50 * DAY_NS, "raised", "T", "host/disk:C", "disk.full", level=3, party="software"))
    after = days(engine, disk, 50, 51, Heard())
    assert [each.outcome for each in of_family(after, "runout")] == [HIT]
    assert [(each.detector, each.hits) for each in after.records] == [("runout/disk.space", 1)]
    assert not of_family(days(engine, disk, 51, 54, Heard()), "runout")


def test_a_value_that_drifts_is_told_and_one_that_does_not_is_not():
    rng = np.random.default_rng(5)
    noise = rng.normal(0, 0.4, 400)
    series: dict[tuple[str, str], Value] = {
        ("host/temp:a", "host.temperature"): lambda day: 55 + 0.5 * day + float(noise[int(day * 4)]),
        ("host/temp:b", "host.temperature"): lambda day: 55 + float(noise[int(day * 4)]),
    }
    found = of_family(days(Engine(TABLES), series, 0, 50, Heard()), "trend")
    assert {each.component for each in found} == {"host/temp:a"}
    assert found[0].signal == "host.temperature"
    assert len(found[0].readings) > 3
    speaks(found[0])


def test_a_cutter_at_the_end_of_its_life_is_told_until_it_is_changed():
    engine, count = Engine(TABLES), {("printer", "printer.cuts"): lambda day: 1_430_000.0 + 1_500 * day}
    heard = days(engine, count, 0, 40, Heard())
    found = of_family(heard, "wear")
    assert found
    assert {each.detector for each in found} == {"wear/printer.cutter"}
    assert found[0].values["used_share"] > 0.95
    speaks(found[0])
    engine.happened(Happened(START + 40 * DAY_NS, "verdict", "T", "printer", "predicted.wear", "part_changed"))
    after = of_family(days(engine, count, 40, 60, Heard()), "wear")
    assert [(each.status, each.outcome) for each in after] == [(CLOSED, HIT)]


def test_a_battery_ages_by_the_calendar_and_faster_where_it_is_warm():
    def battery(celsius: float) -> Heard:
        series: dict[tuple[str, str], Value] = {
            ("ups", "ups.battery.age"): lambda day: 1_100 + day,
            ("ups", "ups.temperature"): lambda _: celsius,
        }
        return days(Engine(TABLES), series, 0, 250, Heard())

    cool, warm = (of_family(battery(celsius), "wear") for celsius in (22, 35))
    assert warm
    assert warm[0].detector == "wear/ups.battery"
    assert not cool or cool[0].begun > warm[0].begun
    speaks(warm[0])


def test_a_battery_that_was_replaced_by_its_own_word_begins_anew():
    series: dict[tuple[str, str], Value] = {
        ("ups", "ups.battery.status"): lambda _: "normal",
        ("ups", "ups.battery.replaced"): lambda day: "2019-12-01" if day < 10 else "2023-12-18",
    }
    engine = Engine(TABLES)
    told = of_family(days(engine, series, 0, 9, Heard()), "wear")
    assert [each.reason for each in told[:1]] == ["wear.past"]
    after = of_family(days(engine, series, 9, 20, Heard()), "wear")
    assert after[-1].status == CLOSED
    assert after[-1].outcome == PREVENTED


def test_paper_that_is_low_is_told_by_how_long_it_lasted_before():
    def word(day: float) -> str:
        place = day % 10
        return "low" if 7 <= place < 9 else "empty" if place >= 9 else "ok"

    heard = days(Engine(TABLES), {("printer", "printer.paper"): word}, 0, 60, Heard())
    found = of_family(heard, "runout")
    assert found
    assert found[0].reason == "runout.sensor"
    assert found[0].begun > START + 30 * DAY_NS
    speaks(found[0])


def test_late_days_count():
    """A terminal that was cut off for three days tells them afterwards: the run-out knows what was used meanwhile."""
    series: dict[tuple[str, str], Value] = {("host/disk:C", "host.disk.percent"): lambda day: 50 + day * 0.75}
    usual, late = Engine(TABLES), Engine(TABLES)
    days(usual, series, 0, 45, Heard())
    days(late, series, 0, 38, Heard())
    for step in range(38 * 4, 41 * 4):
        late.advance(START + step * DAY_NS // 4 + TICK_NS)
    backlog = [START + step * DAY_NS // 4 + 60 * 10**9 for step in range(38 * 4, 41 * 4)]
    for at in backlog:
        late.read(
            "T",
            [column("host/disk:C", "host.disk.percent", at, 50 + (at - START) // (DAY_NS // 4) / 4 * 0.75)],
            backlog[-1],
            historical=True,
        )
    days(late, series, 41, 45, Heard())
    one, other = (each.state()["expected"]["groups"]["disk.space"]["stores"]["used"] for each in (usual, late))
    assert np.allclose(one, other, equal_nan=True)


def test_of_a_terminal_that_leaves_service_nothing_stands():
    engine, disk = Engine(TABLES), {("host/disk:C", "host.disk.percent"): lambda day: 50 + day * 0.75}
    assert of_family(days(engine, disk, 0, 50, Heard()), "runout")
    engine.happened(Happened(START + 50 * DAY_NS, "life_cycle", "T", value="scrapped"))
    after = of_family(days(engine, disk, 50, 54, Heard()), "runout")
    assert [(each.status, each.outcome) for each in after] == [(CLOSED, "")]


def test_a_store_that_is_empty_when_it_is_first_seen_has_its_alarm_and_nothing_was_foretold():
    def tray(level: Value) -> list[Finding]:
        return of_family(days(Engine(TABLES), {("printer", "printer.tray.level"): level}, 0, 40, Heard()), "runout")

    assert not tray(lambda _: 0.0)
    used = tray(lambda day: 95 - (day % 10) * 9)
    assert used
    assert all(each.due is not None and each.due[2] > each.at for each in used if each.status == OPEN)
    assert {each.outcome for each in used if each.status == CLOSED} == {PREVENTED}


def test_a_drive_that_was_half_worn_when_it_came_is_not_taken_to_wear_by_half_a_day():
    drive: dict[tuple[str, str], Value] = {("sda", "drive.wear"): lambda day: 45.0 + 0.02 * day}
    assert not days(Engine(TABLES), drive, 0, 60, Heard()).findings


def test_a_service_that_is_due_stands_until_it_is_done_and_is_held_against_nothing():
    engine, reads = Engine(TABLES), {("atm/CardReader", "cardreader.reads"): lambda day: 1_000.0 + 200 * day}
    heard = days(engine, reads, 0, 90, Heard())
    (name,) = {each.id for each in of_family(heard, "wear")}
    assert not [each for each in heard.records if each.detector == "wear/cardreader.cleaning"]
    engine.happened(Happened(START + 90 * DAY_NS, "verdict", "T", "atm/CardReader", "predicted.wear", "part_changed"))
    after = of_family(days(engine, reads, 90, 92, Heard()), "wear")
    assert [(each.id, each.status, each.outcome) for each in after] == [(name, CLOSED, "")]
