"""What the doctor says of alarms and incidents: those that nobody cares for any more, and whether what must hold between alarms, incidents and the
outbox does.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing

from tillwatch.collector.alarm.alarms import SHELVED, Alarm
from tillwatch.collector.alarm.rules import UNSTAFFED
from tillwatch.collector.commands.output import iso
from tillwatch.collector.config import Config
from tillwatch.collector.incident.incidents import COLUMNS, LIVING, RESTORED, Incident
from tillwatch.collector.store.folded import ALARM, alarm_of
from tillwatch.collector.store.reading import connected
from tillwatch.collector.store.sqlite import StoreError

STANDING_NS = 24 * 3600 * 10**9
"""A fault that has been open for longer is worked on by nobody, or the figures call it stale."""
SHOWN = 5
"""Named in one line; the rest are counted."""
READ_S = 3.0
REPORT = "this is a defect of tillwatch: handle them by hand, keep the database, and report it with this line"

Said = tuple[str, str, str]
"""(subject, state, text) of a finding."""


def examine_incidents(config: Config, now: int) -> Iterator[Said]:
    """Of a database that can be read; another check tells of one that cannot. now: UTC ns."""
    try:
        with closing(connected(config.store, READ_S)) as db:
            db.execute("BEGIN")  # one state of it: alarms and incidents change together
            open_ones = f"SELECT {ALARM} FROM alarm WHERE condition <> 'normal' ORDER BY id"  # noqa: S608 - a constant list of columns
            alarms = [alarm_of(row) for row in db.execute(open_ones)]
            states = ",".join("?" * len(LIVING))
            rows = db.execute(f"SELECT {COLUMNS} FROM incident WHERE state IN ({states}) ORDER BY corr_id", LIVING)  # noqa: S608 - the same
            living = [Incident.of_row(row) for row in rows]
            told = {row[0] for row in db.execute("SELECT DISTINCT incident FROM outbox")}
            expired = {row[0] for row in db.execute(_EXPIRED)}
            ticketless = [row[0] for row in db.execute(TICKETLESS)]
    except (StoreError, sqlite3.Error):
        return
    yield from _neglected(alarms, living, expired, now)
    yield from _broken(alarms, living, told, ticketless)


_EXPIRED = """
    SELECT a.id FROM alarm a JOIN alarm_event e ON e.alarm = a.id WHERE a.condition <> 'normal' AND a.acked_at = 0
    GROUP BY a.id HAVING max(CASE WHEN e.kind = 'ack expired' THEN e.seq END) > coalesce(max(CASE WHEN e.kind = 'acknowledged' THEN e.seq END), 0)
"""

TICKETLESS = f"""
    SELECT corr_id FROM incident WHERE announced_at > 0 AND drill = 0 AND state IN ({", ".join(f"'{each}'" for each in LIVING)})
    AND NOT EXISTS (SELECT 1 FROM ticket_link l WHERE l.incident = corr_id AND (l.external_id <> '' OR l.state <> ''))
    AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.incident = corr_id AND o.op = 'open' AND o.state <> 'done') ORDER BY opened_at, corr_id
"""  # noqa: S608 - constants of this file and of incidents.py
"""Incidents that were told, and neither have a ticket nor a message that makes one. Receivers that number nothing leave a link with a state; of a ticket
that was deleted neither is left.
"""


def _neglected(alarms: list[Alarm], living: list[Incident], expired: set[int], now: int) -> Iterator[Said]:
    standing = [
        each
        for each in living
        if each.announced and each.state != RESTORED and not each.on_hold and not each.drill and each.opened_at < now - STANDING_NS
    ]  # fmt: skip
    if standing:
        names = _some(
            f"{each.corr_id} since {iso(each.opened_at)}" for each in sorted(standing, key=lambda i: i.opened_at)
        )
        yield "standing incidents", "warn", f"open for more than a day: {names}; resolve what is mended, put what waits on hold with its reason"  # fmt: skip
    else:
        yield "standing incidents", "ok", f"none is open for more than a day; {len(living)} are not settled"
    forgotten = [each for each in alarms if each.id in expired]
    if forgotten:
        text = f"acknowledged, expired and still there: {_some(map(_name, forgotten))}; acknowledge them again or see to them"
        yield "forgotten alarms", "warn", text
    shelved = [(each, mask) for each in alarms if (mask := each.mask(SHELVED)) is not None]
    if shelved:
        names = _some(f"{_name(each)} by {mask.by} until {iso(mask.until)}" for each, mask in shelved)
        yield "shelved alarms", "ok", f"{names}; they come back by themselves"


def _broken(alarms: list[Alarm], living: list[Incident], told: set[str], ticketless: list[str]) -> Iterator[Said]:
    """What never happens if the fold is right."""
    untold = [each.corr_id for each in living if each.announced and each.corr_id not in told]
    if untold:
        yield "untold incidents", "fail", f"no message was ever written for {_some(untold)}; {REPORT}"
    without = [each for each in ticketless if each in told]
    if without:
        yield (
            "incidents without ticket",
            "fail",
            f"no ticket, and no message that makes one: {_some(without)}; {REPORT}",
        )
    roots: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for each in living:
        if each.fault != UNSTAFFED and each.state != RESTORED:
            roots[each.fault, each.terminal, each.component, each.branch, each.region, each.alert].append(each.corr_id)
    twice = [" and ".join(sorted(ids)) for ids in roots.values() if len(ids) > 1]
    if twice:
        yield "double incidents", "fail", f"two incidents for one fault: {_some(twice)}; {REPORT}"
    lost = [_name(each) for each in alarms if not each.incident and each.muted is None]
    if lost:
        yield "alarms without incident", "fail", f"nobody hears of {_some(lost)}; {REPORT}"
    if not (untold or without or twice or lost):
        yield "alarms and incidents", "ok", f"{len(alarms)} open alarms, each with its incident or a reason for none"


def _name(alarm: Alarm) -> str:
    return f"{alarm.rule} {alarm.terminal}{' ' if alarm.component else ''}{alarm.component}"


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:SHOWN]) + (f" and {len(every) - SHOWN} more" if len(every) > SHOWN else "")
