"""One state in both stores: every question of the console, the REST API and the command line gets the same answer. The questions are the reader's public methods,
so that a new one is asked by itself; what its parameters may be called stands below.
"""

from __future__ import annotations

import inspect
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.collector.simulated import bank
from tests.scale.copied import copied
from tests.scale.lived import lived
from tests.scale.servers.postgres import Server
from tillwatch.collector.oversight import everything
from tillwatch.collector.predict.settings import parse_tables
from tillwatch.collector.proof.acts_page import Wanted
from tillwatch.collector.read import Mark
from tillwatch.collector.store.opening import open_reader
from tillwatch.collector.store.reader import SqliteReader

NOT_ASKED = {
    "close": "ends it",
    "snapshot": "is a connection",
    "revision": "is a number of one reader's own: test_what_is_written_changes_the_revision",
}
FEW = 6
"""Terminals, alarms and the like that are asked about one by one."""
MOST = 60
"""Questions to one method."""


class Known:
    """What is in a store, as what its parameters may be called."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        (now,) = self._column("SELECT max(at) FROM journal")
        day = 86_400 * 10**9
        terminals = self._column("SELECT id FROM terminal ORDER BY id LIMIT ?", FEW)
        incidents = self._column("SELECT corr_id FROM incident ORDER BY opened_at DESC LIMIT ?", FEW)
        packed = self._column("SELECT last_n FROM page")
        some: dict[str, Sequence[Any]] = {
            "terminal": terminals,
            "terminals": [(), terminals[:2]],
            "only": [terminals[:3], ["nobody"], []],
            "component": self._column("SELECT DISTINCT name FROM component ORDER BY name LIMIT ?", FEW),
            "now": [now], "at": [now, now - 3 * day], "start": [now - day, now - 30 * day], "end": [now],
            "since": [now - 40 * day, 0],
            "first": [1, 100], "last": [140], "before": [2**62, 90], "after": [0, 5, -1],
            "limit": [500, 2], "offset": [0, 1], "count": [5],
            "alarm": self._column("SELECT id FROM alarm ORDER BY id DESC LIMIT ?", FEW),
            "corr_id": incidents, "incidents": [incidents[:3]], "text": [name[4:9] for name in incidents] + ["HWM-", "x"],
            "actor": ["li.na"], "request": ["k1", "k2"],
            "number": self._column("SELECT id FROM finding LIMIT ?", FEW),
            "name": self._column("SELECT name FROM enrol_grant LIMIT ?", FEW),
            "n": [*self._column("SELECT n FROM command"), *self._column("SELECT n FROM rollout"),
                  *self._column("SELECT n FROM config_bundle"), *packed, 1, 100],
            "rule": self._column("SELECT DISTINCT rule FROM alarm ORDER BY rule LIMIT ?", FEW),
            "branch": self._column("SELECT DISTINCT branch FROM terminal ORDER BY branch LIMIT 2"),
            "region": self._column("SELECT DISTINCT region FROM terminal ORDER BY region LIMIT 2"),
            "connector": [*self._column("SELECT DISTINCT connector FROM outbox"), "none"],
            "signal": ["ups.battery.charge", "host.disk.percent", "atm.cash"],
            "signals": [["ups.battery.charge", "host.disk.percent"], []],
            "fields": [{"model": "another"}],
            "kinds": [("note", "change"), ("alarm", "state", "incident", "maintenance", "change", "part", "note", "restart")],
            "wanted": [Wanted(), Wanted(actor="LI"), Wanted(subject="t-1")],
            "shown": [everything, lambda *_: False],
            "covers": [lambda *_: True],
            "lives": [parse_tables("").lives] if hasattr(parse_tables(""), "lives") else [None],
            "living": [True, False], "open_only": [True, False],
        }  # fmt: skip
        self.some = some
        self.marks = [None, Mark(5, 1, 1)]

    def _column(self, query: str, *given: object) -> list[Any]:
        return [row[0] for row in self._db.execute(query, given)]

    def questions(self, name: str, method: Callable[..., Any]) -> Iterator[dict[str, Any]]:
        wanted = [one for one in inspect.signature(method).parameters.values() if one.name != "self"]
        values: list[Sequence[Any]] = []
        for one in wanted:
            if name == "touched":
                values.append(self.marks)
                continue
            assert one.name in self.some, f"{name}: give values for its parameter {one.name} above"
            own = list(self.some[one.name]) or ["none"]
            values.append(own if one.default is inspect.Parameter.empty else [one.default, *own])
        for _, given in zip(range(MOST), product(*values), strict=False):
            yield dict(zip((one.name for one in wanted), given, strict=True))


def answer(reader: SqliteReader, name: str, given: dict[str, Any]) -> Any:
    try:
        said = getattr(reader, name)(**given)
    except (KeyError, ValueError) as error:
        return type(error), str(error)
    # What is of the machine and not of the state.
    return replace(said, store_bytes=None, disk_free=None, disk_total=None) if name == "monitoring" else said


METHODS = [name for name, _ in inspect.getmembers(SqliteReader, inspect.isfunction) if not name.startswith("_") and name not in NOT_ASKED]  # fmt: skip


@pytest.fixture(scope="module", params=["lived", pytest.param("simulated", marks=pytest.mark.long)])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: Server
) -> Iterator[tuple[SqliteReader, SqliteReader, Known]]:
    folder = tmp_path_factory.mktemp("both")
    path = lived(folder) if request.param == "lived" else bank(folder).with_name("collector.db")
    where = copied(path, replace(postgres_server.database("tables"), data_dir=folder))
    with closing(open_reader(path)) as one, closing(open_reader(where)) as other:
        yield one, other, Known(path)
    postgres_server.drop(where)


@pytest.mark.parametrize("name", METHODS)
def test_the_same_question_gets_the_same_answer(both: tuple[SqliteReader, SqliteReader, Known], name: str) -> None:
    one, other, known = both
    asked = 0
    for given in known.questions(name, getattr(one, name)):
        asked += 1
        assert answer(other, name, given) == answer(one, name, given), given
    assert asked
