"""What the wear parts of one terminal have used of their rated life, out of their latest values and the roll-ups of the last days."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean

from tillwatch.agent.model import device_of
from tillwatch.collector.predict.finding import WEAR, Finding
from tillwatch.collector.predict.life_used import DAYS, Part, life_used
from tillwatch.collector.predict.lives import Lives, RatedLife, strongest
from tillwatch.collector.store import rollups
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.sqlite import plain
from tillwatch.collector.store.timeline_reader import incidents_of
from tillwatch.collector.terminal.dossier import LifeView
from tillwatch.collector.terminal.fleet import Component

MAX_LIVES = 200
"""Wear parts of one terminal that are listed: a server with a hundred drives has two lives of each."""
MODEL = "identity.model"


def lives(db: Db, terminal: str, tables: Lives, findings: Iterable[Finding], now: int) -> Sequence[LifeView]:
    """findings: those of the terminal that are open. Raises KeyError."""
    if db.execute("SELECT 1 FROM terminal WHERE id = ?", (terminal,)).fetchone() is None:
        raise KeyError(terminal)
    rows = db.execute("SELECT name, state FROM component WHERE terminal = ? ORDER BY name", (terminal,)).fetchall()
    components = {name: Component.unpack(name, state) for name, state in rows}
    told = {(each.detector, each.component): each for each in findings if each.family == WEAR}
    renewed: dict[str, int] = {}
    for each in incidents_of(db, terminal):
        if each.verdict == "part_changed" and each.terminal == terminal:
            renewed[each.component] = max(renewed.get(each.component, 0), each.resolved_at or each.closed_at)
    found: list[LifeView] = []
    for component, signal, life in _of(components, tables):
        if len(found) >= MAX_LIVES:
            break
        part = _part(db, terminal, components, component, signal, life, renewed.get(component.name, 0), now)
        finding = told.get((f"{WEAR}/{life.id}", component.name))
        used = life_used(life, part, now, finding)
        if used is not None:
            found.append(
                LifeView(
                    life.id, life.part, life.title_en, life.title_zh, component.name, signal, life.rating.source, life.purpose, life.unit, used.used,
                    used.rated, used.share, used.at_least, used.left, used.since, life.rating.assumed, life.rating.evidence, part.celsius,
                    finding.id if finding is not None else "",
                )
            )  # fmt: skip
    return sorted(found, key=lambda each: (each.share is None, -(each.share or 0.0), each.component, each.life))


def _of(components: Mapping[str, Component], tables: Lives) -> Iterator[tuple[Component, str, RatedLife]]:
    """Of each life of a component the first of its signals that the component tells."""
    for name, component in components.items():
        model = _word(component, MODEL) or _word(components.get(device_of(name)), MODEL)
        here: dict[str, tuple[str, RatedLife]] = {}
        for signal in component.series:
            for life in tables.of(signal, name, model):
                known = here.get(life.id)
                if known is None or life.signals.index(signal) < life.signals.index(known[0]):
                    here[life.id] = signal, life
        for life in strongest(tuple(life for _, life in here.values())):
            yield component, here[life.id][0], life


def _word(component: Component | None, signal: str) -> str:
    series = component.series.get(signal) if component is not None else None
    return series.value if series is not None and isinstance(series.value, str) else ""


def _part(
    db: Db,
    terminal: str,
    components: Mapping[str, Component],
    component: Component,
    signal: str,
    life: RatedLife,
    renewed: int,
    now: int,
) -> Part:
    series = component.series[signal]
    told = rollups.Told(db, terminal, component.name, signal, series)
    today = rollups.day_of(now)
    days = [] if life.rating.source == "calendar" else [told.of_day(today - back) for back in range(DAYS - 1, -1, -1)]
    since = rollups.first_hour(db, terminal, component.name) or max(series.at, 0)
    begin = told.of_day(rollups.day_of(max(since, renewed))) if life.counts == "watched" else None
    return Part(
        component.name, signal, plain(series.value), since, plain(begin[4]) if begin is not None else None,
        tuple(plain(day[4]) if day is not None else None for day in days), _word(component, life.replaced), renewed,
        _celsius(db, terminal, components, component.name, life, today),
    )  # fmt: skip


def _celsius(
    db: Db, terminal: str, components: Mapping[str, Component], name: str, life: RatedLife, today: int
) -> float | None:
    """The mean of the last days, of the first temperature that the component, its device, or a part of its device tells."""
    device = device_of(name)
    near = sorted(components, key=lambda each: (each != name, each != device, each))
    for signal in life.temperature:
        for where in near:
            if device_of(where) == device and signal in components[where].series:
                told = rollups.Told(db, terminal, where, signal, components[where].series[signal])
                rows = [row for back in range(DAYS) if (row := told.of_day(today - back)) is not None and row[0]]
                if rows:
                    return fmean(row[1] / row[0] for row in rows)
                value = components[where].series[signal].value
                return float(value) if isinstance(value, int | float) else None
    return None
