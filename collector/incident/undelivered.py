"""The way to the ticket system as a condition of the monitoring itself: what waits there for longer than the policy allows is one incident for a
connector, until nothing waits any more; a ticket that vanished is one for a connector and a day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tillwatch.collector.alarm.rules import TICKET_GONE, UNDELIVERED
from tillwatch.collector.book import Book
from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.following import DAY_NS, Following
from tillwatch.collector.incident.incidents import (
    DROPPED,
    FLEET,
    RESTORED,
    SETTLING,
    Incident,
    correlation_id,
)
from tillwatch.collector.tickets.message import Op, say


class Undelivered:
    def __init__(self, book: Book, following: Following) -> None:
        self._book = book
        self._following = following

    def heard(self, facts: Mapping[str, Any], at: int) -> None:
        """facts: {connector, undelivered: {level: [count, when the oldest was made]}, reason}; no levels where nothing waits."""
        connector, reason = str(facts["connector"]), str(facts.get("reason", ""))
        waiting = {
            int(level): (int(n), int(oldest)) for level, (n, oldest) in facts.get("undelivered", {}).items() if n
        }
        dues = [
            oldest + limit
            for level, (_, oldest) in waiting.items()
            if level in self._book.policy.targets and (limit := self._book.policy.targets[level].undelivered_ns)
        ]
        last = self._last(UNDELIVERED, connector)
        lasts = last is not None and last.living and last.state != RESTORED
        if last is not None and lasts:
            self._goes_on(last, min(dues, default=0), waiting, reason, at)
        elif dues:
            self._begin(last, connector, min(dues), waiting, reason, at)

    def _goes_on(
        self, incident: Incident, due: int, waiting: Mapping[int, tuple[int, int]], reason: str, at: int
    ) -> None:
        if incident.state == SETTLING and not due:
            dropped = incidents.drop(incident, at)
            self._book.put_incident(dropped, "dropped", at, because="delivered in time")
        elif incident.state == SETTLING:
            self._book.put_incident(replace(incident, settle_until=max(due, at), cause=_cause(waiting, reason)))
        elif waiting:
            self._book.put_incident(replace(incident, cause=_cause(waiting, reason)))
            self._following.tell_soon(incident.corr_id, at)
        else:
            self._over(incident.corr_id, at)
        self._following.follow_up(incident.corr_id, at)

    def _begin(
        self,
        last: Incident | None,
        connector: str,
        due: int,
        waiting: Mapping[int, tuple[int, int]],
        reason: str,
        at: int,
    ) -> None:
        rule = self._book.rules.by_id.get(UNDELIVERED)
        if rule is None:
            return  # rules of before there was this one
        level, cause = min((rule.limits.words or {}).values(), default=2), _cause(waiting, reason)
        since = min(oldest for _, oldest in waiting.values())
        if last is not None and last.state == DROPPED:  # nobody was ever told of it: it may be late this time
            again = replace(
                last, state=SETTLING, level=level, opened_at=at, occurred_at=since, closed_at=0, settle_until=max(due, at), cause=cause,
            )  # fmt: skip
            self._book.put_incident(again, "opened", at, fault=UNDELIVERED, level=level, cause=cause)
            self._following.follow_up(again.corr_id, at)
            return
        self._open(UNDELIVERED, connector, last, level, cause, since, due, at)

    def _open(
        self, fault: str, connector: str, last: Incident | None, level: int, cause: str, since: int, due: int, at: int
    ) -> str:
        episode = last.episode + 1 if last is not None else 1
        incident = Incident(
            correlation_id("", "", connector, fault, episode), "", "", level, SETTLING, at, 0, 0, scope=FLEET, component=connector,
            fault=fault, episode=episode, occurred_at=since, settle_until=max(due, at), cause=cause,
        )  # fmt: skip
        self._book.put_incident(incident, "opened", at, fault=fault, level=level, cause=cause)
        before = self._book.conclude(incident)
        if before is not None:
            self._following.follow_up(before.corr_id, at)
        self._following.follow_up(incident.corr_id, at)
        return incident.corr_id

    def _last(self, fault: str, connector: str) -> Incident | None:
        return self._book.incidents.get(self._book.concluded.get((fault, connector), ""))

    def _over(self, corr_id: str, at: int) -> None:
        restored = incidents.restore(self._book.incidents[corr_id], at, at)
        self._book.put_incident(restored, "restored", at, since=at)
        if restored.resolved_at:
            self._book.put_incident(restored, "resolved", at, by="policy")
        self._following.tell(corr_id, Op.RESOLVE, at)

    def gone(self, incident: str, connector: str, ticket: str, at: int) -> None:
        """A ticket that was deleted. Nothing is left to be done: it is told, and over. More of them within a day are told with it."""
        rule, last = self._book.rules.by_id.get(TICKET_GONE), self._last(TICKET_GONE, connector)
        if rule is None or (last is not None and incident == last.corr_id):
            return
        text = f"{connector} {ticket} of {incident}"
        if last is not None and at - last.opened_at < DAY_NS:
            self._book.put_incident(last, "note", at, text=text)
            says = say("ticket_of", connector=connector, ticket=ticket, incident=incident)
            self._following.tell(last.corr_id, Op.UPDATE, at, says)
            return
        level = min((rule.limits.words or {}).values(), default=3)
        corr_id = self._open(TICKET_GONE, connector, last, level, text, at, at, at)
        self._over(corr_id, at)
        self._following.follow_up(corr_id, at)


def _cause(waiting: Mapping[int, tuple[int, int]], reason: str) -> str:
    """How many, since when, and why."""
    first = datetime.fromtimestamp(min(oldest for _, oldest in waiting.values()) // 10**9, UTC).isoformat()
    told = ", ".join(f"{n} of level {level}" for level, (n, _) in sorted(waiting.items()))
    return f"{told} wait, the first since {first}" + (f": {reason}" if reason else "")
