"""What a model is taught is what it is asked: the rows of the panel out of the store are those of the engine that lived through the same time."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.collector.simulated import DAYS, TERMINALS, bank, opened
from tillwatch.collector.changes import Dirty
from tillwatch.collector.learn import from_store
from tillwatch.collector.learn.from_store import Failed, PastError, Scope, panel_of
from tillwatch.collector.learn.panel import DAY_NS
from tillwatch.collector.predict import failures
from tillwatch.collector.predict.engine import Engine
from tillwatch.collector.predict.feed import Feed, Surroundings
from tillwatch.collector.predict.finding import ANOMALY, Finding, Happened
from tillwatch.collector.predict.past import Past
from tillwatch.collector.predict.settings import parse_tables
from tillwatch.collector.store import foretold

HORIZON = 14 * DAY_NS
Row = dict[str, Any]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return bank(tmp_path / "bank").with_name("collector.db")


def _end(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT max(at) FROM journal").fetchone()[0])


def _rows(features: Any, index: int) -> Row:
    """By name, with words as words."""
    said: Row = {}
    for name, value in zip(features.names, features.values[index].tolist(), strict=True):
        words = features.words.get(name)
        said[name] = "" if np.isnan(value) else words[int(value)] if words else value
    return said


def _live(db: sqlite3.Connection, until: int, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[Any, Row], list[Finding]]:
    """The whole engine over the log: what its failure model is asked, and what it finds unusual."""
    asked: dict[Any, Row] = {}
    said: list[Finding] = []

    def rows(units: Any, events: Any, unit: Any, at: Any, worn: Any = None) -> Any:
        found = real(units, events, unit, at, worn)
        asked.update(
            {
                (units[u].terminal, units[u].kind, int(t)): _rows(found, i)
                for i, (u, t) in enumerate(zip(unit, at, strict=True))
            }
        )
        return found

    real = failures.rows
    monkeypatch.setattr(failures, "rows", rows)
    engine, known = Engine(parse_tables()), Surroundings()
    past = Past(db, frames=False)
    feed = Feed(engine, known, db, past.fault)
    known.events.open(db)
    for logged, columns in past.walk(until):
        feed.events(logged.entry.at)
        said += engine.advance(logged.entry.at).findings
        feed.entry(logged)
        if columns:
            engine.read(logged.entry.terminal, columns, logged.entry.at)
    said += engine.advance(until).findings
    known.events.shut()
    monkeypatch.undo()
    return asked, [each for each in said if each.family == ANOMALY]


def test_a_model_is_taught_the_very_rows_that_it_is_asked(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(store) as db:
        until = _end(db)
        asked, unusual = _live(db, until, monkeypatch)
    with sqlite3.connect(store) as db:
        for query, found in foretold.rows(Dirty(findings={each.id: each for each in unusual})):
            db.executemany(query, found)
    with opened(store) as db:
        taught = panel_of(db, parse_tables(), Scope(until, HORIZON))
    panel = taught.panel
    assert taught.every == 1
    assert len(panel) > TERMINALS * DAYS
    for index in range(len(panel)):
        unit = taught.units[int(panel.unit[index])]
        assert _rows(panel.features, index) == pytest.approx(asked[unit.terminal, unit.kind, int(panel.at[index])])


def test_what_lies_ahead_of_the_end_is_neither_looked_at_nor_known(store: Path) -> None:
    with opened(store) as db:
        until = _end(db) - 20 * DAY_NS
        panel = panel_of(db, parse_tables(), Scope(until, HORIZON)).panel
    assert panel.at.max() <= until
    assert (panel.failed | (panel.at + HORIZON <= until)).all(), (
        "a horizon that is not over yet teaches only what failed in it"
    )


def test_of_a_large_fleet_it_looks_less_often_and_then_at_fewer_terminals(store: Path) -> None:
    with opened(store) as db:
        until = _end(db)
        whole = panel_of(db, parse_tables(), Scope(until, HORIZON))
        fewer = panel_of(db, parse_tables(), Scope(until, HORIZON, most=2_000))
        fewest = panel_of(db, parse_tables(), Scope(until, HORIZON, most=300))
    assert fewer.every > 1
    assert (fewer.terminals, fewer.of) == (TERMINALS, TERMINALS)
    assert fewest.every == HORIZON // DAY_NS // from_store.LEAST_LOOKS, "each failure is looked at more than once"
    assert 0 < fewest.terminals < fewest.of == TERMINALS
    assert len(fewest.panel) < len(fewer.panel) <= 2_000 < len(whole.panel)
    assert fewer.panel.cadence == fewer.every * DAY_NS


def test_only_the_kinds_that_were_asked_for_are_in_it(store: Path) -> None:
    with opened(store) as db:
        until = _end(db)
        found = panel_of(db, parse_tables(), Scope(until, HORIZON, ("ATM/*",)))
        assert {each.kind.partition("/")[0] for each in found.units} == {"atm"}
        with pytest.raises(PastError, match="knows no such part"):
            panel_of(db, parse_tables(), Scope(until, HORIZON, ("blimp",)))


def test_rows_of_what_is_broken_already_are_left_out(store: Path) -> None:
    with opened(store) as db:
        until = _end(db)
        found = panel_of(db, parse_tables(), Scope(until, HORIZON))
        rows = db.execute(
            "SELECT terminal, component, raised_at, cleared_at FROM alarm WHERE rule = 'atm.device' AND cleared_at > raised_at + ?",
            (DAY_NS,),
        ).fetchall()
    assert rows
    looked = {
        (found.units[int(u)].terminal, found.units[int(u)].kind, int(t))
        for u, t in zip(found.panel.unit, found.panel.at, strict=True)
    }
    for terminal, component, since, over in rows:
        assert not [
            t
            for name, kind, t in looked
            if (name, kind) == (terminal, component.partition(":")[0]) and since <= t < over
        ]


def _failed(*events: tuple[int, str, str, str]) -> list[tuple[tuple[str, str], int]]:
    failed = Failed()
    for at, what, party, value in events:
        failed.happened(Happened(at, what, "atm-1", "atm/CardReader", "atm.device", value, party=party))
    return list(failed.times())


def test_a_verdict_confirms_a_failure_or_takes_it_away() -> None:
    unit = ("atm-1", "atm/CardReader")
    assert _failed((1, "raised", "hardware", "")) == [(unit, 1)]
    assert _failed((1, "raised", "supplies", "")) == [], "a roll of paper is no failure"
    assert _failed((1, "raised", "supplies", ""), (5, "verdict", "supplies", "part_changed")) == [(unit, 1)]
    assert _failed((1, "raised", "software", ""), (5, "verdict", "software", "true_fault")) == [], (
        "no part was at fault"
    )
    for nothing in ("false_alarm", "no_fault_found"):
        assert _failed((1, "raised", "hardware", ""), (5, "verdict", "hardware", nothing)) == []
    again = [(1, "raised", "hardware", ""), (5, "verdict", "hardware", "false_alarm"), (9, "raised", "hardware", "")]
    assert _failed(*again) == [(unit, 9)], "a verdict is of the alarm that was there then"
