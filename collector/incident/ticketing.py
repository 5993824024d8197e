"""What a ticket change does to its incident. People win for who has it, since when, and whether it waits; the readings win for the condition:
nothing that a ticket says ends an alarm. A ticket that is closed while its fault is still there is opened again after a grace.

A state is news only where it differs from the one that was acted on last and the ticket was not asked for it: what the collector itself
brought about comes back as an echo, and must not be taken for a person's act. What came from a ticket is not told to that ticket.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tillwatch.collector.alarm.alarming import Alarming
from tillwatch.collector.alarm.rules import PREDICTED, REGULATOR, UNSTAFFED
from tillwatch.collector.book import Book
from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.following import Following
from tillwatch.collector.incident.incidents import (
    CLOSED,
    CONSEQUENCE,
    PLANNED,
    RESOLVED,
    RESTORED,
    ROOT,
    SETTLING,
    TERMINAL,
    VERDICTS,
    WELL,
    Claim,
    Incident,
    Linked,
)
from tillwatch.collector.incident.undelivered import Undelivered
from tillwatch.collector.records import IncidentEvent
from tillwatch.collector.tickets.links import LINKED
from tillwatch.collector.tickets.message import Op, Says, TicketState, said, say
from tillwatch.collector.tickets.words import stamp

_WORDS = frozenset(TicketState)


class Ticketing:
    """answered: told that a person has settled an incident."""

    def __init__(self, book: Book, alarming: Alarming, following: Following) -> None:
        self._book = book
        self._alarming = alarming
        self._following = following
        self.answered: Callable[[Incident, int], None] = lambda _, __: None
        self._undelivered = Undelivered(book, following)
        following.claimed = self.claimed

    def changed(self, facts: Mapping[str, Any], at: int) -> None:
        """facts: of a TICKET_CHANGE entry. origin `delivered` (or none): what the sender left behind; `linked`: which ticket a person said is its own;
        `seen`: what people did there; `delivery`: how the delivery itself does.
        """
        origin = facts.get("origin", "delivered")
        if origin == "delivery":
            self._undelivered.heard(facts, at)
            return
        corr_id, connector = str(facts["incident"]), str(facts["connector"])
        incident = self._book.incidents.get(corr_id)
        known = incidents.ticket(incident, connector) if incident is not None else None
        if origin != "seen":
            linked = _delivered(incident, known, facts)
            if origin == LINKED and incident is not None:  # it goes on there, and its ticket elsewhere is nobody's
                self._book.put_incident(replace(incident, tickets=()))
            self._keep(corr_id, linked, facts)
            return
        self._said(corr_id, facts, at)
        known = known or Linked(connector, str(facts.get("external_id", "")), TicketState.OPEN)
        if known.external_id and known.external_id != facts.get("external_id"):
            return  # another one of the same key, closed as a duplicate: nobody works there
        if facts.get("gone"):
            self._gone(corr_id, known, facts, at)
        elif facts.get("merged_into"):
            self._merged(corr_id, known, facts, at)
        else:
            self._seen(corr_id, known, facts, at)

    # Links.

    def _keep(self, corr_id: str, linked: Linked, facts: Mapping[str, Any]) -> None:
        """As the store is to show it, and as the fold goes on from it."""
        shown = linked.state if facts.get("state") in _WORDS else facts.get("state", "")
        row = {**facts, "external_id": linked.external_id, "state": str(shown)}
        self._book.dirty.tickets.append(row)
        incident = self._book.incidents.get(corr_id)
        if incident is not None and incidents.ticket(incident, linked.connector) != linked:
            self._book.put_incident(incidents.link(incident, linked))

    def _merged(self, corr_id: str, known: Linked, facts: Mapping[str, Any], at: int) -> None:
        """The one that it was merged into goes on in its place; how that stands is seen with its own next change."""
        into = str(facts["merged_into"])
        moved = known._replace(external_id=into, updated_at=0)
        self._keep(corr_id, moved, {**facts, "state": moved.state})
        self._event(
            corr_id, "note", at, by=_who(facts), text=f"The ticket was merged into {into}", source=_source(facts)
        )

    def _gone(self, corr_id: str, known: Linked, facts: Mapping[str, Any], at: int) -> None:
        anew = known._replace(external_id="", state=TicketState.OPEN, owner="", updated_at=0, asked=())
        self._keep(corr_id, anew, {**facts, "url": "", "state": "", "owner": ""})
        lives = (incident := self._book.incidents.get(corr_id)) is not None and incident.living
        says = say("ticket_anew" if lives else "ticket_gone")
        self._event(corr_id, "note", at, text=said(says, "en"), source=_source(facts))
        if lives:
            self._following.tell(corr_id, Op.OPEN, at, says)
            self._following.follow_up(corr_id, at)
        self._undelivered.gone(corr_id, known.connector, known.external_id or str(facts.get("external_id", "")), at)

    # What people wrote and judged.

    def _event(self, corr_id: str, kind: str, at: int, **detail: object) -> None:
        """Into its history, also where nothing can come of it any more and the fold has forgotten it."""
        incident = self._book.incidents.get(corr_id)
        if incident is not None:
            self._book.put_incident(incident, kind, at, **detail)
        else:
            self._book.dirty.incident_events.append(IncidentEvent(corr_id, kind, at, detail))

    def _said(self, corr_id: str, facts: Mapping[str, Any], at: int) -> None:
        source = _source(facts)
        for _, by, said_at, text in facts.get("said", ()):
            self._event(corr_id, "note", at, by=str(by), text=str(text), source=source, said_at=int(said_at))
            self._tell_others(corr_id, facts, at, say("wrote", by=str(by), source=source, text=str(text)))

    def _label(self, incident: Incident, known: Linked, facts: Mapping[str, Any], at: int) -> tuple[str, str]:
        """The technician's verdict becomes a label whenever it comes, once. What was taken last."""
        found = str(facts.get("verdict", "")), str(facts.get("part", ""))
        if found[0] not in VERDICTS or found == known.verdict:
            return known.verdict
        after = incident
        if incident.state in (RESOLVED, CLOSED):
            after = replace(incident, verdict=found[0], part=found[1])
        elif incident.claim is not None:
            after = replace(incident, claim=incident.claim._replace(verdict=found[0], part=found[1]))
        detail = {"verdict": found[0], "part": found[1]}
        self._book.put_incident(after, "verdict", at, by=_who(facts), **detail, source=_source(facts))
        return found

    # States.

    def _seen(self, corr_id: str, known: Linked, facts: Mapping[str, Any], at: int) -> None:
        incident = self._book.incidents.get(corr_id)
        if incident is None:
            self._keep(corr_id, known._replace(state=str(facts.get("state", ""))), facts)
            if facts.get("verdict") in VERDICTS:
                detail = {"verdict": facts["verdict"], "part": str(facts.get("part", ""))}
                self._event(corr_id, "verdict", at, by=_who(facts), **detail, source=_source(facts))
            return
        updated, owner = int(facts.get("updated_at", 0)), str(facts.get("owner", ""))
        if 0 < updated < known.updated_at:
            return  # read before the sender changed it, told after that
        verdict = self._label(incident, known, facts, at)
        state = TicketState(facts["state"]) if facts.get("state") in _WORDS else None
        asked = known.asked
        if state in asked:
            asked = asked[asked.index(state) + 1 :]
        news = state is not None and state != known.state and state not in known.asked
        after = known._replace(
            external_id=known.external_id or str(facts.get("external_id", "")), state=state or known.state, owner=owner,
            updated_at=max(updated, known.updated_at), asked=asked, verdict=verdict if state is None or state.over else ("", ""),
        )  # fmt: skip
        self._keep(corr_id, after, facts)
        handed = owner if owner != known.owner else ""
        incident = self._book.incidents[corr_id]
        if not incident.announced or incident.state == SETTLING or not (handed or news):
            return
        if news and state is not None and TicketState(known.state).over and not state.over:
            self._opened_again(incident, facts, at)
        if handed or (news and state is not TicketState.OPEN):
            self._touched(corr_id, handed, facts, at)
        if news and known.state == TicketState.ON_HOLD:
            self._resumed(corr_id, facts, at)
        if news and state is TicketState.ON_HOLD:
            self._held(corr_id, facts, at)
        elif news and state is not None and state.over:
            self._closed(corr_id, facts, at, again=TicketState(known.state).over)
        self._following.follow_up(corr_id, at)

    def _touched(self, corr_id: str, owner: str, facts: Mapping[str, Any], at: int) -> None:
        """A person has it: the first one has responded with that, whichever way he took."""
        incident = self._book.incidents[corr_id]
        first = not incident.responded_at
        if not first and owner in ("", incident.owner):
            return
        who = owner or str(facts.get("owner", "")) or _who(facts)
        after = incidents.acknowledge(incident, who, at)
        if after is None:
            return
        kind, detail = ("acknowledged", {"by": who}) if first else ("assigned", {"by": _who(facts), "to": who})
        self._book.put_incident(after, kind, at, **detail, source=_source(facts))
        # A latched alarm ends with an acknowledgement: that takes somebody who is known here.
        for alarm in self._book.of(corr_id) if first and not incident.tamper else ():
            if not alarm.acked_at and not self._latched(alarm.rule):
                self._alarming.acknowledge(alarm, who, _source(facts), at)
        wish = TicketState.WORKING if not after.on_hold else None
        self._tell_others(corr_id, facts, at, say("acknowledged", by=who), wish=wish)

    def _latched(self, name: str) -> bool:
        rule = self._book.rule(name)
        return rule is not None and rule.latched

    def _held(self, corr_id: str, facts: Mapping[str, Any], at: int) -> None:
        reason = str(facts.get("status", "")) or TicketState.ON_HOLD.value
        if reason in (PLANNED, WELL):
            reason = TicketState.ON_HOLD.value  # these two the policy makes and ends by itself
        after = incidents.hold(self._book.incidents[corr_id], reason, at)
        if after is not None:
            self._book.put_incident(after, "held", at, by=_who(facts), reason=reason, source=_source(facts))
            self._tell_others(corr_id, facts, at, say("held", by=_who(facts), words=reason), wish=TicketState.ON_HOLD)

    def _resumed(self, corr_id: str, facts: Mapping[str, Any], at: int) -> None:
        after = incidents.resume(self._book.incidents[corr_id], at)
        if after is not None:
            self._book.put_incident(after, "resumed", at, by=_who(facts), source=_source(facts))
            self._tell_others(corr_id, facts, at, say("resumed", by=_who(facts)), wish=TicketState.WORKING)

    def _closed(self, corr_id: str, facts: Mapping[str, Any], at: int, *, again: bool) -> None:
        """again: it was over before, and is now in another word; that it is to be opened was told, where the fault is still there."""
        incident, by, source = self._book.incidents[corr_id], _who(facts), _source(facts)
        if not incident.living or incident.claim is not None:
            return
        verdict = str(facts.get("verdict", "")) if facts.get("verdict") in VERDICTS else ""
        part = str(facts.get("part", ""))
        if not self._active(incident):
            self._resolve(incident, Claim(by, source, verdict, part, at), at)
            return
        if again:
            return
        until = at + self._book.policy.incident.ticket_grace_ns
        claim = Claim(by, source, verdict, part, until)
        zone = self._book.policy.branch(incident.branch).zone or self._book.policy.zone
        says = say("closed_until", by=by, clock=stamp(until, zone))
        self._book.put_incident(replace(incident, claim=claim), "note", at, text=said(says, "en"), source=source)
        self._following.tell(corr_id, Op.UPDATE, at, says)

    def _opened_again(self, incident: Incident, facts: Mapping[str, Any], at: int) -> None:
        by, source = _who(facts), _source(facts)
        says = say("opened_again", by=by)
        note = said(says, "en")
        if incident.claim is not None:
            self._book.put_incident(replace(incident, claim=None), "note", at, text=note, source=source)
        elif incident.state == RESOLVED:
            back = incidents.reopen(incident, at)
            if incident.scope != TERMINAL:
                # What was concluded would explain others again, and keep them from being told: the readings alone decide that.
                back = replace(back, state=RESTORED, restored_at=incident.restored_at or incident.resolved_at)
            self._book.put_incident(back, "reopened", at, by=by, because=note, source=source)
            self._tell_others(incident.corr_id, facts, at, says, op=Op.OPEN)
        elif not incident.living:
            self._book.put_incident(incident, "note", at, text=f"{note}; the incident stays closed", source=source)

    # A ticket that was closed against the readings.

    def claimed(self, incident: Incident, at: int) -> None:
        """Whether the readings have come round to it by now, or its time is over."""
        claim = incident.claim
        if claim is None:
            return
        if not incident.living:  # it was level 3, or somebody else has resolved it meanwhile
            verdict, part = (claim.verdict, claim.part) if not incident.verdict else (incident.verdict, incident.part)
            self._book.put_incident(replace(incident, claim=None, verdict=verdict, part=part))
        elif not self._active(incident):
            self._resolve(incident, claim, at)
        elif claim.until <= at:
            resolved = incidents.resolve(incident, claim.verdict, claim.part, at)
            assert resolved is not None
            back = incidents.reopen(resolved, at)
            because = "the fault is still there"
            self._book.put_incident(back, "reopened", at, by="policy", because=because, source=claim.source)
            self._following.tell(incident.corr_id, Op.OPEN, at, say("closed_but_there", by=claim.by))

    def _resolve(self, incident: Incident, claim: Claim, at: int) -> None:
        after = incidents.resolve(incident, claim.verdict, claim.part, at)
        if after is None:
            return
        detail = {"verdict": claim.verdict, "part": claim.part, "source": claim.source}
        self._book.put_incident(after, "resolved", at, by=claim.by, **detail)
        connector = claim.source.split(" ")[1]
        self._tell_others(incident.corr_id, {"connector": connector}, at, say("resolved", by=claim.by), op=Op.RESOLVE)
        self.answered(incident, at)

    def _active(self, incident: Incident) -> bool:
        """Whether the fault is still there, as far as the readings know."""
        if incident.state == RESTORED or incident.fault in (UNSTAFFED, REGULATOR, *PREDICTED):
            return (
                False  # a gap in the roster, a report to the regulator and what is foreseen are over when people say so
            )
        if incident.scope != TERMINAL or incident.alert:
            return incident.living
        return any(alarm.open for alarm in self._book.of(incident.corr_id, ROOT, CONSEQUENCE))

    def _tell_others(
        self,
        corr_id: str,
        facts: Mapping[str, Any],
        at: int,
        says: Says,
        *,
        op: Op = Op.UPDATE,
        wish: TicketState | None = None,
    ) -> None:
        """Whoever has a ticket of it, but the one who said so."""
        incident, source = self._book.incidents.get(corr_id), str(facts["connector"])
        if incident is not None and any(each.connector != source for each in incident.tickets):
            self._following.tell(corr_id, op, at, says, wish=wish, source=source)


def _delivered(incident: Incident | None, known: Linked | None, facts: Mapping[str, Any]) -> Linked:
    """The ticket after a delivery. What people did there meanwhile is theirs: it is acted on when it is seen."""
    connector, external_id = str(facts["connector"]), str(facts.get("external_id", ""))
    state = str(facts.get("state", ""))
    updated = int(facts.get("updated_at", 0))
    if known is None or (external_id and known.external_id != external_id):
        asked = incident.asked if incident is not None else ()
        asked = asked[asked.index(state) + 1 :] if state in asked else asked
        begun = state if state in _WORDS else TicketState.OPEN.value
        return Linked(connector, external_id, begun, str(facts.get("owner", "")), updated, asked)
    if state not in known.asked:
        return known
    asked = known.asked[known.asked.index(state) + 1 :]
    return known._replace(state=state, updated_at=max(updated, known.updated_at), asked=asked)


def _source(facts: Mapping[str, Any]) -> str:
    return f"ticket {facts['connector']} {facts.get('external_id', '')}".strip()


def _who(facts: Mapping[str, Any]) -> str:
    """Who did it, as far as the ticket system says."""
    return str(facts.get("by") or facts.get("owner") or "") or _source(facts)
