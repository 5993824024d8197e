"""The figures of one period and one part of the fleet as one SQLite file: every scope with all that a report says of it, the stretches and the incidents
behind them, and what ran out. Written once, whole or not at all; read by whoever asks.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgpack

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.figures.course import PHASES
from tillwatch.collector.figures.rollup import KINDS, Computed, Figures, Log, Place
from tillwatch.collector.figures.tally import Mean

FORM = 1
"""Of the file: one of another form is made anew."""
SUPPLIES = ("cash", "supplies")
"""Parties of the rules that say that something ran out or filled up."""
_INSERT = "INSERT INTO {} VALUES ({})"
NOWHERE = Place("", "", "", "", "")


@dataclass(frozen=True, slots=True)
class Made:
    """When and of what it was made. log: the journal's last entry; at: UTC ns; fingerprint: of what a period that is over depends on (rows.fingerprint)."""

    log: int
    at: int
    fingerprint: bytes


def write(path: Path, computed: Computed, log: Log, policy: Policy, rules: Rules, made: Made) -> None:
    """Make the file at `path`. Raises OSError and sqlite3.Error."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    new.unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as db:
            # It is whole when it gets its name; a crash before that costs one computation.
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA synchronous = OFF")
            db.executescript((files("tillwatch.collector.figures") / "kept.sql").read_text(encoding="utf-8"))
            db.execute("BEGIN")
            _fill(db, computed, log, policy, rules, made)
            db.execute("COMMIT")
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def meta_of(it: Computed, policy: Policy, made: Made) -> dict[str, Any]:
    """What is to be known of a file before it is used, for msgpack."""
    return {
        "form": FORM, "start": it.start, "end": it.end, "known": it.known, "log": made.log, "at": made.at, "fingerprint": made.fingerprint,
        "interruption": policy.interruption, "outages": [list(span) for span in it.outages],
        "targets": {level: [one.response_ns, one.repair_ns] for level, one in policy.targets.items()},
    }  # fmt: skip


def _fill(db: sqlite3.Connection, it: Computed, log: Log, policy: Policy, rules: Rules, made: Made) -> None:
    meta = meta_of(it, policy, made)
    db.executemany("INSERT INTO meta VALUES (?,?)", [(key, msgpack.packb(value)) for key, value in meta.items()])
    regions: dict[str, str] = defaultdict(str)
    for place in it.places.values():
        regions[place.branch] = place.region
    rows = (_figure(one, it.places, regions) for kind in KINDS for one in it.of_kind(kind))
    db.executemany(_INSERT.format("figure", ",".join("?" * 22)), rows)
    db.executemany(_INSERT.format("stretch", ",".join("?" * 21)), _stretches(it))
    db.executemany(_INSERT.format("incident", ",".join("?" * 33)), _incidents(it))
    db.executemany(_INSERT.format("supply", ",".join("?" * 11)), _supplies(it, log, rules))


def _figure(one: Figures, places: Mapping[str, Place], regions: Mapping[str, str]) -> tuple[Any, ...]:
    kind, name = one.scope
    place = places[name] if kind == "terminal" else NOWHERE
    region = place.region or (regions.get(name, "") if kind == "branch" else "")
    parts, restore = one.availability.parts, one.kpi.restore
    shares = parts["network"].shares
    body = zlib.compress(json.dumps(one.plain(), ensure_ascii=False, separators=(",", ":")).encode(), 1)
    return (
        kind, name, place.branch, region, place.terminal_class, place.vendor, one.availability.terminals, one.over,
        *map(_held, (shares.scheduled, shares.up, shares.down, shares.planned, shares.unmonitored, parts["any"].shares.down, parts["full"].shares.down)),
        one.availability.impact("network"), one.kpi.incidents, one.kpi.open, *_sum(restore), one.load.alarms, body,
    )  # fmt: skip


def _held(ns: int) -> int | float:
    """For lists and their order; exact in the body. 10,000 terminals have more ns in a month than SQLite's integers hold."""
    return ns if ns < 2**63 else float(ns)


def _sum(mean: Mean) -> tuple[int, int]:
    return mean.total, mean.n


def _where(place: Place) -> tuple[str, str, str, str]:
    return place.branch, place.region, place.terminal_class, place.vendor


def _stretches(it: Computed) -> Iterator[tuple[Any, ...]]:
    for terminal, them in it.stretches.items():
        where = _where(it.places[terminal])
        for one in them:
            if set(one.counts) == {"up"} and one.source in ("state", "cause"):
                continue
            yield (
                None, terminal, *where, one.since, one.until, *one.counts, one.state, one.reason, one.party, one.cause, " ".join(one.lost),
                one.source, one.known_at, one.entry, one.by, one.why,
            )  # fmt: skip


def _incidents(it: Computed) -> Iterator[tuple[Any, ...]]:
    for one in it.judged:
        course, row, spent = one.course, one.course.incident, one.spent or {}
        place = it.places.get(row.terminal) or Place("", row.branch, row.region, "")
        yield (
            row.corr_id, row.terminal, row.component, *_where(place),
            course.level, row.fault, row.drill, course.told, row.state, course.verdict,
            course.failed, course.opened, course.responded, course.restored, course.resolved,
            one.response, one.restored[True], one.restored[False], one.resolved[True], one.resolved[False],
            *(spent.get(phase) for phase in PHASES), one.first_fix[7], one.first_fix[30], one.repeated,
            bool(row.reopened) if course.resolved or row.reopened else None, bool(row.parent),
        )  # fmt: skip


def _supplies(it: Computed, log: Log, rules: Rules) -> Iterator[tuple[Any, ...]]:
    for one in log.episodes:
        rule = rules.by_id.get(one.rule)
        if rule is None or rule.party not in SUPPLIES or one.drill or one.since >= it.end or 0 < one.until <= it.start:
            continue
        where = _where(it.places[one.terminal])
        yield one.terminal, one.component, *where, one.rule, rule.party, one.level, one.since, one.until
