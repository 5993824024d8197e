"""Alerts of other monitoring systems: each is an incident without an alarm of its own, from the moment it fires to its end, told and followed as all
others are. What it is about follows from its labels where the fleet knows the place. What the source says decides, as a reading does: what it
says to fire is open again, whoever settled it meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeGuard

from tillwatch.collector.alarm.rules import EXTERNAL
from tillwatch.collector.book import Book
from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.following import Following
from tillwatch.collector.incident.incidents import (
    BRANCH,
    DROPPED,
    FLEET,
    REGION,
    RESTORED,
    SETTLING,
    TERMINAL,
    Incident,
    correlation_id,
)
from tillwatch.collector.terminal.fleet import Fleet
from tillwatch.collector.tickets.message import Op, say

MS = 10**6

MAX_OPEN = 200
"""Alerts of one source that are open at the same time, each with its ticket: nobody works through more one by one. What comes beyond is one
incident, and each of it gets its own when the source says it again and there is room."""

BEFORE_NS = 60 * 10**9
"""What ended by so much before this episode began was another one, whose end is told late, as a pair of Alertmanagers does. Both times are the source's
own; some of them are cut to whole seconds, and no end may be missed for that."""

OVERFLOW = "overflow"
"""In place of a fingerprint: the alerts of a source that found no room."""


class Alerting:
    """The fold's part for facts as intake/alertmanager.py makes them."""

    def __init__(self, book: Book, fleet: Fleet, following: Following) -> None:
        self._book = book
        self._fleet = fleet
        self._following = following

    def heard(self, facts: Mapping[str, Any], at: int) -> None:
        if EXTERNAL not in self._book.rules.by_id:
            return  # rules of before there was this one
        source = str(facts["source"])
        incident = self._last(source, str(facts["fingerprint"]))
        if facts["status"] == "resolved":
            if _lasts(incident) and int(facts["ended_at"]) >= incident.occurred_at - BEFORE_NS:
                self._end(incident, int(facts["ended_at"]), at)
        elif _lasts(incident):
            self._changed(incident, facts, at)
        elif self._back(incident, at):
            self._reopen(incident, facts, at)
        elif self._open(source) < MAX_OPEN:
            self._begin(facts, at)
        else:
            self._overflow(source, at)
            return
        beyond = self._last(source, OVERFLOW)
        if _lasts(beyond) and self._open(source) < MAX_OPEN:
            self._end(beyond, at, at)

    def _last(self, source: str, fingerprint: str) -> Incident | None:
        return self._book.incidents.get(self._book.alerts.get(_alert(source, fingerprint), ""))

    def _open(self, source: str) -> int:
        found = (
            self._book.incidents.get(corr_id) for alert, corr_id in self._book.alerts.items() if _of(alert, source)
        )
        return sum(each.alert != _alert(source, OVERFLOW) for each in found if _lasts(each))

    def _back(self, incident: Incident | None, at: int) -> bool:
        """Whether what fires again is this one, which is over."""
        if incident is None or not incident.announced or incident.state == DROPPED:
            return False
        return at - incidents.over_since(incident) <= self._book.policy.incident.verify_ns

    def _begin(self, facts: Mapping[str, Any], at: int) -> None:
        scope, terminal, branch, region, component = self._place(facts["place"])
        source, level, cause = str(facts["source"]), int(facts["level"]), str(facts["cause"])
        alert = _alert(source, str(facts["fingerprint"]))
        # What is settled is forgotten, and the number of its episode with it: the time is one that never comes again.
        episode = at // MS
        while (corr_id := _corr_id(branch, terminal, component, alert, episode)) in self._book.incidents:
            episode += 1
        rule = self._book.rules.by_id[EXTERNAL]
        incident = Incident(
            corr_id, terminal, branch, level, SETTLING, at, 0, 0, region=region, scope=scope, component=component, fault=EXTERNAL, episode=episode,
            occurred_at=min(int(facts["started_at"]), at), settle_until=at + rule.settle_ns, cause=cause, alert=alert,
        )  # fmt: skip
        labels = " ".join(f"{name}={value}" for name, value in facts["labels"].items())
        self._book.put_incident(
            incident, "opened", at, fault=EXTERNAL, level=level, cause=cause, text=f"{source}: {labels}" if labels else source,
            **{name: facts[name] for name in ("left_out", "cut") if facts.get(name)},
        )  # fmt: skip
        self._following.follow_up(corr_id, at)

    def _place(self, said: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
        """(scope, terminal, branch, region, component), as far as the fleet knows them. A component that is of no known place is kept all the same."""
        terminal = self._fleet.terminals.get(str(said["terminal"]))
        component = str(said["component"])
        if terminal is not None:
            return TERMINAL, terminal.id, terminal.branch, terminal.region, component
        branch, region = str(said["branch"]), str(said["region"])
        places = {each.branch: each.region for each in self._fleet.terminals.values()}
        if branch in places:
            return BRANCH, "", branch, places[branch], component
        if region in places.values():
            return REGION, "", "", region, component
        return FLEET, "", "", "", component

    def _changed(self, incident: Incident, facts: Mapping[str, Any], at: int) -> None:
        level = int(facts["level"])
        self._book.put_incident(replace(incident, cause=str(facts["cause"])))
        if level != incident.level:
            worse = incidents.worsen(self._book.incidents[incident.corr_id], level, at)
            self._book.put_incident(worse, "level", at, level=level, was=incident.level)
            self._following.tell(incident.corr_id, Op.UPDATE, at)
        self._following.follow_up(incident.corr_id, at)

    def _reopen(self, incident: Incident | None, facts: Mapping[str, Any], at: int) -> None:
        assert incident is not None
        back = replace(incidents.reopen(incident, at), cause=str(facts["cause"]), level=int(facts["level"]))
        settled = back.reopened > incident.reopened
        self._book.put_incident(back, "reopened", at, settled=settled, cause=back.cause)
        self._following.tell(back.corr_id, Op.OPEN, at, say("fault_back"))
        self._following.follow_up(back.corr_id, at)

    def _end(self, incident: Incident, since: int, at: int) -> None:
        if incident.state == SETTLING:
            dropped = incidents.drop(incident, at)
            self._book.put_incident(dropped, "dropped", at, because="over before it was told")
        else:
            restored = incidents.restore(incident, min(max(since, incident.occurred_at), at), at)
            self._book.put_incident(restored, "restored", at, since=restored.restored_at)
            if restored.resolved_at:
                self._book.put_incident(restored, "resolved", at, by="policy")
            self._following.tell(incident.corr_id, Op.RESOLVE, at)
        self._following.follow_up(incident.corr_id, at)

    def _overflow(self, source: str, at: int) -> None:
        incident = self._last(source, OVERFLOW)
        if _lasts(incident):
            return
        rule = self._book.rules.by_id[EXTERNAL]
        facts = {
            "source": source, "fingerprint": OVERFLOW, "level": min((rule.limits.words or {}).values(), default=2), "started_at": at, "labels": {},
            "cause": f"More than {MAX_OPEN} alerts of {source} at once: look at the others there",
            "place": dict.fromkeys(("terminal", "branch", "region", "component"), ""),
        }  # fmt: skip
        if self._back(incident, at):
            self._reopen(incident, facts, at)
        else:
            self._begin(facts, at)


def _corr_id(branch: str, terminal: str, component: str, alert: str, episode: int) -> str:
    return correlation_id(branch, terminal, component, f"{EXTERNAL}|{alert}", episode)


def _alert(source: str, fingerprint: str) -> str:
    return f"{source}/{fingerprint}"


def _of(alert: str, source: str) -> bool:
    return alert.rpartition("/")[0] == source


def _lasts(incident: Incident | None) -> TypeGuard[Incident]:
    return incident is not None and incident.living and incident.state != RESTORED
