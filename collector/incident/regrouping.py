"""The part of the fold that does what people say of causes: that some alarms of an incident are another matter, and get an incident of their own; that
two incidents are one matter, and one of them goes on. Whoever is told of an incident is told of it, and what people have said the grouping by rules
does not undo.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tillwatch.collector.alarm import alarms
from tillwatch.collector.alarm.alarms import Alarm
from tillwatch.collector.book import Book
from tillwatch.collector.incident import applies, incidents
from tillwatch.collector.incident.applies import Part
from tillwatch.collector.incident.following import Following
from tillwatch.collector.incident.handling import Handling
from tillwatch.collector.incident.incidents import (
    CONSEQUENCE,
    MAX_REGROUPED,
    ROOT,
    SETTLING,
    SYMPTOM,
    TERMINAL,
    Incident,
)
from tillwatch.collector.tickets.message import Op, TicketState, say


class Regrouping:
    def __init__(self, book: Book, following: Following, handling: Handling) -> None:
        self._book = book
        self._following = following
        self._handling = handling

    def split(self, incident: Incident, chosen: Collection[int], by: str, note: str, at: int) -> None:
        """chosen: numbers of alarms that are part of it."""
        members = self._book.members.get(incident.corr_id, {})
        parts = [Part(each.alarm, each.role, each.rule) for each in members.values()]
        if applies.to_split(incident.corr_id, incident, parts, chosen) or len(incident.apart) >= MAX_REGROUPED:
            return
        them = [alarm for alarm in self._book.of(incident.corr_id) if alarm.id in set(chosen)]
        them.sort(key=lambda alarm: (not alarm.open, alarm.level, alarm.id))
        since = min(members[alarm.key].since for alarm in them)
        apart = self._part_of(incident, them, since, at)
        said = {"by": by, **({"note": note} if note else {})}
        self._book.put_incident(apart, "opened", at, fault=apart.fault, level=apart.level, split_from=incident.corr_id, **said)  # fmt: skip
        for alarm in them:
            self._move(apart, alarm, at)
        self._book.put_incident(apart, "announced", at, level=apart.level)
        left = replace(incident, apart=tuple(sorted({*incident.apart, apart.corr_id})))
        left = replace(left, intermittent=incident.intermittent and self._flaps(incident.corr_id))
        self._book.put_incident(left, "split", at, into=apart.corr_id, alarms=len(them), **said)
        self._graded(left, at)
        words = {"by": by, "words": note}
        teller = self._following.teller
        self._following.tell(left.corr_id, Op.UPDATE, at, say("split", incident=apart.corr_id, **teller.titles(apart), **words))  # fmt: skip
        self._following.tell(apart.corr_id, Op.OPEN, at, say("split_from", incident=left.corr_id, **teller.titles(left), **words))  # fmt: skip
        self._looked_at(left.corr_id, at)
        self._looked_at(apart.corr_id, at)

    def _part_of(self, incident: Incident, them: list[Alarm], since: int, at: int) -> Incident:
        first = them[0]
        own = [each.level for each in them if each.terminal == first.terminal]
        rule, (branch, region) = self._book.rule(first.rule), self._following.teller.place(first.terminal)
        # The time is one that never comes again: the alarm may have had an incident of this very episode.
        corr_id = incidents.correlation_id(branch, first.terminal, first.component, f"{first.rule}|{at}", first.episode)
        begun = Incident(
            corr_id, first.terminal, branch, min(own), SETTLING, since, 0, 0, region=region, component=first.component, fault=first.rule,
            episode=first.episode, occurred_at=min(each.since for each in them), drill=incident.drill,
            tamper=rule is not None and rule.axis == "security" and rule.latched,
            intermittent=any(each.mask(alarms.FLAPPING) for each in them if each.terminal == first.terminal),
            cause=self._handling.reason(first), apart=(incident.corr_id,),
        )  # fmt: skip
        return incidents.split_off(begun, at)

    def merge(self, incident: Incident, into: Incident, by: str, note: str, at: int) -> None:
        """The first one goes on as part of the second."""
        if applies.to_merge(incident.corr_id, incident, into.corr_id, into) or len(into.took) >= MAX_REGROUPED:
            return
        said = {"by": by, **({"note": note} if note else {})}
        words, teller = {"by": by, "words": note}, self._following.teller
        was = teller.titles(incident)
        over = incidents.give_up(incident, into.corr_id, at)
        self._book.put_incident(over, "merged", at, into=into.corr_id, **said)
        says = say("merged", incident=into.corr_id, **teller.titles(into), **words)
        self._following.tell(over.corr_id, Op.RESOLVE, at, says, wish=TicketState.DUPLICATE)
        for alarm in self._book.of(incident.corr_id):
            self._move(into, alarm, at)
        for alarm in list(self._book.alarms.values()):
            # What is over by now would open again what has no ticket of its own any more.
            if alarm.incident == incident.corr_id:
                self._book.send_on(alarm, into.corr_id)
        self._book.adopt(incident.corr_id, into.corr_id, at)
        for each in list(self._book.incidents.values()):
            if incident.corr_id in each.apart and each.corr_id != into.corr_id:
                self._book.put_incident(replace(each, apart=tuple(sorted({*each.apart, into.corr_id}))))
        both = incidents.take_in(self._book.incidents[into.corr_id], incident, self._level(into))
        both = replace(both, intermittent=both.intermittent and self._flaps(into.corr_id))
        answered = {"responded_at": both.responded_at} if both.responded_at else {}
        self._book.put_incident(both, "took_in", at, other=incident.corr_id, **answered, **said)
        if both.level != into.level:
            self._book.put_incident(both, "level", at, level=both.level, was=into.level)
        taken_on = both.responded_at and not into.responded_at and not both.on_hold
        wish = TicketState.WORKING if taken_on else None
        self._following.tell(both.corr_id, Op.UPDATE, at, say("took_in", incident=incident.corr_id, **was, **words), wish=wish)  # fmt: skip
        self._looked_at(both.corr_id, at)
        self._following.follow_up(over.corr_id, at)

    def _move(self, incident: Incident, alarm: Alarm, at: int) -> None:
        """What is broken on its own terminal is a cause or a consequence; what is elsewhere is explained by it, and told with it."""
        if incident.scope != TERMINAL or alarm.terminal != incident.terminal:
            if not alarm.open:  # it flaps, and is well at this moment: of a symptom that is over
                self._book.leave(alarm, at)
                self._book.send_on(alarm, incident.corr_id)
                return
            self._handling.under(incident, alarm, at)
            return
        member = self._book.members.get(alarm.incident, {}).get(alarm.key)
        bare = alarms.unmasked(alarm, alarms.CHILD)
        joined = self._book.join(incident.corr_id, alarm, ROOT if alarm.rule == incident.fault else CONSEQUENCE, at)
        if bare is not None and member is not None and member.role == SYMPTOM:
            self._book.put(replace(bare[0], incident=joined.incident), bare[1], at, {"kind": alarms.CHILD})

    def _level(self, incident: Incident) -> int:
        own = self._book.of(incident.corr_id, ROOT, CONSEQUENCE)
        return min((each.level for each in own), default=incident.level)

    def _graded(self, incident: Incident, at: int) -> None:
        """As grave as what is left of it."""
        level = self._level(incident)
        if level != incident.level:
            self._book.put_incident(replace(incident, level=level), "level", at, level=level, was=incident.level)

    def _flaps(self, corr_id: str) -> bool:
        return any(each.mask(alarms.FLAPPING) for each in self._book.of(corr_id, ROOT, CONSEQUENCE))

    def _looked_at(self, corr_id: str, at: int) -> None:
        """All of its alarms may be in one maintenance window now, or not any more."""
        for alarm in self._book.of(corr_id, ROOT, CONSEQUENCE)[:1]:
            self._handling.mask_changed(alarm, at)
        self._following.follow_up(corr_id, at)
