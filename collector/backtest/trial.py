"""A rule tried on the stored history: what it would have raised, beside what the one in force raised, both against what happened. One place for the command and for the
console; it writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tillwatch.collector.backtest import happened, rule_run
from tillwatch.collector.backtest.judging import CONFIRMED, REFUTED, Episode, Fault, Faults, Span, Tally, judge
from tillwatch.collector.incident.incident_views import InForce
from tillwatch.collector.predict.past import Progress, Told
from tillwatch.collector.store.db import Db

if TYPE_CHECKING:
    from tillwatch.collector.backtest.engine_run import Found
    from tillwatch.collector.backtest.rule_run import Raised

HORIZON_NS = 14 * 86_400 * 10**9
"""Of a sheet, which has no tables of its own to say it, and of rules."""


@dataclass(frozen=True, slots=True)
class Trial:
    """tried, stood: the one on trial, and the one in force then. told: what was read."""

    span: Span
    tried: Tally
    stood: Tally
    told: Told


def of_rule(
    db: Db,
    in_force: InForce,
    text: str,
    rule: str,
    since: int,
    until: int,
    terminal: str = "",
    progress: Progress = lambda _at, _share: None,
    only: frozenset[str] | None = None,
) -> Trial:
    """text: TOML laid over the rules in force; terminal: only this one; only: only these, None for all. Raises TrialError."""
    rules = rule_run.trial(in_force.rules, text, rule)
    found = rule_run.run(db, rules, in_force.policy, rule, since, until, terminal, progress, only)
    span = span_of(db, found, since, until, HORIZON_NS)
    faults = [each for each in happened.faults(db, rules, rule, since - HORIZON_NS, span.known) if seen(each, only)]
    stood = [each for each in happened.raised(db, rule, since, until, terminal) if seen(each, only)]
    looked = [
        each for each in others(faults, since, until, terminal) if (each.terminal, each.component) in found.watched
    ]
    return judged(db, span, found, stood, faults, looked)


def seen(each: Episode | Fault, only: frozenset[str] | None) -> bool:
    return only is None or each.terminal in only


def span_of(db: Db, found: Raised | Found, since: int, until: int, horizon: int) -> Span:
    known = int(db.execute("SELECT coalesce(max(at), 0) FROM journal").fetchone()[0])
    first = int(db.execute("SELECT coalesce(min(enrolled_at), 0) FROM terminal").fetchone()[0])
    return Span(
        min(max(since, first), until),
        max(min(until, known), min(max(since, first), until)),
        known,
        len(found.terminals),
        horizon,
    )


def others(faults: Iterable[Fault], since: int, until: int, terminal: str) -> list[Fault]:
    """What a rule should have told of: the faults of others, and its own where a technician found one."""
    return [
        each for each in faults
        if since <= each.at < until and (not each.own or each.verdict == CONFIRMED) and each.verdict != REFUTED
        and (not terminal or each.terminal == terminal)
    ]  # fmt: skip


def judged(
    db: Db,
    span: Span,
    found: Raised | Found,
    stood: Sequence[Episode],
    faults: Sequence[Fault],
    looked: Sequence[Fault],
) -> Trial:
    from tillwatch.collector.backtest.engine_run import tickets  # noqa: PLC0415 - numpy

    by_time = Faults.of(faults)
    tried = judge(
        found.episodes, by_time, span, looked_at=looked, tickets=found.tickets, other=stood, left_out=found.left_out
    )
    branches = dict(db.execute("SELECT id, branch FROM terminal").fetchall())
    before = judge(
        stood, by_time, span, looked_at=looked, tickets=tickets(stood, branches), other=tried.episodes, in_force=True
    )
    return Trial(span, tried, before, found.told)
