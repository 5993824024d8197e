"""Failures within the horizon: the fixed rule within its budget, and a model that has learnt."""

from __future__ import annotations

import numpy as np
import pytest

from tillwatch.collector.learn.hazard import Settings, fit
from tillwatch.collector.learn.panel import Panel, labels
from tillwatch.collector.predict.failures import LEARNT, MAX_EVENTS, RULE, Asked, Failures
from tillwatch.collector.predict.finding import Happened, kind_of
from tillwatch.collector.predict.ledger import Ledger
from tillwatch.collector.predict.panel import Event, Unit, rows
from tillwatch.collector.predict.settings import DAY_NS, YEAR_DAYS, parse_tables

TABLES = parse_tables()
COMPONENTS = ("ups", "host/disk:C")


def fleet(terminals: int) -> Asked:
    units = [Unit(f"T{i}", kind_of(part), "atm", "", 1) for i in range(terminals) for part in COMPONENTS]
    parts = [[part] for _ in range(terminals) for part in COMPONENTS]
    return Asked(units, np.full(len(units), np.nan, np.float32), parts)


def alarm(failures: Failures, terminal: str, component: str, day: float) -> None:
    failures.happened(Happened(round(day * DAY_NS), "raised", terminal, component, "x", level=2, party="hardware"))


def test_the_fixed_rule_says_nothing_where_nothing_happened_and_no_more_than_its_budget():
    failures, asked, told = Failures(TABLES, None), fleet(400), 0
    rng = np.random.default_rng(1)
    assert failures.day(0, asked, Ledger()) == []
    for day in range(1, 101):
        for terminal in rng.integers(0, 400, 30):
            alarm(failures, f"T{terminal}", "ups", day - 0.5)
        said = failures.day(day * DAY_NS, asked, Ledger())
        assert {each.component for each in said} <= {"ups"}
        told += len(said)
    assert 0 < told <= 400 * TABLES.failure_budget * 100 / YEAR_DAYS + 1


def test_what_it_says_is_the_likeliest_with_the_sign_that_says_so():
    failures, asked = Failures(TABLES, None), fleet(10)
    failures.saved = 1.0
    for day in (95, 96, 97):
        alarm(failures, "T7", "host/disk:C", day)
    alarm(failures, "T3", "ups", 96)
    (said,) = failures.day(100 * DAY_NS, asked, Ledger())
    assert (said.detector, said.terminal, said.component) == (RULE, "T7", "host/disk:C")
    assert said.probability is not None
    assert said.values["times"] > 1
    assert said.factors


def test_a_learnt_hazard_speaks_above_its_threshold():
    asked = fleet(60)
    rng = np.random.default_rng(2)
    ill = set(rng.choice(60, 30, replace=False).tolist())
    events, failed = [], []
    for terminal in ill:
        start = int(rng.integers(40, 300))
        events += [Event((start + day) * DAY_NS, f"T{terminal}", "ups", "power") for day in range(0, 12, 2)]
        failed.append((2 * terminal, (start + 14) * DAY_NS))
    weeks = np.arange(35, 330, 3) * DAY_NS
    unit, at = np.repeat(np.arange(120), len(weeks)), np.tile(weeks, 120)
    horizon = 14 * DAY_NS
    known, _ = labels(
        unit,
        at,
        failed_unit=np.array([u for u, _ in failed]),
        failed_at=np.array([t for _, t in failed]),
        horizon=horizon,
        seen_until=400 * DAY_NS,
    )
    panel = Panel(unit, at, rows(asked.units, events, unit, at), known, horizon, 3 * DAY_NS)
    model = fit(panel, Settings(budget=1.0, iterations=30, folds=3, leaf_rows=10)).hazard
    failures = Failures(TABLES, model)
    assert failures.day(1_000 * DAY_NS, asked, Ledger()) == []
    for day in range(0, 12, 2):
        failures.note(Event((1_000 + day) * DAY_NS, "T5", "ups", "power"))
    said = failures.day(1_011 * DAY_NS, asked, Ledger())
    assert [(each.detector, each.terminal, each.component) for each in said] == [(LEARNT, "T5", "ups")]
    assert said[0].factors[0][0].endswith(("power", "all-events"))
    assert said[0].probability == pytest.approx(said[0].values["chance_share"], abs=1e-3)


def test_of_old_events_the_last_is_kept_and_a_terminal_has_so_many():
    failures, asked = Failures(TABLES, None), fleet(1)
    for day in range(20):
        alarm(failures, "T0", "ups", day)
    failures.day(100 * DAY_NS, asked, Ledger())
    assert [each[0] for each in failures.state()["events"]] == [19 * DAY_NS]
    for _ in range(MAX_EVENTS + 5):
        alarm(failures, "T0", "ups", 100)
    assert len(failures.state()["events"]) == MAX_EVENTS
    assert failures.forgotten == 6
