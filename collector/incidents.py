"""Incidents: what gets a ticket. For now one alarm makes one incident; the correlation id already carries branch, terminal, component, fault
and episode, so that causes can be joined later without renaming anything. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256

from tillwatch.collector.alarms import Alarm


@dataclass(frozen=True, slots=True)
class Incident:
    """state: `open` or `restored` (the telemetry says so; people resolve and close). seq: the number of deliveries enqueued so far."""

    corr_id: str
    terminal: str
    branch: str
    level: int
    state: str
    opened_at: int
    restored_at: int
    seq: int


def correlation_id(branch: str, terminal: str, component: str, fault: str, episode: int) -> str:
    """At most 40 characters without spaces: it fits a Jira label, PagerDuty's dedup_key and ServiceNow's correlation_id. The episode is in
    it, since otherwise a fault that comes back would write into a closed ticket.
    """
    digest = sha256(f"v1|{branch}|{terminal}|{component}|{fault}".encode()).hexdigest()[:20]
    return f"HWM-{digest}-{episode}"


def follow(incident: Incident | None, alarm: Alarm, event: str, at: int, branch: str) -> tuple[Incident, str] | None:
    """What an alarm's event does to its incident, and the delivery that tells of it: `open`, `update` or `resolve`."""
    if event == "raised" or incident is None:
        return Incident(alarm.incident, alarm.terminal, branch, alarm.level, "open", at, 0, 1), "open"
    told = replace(incident, seq=incident.seq + 1)
    if event == "recurred":
        return replace(told, state="open", restored_at=0, level=alarm.level), "open"
    if event in {"level", "evidence"}:
        return replace(told, level=alarm.level), "update"
    if event == "cleared":
        return replace(told, state="restored", restored_at=at), "resolve"
    return None
