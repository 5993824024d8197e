from __future__ import annotations

from itertools import pairwise

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S
from tillwatch.agent.model import MS, State
from tillwatch.collector.alarm.rules import shipped_text
from tillwatch.collector.fleet_load.profiles import CLASSES, EVERY_MS, FAULT_MS, FAULTS, KINDS, business, done, readings
from tillwatch.collector.fleet_load.sealing import Plan, Sealer
from tillwatch.collector.fleet_load.terminals import Fleet
from tillwatch.collector.intake import Message
from tillwatch.device_profiles.catalogue import kept_catalogue

DAY_MS = 86_400_000
NOON_MS = T0 // MS // DAY_MS * DAY_MS + 13 * 3_600_000


def test_every_signal_and_word_is_of_the_catalogue_and_judged_as_it_says() -> None:
    known = kept_catalogue().signals
    for kind, signals in KINDS.items():
        assert len({(one.component, one.signal) for one in signals}) == len(signals)
        for place, one in enumerate(signals):
            value = one.value(3, place, NOON_MS)
            words = dict(known[one.signal].states)
            assert isinstance(value, str) == bool(words), (kind, one)
            if words:
                assert words[str(value)] == one.state.name.lower()
        for fault in FAULTS[kind]:
            for (component, signal), (value, state) in fault.instead.items():
                assert any((one.component, one.signal) == (component, signal) for one in signals)
                words = dict(known[signal].states)
                assert not words or words[str(value)] == state.name.lower()


def test_business_is_by_day_and_what_it_adds_up_to_never_falls() -> None:
    assert business(NOON_MS) > 0.9
    assert business(NOON_MS + DAY_MS // 2) == 0.0
    sums = [done(NOON_MS + minute * 60_000) for minute in range(0, 2 * 1_440, 7)]
    assert all(a < b for a, b in pairwise(sums))


@pytest.mark.parametrize("count", [1, 5, 20, 40, 60, 500])
def test_a_batch_has_about_as_many_readings_as_it_should(count: int) -> None:
    for n in range(10):
        found = readings(n, NOON_MS, 60_000, count)
        assert max(count - 20, 1) <= len(found) <= count
        assert max(reading.at for reading in found) == NOON_MS * MS
        assert min(reading.at for reading in found) > (NOON_MS - 60_000) * MS
        assert found == readings(n, NOON_MS, 60_000, count)


def test_the_first_batch_tells_how_often_each_component_is_read() -> None:
    found = [one for one in readings(0, NOON_MS, 300_000, 40, first=True) if one.signal == "monitor.interval"]
    assert {one.component for one in found} >= {"agent", "host", "ups", "dispenser"}
    assert {one.value for one in found} == {300}


def test_terminals_differ_and_the_day_shows() -> None:
    def load(n: int, at_ms: int) -> float:
        return sum(
            float(one.value or 0) for one in readings(n, at_ms, 600_000, 400) if one.signal == "host.cpu.percent"
        )

    assert len({load(n, NOON_MS) for n in range(10)}) == 10
    assert all(load(n, NOON_MS) > load(n, NOON_MS + DAY_MS // 2) for n in range(10))


def test_faults_come_and_go_with_the_share_that_was_asked_for() -> None:
    def ill(n: int, share: float) -> set[bool]:
        at = range(NOON_MS, NOON_MS + EVERY_MS, FAULT_MS // 5)
        return {
            any(one.state in (State.WARN, State.CRIT) for one in readings(n, each, 60_000, 20, share)) for each in at
        }

    assert all(ill(n, 0.0) == {False} for n in range(20))
    assert all(ill(n, 1.0) == {False, True} for n in range(20))
    assert 20 < sum(ill(n, 0.3) == {False, True} for n in range(120)) < 60


async def test_the_shipped_rules_raise_what_is_meant_and_nothing_else(world: World) -> None:
    """A branch over an hour and a half, batches of five minutes, in the time of the test: without faults not one alarm, with them some of each terminal."""
    fleet = Fleet(2 * len(CLASSES), "1")
    for share, expected in ((0.0, 0), (1.0, fleet.count)):
        again = World(world.path.with_name(f"{share}.db"))
        await again.pipeline.start(shipped_text(), "")
        places = list(fleet.places())
        await again.pipeline.operate_all(
            [
                {
                    "action": "enrol", "terminal": one.terminal, "branch": one.branch, "region": one.region,
                    "class": one.terminal_class, "public": fleet.key(n).public,
                }
                for n, one in enumerate(places)
            ]
        )  # fmt: skip
        plan = Plan(fleet, again.now // MS, 60_000, 0, 40, share, "run")
        sealer = Sealer(plan, range(fleet.count))
        for minute in range(1, 45):
            again.now = T0 + minute * 60 * S
            await again.pipeline.take(
                [
                    Message(f"tw/1/{fleet.name(n)}/batch", sealer.batch(n, again.now // MS, 60_000).payload, again.now)
                    for n in range(fleet.count)
                ]
            )
        raised = again.store.conn.execute("SELECT DISTINCT terminal FROM alarm").fetchall()
        assert len(raised) == expected
        again.store.close()
