"""The state of a terminal is the last that was said of it, with what was found out since, however long its log has become."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.collector.sending import T0, S
from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.records import Correction, StateChange
from tillwatch.collector.store.folded import pack_state
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.store.sqlite import open_db
from tillwatch.collector.store.state_reader import states

RULES = parse_rules()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_db(tmp_path / "collector.db")) as made:
        for name in ("atm-1", "atm-2"):
            made.execute("INSERT INTO terminal VALUES (?, 'hill', 'north', 'atm', 'active', 0, x'80')", (name,))
        yield made


def write(db: sqlite3.Connection, *changes: StateChange) -> None:
    for each in changes:
        row = (each.terminal, each.since, each.at, each.kind, pack_state(each))
        db.execute("INSERT INTO state_change (terminal, since, at, kind, body) VALUES (?,?,?,?,?)", row)


def change(state: str, since: int, *, kind: str = "state", **more: str) -> StateChange:
    return StateChange("atm-1", T0 + since * S, T0 + since * S + S, state, kind=kind, **more)  # type: ignore[arg-type]


def test_the_last_word_counts_with_the_words_of_its_rule(db: sqlite3.Connection) -> None:
    write(
        db,
        change("in_service", 0),
        StateChange("atm-1", T0 + S, T0, "degraded", "disk.full", "software", lost=("deposit",), level=2),
    )
    found = states(db, RULES, None)
    assert set(found) == {"atm-1"}, "of the other nothing was rolled up yet"
    view = found["atm-1"]
    assert (view.state, view.since, view.party, view.lost, view.level) == (
        "degraded",
        T0 + S,
        "software",
        ("deposit",),
        2,
    )
    assert view.text == RULES.by_id["disk.full"].text
    assert states(db, RULES, {"atm-2"}) == {}


def test_what_was_found_out_of_the_stretch_that_lasts_is_told(db: sqlite3.Connection) -> None:
    write(db, change("offline", 10, cause="unknown", party="unknown"))
    write(db, change("offline", 10, kind="cause", cause="power", party="power", why="its UPS was on battery"))
    view = states(db, RULES, {"atm-1"})["atm-1"]
    assert (view.state, view.cause, view.party, view.why) == ("offline", "power", "power", "its UPS was on battery")


def test_what_was_found_out_of_an_earlier_stretch_changes_nothing(db: sqlite3.Connection) -> None:
    write(db, change("offline", 10, cause="unknown"), change("in_service", 20))
    write(db, change("offline", 10, kind="cause", cause="network"))
    assert states(db, RULES, {"atm-1"})["atm-1"].state == "in_service"
    write(db, change("offline", 30, cause="unknown"))
    assert states(db, RULES, {"atm-1"})["atm-1"].cause == "unknown"


def test_order_is_that_of_knowledge_where_readings_come_late(db: sqlite3.Connection) -> None:
    write(db, change("degraded", 100), change("in_service", 90))
    assert states(db, RULES, {"atm-1"})["atm-1"].state == "in_service"


def test_the_console_has_none_before_anything_was_rolled_up(db: sqlite3.Connection, tmp_path: Path) -> None:
    with closing(SqliteReader(tmp_path / "collector.db")) as reader:
        assert [view.state for view in reader.terminals()] == [None, None]
        write(db, change("supply_low", 5, party="supplies"))
        state = reader.terminal("atm-1").state
    assert state is not None
    assert (state.state, state.party) == ("supply_low", "supplies")


def test_corrections_are_listed_in_the_order_in_which_they_were_made(db: sqlite3.Connection, tmp_path: Path) -> None:
    from tillwatch.collector.changes import Dirty
    from tillwatch.collector.store import folded

    made = [Correction(n, "atm-1", T0, T0 + S, "up", f"reason {n}", "branch", "li", T0) for n in (7, 9)]
    for sql, rows in folded.rows(Dirty(corrections=list(reversed(made)))):
        db.executemany(sql, rows)
    with closing(SqliteReader(tmp_path / "collector.db")) as reader:
        assert reader.corrections("atm-1") == made
        assert reader.corrections("atm-2") == []
