"""Failures within the horizon: the fixed rule within its budget, and a model that has learnt."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tillwatch.collector.learn.budget import Threshold
from tillwatch.collector.learn.episodes import Told
from tillwatch.collector.learn.fallback import Fallback
from tillwatch.collector.learn.hazard import Settings, fit
from tillwatch.collector.learn.panel import Features, Panel, labels
from tillwatch.collector.predict.failures import LEARNT, MAX_EVENTS, RULE, Asked, Failures, telling
from tillwatch.collector.predict.finding import FAILURE, Happened, kind_of
from tillwatch.collector.predict.foretold import Foretelling
from tillwatch.collector.predict.ledger import Ledger
from tillwatch.collector.predict.panel import Event, Unit, rows
from tillwatch.collector.predict.record import Records
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


class Scripted(Fallback):
    """Says what it was told to say."""

    said = 0.0

    def predict(self, features: Features) -> Any:
        return np.full(len(features), self.said)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.integers(1, 12)), min_size=4, max_size=16),
    st.none() | st.integers(20, 90),
)
def test_what_is_told_is_what_the_budget_counted(runs: list[tuple[float, int]], fails: int | None):
    """Day by day through the ledger and the records, and at once over stored rows."""
    scores = [score for score, days in runs for _ in range(days)]
    model = Scripted(0.1, 0.1, Threshold(0.8, 0, 0, 0), TABLES.horizon_ns)
    failures, records, ledger = Failures(TABLES, model), Records(TABLES), Ledger()
    foretelling = Foretelling(TABLES, records, ledger)
    units = [Unit("T", "ups", "atm", "", 1)]
    asked = Asked(units, np.full(1, np.nan, np.float32), [["ups"]])
    told, judged = set(), []
    for day, score in enumerate(scores):
        now = day * DAY_NS
        object.__setattr__(model, "said", score)
        if fails is not None and day == fails + 1:
            event = Happened(fails * DAY_NS + DAY_NS // 2, "raised", "T", "ups", "x", level=2, party="hardware")
            judged = records.happened(event)
        for each in judged:
            ledger.judged(each.id, each.outcome, each.at)
        foretelling.tell(failures.day(now, asked, ledger), (FAILURE,), now)
        judged = records.advance(now, {"T": now})
        told |= {each.begun // DAY_NS for each in ledger.open()}
    at = np.arange(len(scores)) * DAY_NS
    unit = np.zeros(len(scores), np.int64)
    failed, _ = labels(
        unit, at, failed_unit=np.zeros(1, np.int64), failed_at=np.array([(fails or 10_000) * DAY_NS + DAY_NS // 2]),
        horizon=TABLES.horizon_ns, seen_until=1_000 * DAY_NS,
    )  # fmt: skip
    panel = Panel(unit, at, rows(units, [], unit, at), failed, TABLES.horizon_ns, DAY_NS)
    counted = Told(np.array(scores), panel, telling(TABLES)).at_threshold(0.8)
    # Told anew before the first is judged, the budget takes the rests of both for one; a day or two may lie between them.
    starts, life = sorted(told), (TABLES.horizon_ns + TABLES.grace_ns) // DAY_NS
    assume(all(later - one > life for one, later in pairwise(starts)))
    if fails is not None:
        # A failure in the grace after the horizon is a hit of the record, and false to the budget, which is the stricter of the two.
        ahead = {fails - day for day in told}
        assume(not any(TABLES.horizon_ns <= days * DAY_NS <= TABLES.horizon_ns + TABLES.grace_ns for days in ahead))
    assert told == set((panel.at[counted.first] // DAY_NS).tolist())
