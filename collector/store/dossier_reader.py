"""What the page of one terminal shows beyond its components: its device file, the versions of its devices, bands of states, and terminals like it. Each
function works within the caller's transaction, so that an answer is of one state.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from tillwatch.agent.model import MS
from tillwatch.collector.alarm.rules import COMPONENT_SILENT, PREDICTED, Rules
from tillwatch.collector.changes import HOUR_MS
from tillwatch.collector.duty.policy import Policy
from tillwatch.collector.predict.lives import Lives
from tillwatch.collector.read import TerminalView
from tillwatch.collector.records import LIFE_CYCLE, OFFLINE
from tillwatch.collector.store import foretold, life_reader, rollups, timeline_reader
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.sqlite import plain
from tillwatch.collector.terminal import asset, bands
from tillwatch.collector.terminal.asset import Note, Told
from tillwatch.collector.terminal.bands import CRIT, NEW, OUT, UNKNOWN, WARN, Band, Mark
from tillwatch.collector.terminal.dossier import (
    ALARM,
    EVERYWHERE,
    KINDS,
    MAX_NOTES,
    MAX_SIMILAR,
    STATE,
    ComponentBands,
    DossierView,
    LifeView,
    Similar,
    SimilarView,
    Strip,
    Timeline,
    VersionView,
)
from tillwatch.collector.terminal.fleet import Component
from tillwatch.collector.tickets.words import day_at

HOUR_NS = HOUR_MS * MS
YEAR_NS = 366 * 86_400 * 10**9
"""As far back as the beginning of what a device says is looked for."""
RECENT_NS = 90 * 86_400 * 10**9
"""Within which incidents are counted when terminals are compared: a quarter has enough of them to tell machines apart."""
MAX_REPAIRS = 200
MODEL, SERIAL = "identity.model", "identity.serial"
VERSIONS = (MODEL, "identity.firmware", SERIAL, "identity.maker", "acceptor.program")
"""What a device says of itself that a person compares with a list."""
UNREADABLE = "component.unreadable"
_SEEN = "SELECT hour FROM rollup WHERE terminal = ? AND component = ? AND hour BETWEEN ? AND ? ORDER BY hour"
_NOTES = "SELECT n, terminal, at, by, text FROM terminal_note WHERE terminal = ? ORDER BY n DESC LIMIT ?"
_COUNTED = """
    SELECT terminal, count(*) FROM incident WHERE opened_at >= ? AND terminal <> '' AND announced_at > 0 AND drill = 0 GROUP BY terminal"""
_RANK = {CRIT: 0, UNKNOWN: 1, WARN: 2}


class Dossiers:
    """Of the reader."""

    def snapshot(self) -> AbstractContextManager[Db]:
        raise NotImplementedError

    def _policy_now(self, db: Db) -> Policy:
        raise NotImplementedError

    def _rules_now(self, db: Db) -> Rules:
        raise NotImplementedError

    def terminals_of(self, only: Collection[str]) -> Sequence[TerminalView]:
        raise NotImplementedError

    def asset(self, terminal: str) -> tuple[Mapping[str, Any], str]:
        with self.snapshot() as db:
            kept = device_file(db, terminal)
        return asset.unpack(kept), asset.version(kept)

    def amended(self, terminal: str, fields: Mapping[str, Any]) -> tuple[str, str]:
        with self.snapshot() as db:
            kept = device_file(db, terminal)
        after = asset.changed(kept, {"fields": fields})
        return asset.version(kept), asset.version(kept if after is None else after)

    def assets(self) -> Mapping[str, Mapping[str, Any]]:
        with self.snapshot() as db:
            return device_files(db)

    def dossier(self, terminal: str, now: int) -> DossierView:
        with self.snapshot() as db:
            return dossier_of(db, terminal, now, self._policy_now(db))

    def timeline(self, terminal: str, start: int, end: int, kinds: Sequence[str] = KINDS) -> Timeline:
        with self.snapshot() as db:
            return timeline_reader.timeline(db, terminal, start, end, kinds, self._policy_now(db).windows)

    def strip(self, terminal: str, start: int, end: int) -> Strip:
        with self.snapshot() as db:
            return strip_of(db, terminal, self._rules_now(db), start, end)

    def lives(self, terminal: str, lives: Lives, now: int) -> Sequence[LifeView]:
        with self.snapshot() as db:
            open_ = foretold.findings(db, terminal, open_only=True, limit=500)
            return life_reader.lives(db, terminal, lives, open_, now)

    def similar(self, terminal: str, now: int, covers: Callable[[str, str], bool] = EVERYWHERE) -> Similar:
        with self.snapshot() as db:
            found, likes = similar_to(db, terminal, covers, now)
        views = {view.id: view for view in self.terminals_of([each.id for each in likes])}
        shown = tuple(
            replace(
                each,
                condition=view.condition,
                state=view.state.state if view.state else "",
                open_alarms=view.open_alarms,
            )
            for each in likes
            if (view := views.get(each.id)) is not None
        )
        return replace(found, terminals=shown)


def device_file(db: Db, terminal: str) -> bytes:
    """As it is kept, empty where there is none. Raises KeyError."""
    if db.execute("SELECT 1 FROM terminal WHERE id = ?", (terminal,)).fetchone() is None:
        raise KeyError(terminal)
    row = db.execute("SELECT detail FROM asset WHERE terminal = ?", (terminal,)).fetchone()
    return bytes(row[0]) if row is not None else b""


def device_files(db: Db) -> dict[str, Mapping[str, Any]]:
    rows = db.execute("SELECT terminal, detail FROM asset ORDER BY terminal")
    return {name: asset.unpack(detail) for name, detail in rows}


def dossier_of(db: Db, terminal: str, now: int, policy: Policy) -> DossierView:
    """Days are counted by the clocks of its branch. Raises KeyError."""
    kept = device_file(db, terminal)
    known = asset.unpack(kept)
    components = _components(db, terminal)
    told = [
        Told(each.name, str(each.series[SERIAL].value), each.series[SERIAL].at)
        for each in components
        if SERIAL in each.series and isinstance(each.series[SERIAL].value, str)
    ]
    branch, enrolled = db.execute("SELECT branch, enrolled_at FROM terminal WHERE id = ?", (terminal,)).fetchone()
    today = day_at(now, policy.branch(branch).zone or policy.zone)
    return DossierView(
        asset=known,
        version=asset.version(kept),
        serials=tuple(asset.compare(known, told, timeline_reader.HOST)),
        dues=tuple(asset.dues(known, today)),
        notes=tuple(Note(*row) for row in db.execute(_NOTES, (terminal, MAX_NOTES))),
        versions=tuple(_versions(db, terminal, components, now)),
        repairs=tuple(timeline_reader.repairs(db, terminal, MAX_REPAIRS)),
        enrolled_at=int(enrolled),
    )


def _components(db: Db, terminal: str) -> list[Component]:
    rows = db.execute("SELECT name, state FROM component WHERE terminal = ? ORDER BY name", (terminal,))
    return [Component.unpack(name, state) for name, state in rows]


def _versions(db: Db, terminal: str, components: Iterable[Component], now: int) -> Iterable[VersionView]:
    for component in components:
        for signal in VERSIONS:
            series = component.series.get(signal)
            if series is None or not isinstance(series.value, str) or not series.value:
                continue
            turns = rollups.Told(db, terminal, component.name, signal, series).turns(now - YEAR_NS, now)
            since, before = 0, ""
            if turns:
                since, before = turns[-1][0], str(turns[-1][1] or "")
            yield VersionView(component.name, signal, series.value, since, before, series.at)


# Bands of states.


def strip_of(db: Db, terminal: str, rules: Rules, start: int, end: int) -> Strip:
    """Raises KeyError."""
    told = timeline_reader.timeline(db, terminal, start, end, (STATE, ALARM), ())
    states = [each for each in told.moments if each.kind == STATE]
    marks = []
    own = []
    for each in states:
        until = each.until or end
        own.append(Band(max(each.at, start), min(until, end), each.what, (each.text,) if each.text else ()))
        if each.what == OFFLINE:
            marks.append(Mark(each.at, until, UNKNOWN, each.what))
        elif each.what in LIFE_CYCLE:
            marks.append(Mark(each.at, until, OUT, each.what))
    of: dict[str, list[Mark]] = {}
    for each in told.moments:
        if each.kind == ALARM and not each.values["drill"] and each.what not in PREDICTED:
            unseen = each.what in (COMPONENT_SILENT, UNREADABLE)
            state = UNKNOWN if unseen else CRIT if each.level <= 2 else WARN
            of.setdefault(each.component, []).append(Mark(each.at, each.until or end, state, each.what))
    found = [
        ComponentBands(
            component.name,
            tuple(_bands(db, terminal, component, rules, start, end, [*marks, *of.get(component.name, ())])),
        )
        for component in _components(db, terminal)
    ]
    return Strip(start, end, tuple(_whole(own, start, end)), tuple(sorted(found, key=_worst_first)))


def _bands(
    db: Db,
    terminal: str,
    component: Component,
    rules: Rules,
    start: int,
    end: int,
    marks: Sequence[Mark],
) -> list[Band]:
    """An hour in which anything was read is known, and what follows until it would be missed."""
    interval = component.interval_s or rules.default_interval_s
    allowed = max(round(interval * rules.silent_after * 1e9), rules.silent_least_ns)
    asked = (terminal, component.name, (start - allowed) // HOUR_NS, end // HOUR_NS)
    known = [(hour * HOUR_NS, (hour + 1) * HOUR_NS + allowed) for (hour,) in db.execute(_SEEN, asked)]
    newest = max((series.at for name, series in component.series.items() if not name.startswith("monitor.")), default=0)
    if newest:
        known.append((newest // HOUR_NS * HOUR_NS, newest + allowed))
    first = rollups.first_hour(db, terminal, component.name) or newest
    return bands.bands(start, end, first, known, marks)


def _whole(found: Sequence[Band], start: int, end: int) -> Iterable[Band]:
    """Before the first state nothing was known."""
    if not found or found[0].since > start:
        yield Band(start, found[0].since if found else end, NEW)
    yield from found


def _worst_first(of: ComponentBands) -> tuple[int, float, str]:
    now = of.bands[-1].state if of.bands else NEW
    bad = sum(band.until - band.since for band in of.bands if band.state in _RANK)
    return _RANK.get(now, 3), -bad, of.component


# Terminals like it.


@dataclass(frozen=True, slots=True)
class _Kin:
    name: str
    branch: str
    like: tuple[str, ...]
    incidents: int


def similar_to(
    db: Db,
    terminal: str,
    covers: Callable[[str, str], bool],
    now: int,
) -> tuple[Similar, list[SimilarView]]:
    """Beside the figures the nearest terminals, whose condition is not looked up. covers: whether a (branch, region) is looked at. Raises KeyError."""
    places = {row[0]: row[1:] for row in db.execute("SELECT id, branch, region, class FROM terminal ORDER BY id")}
    branch, _, kind = places[terminal]
    models = {name: str(kept.get("model", "")) for name, kept in device_files(db).items()}
    model = models.get(terminal, "") or _told_model(db, terminal)
    counted = dict(db.execute(_COUNTED, (now - RECENT_NS,)).fetchall())
    kin = []
    for name, (where, region, of_class) in places.items():
        same = (
            ("model", bool(model) and models.get(name) == model),
            ("class", of_class == kind),
            ("branch", where == branch),
        )
        like = tuple(what for what, holds in same if holds)
        if name != terminal and {"model", "class"} & set(like) and covers(where, region):
            kin.append(_Kin(name, where, like, counted.get(name, 0)))
    kin.sort(key=lambda each: ("model" not in each.like, -len(each.like), -each.incidents, each.name))
    grades = dict(db.execute("SELECT terminal, grade FROM risk").fetchall())
    of_model, of_class_ = ([each.incidents for each in kin if what in each.like] for what in ("model", "class"))
    found = Similar(
        counted.get(terminal, 0), model, len(of_model), median(of_model) if of_model else None, len(of_class_),
        median(of_class_) if of_class_ else None, (),
    )  # fmt: skip
    return found, [
        SimilarView(
            each.name,
            each.branch,
            models.get(each.name, ""),
            each.like,
            "unknown",
            "",
            0,
            each.incidents,
            str(grades.get(each.name, "")),
        )
        for each in kin[:MAX_SIMILAR]
    ]


def _told_model(db: Db, terminal: str) -> str:
    """What the machine itself says, where no file says it."""
    row = db.execute(
        "SELECT state FROM component WHERE terminal = ? AND name = ?", (terminal, timeline_reader.HOST)
    ).fetchone()
    series = Component.unpack(timeline_reader.HOST, row[0]).series.get(MODEL) if row is not None else None
    return str(plain(series.value) or "") if series is not None else ""
