"""What components told last of what is used up: only the parts that hold such a signal are opened, of a fleet of any size."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgpack

from tillwatch.agent.model import State
from tillwatch.collector.alarm.drills import WATCHDOG
from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.predict.supplies import Latest, Stored
from tillwatch.collector.store.db import Db
from tillwatch.collector.store.sqlite import plain
from tillwatch.collector.terminal.fleet import IN_SERVICE, Component, Terminal

_ROWS = """
    SELECT t.id, t.branch, t.region, t.class, t.status, c.name, c.state FROM component c JOIN terminal t ON t.id = c.terminal
    WHERE t.class <> ? AND ({}) ORDER BY t.id, c.name
"""


def stored(db: Db, rules: Rules, signals: Collection[str]) -> Sequence[Stored]:
    """Of terminals in service. signals: names that are looked for; parts with none of them are left out."""
    wanted = sorted(signals)
    if not wanted:
        return ()
    # The name stands in the row as msgpack has it, its length before it: it is found without opening the row.
    marks = [msgpack.packb(name) for name in wanted]
    query = _ROWS.format(" OR ".join(["instr(c.state, ?) > 0"] * len(marks)))
    found: list[Stored] = []
    terminal = Terminal("", "", "", "", 0)
    for name, branch, region, terminal_class, status, part, state in db.execute(query, (WATCHDOG, *marks)):
        if name != terminal.id:
            terminal = Terminal(name, branch, region, terminal_class, 0)
            terminal.unpack_status(status)
        if terminal.life_cycle != IN_SERVICE:
            continue
        component = Component.unpack(part, state)
        interval = component.interval_s or rules.default_interval_s
        allowed = max(round(interval * rules.silent_after * 1e9), rules.silent_least_ns)
        latest = {
            signal: Latest(plain(series.value), series.at, State(series.state).name.lower())
            for signal, series in component.series.items()
            if signal in signals
        }
        found.append(
            Stored(
                name, branch, region, terminal_class, part, terminal.connection == "online", component.unknown,
                component.heard + allowed if component.heard else 0, latest,
            )
        )  # fmt: skip
    return found
