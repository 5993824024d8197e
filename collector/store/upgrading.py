"""What a step from one schema to the next cannot say in SQL, for every store. Called once, inside the transaction of that step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import msgpack

from tillwatch.collector.alarm.rules import parse_rules
from tillwatch.collector.incident.incidents import ACKNOWLEDGED, CLOSED, OPEN, ROOT, Incident
from tillwatch.collector.store.db import Db

_ALARMS = """
    SELECT incident, id, rule, terminal, component, episode, condition, raised_at, cleared_at, detail, acked_at, acked_by FROM alarm
    WHERE incident <> '' ORDER BY id"""


def incidents_of_alarms(db: Db) -> None:
    """To schema 4: an incident was one alarm, told when it was raised and over when that was. It gets what the alarm knew, so that its ticket
    still hears how it ends; what was over then is closed: nobody was ever asked to confirm it.
    """
    places = dict(db.execute("SELECT id, region FROM terminal").fetchall())
    rules = parse_rules().by_id
    known = {row[0]: Incident(*row) for row in db.execute("SELECT corr_id, terminal, branch, level, state, opened_at, restored_at, seq FROM incident")}  # fmt: skip
    members = []
    for (
        corr_id,
        number,
        rule,
        terminal,
        component,
        episode,
        condition,
        raised,
        cleared,
        detail,
        acked,
        by,
    ) in db.execute(_ALARMS).fetchall():
        incident = known.get(corr_id)
        if incident is None:
            continue
        since = int(msgpack.unpackb(detail).get("since") or raised)
        until = 0 if condition != "normal" else max(cleared, 1)
        members.append((corr_id, number, rule, terminal, component, ROOT, raised, until))
        known[corr_id] = replace(
            incident, fault=rule, component=component, episode=episode, occurred_at=since, announced_at=incident.opened_at,
            response_from=incident.opened_at, told_at=incident.opened_at, region=places.get(terminal, ""),
            tamper=rule in rules and rules[rule].axis == "security" and rules[rule].latched,
            **_standing(incident, acked=acked, by=by),
        )  # fmt: skip
    db.executemany("INSERT OR REPLACE INTO incident_alarm VALUES (?,?,?,?,?,?,?,?)", members)
    db.executemany(
        "INSERT OR REPLACE INTO incident VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", [each.row() for each in known.values()]
    )


def _standing(incident: Incident, *, acked: int, by: str) -> dict[str, Any]:
    if incident.state != OPEN:
        return {"state": CLOSED, "resolved_at": incident.restored_at, "closed_at": incident.restored_at}
    return {"state": ACKNOWLEDGED, "responded_at": acked, "owner": by} if acked else {}


STEPS: Mapping[int, Callable[[Db], None]] = {4: incidents_of_alarms}
"""By the version that it leads to."""
