"""Terminals out of a real store: the cells of the grid, and that whoever follows the marks sees what whoever reads all sees."""

from __future__ import annotations

import pytest

from tests.collector.desk import Desk
from tillwatch.agent.model import State
from tillwatch.collector.store.reader import SqliteReader
from tillwatch.collector.terminal.component_groups import GROUPS, NO_CELLS


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    made = Desk(tmp_path_factory.mktemp("desk"))
    made.enrol("atm-1", "atm-2", "atm-3")
    for terminal in ("atm-1", "atm-2"):
        made.say(terminal, "atm/CashDispenser unit:1", "atm.unit", "ok", State.OK, lasting=1.0)
        made.say(terminal, "atm/IDC", "atm.media", "notPresent", State.OK, lasting=1.0)
    return made


@pytest.fixture
def reader(desk: Desk) -> SqliteReader:
    return SqliteReader(desk.path)


def cell(reader: SqliteReader, terminal: str, group: str) -> str:
    return reader.terminal(terminal).cells.letters[GROUPS.index(group)]


def test_a_terminal_has_the_cells_of_its_components(reader: SqliteReader) -> None:
    assert (cell(reader, "atm-1", "cash"), cell(reader, "atm-1", "card"), cell(reader, "atm-1", "printer")) == (
        "o",
        "o",
        "-",
    )
    assert reader.terminal("atm-3").cells == NO_CELLS


def test_some_are_as_they_are_among_all(reader: SqliteReader) -> None:
    whole = reader.terminals()
    assert [view.id for view in whole] == ["atm-1", "atm-2", "atm-3"]
    assert list(reader.terminals_of({"atm-3", "atm-1", "nobody"})) == [whole[0], whole[2]]
    assert reader.terminals_of(set()) == []
    with pytest.raises(KeyError):
        reader.terminal("nobody")


def test_a_fault_shows_in_its_cell_and_who_follows_the_mark_reads_it(desk: Desk, reader: SqliteReader) -> None:
    before = reader.touched(None)
    assert (before.terminals, before.alarms) == (None, True)
    assert reader.touched(before.mark) == (before.mark, frozenset(), False, False)
    desk.say("atm-2", "atm/CashDispenser unit:1", "atm.unit", "missing", State.CRIT, lasting=700.0)
    after = reader.touched(before.mark)
    assert (after.terminals, after.alarms) == (frozenset({"atm-2"}), True)
    assert cell(reader, "atm-2", "cash") == "w"  # an alarm of level 3 stands over what the device profile thinks
    assert cell(reader, "atm-1", "cash") == "o"


def test_an_act_of_a_person_may_touch_any(desk: Desk, reader: SqliteReader) -> None:
    before = reader.touched(None)
    desk.enrol("atm-4")
    after = reader.touched(before.mark)
    assert (after.more, after.alarms) == (True, True)
