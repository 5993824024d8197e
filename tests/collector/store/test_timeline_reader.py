"""The timeline goes by indexes: what it costs depends on the terminal and not on the fleet; and it knows what its own tables say."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector.conftest import World
from tests.collector.sending import T0, S, Sender, reading
from tillwatch.collector.store import timeline_reader
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.terminal.dossier import CHANGE, KINDS, MAINTENANCE, RESTART, STATE

HOUR = 3600 * S
DAY = 24 * HOUR


@pytest.fixture
async def reader(tmp_path: Path) -> Iterator[SqliteReader]:
    world = World(tmp_path / "c.db")
    await world.start('[fold]\nsilent_least = "30d"\ndefault_interval = "30d"\n')
    atm = Sender("atm-1")
    await atm.enrol(world.pipeline)
    await Sender("atm-2").enrol(world.pipeline, "dale", "south")
    await world.pipeline.take([atm.life(world.now)])
    for day in range(10):
        # A new board on the fifth day, another firmware on the eighth; the machine starts anew on the sixth.
        told = [
            reading("printer", "identity.serial", world.now, "A" if day < 5 else "B"),
            reading("printer", "identity.firmware", world.now, "1" if day < 8 else "2"),
            reading("host", "host.uptime", world.now, 86_400.0 * (20 + day) if day < 6 else 86_400.0 * (day - 6) + 60),
        ]
        await world.pipeline.take([atm.batch(told, world.now)])
        await world.tick(world.now + DAY)
    for name, scope, since in (
        ("M-1", "atm-1/printer*", T0 + 2 * DAY),
        ("M-2", "region:south", T0 + 2 * DAY),
        ("M-3", "region:north", T0 + 20 * DAY),
        ("M-4", "branch:hill", T0 + 3 * DAY),
    ):
        await world.pipeline.operate({
            "action": "window", "actor": "planning", "id": name, "scope": scope, "from": since, "to": since + 2 * HOUR, "reason": f"why {name}",
            "approved_by": "qin", "terminal": "atm-1" if scope.startswith("atm-1") else "",
        })  # fmt: skip
    await world.pipeline.operate({"action": "window-cancel", "actor": "planning", "id": "M-3"})
    await world.pipeline.stop()
    world.store.close()
    reader = SqliteReader(tmp_path / "c.db")
    yield reader
    reader.close()


def test_no_question_looks_through_a_whole_table(reader: SqliteReader) -> None:
    asked: list[str] = []
    with reader.snapshot() as db:
        db.set_trace_callback(asked.append)
        timeline_reader.timeline(db, "atm-1", T0, T0 + 30 * DAY, KINDS, ())
        db.set_trace_callback(None)
        plans = {
            sql: [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
            for sql in dict.fromkeys(asked)
            if "SELECT" in sql
        }
    assert len(plans) >= 8
    assert any("journal_windows" in step for plan in plans.values() for step in plan)
    for sql, plan in plans.items():
        # The index on windows holds nothing else: to walk it is to look at windows only.
        scans = [step for step in plan if step.startswith("SCAN") and "journal_windows" not in step]
        assert scans == [], sql


def test_changes_of_devices_are_found_to_the_day_and_restarts_to_the_second(reader: SqliteReader) -> None:
    found = reader.timeline("atm-1", T0 - DAY, T0 + 30 * DAY)
    changes = [
        (m.what, m.values["before"], m.values["after"], round((m.at - T0) / DAY))
        for m in found.moments
        if m.kind == CHANGE and m.component == "printer"
    ]
    assert changes == [("identity.serial", "A", "B", 5), ("identity.firmware", "1", "2", 8)]
    restarts = [m.at for m in found.moments if m.kind == RESTART and m.what == "machine"]
    assert [round((at - T0) / DAY * 100) for at in restarts] == [600]
    whole = [m for m in found.moments if m.kind == STATE]
    assert all(one.until == two.at for one, two in itertools.pairwise(whole))
    assert whole[-1].lasts


def test_windows_of_the_past_are_in_the_journal_and_those_of_others_are_not_shown(reader: SqliteReader) -> None:
    found = [(m.ref, m.text) for m in reader.timeline("atm-1", T0, T0 + 30 * DAY, (MAINTENANCE,)).moments]
    assert found == [("M-1", "why M-1"), ("M-4", "why M-4")], "M-3 was cancelled before it began"
    south = [m.ref for m in reader.timeline("atm-2", T0, T0 + 30 * DAY, (MAINTENANCE,)).moments]
    assert south == ["M-2"]


def test_a_kind_with_more_than_its_bound_says_how_many_are_left_out(
    reader: SqliteReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline_reader, "MAX_MOMENTS", 1)
    found = reader.timeline("atm-1", T0 - DAY, T0 + 30 * DAY, (CHANGE,))
    assert (len(found.moments), found.left_out[CHANGE] > 0) == (1, True)


def test_an_unknown_terminal_is_no_empty_timeline(reader: SqliteReader) -> None:
    with pytest.raises(KeyError):
        reader.timeline("nobody", T0, T0 + DAY)
    with pytest.raises(KeyError):
        reader.strip("nobody", T0, T0 + DAY)
    with pytest.raises(KeyError):
        reader.dossier("nobody", T0)
