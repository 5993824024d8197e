"""A detector, a family of them or a model over the past, by the engine itself, fed from the log as the predictions are. It learns what is usual from some weeks
before the time that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from tillwatch.collector.backtest.happened import episode, is_of
from tillwatch.collector.backtest.judging import MAX_EPISODES, Episode
from tillwatch.collector.journal import Kind
from tillwatch.collector.learn.panel import DAY_NS
from tillwatch.collector.predict.engine import Engine, Models
from tillwatch.collector.predict.feed import Feed, Surroundings
from tillwatch.collector.predict.finding import Finding
from tillwatch.collector.predict.past import Past, Progress, Told
from tillwatch.collector.predict.settings import Tables
from tillwatch.collector.store.db import Db

WARM_NS = 70 * DAY_NS
"""Before the time that is asked for: trends look back nine weeks, and what is usual takes two."""


@dataclass(slots=True)
class Found:
    """episodes: in order of time; demoted: of them without the right to an alarm; tickets: branch -> alarms that people would have been told of."""

    episodes: list[Episode] = field(default_factory=list)
    tickets: dict[str, int] = field(default_factory=dict)
    terminals: set[str] = field(default_factory=set)
    left_out: int = 0
    told: Told = field(default_factory=Told)
    limits: dict[str, int] = field(default_factory=dict)


class Heard:
    """The findings of one detector or family that began in a time, as they stood last."""

    def __init__(self, detector: str, since: int, until: int) -> None:
        self._detector, self._since, self._until = detector, since, until
        self._by_id: dict[str, Finding] = {}
        self.left_out = 0

    def hear(self, findings: Iterable[Finding]) -> None:
        for each in findings:
            if not is_of(each, self._detector) or not self._since <= each.begun < self._until:
                continue
            if each.id not in self._by_id and len(self._by_id) >= MAX_EPISODES:
                self.left_out += 1
                continue
            self._by_id[each.id] = each

    def episodes(self) -> list[Episode]:
        return sorted(map(episode, self._by_id.values()), key=lambda each: (each.begun, each.terminal, each.component))


def run(
    db: Db,
    tables: Tables,
    models: Models,
    detector: str,
    since: int,
    until: int,
    terminal: str = "",
    progress: Progress = lambda _at, _share: None,
) -> Found:
    """db: in one consistent state. detector: a family, or one of its detectors; since, until: UTC ns; terminal: only this one. What was found is held against what came
    up to the end of the log.
    """
    engine, known, heard = Engine(tables, models), Surroundings(), Heard(detector, since, until)
    past = Past(db, since=since - WARM_NS)
    feed = Feed(engine, known, db, past.fault)
    known.events.open(db)
    found = Found(told=past.told)
    end = int(db.execute("SELECT coalesce(max(at), 0) FROM journal").fetchone()[0])
    for logged, columns in past.walk(end, progress):
        entry = logged.entry
        feed.events(entry.at)
        said = engine.advance(entry.at)
        heard.hear(said.findings)
        if terminal and entry.terminal not in {"", terminal}:
            continue
        if entry.kind is Kind.BATCH:
            found.terminals.add(entry.terminal)
        feed.entry(logged)
        if columns:
            engine.read(entry.terminal, columns, entry.at)
    known.events.shut()
    said = engine.advance(end)
    heard.hear(said.findings)
    found.episodes, found.left_out, found.limits = heard.episodes(), heard.left_out, dict(said.limits)
    found.tickets = tickets(found.episodes, {name: place[0] for name, place in known.places.items()})
    return found


def tickets(episodes: Iterable[Episode], branches: dict[str, str]) -> dict[str, int]:
    """One alarm stands for all that one family finds on one component at a time."""
    count: dict[str, int] = {}
    until: dict[tuple[str, str, str], int] = {}
    for each in episodes:
        key = each.rule.partition("/")[0], each.terminal, each.component
        if not each.told:
            continue
        if each.begun > until.get(key, -1):
            branch = branches.get(each.terminal, "")
            count[branch] = count.get(branch, 0) + 1
        until[key] = max(until.get(key, -1), each.ended or 2**63)
    return count
