"""The terminals as people are shown them, with the cells of the fleet grid: all of them in one pass, or those that something has touched since.

A fleet of ten thousand is some hundred and seventy thousand components; reading all of it after each batch would keep a core busy. What has changed
is known from the journal and the logs; what changes without a word there (a part that falls silent and that no rule is about) shows with the
next whole reading.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from tillwatch.agent.model import State
from tillwatch.collector.alarm.rules import PREDICTED, SILENT, Rules
from tillwatch.collector.journal import Kind
from tillwatch.collector.read import Mark, TerminalView, Touched
from tillwatch.collector.refusals import culprits
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.state_reader import states
from tillwatch.collector.terminal.component_groups import Cells, Part, cells, part_of, tells
from tillwatch.collector.terminal.fleet import Component, Terminal

_RANK = {"crit": 0, "unknown": 1, "warn": 2, "ok": 3}
_CONDITION = {int(State.WARN): "warn", int(State.CRIT): "crit"}
SILENCE = {
    "new": "enrolled, not heard of yet",
    "offline": "the connection was closed",
    "silent": "nothing comes any more",
    "revoked": "its keys were revoked",
}
_SOME = " IN (SELECT value FROM json_each(:only))"
_OF_ONE = (Kind.BATCH, Kind.LIFE, Kind.REFUSED, Kind.FINDING)
"""Entries that change the terminal that they are of, and whatever the logs name; others may change any."""
MAX_NEW = 20_000
"""Entries of the journal between two looks; after more, all is read: that is no longer dearer."""
MAX_NAMES = 20_000
"""Kinds of components that are remembered by name: a site has some hundreds."""


class _Alarm(NamedTuple):
    level: int
    rule: str
    component: str


class _Part(NamedTuple):
    """A component as its row of the store says."""

    name: str
    unknown: int
    worst: int


def touched(db: Db, since: Mark | None) -> Touched:
    mark = Mark(*(
        int(db.execute(f"SELECT coalesce(max({key}), 0) FROM {table}").fetchone()[0])  # noqa: S608 - constants below
        for key, table in (("n", "journal"), ("seq", "alarm_event"), ("seq", "state_change"))
    ))  # fmt: skip
    if since is None or mark.entry < since.entry or mark.entry - since.entry > MAX_NEW:
        return Touched(mark, None, alarms=True)
    found, more = set(), False
    for kind, terminal in db.execute("SELECT DISTINCT kind, terminal FROM journal WHERE n > ?", (since.entry,)):
        more |= kind not in _OF_ONE
        found.add(terminal)
    found |= {
        name
        for (name,) in db.execute(
            "SELECT DISTINCT a.terminal FROM alarm_event e JOIN alarm a ON a.id = e.alarm WHERE e.seq > ?",
            (since.event,),
        )
    }
    found |= {
        name for (name,) in db.execute("SELECT DISTINCT terminal FROM state_change WHERE seq > ?", (since.change,))
    }
    return Touched(mark, frozenset(found), alarms=more or mark.event != since.event, more=more)


class Sorter:
    """Which column a component belongs to, remembered by class of terminal and name: its signals are looked at once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Part] = {}
        self._alike: dict[tuple[str, tuple[str, ...], str], Cells] = {}

    def cells(self, db: Db, terminal: Terminal, own: Sequence[_Part], levels: Mapping[str, int]) -> Cells:
        """A terminal's row of the grid. levels: of the gravest open alarm of its components."""
        online = terminal.connection == "online"
        if online and (levels or any(part.unknown or part.worst in _CONDITION for part in own)):
            return cells((self._part(db, terminal, part.name), _condition(part, levels)) for part in own)
        # Most terminals are well, and those that are not heard are unknown as a whole: these need no look at each part.
        key = terminal.terminal_class, tuple(part.name for part in own), "ok" if online else "unknown"
        if key not in self._alike:
            if len(self._alike) >= MAX_NAMES:
                self._alike.clear()
            self._alike[key] = cells((self._part(db, terminal, name), key[2]) for name in key[1])
        return self._alike[key]

    def _part(self, db: Db, terminal: Terminal, name: str) -> Part:
        part = self._known.get((terminal.terminal_class, name))
        if part is None:
            row = db.execute(
                "SELECT state FROM component WHERE terminal = ? AND name = ?", (terminal.id, name)
            ).fetchone()
            signals = Component.unpack(name, row[0]).series
            part = part_of(name, signals)
            if tells(signals) and len(self._known) < MAX_NAMES:
                self._known[terminal.terminal_class, name] = part
                self._alike.clear()
        return part


def _condition(part: _Part, levels: Mapping[str, int]) -> str:
    return "unknown" if part.unknown else judge("online", levels.get(part.name, 0), part.worst, 0)[0]


def terminals(db: Db, rules: Rules, sorter: Sorter, only: Collection[str] | None = None) -> list[TerminalView]:
    """Worst first: level, then condition, then id. only: these, as far as there are such."""
    wanted = {"only": json.dumps(sorted(only)) if only is not None else None}
    alarms = _alarms(db, wanted)
    rolled = states(db, rules, only)
    named = db.execute("SELECT value FROM meta WHERE key = 'culprits'").fetchone()
    refused = {one.terminal: one.refused for one in culprits(named and named[0])}
    parts = _components(db, wanted)
    views = []
    where = f" WHERE id{_SOME}" if only is not None else ""
    rings = dict(db.execute(f"SELECT terminal, ring FROM terminal_ring{where.replace('id', 'terminal', 1)}", wanted))  # noqa: S608 - a constant
    rows = db.execute(f"SELECT id, branch, region, class, state, enrolled_at, status FROM terminal{where}", wanted)  # noqa: S608 - a constant
    for row in rows.fetchall():
        terminal = Terminal(row[0], row[1], row[2], row[3], row[5], row[4])
        terminal.unpack_status(row[6])
        own = parts.get(terminal.id, [])
        unknown = sum(part.unknown for part in own)
        open_alarms = alarms.get(terminal.id, [])
        level = open_alarms[0].level if open_alarms else 0
        condition, reason = judge(terminal.connection, level, max((part.worst for part in own), default=0), unknown)
        if terminal.state == "revoked":
            reason = f"revoked: {terminal.why}"
        online = terminal.connection == "online"
        if open_alarms and (online or open_alarms[0].rule == SILENT):
            rule = rules.by_id.get(open_alarms[0].rule)
            reason = rule.text if rule is not None else open_alarms[0].rule
        levels: dict[str, int] = {}
        for alarm in open_alarms:  # the gravest first
            levels.setdefault(alarm.component, alarm.level)
        views.append(
            TerminalView(
                terminal.id, terminal.branch, terminal.region, terminal.terminal_class, condition, reason, terminal.connection, level, len(open_alarms),
                terminal.received, terminal.lost, len(own), unknown if online else len(own), refused=refused.get(terminal.id, 0),
                over_limit=terminal.over_limit, holes=terminal.holes, state=rolled.get(terminal.id), life_cycle=terminal.life_cycle,
                skew_ms=terminal.skew_ms if terminal.skews_ms else None, cells=sorter.cells(db, terminal, own, levels),
                version=terminal.version, ring=rings.get(terminal.id, ""),
            )
        )  # fmt: skip
    return sorted(views, key=lambda v: (v.level or 9, _RANK[v.condition], v.id))


def _alarms(db: Db, wanted: dict[str, str | None]) -> dict[str, list[_Alarm]]:
    some = f" AND terminal{_SOME}" if wanted["only"] is not None else ""
    found: dict[str, list[_Alarm]] = {}
    query = f"SELECT terminal, level, rule, component FROM alarm WHERE condition <> 'normal'{some} ORDER BY level, id"  # noqa: S608 - a constant
    for name, *row in db.execute(query, wanted):
        if row[1] not in PREDICTED:
            found.setdefault(name, []).append(_Alarm(*row))
    return found


def _components(db: Db, wanted: dict[str, str | None]) -> dict[str, list[_Part]]:
    where = f" WHERE terminal{_SOME}" if wanted["only"] is not None else ""
    query = f"SELECT terminal, name, unknown <> '', worst FROM component{where} ORDER BY terminal, name"  # noqa: S608 - a constant
    rows: Iterable[tuple[str, str, int, int]] = db.execute(query, wanted)
    found: dict[str, list[_Part]] = {}
    for terminal, name, unknown, worst in rows:
        found.setdefault(terminal, []).append(_Part(name, int(unknown), worst))
    return found


def judge(connection: str, level: int, worst: int, unknown: int) -> tuple[str, str]:
    """The condition of a terminal or a component, and the reason for it where no alarm gives a better one."""
    if connection != "online":
        return "unknown", SILENCE[connection]
    if level:
        return ("crit" if level <= 2 else "warn"), ""
    if worst in _CONDITION:
        return _CONDITION[worst], "a value is out of its range"
    if unknown:
        return "unknown", f"{unknown} of its components are unknown"
    return "ok", ""
