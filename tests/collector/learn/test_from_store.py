"""What a model is taught is what it is asked: the rows of the panel out of the store are those of the engine that lived through the same time."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.collector.simulated import DAYS, TERMINALS, bank, opened
from tillwatch.collector.changes import Dirty
from tillwatch.collector.learn import from_store
from tillwatch.collector.learn.budget import NEVER, Threshold
from tillwatch.collector.learn.fallback import Fallback
from tillwatch.collector.learn.from_store import Failed, PastError, Scope, panel_of
from tillwatch.collector.learn.hazard import Settings, fit
from tillwatch.collector.learn.panel import DAY_NS, Features
from tillwatch.collector.predict import failures
from tillwatch.collector.predict.engine import Engine, Models
from tillwatch.collector.predict.feed import Feed, Surroundings
from tillwatch.collector.predict.finding import ANOMALY, FAILURE, HIT, Finding, Happened
from tillwatch.collector.predict.past import Past
from tillwatch.collector.predict.settings import parse_tables
from tillwatch.collector.store import foretold

HORIZON = 14 * DAY_NS
EAGER = replace(parse_tables(), anomaly_budget=12.0, learn_ns=3 * DAY_NS)
"""Finds much unusual, also in a few weeks."""
Key = tuple[str, str, int]
"""Terminal, kind of part, UTC ns."""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return bank(tmp_path / "bank").with_name("collector.db")


def _end(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT max(at) FROM journal").fetchone()[0])


def _words(features: Features, name: str, index: int) -> str:
    said = features.values[index, features.names.index(name)]
    return "" if np.isnan(said) else features.words[name][int(said)]


def _lived(engine: Engine, db: sqlite3.Connection, until: int) -> list[Finding]:
    """What an engine says over the whole log."""
    said: list[Finding] = []
    past, known = Past(db, frames=False), Surroundings()
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
    return said


def _live(
    db: sqlite3.Connection, until: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[Key, tuple[Features, int]], list[Finding]]:
    """The whole engine over the log: what its failure model is asked, and what it finds unusual."""
    asked: dict[Key, tuple[Features, int]] = {}

    def rows(units: Any, events: Any, unit: Any, at: Any, *readings: Any) -> Features:
        found = real(units, events, unit, at, *readings)
        for index, (which, when) in enumerate(zip(unit, at, strict=True)):
            asked[units[which].terminal, units[which].kind, int(when)] = found, index
        return found

    real = failures.rows
    monkeypatch.setattr(failures, "rows", rows)
    # Of a model that has learnt more is asked than of the fixed rule.
    said = _lived(Engine(EAGER, Models(Fallback(0.1, 0.1, Threshold(NEVER, 0.0, 0.0, 0.0), HORIZON))), db, until)
    monkeypatch.undo()
    return asked, [each for each in said if each.family == ANOMALY]


@pytest.mark.long
def test_a_model_is_taught_the_very_rows_that_it_is_asked(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(store) as db:
        until = _end(db) - 20 * DAY_NS
        asked, unusual = _live(db, until, monkeypatch)
    with sqlite3.connect(store) as db:
        for query, found in foretold.rows(Dirty(findings={each.id: each for each in unusual})):
            db.executemany(query, found)
    with opened(store) as db:
        taught = panel_of(db, EAGER, Scope(until, HORIZON))
    panel, features = taught.panel, taught.panel.features
    assert taught.every == 1
    assert len(panel) > TERMINALS * (DAYS - 40)
    units = [taught.units[int(each)] for each in panel.unit]
    live = [asked[unit.terminal, unit.kind, int(at)] for unit, at in zip(units, panel.at, strict=True)]
    numbers = [index for index, name in enumerate(features.names) if name not in features.words]
    assert live[0][0].names == features.names
    np.testing.assert_array_equal(
        features.values[:, numbers], np.stack([known.values[index] for known, index in live])[:, numbers]
    )
    for name in features.words:
        assert [_words(features, name, i) for i in range(len(panel))] == [_words(*_named(each, name)) for each in live]
    for name in (
        "wear",
        "anomaly count 30 d",
        "hardware count 7 d",
        "terminal visited count 30 d",
        "counts faster 3 d",
    ):
        assert np.nanmax(features.values[:, features.names.index(name)]) > 0, f"the history says something of {name}"


def _named(live: tuple[Features, int], name: str) -> tuple[Features, str, int]:
    return live[0], name, live[1]


def test_what_lies_ahead_of_the_end_is_neither_looked_at_nor_known(store: Path) -> None:
    with opened(store) as db:
        until = _end(db) - 20 * DAY_NS
        panel = panel_of(db, parse_tables(), Scope(until, HORIZON)).panel
    assert panel.at.max() <= until
    assert (panel.failed | (panel.at + HORIZON <= until)).all(), (
        "a horizon that is not over yet teaches only what failed in it"
    )


@pytest.mark.long
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
            "SELECT terminal, component, raised_at, cleared_at FROM alarm WHERE rule = 'atm.device' AND cleared_at > raised_at"
        ).fetchall()
    looked = {
        (found.units[int(u)].terminal, found.units[int(u)].kind, int(t))
        for u, t in zip(found.panel.unit, found.panel.at, strict=True)
    }
    times = sorted({int(each) for each in found.panel.at})
    broken = [
        (terminal, component.partition(":")[0], each)
        for terminal, component, since, over in rows
        for each in times
        if since <= each < over
    ]
    assert broken, "some were broken at the end of a day"
    assert not looked & set(broken)


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


@pytest.mark.long
def test_what_was_learnt_of_the_first_weeks_tells_of_failures_in_the_last_ones(store: Path) -> None:
    horizon = 7 * DAY_NS
    tables = replace(parse_tables(), horizon_ns=horizon)
    with opened(store) as db:
        end = _end(db)
        until = end - 20 * DAY_NS
        panel = panel_of(db, tables, Scope(until, horizon)).panel
        quick = Settings(budget=10.0, iterations=10, folds=2)
        hazard = fit(panel, quick, telling=failures.telling(tables)).hazard
        said = _lived(Engine(tables, Models(hazard)), db, end)
    told = {each.id: each for each in said if each.family == FAILURE and each.begun > until}
    assert told
    assert {each.detector for each in told.values()} == {failures.LEARNT}
    assert all(each.probability is not None for each in told.values())
    assert any(each.factors for each in told.values())
    outcomes = {each.outcome for each in told.values()}
    assert HIT in outcomes, "what much breaks is told of before it does"
