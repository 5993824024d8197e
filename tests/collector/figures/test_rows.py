from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.collector.figures.stores import add_delivery, make_store
from tests.collector.figures.test_availability import LENGTH, M, changes
from tillwatch.collector.alarm.alarms import Alarm, AlarmEvent
from tillwatch.collector.changes import Dirty
from tillwatch.collector.figures.availability import History, stretches
from tillwatch.collector.figures.load import Shelf, Standing, Turn
from tillwatch.collector.figures.rollup import FLEET, Scope
from tillwatch.collector.figures.rows import read_log, read_policy, read_rules
from tillwatch.collector.incident.incidents import Incident
from tillwatch.collector.records import Correction, IncidentEvent, LateSpan
from tillwatch.collector.store import folded
from tillwatch.collector.store.reading import reading
from tillwatch.collector.store.sqlite import StoreError, open_db
from tillwatch.collector.terminal.fleet import Component, Series

TERMINALS = [("t", "Harbour", "North", "atm"), ("u", "Market", "North", "pos"), ("dog", "Harbour", "North", "watchdog")]


@pytest.fixture(scope="module")
def emptied(tmp_path_factory):
    """A store for many histories, one after the other."""
    path = tmp_path_factory.mktemp("rows") / "collector.db"
    make_store(path, Dirty(), TERMINALS, known=0)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        yield db


@settings(max_examples=1500)
@given(changes(), st.integers(0, LENGTH), st.integers(1, LENGTH))
def test_what_is_read_of_a_period_decides_it_as_the_whole_log_does(emptied, rows, start, length):
    later = 100 * M  # than 1970
    rows = [replace(row, since=row.since + later, at=row.at + later) for row in rows]
    emptied.execute("DELETE FROM state_change")
    for sql, values in folded.rows(Dirty(states=rows)):
        emptied.executemany(sql, values)
    hours = [(later + start * M, later + (start + length) * M)]
    read = read_log(emptied, *hours[0]).histories["t"]
    assert stretches(read, hours) == stretches(History(rows), hours)
    assert set(read.changes) <= set(rows)


def read(path, start, end):
    with closing(reading(path)) as db:
        return read_log(db, start, end)


def alarm(number, **fields):
    known = {
        "rule": "atm.jam",
        "terminal": "t",
        "component": "c",
        "episode": 1,
        "condition": "normal",
        "level": 2,
        "raised_at": 5,
        "cleared_at": 15,
    }
    return Alarm(id=number, incident="", detail={}, **{**known, **fields})


def test_a_period_is_read_with_what_overlaps_it(tmp_path):
    late = [
        LateSpan("t", 0, 10, 99),
        LateSpan("t", 5, 11, 99, "atm.jam", "hardware", ("deposit",), 2),
        LateSpan("t", 20, 30, 99),
    ]
    said = [
        Correction(4, "t", 0, 10, "up", "no", "", "ann", 90),
        Correction(5, "t", 15, 40, "up", "yes", "", "ann", 91),
    ]
    incidents = [
        Incident(
            "I1",
            "t",
            "Harbour",
            2,
            "closed",
            12,
            14,
            1,
            region="North",
            announced_at=12,
            component="c",
            held=((12, 13, "part"),),
        ),
        Incident("I2", "", "Market", 1, "open", 25, 0, 1, region="North", scope="branch", announced_at=26),
        Incident("I0", "t", "Harbour", 2, "closed", 9, 14, 1),
    ]
    dirty = Dirty(
        late=late,
        corrections=said,
        outages=[(0, 10), (5, 12), (19, 60)],
        incidents={each.corr_id: each for each in incidents},
        incident_events=[IncidentEvent("I1", "opened", 12, {"fault": "atm.jam"}), IncidentEvent("I2", "opened", 25)],
    )
    path = tmp_path / "collector.db"
    make_store(path, dirty, TERMINALS, known=77)
    add_delivery(path, "I1", 12, 13)
    add_delivery(path, "I2", 30, None)
    with closing(reading(path)) as db:
        log, policy, rules = read_log(db, 10, 20), read_policy(db), read_rules(db)
    assert log.known == 77
    assert list(log.places) == ["t", "u"]
    assert log.histories["t"].late == [late[1]]
    assert log.histories["t"].corrections == [said[1]]
    assert log.outages == [(5, 12), (19, 60)]
    assert [each.corr_id for each in log.incidents] == ["I1", "I2"]  # later ones tell what came back
    assert log.incidents[0] == incidents[0]
    assert log.events == {"I1": [IncidentEvent("I1", "opened", 12, {"fault": "atm.jam"})]}
    assert [(each.incident, each.done_at, each.terminal, each.region) for each in log.deliveries] == [
        ("I1", 13, "t", "North")
    ]
    assert policy.interruption == 0.005
    assert rules.by_id["terminal.silent"].text


@pytest.mark.parametrize(
    ("scope", "terminals", "incidents"),
    [
        (FLEET, ["t", "u"], ["I1", "I2", "I3"]),
        (Scope("region", "North"), ["t", "u"], ["I1", "I2", "I3"]),
        (Scope("branch", "Market"), ["u"], ["I2"]),
        (Scope("branch", "Harbour"), ["t"], ["I1"]),
        (Scope("terminal", "t"), ["t"], ["I1"]),
        (Scope("vendor", "NCR"), ["t"], ["I1"]),
        (Scope("class", "pos"), ["u"], []),
        (Scope("branch", "nowhere"), [], []),
    ],
)
def test_a_scope_has_what_is_its_own(tmp_path, scope, terminals, incidents):
    them = [
        Incident("I1", "t", "Harbour", 2, "open", 12, 0, 1, region="North"),
        Incident("I2", "", "Market", 1, "open", 13, 0, 1, region="North", scope="branch"),
        Incident("I3", "", "", 1, "open", 14, 0, 1, region="North", scope="region"),
    ]
    path = tmp_path / "collector.db"
    make_store(path, Dirty(incidents={each.corr_id: each for each in them}), TERMINALS, known=77)
    with closing(open_db(path)) as db:
        for terminal, name, signals in (
            ("t", "host", {"identity.maker": "Lenovo"}),
            ("t", "atm", {"identity.maker": " NCR ", "atm.services": 9}),
            ("u", "host", {"identity.maker": "Dell"}),
            ("u", "printer", {"identity.maker": "Epson"}),
        ):
            component = Component(name)
            for signal, value in signals.items():
                component.series[signal] = Series()
                component.series[signal].value = value
            db.execute("INSERT INTO component VALUES (?,?,'',0,?)", (terminal, name, component.pack()))
    with closing(reading(path)) as db:
        log = read_log(db, 10, 20, (scope,))
    assert list(log.places) == terminals
    assert [each.corr_id for each in log.incidents] == incidents
    assert {name: place.vendor for name, place in log.places.items()} == {
        name: {"t": "NCR", "u": "Dell"}[name] for name in terminals
    }


def test_alarms_are_muted_when_something_masked_them_at_that_moment(tmp_path):
    day = 24 * 3600 * 10**9
    start, end = 10 * day, 20 * day
    dirty = Dirty(
        alarms={1: alarm(1, raised_at=start + 1, cleared_at=start + 9), 2: alarm(2, rule="x", raised_at=1, cleared_at=0), 3: alarm(3, rule="y", cleared_at=start)},
        events=[
            AlarmEvent(1, "raised", start + 1, 2, {}),
            AlarmEvent(2, "raised", start + 5, 1, {}),
            AlarmEvent(2, "not told", start + 5, 1, {"because": "shelved"}),
            AlarmEvent(1, "masked", start + 6, 2, {"kind": "child_of"}),
            AlarmEvent(1, "recurred", start + 6, 2, {}),
            AlarmEvent(1, "cleared", start + 9, 2, {}),
            AlarmEvent(1, "level", start + 9, 2, {}),
            AlarmEvent(1, "raised", end, 2, {}),
        ],
    )  # fmt: skip
    path = tmp_path / "collector.db"
    make_store(path, dirty, TERMINALS, known=end)
    log = read(path, start, end)
    assert log.turns == [
        Turn(start + 1, "raised", "atm.jam", "t", "c", 2, acted=False),
        Turn(start + 5, "raised", "x", "t", "c", 1, muted=True, acted=False),
        Turn(start + 6, "recurred", "atm.jam", "t", "c", 2, muted=True, acted=False),
        Turn(start + 9, "cleared", "atm.jam", "t", "c", 2, acted=False),
    ]
    assert log.episodes == [Standing("atm.jam", "t", "c", 2, start + 1, start + 9), Standing("x", "t", "c", 2, 1, 0)]


def test_shelves_end_when_they_are_left_or_renewed(tmp_path):
    hour = 3600 * 10**9
    start, end = 100 * hour, 200 * hour

    def shelved(number, at, until, by="ann"):
        return AlarmEvent(
            number, "masked", at * hour, 2, {"kind": "shelved", "until": until * hour, "by": by, "reason": "noise"}
        )

    def left(number, at, kind="shelved"):
        return AlarmEvent(number, "unmasked", at * hour, 2, {"kind": kind, "by": "ann"})

    dirty = Dirty(
        alarms={n: alarm(n, component=f"c{n}") for n in (1, 2, 3)},
        events=[shelved(1, 90, 110), left(1, 105), left(1, 106), shelved(2, 80, 99), left(2, 99), shelved(3, 120, 140), shelved(3, 130, 150, "bob"), left(3, 131, "maintenance")],
    )  # fmt: skip
    path = tmp_path / "collector.db"
    make_store(path, dirty, TERMINALS, known=end)
    log = read(path, start, end)
    assert sorted(log.shelves, key=lambda each: each.since) == [
        Shelf("atm.jam", "t", "c1", 90 * hour, 105 * hour, "ann", "noise"),
        Shelf("atm.jam", "t", "c3", 120 * hour, 130 * hour, "ann", "noise"),
        Shelf("atm.jam", "t", "c3", 130 * hour, 150 * hour, "bob", "noise"),
    ]


def test_the_policy_is_that_of_the_store(tmp_path):
    path = tmp_path / "collector.db"
    make_store(path, Dirty(), TERMINALS, known=1, policy="[figures]\ninterruption = 0.02\n")
    with closing(reading(path)) as db:
        assert read_policy(db).interruption == 0.02


def test_what_is_no_store_of_this_version_is_refused(tmp_path):
    with pytest.raises(StoreError, match="is not there"):
        reading(tmp_path / "none.db")
    path = tmp_path / "old.db"
    with closing(open_db(path)) as db:
        db.execute("PRAGMA user_version = 2")
    with pytest.raises(StoreError, match="has schema 2"):
        reading(path)
