"""The engine as a whole: it is quiet where nothing is wrong, says what is, and goes on exactly where it stopped."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import closing
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.collector.predict.feeding import START, Fleet, Heard, column
from tillwatch.collector.predict import daily
from tillwatch.collector.predict.anomalies import SHADOW_DAYS
from tillwatch.collector.predict.checkpoint import Checkpoint, Kept
from tillwatch.collector.predict.engine import TICK_NS, Engine, Said
from tillwatch.collector.predict.finding import FALSE, HIT, Happened
from tillwatch.collector.predict.settings import DAY_NS, YEAR_DAYS, parse_tables
from tillwatch.collector.predict.words import sentences

TABLES = parse_tables()
QUICK = replace(TABLES, learn_ns=4 * DAY_NS)
"""Four days of learning, for tests that are not about it."""
SICK = 24
"""Day of the faults: after the learning, and the week in which nothing is said."""
BUDGET_YEARS = 200 * (60 - 14 - SHADOW_DAYS) / YEAR_DAYS
"""Terminal-years of the fleet below, without the days in which it learns."""


def plain(value: object) -> object:
    """A state as bytes would hold it: arrays with kind and shape."""
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), value.tobytes()]
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def same(one: object, other: object) -> bool:
    return bool(msgpack.packb(plain(one)) == msgpack.packb(plain(other)))


def ill(day: float, values: NDArray[np.float64], noise: NDArray[np.float64]) -> None:
    """From day SICK on the first terminal's fan is slow, the second one's UPS grows warm, and the third one's load is doubled for three days."""
    if day >= SICK:
        values[0, 2] -= 9 * noise[0, 2]
        values[1, 4] += noise[1, 4] * min(10.0, 2 * (day - SICK))
        if day < SICK + 3:
            values[2, 3] *= 2


@pytest.mark.long
def test_the_budget_of_false_alarms_holds_where_nothing_is_wrong():
    """200 terminals and 60 days of stationary noise with a daily course, the same for each run."""
    heard = Fleet(200).live(Engine(TABLES), 60)
    found = heard.opened().values()
    assert min((each.begun for each in found), default=START + TABLES.learn_ns) >= START + TABLES.learn_ns
    assert len(found) / BUDGET_YEARS <= 1.5 * TABLES.anomaly_budget


def test_what_is_unlike_itself_is_found_once_and_ends():
    fleet = Fleet(40, fault=ill)
    heard = fleet.live(Engine(QUICK), SICK + 9)
    of_ill = [
        each
        for each in heard.opened().values()
        if each.begun >= START + SICK * DAY_NS and each.terminal in {"T0", "T1", "T2"}
    ]
    assert sorted(each.terminal for each in of_ill) == ["T0", "T1", "T2"]
    fan = next(each for each in of_ill if each.terminal == "T0")
    assert fan.begun < START + (SICK + 4) * DAY_NS
    assert any(signal == "host.fan.speed" for _, signal, _, _ in fan.readings)
    assert fan.record is not None
    assert all("{" not in each for each in sentences(fan, "zh"))
    short = [each for each in heard.findings if each.terminal == "T2" and each.begun >= START + SICK * DAY_NS]
    assert short[-1].status == "over"
    assert short[-1].ended - short[0].begun < 6 * DAY_NS


def test_a_finding_is_told_once_a_day_at_most():
    heard = Fleet(40, fault=ill).live(Engine(QUICK), SICK + 6)
    told: dict[str, list[int]] = {}
    for each in heard.findings:
        if each.status == "open":
            told.setdefault(each.id, []).append(each.at)
    assert told
    assert all(later - sooner >= DAY_NS for times in told.values() for sooner, later in pairwise(times))


def test_a_fault_of_the_same_part_makes_it_a_hit_and_the_verdict_of_a_technician_a_false_one():
    engine, heard = Engine(QUICK), Heard()
    fleet = Fleet(40, fault=ill)
    fleet.live(engine, SICK + 5, heard)
    by_terminal = {each.terminal: each for each in heard.opened().values() if each.begun >= START + SICK * DAY_NS}
    engine.happened(Happened(fleet.now, "raised", "T0", "host/fan:1", "host.fan", level=2, party="hardware"))
    rule = "predicted.anomaly"
    part = by_terminal["T1"].component
    engine.happened(Happened(fleet.now, "verdict", "T1", part, rule, "no_fault_found"))
    fleet.live(engine, 1, heard)
    outcomes = {each.id: each.outcome for each in heard.findings if each.outcome}
    assert outcomes[by_terminal["T0"].id] == HIT
    assert outcomes[by_terminal["T1"].id] == FALSE
    records = {(each.detector, each.kind): each for each in heard.records}
    first, second = by_terminal["T0"], by_terminal["T1"]
    assert records[first.detector, first.kind].hits >= 1
    assert records[second.detector, second.kind].false >= 1


def test_a_terminal_with_a_finding_has_a_graver_grade_than_one_without():
    engine = Engine(QUICK)
    Fleet(40, fault=ill).live(engine, SICK + 5)
    grades = engine.grades()
    assert grades["T0"].score > max(grades[f"T{i}"].score if f"T{i}" in grades else 0.0 for i in range(20, 40))
    assert grades["T0"].effort_min > 0


def test_the_backlog_of_a_day_counts_for_the_hours_in_which_it_was_read():
    """A terminal that sends a day at once has the days that one has that sends each hour."""
    live, late = Engine(TABLES), Engine(TABLES)
    for hour in range(72):
        at = START + hour * 3600 * 10**9
        live.read("T", [column("ups", "ups.output.load", at, float(hour % 24))], at)
        live.advance(at + TICK_NS)
    for day in range(3):
        hours = [START + (24 * day + hour) * 3600 * 10**9 for hour in range(24)]
        sent = column("ups", "ups.output.load", hours[0], 0.0)
        sent.at, sent.values = [at // 10**6 for at in hours], [float(hour) for hour in range(24)]
        late.read("T", [sent], hours[-1], historical=True)
        late.advance(hours[-1] + TICK_NS)
    days = (START // DAY_NS + np.arange(3)) % daily.DAYS
    one, other = live.state()["daily"], late.state()["daily"]
    assert all(np.array_equal(one[name][0, days], other[name][0, days]) for name in daily.KEPT)
    assert one["mean"][0, days].tolist() == [11.5, 11.5, 11.5]


STEPS = 56
STORY = replace(QUICK, learn_ns=2 * DAY_NS, failure_budget=12.0)
"""With a budget that lets the fixed rule speak within days."""
FAULT_AT, SERIAL_AT, SILENT_FROM, JUDGED_AT, REFILLED_AT = 29, 30, 37, 40, 50
"""Steps of the story: an alarm that stays the only one, a drive that is another, a level that no longer sinks, eight findings that were false, a supply
that is full again.
"""
NEVER_FILLED = {"unusual/senses/streams/free"}
"""The engine gives no row of a stream back."""


@cache
def whole() -> tuple[Said, dict[str, object]]:
    return _run([])


def _run(cuts: Collection[int], states: list[dict[str, Any]] | None = None) -> tuple[Said, dict[str, object]]:
    """28 days of 12 terminals with faults, alarms and verdicts; after each of these steps the engine is kept in its file, and another one goes on. states:
    is given what was kept.
    """
    engine, fleet, heard = Engine(STORY), Fleet(12, fault=ill, every_s=3 * 3600), Heard()
    for terminal in range(12):
        engine.place(f"T{terminal}", f"B{terminal % 3}", "north", "atm", "Asia/Shanghai")
    with TemporaryDirectory() as folder, closing(Checkpoint(Path(folder) / "predictions")) as checkpoint:
        for step in range(STEPS):
            fleet.live(engine, 0.5, heard)
            _happens(engine, step, fleet.now)
            if step in cuts:
                state = engine.state()
                checkpoint.save(Kept(step, b"", state, {}))
                kept = checkpoint.load()
                assert kept is not None
                engine = Engine.restore(kept.state, engine.tables)
                assert same(state, engine.state())
                if states is not None:
                    states.append(state)
    return Said(tuple(heard.findings), tuple(heard.grades), tuple(heard.records)), engine.state()


def _happens(engine: Engine, step: int, at: int) -> None:
    """What comes of each terminal beside the numbers of the fleet, and what people do."""
    for terminal in range(1, 12):
        sunk = min(step, SILENT_FROM) if terminal == 1 else step
        level = 100.0 if terminal == 2 and step >= REFILLED_AT else 90.0 - sunk * 1.5
        engine.read(f"T{terminal}", [column("printer", "printer.supply.level", at, level)], at)
    words = [
        column("ups", "identity.model", at, "UPS 1500"),
        column("ups", "ups.battery.status", at, "normal"),
        column("ups", "ups.battery.replaced", at, "2021-03-01"),
        column("printer", "printer.paper", at, "low" if step % 9 in {2, 3, 4} else "empty" if step % 18 == 5 else "ok"),
    ]
    engine.read("T3", words, at)
    serial = column("host/disk:C", "identity.serial", at, "S1" if step < SERIAL_AT else "S2")
    engine.read("T4", [serial, column("host/disk:C", "drive.loads", at, 1_000.0 + 40 * step)], at)
    if step in {3, 10}:
        engine.happened(Happened(at, "raised", "T5", "ups", "ups.fault", level=2, party="hardware"))
    if step == FAULT_AT:
        engine.happened(Happened(at, "raised", "T9", "ups", "ups.fault", level=2, party="hardware"))
    if step == JUDGED_AT:
        for terminal in range(4, 12):
            engine.happened(
                Happened(at, "verdict", f"T{terminal}", "printer", "predicted.runout", "no_fault_found", incident="I1")
            )
    if step == STEPS - 3:
        engine.happened(Happened(at, "maintained", "T0"))


@given(cuts=st.lists(st.integers(0, STEPS - 1), min_size=1, max_size=3))
@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_it_goes_on_exactly_where_it_stopped(cuts: list[int]) -> None:
    said, state = whole()
    again, after = _run(cuts)
    assert said.findings
    assert again == said
    assert same(after, state)


def test_every_part_of_its_state_comes_back_from_the_file_that_keeps_it() -> None:
    """Kept after every step of a story in which each container is filled at some time."""
    states: list[dict[str, Any]] = []
    again, after = _run(range(STEPS), states)
    said, state = whole()
    assert again == said
    assert same(after, state)
    filled: dict[str, bool] = {}
    for each in states:
        _filled(each, "", filled)
    assert {path for path, was in filled.items() if not was} == NEVER_FILLED


def _filled(value: object, path: str, filled: dict[str, bool]) -> None:
    """Which containers and fields hold something at any time, by their path. What is in a list has one path together, and so has what is kept by a name with
    a dot: of an entry of a table, or of a signal.
    """
    if isinstance(value, dict):
        filled[path] = filled.get(path, False) or bool(value)
        for name, each in value.items():
            _filled(each, f"{path}/{'*' if '.' in str(name) else name}".lstrip("/"), filled)
    elif isinstance(value, list | tuple):
        filled[path] = filled.get(path, False) or bool(value)
        for each in value:
            _filled(each, f"{path}/*", filled)
    elif isinstance(value, np.ndarray):
        filled[path] = filled.get(path, False) or value.size > 0
    else:
        filled[path] = filled.get(path, False) or value is not None


def test_a_state_of_another_version_is_refused():
    with pytest.raises(ValueError, match="version 0"):
        Engine.restore({"v": 0}, TABLES)


def test_what_is_kept_of_a_series_is_bounded():
    """At most 2 kB beside the ring of its days, once its device has been learnt; the tails are those of kinds, not of series."""
    engine, fleet = Engine(TABLES), Fleet(60)
    fleet.live(engine, 18)
    state = engine.state()
    assert all(len(each["buffer"]) == 0 for each in state["unusual"]["senses"]["sizes"])
    kept = size(state) - size(state["daily"]) - size(state["unusual"]["anomalies"]["tail"])
    assert kept / engine.series <= 2_048
    assert size(state["daily"]) / len(state["daily"]["newest"]) <= daily.BYTES + 1


def size(value: object) -> int:
    """Bytes of a state: of its arrays as they are, of the rest as it is written."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, dict):
        return sum(size(each) for each in value.values())
    if isinstance(value, list | tuple):
        return sum(size(each) for each in value)
    return len(msgpack.packb(value))


def test_readings_of_a_wrong_clock_and_of_too_many_series_are_counted():
    engine = Engine(TABLES)
    engine.read("T", [column("ups", "ups.output.load", START + 5 * DAY_NS, 1.0)], START)
    engine.read("T", [column(f"p{i}", "ups.output.load", START, 1.0) for i in range(1_100)], START)
    said = engine.advance(START + TICK_NS)
    assert said.limits["readings ahead"] == 1
    assert said.limits["series"] == 101
