"""From the stations into the fold: entries in order, history by its age, and what waits while the collector is away."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tillwatch.collector.fold import Fold
from tillwatch.collector.simulate.fleet import ATM, READER, make_bank
from tillwatch.collector.simulate.post import Post
from tillwatch.collector.simulate.stations import LATE, Station
from tillwatch.collector.simulate.times import DAY, HOUR, MINUTE, S
from tillwatch.collector.simulate.truth import Ledger
from tillwatch.collector.store.sqlite import SqliteStore

UNIT = next(unit for unit in make_bank(10).units if unit.kind == ATM)


class Desk:
    def __init__(self, store: SqliteStore | None = None) -> None:
        self.ledger = Ledger()
        self.post = Post(Fold({}), self.ledger, store)
        self.station = Station(UNIT, 0, {}, lambda *_: None, self.post, Random(1))
        place = {"branch": UNIT.branch, "region": UNIT.region, "class": UNIT.kind, "public": bytes(32)}
        self.post.operate(S, {"action": "enrol", "actor": "t", "terminal": UNIT.name, **place})
        self.station.begin(MINUTE)

    @property
    def series(self):
        return self.post.fold.fleet.terminals[UNIT.name].components[READER].series["atm.device"]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_is_told_is_known(desk: Desk):
    terminal = desk.post.fold.fleet.terminals[UNIT.name]
    assert terminal.connection == "online"
    assert desk.series.value == "online"
    assert desk.ledger.seen == {UNIT.name: [[MINUTE, 0]]}
    assert desk.post.readings > len(UNIT.parts)


def test_while_the_collector_is_away_everything_waits_and_comes_in_its_order(desk: Desk):
    entries = desk.post.journal.n
    desk.post.stop(HOUR)
    readings = desk.post.readings
    desk.station.say(HOUR, READER, "atm.device", "offline")
    desk.station.look(HOUR + MINUTE)
    desk.station.halt(2 * HOUR, 1, orderly=True)
    assert (desk.post.journal.n, desk.series.value) == (entries + 1, "online")
    desk.post.start(3 * HOUR)
    assert desk.series.value == "offline"
    assert not [rule for rule, *_ in desk.post.fold.alarming.limits if rule == "atm.device"], "too old to judge by"
    assert desk.post.fold.fleet.terminals[UNIT.name].connection == "offline"
    assert desk.post.readings > readings
    assert desk.ledger.away == [[HOUR, 3 * HOUR]]
    assert desk.ledger.seen[UNIT.name][0][1] > 3 * HOUR


@pytest.mark.parametrize("age", [LATE - MINUTE, LATE + MINUTE])
def test_what_is_older_than_a_quarter_of_an_hour_is_history(desk: Desk, age: int):
    desk.station.lose_line(HOUR, 1)
    desk.station.say(HOUR, READER, "atm.device", "offline")
    desk.station.look(HOUR + S)
    desk.station.usual(HOUR + 2 * S, READER, "atm.device")
    desk.station.get_line(HOUR + age, 1)
    desk.station.connect(HOUR + age)
    assert desk.series.value == "online"
    assert bool(desk.post.fold.dirty.late) is (age > LATE)


def test_times_of_the_journal_only_go_forward(desk: Desk):
    told = [
        desk.post.operate(at, {"action": "note", "actor": "t", "incident": "x", "text": "y"}) for at in (DAY, HOUR, DAY)
    ]
    assert told == sorted(set(told))


def test_it_can_be_kept(tmp_path: Path):
    with closing(SqliteStore(tmp_path / "kept.db")) as store:
        desk = Desk(store)
        desk.post.flush()
        assert store.conn.execute("SELECT count(*) FROM journal").fetchone() == (desk.post.journal.n,)
        assert store.conn.execute("SELECT id FROM terminal").fetchall() == [(UNIT.name,)]
