"""The part of the fold that makes incidents of alarms: what has one cause gets one incident and one ticket. An alarm goes, in this order, back to
the incident that it came from, to the one of which it is a consequence on the same device, to the wider one that explains it, to
the cause that many of its kind in one branch have in common, or it opens one of its own. Suppressing is of notifying and creating; the
condition is followed, and what is over is told, whatever masks an alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from tillwatch.collector.alarm import alarms
from tillwatch.collector.alarm.alarms import Alarm, Mask
from tillwatch.collector.alarm.alarms import Key as AlarmKey
from tillwatch.collector.alarm.restless import Restless
from tillwatch.collector.alarm.rules import BRANCH_MAINS, PREDICTED, Rule, together
from tillwatch.collector.book import Book
from tillwatch.collector.incident import incidents
from tillwatch.collector.incident.concluding import Concluding
from tillwatch.collector.incident.following import Following
from tillwatch.collector.incident.foreseen import Foreseen
from tillwatch.collector.incident.incidents import (
    CONSEQUENCE,
    DROPPED,
    IN_REPAIR,
    RESTORED,
    ROOT,
    SETTLING,
    SYMPTOM,
    TERMINAL,
    Incident,
)
from tillwatch.collector.incident.topology import node_of
from tillwatch.collector.terminal.fleet import Fleet
from tillwatch.collector.tickets.message import Op, TicketState, say
from tillwatch.collector.timers import Timers

EXPLAINS = 2
"""The mildest level that may explain others: a spare line that has been down for days explains nothing."""

SEEN_NS = 60 * 10**9
"""For the reading that says whether it lasts, once it can be seen again: agents read every minute at the latest."""


class Handling:
    """reason: why an alarm is there, as far as it is known when it gets an incident of its own; in words, empty where the rule says all."""

    def __init__(self, book: Book, fleet: Fleet, timers: Timers, following: Following) -> None:
        self._book = book
        self._following = following
        self._teller = following.teller
        self.restless = Restless(book, fleet, timers, following, self.settle_down)
        self.concluding = Concluding(book, fleet, following, self.child)
        self._foreseen = Foreseen(book, following, self.child, self._over)
        self._roots: dict[str, set[AlarmKey]] = {}
        self.reason: Callable[[Alarm], str] = lambda _: ""

    # What alarms do.

    def heard(self, rule: Rule, alarm: Alarm, kind: str, at: int) -> None:
        """An alarm changed, in this way."""
        match kind:
            case "raised" | "recurred":
                self.rises(rule, self.restless.turned(alarm, at), at)
            case "level" | "evidence":
                self._changed(alarm, at)
                if self._may_explain(rule, alarm):
                    self._take_over(rule, self._book.alarms[alarm.key], at)
            case "cleared":
                self.falls(self.restless.turned(alarm, at), at)
            case "known" if alarm.key not in self._book.members.get(alarm.incident, {}):
                # What is seen again may be over by its very next reading: that has the time it asks for.
                self.rises(rule, alarm, at, wait=rule.limits.hold_ns + SEEN_NS)

    def mask_changed(self, alarm: Alarm, at: int) -> None:
        """A shelf or a maintenance window begins or ends for one of an incident's alarms: while all of them are in one, nobody is hurried."""
        incident = self._book.incidents.get(alarm.incident)
        if incident is None or not incident.announced or not incident.living:
            return
        own = self._book.of(incident.corr_id, ROOT, CONSEQUENCE)
        within = bool(own) and all(each.mask(alarms.MAINTENANCE) for each in own)
        if within and not incident.on_hold and (held := incidents.hold(incident, incidents.PLANNED, at)) is not None:
            self._book.put_incident(held, "held", at, reason=incidents.PLANNED, by="policy")
            self._following.tell(incident.corr_id, Op.UPDATE, at, say("maintenance"), wish=TicketState.ON_HOLD)
        elif (
            not within
            and incident.on_hold == incidents.PLANNED
            and (free := incidents.resume(incident, at)) is not None
        ):
            self._book.put_incident(free, "resumed", at, by="policy")
            wish = TicketState.WORKING if free.responded_at else TicketState.OPEN
            self._following.tell(incident.corr_id, Op.UPDATE, at, say("maintenance_over"), wish=wish)
        self._following.follow_up(incident.corr_id, at)

    def explain(self, key: AlarmKey, cause: str, evidence: str, at: int) -> None:
        """Why a terminal is not heard, as far as it is known by now: its incident says so."""
        alarm = self._book.alarms.get(key)
        incident = self._book.incidents.get(alarm.incident) if alarm is not None else None
        if incident is None or not incident.living or incident.scope != TERMINAL or incident.fault != key[0]:
            return
        self._book.put_incident(replace(incident, cause=evidence), "cause", at, cause=cause, evidence=evidence)
        self._following.tell_soon(incident.corr_id, at)

    def explanations(self, terminal: str) -> Iterator[tuple[str, str, str, int]]:
        """What is broken and explains that a terminal is not heard: (kind of dependence, node, text, since)."""
        branch, _ = self._teller.place(terminal)
        for key in sorted(self._roots.get(branch, ())):
            root, rule = self._book.alarms[key], self._book.rule(key[0])
            if rule is None or not root.open or root.level > EXPLAINS:
                continue
            if self._book.topology.explains((root.terminal, root.component), rule.explains, terminal):
                yield rule.explains, node_of(root.terminal, root.component), rule.text, root.since
        mains = self._book.incidents.get(self._book.concluded.get((BRANCH_MAINS, branch), ""))
        if mains is not None and mains.living and mains.state != RESTORED:
            yield "power", f"branch:{branch}", mains.cause, mains.occurred_at

    def in_hand(self, alarm: Alarm) -> bool:
        """Whether somebody works on its incident: an acknowledgement that is worked on is not forgotten."""
        incident = self._book.incidents.get(alarm.incident)
        return incident is not None and (incident.state == IN_REPAIR or bool(incident.on_hold))

    def rises(self, rule: Rule, alarm: Alarm, at: int, *, beside: str = "", wait: int = 0) -> None:
        """Find the incident of an alarm that is active. beside: not in this one, which has ended; wait: ns before it is told, at the least."""
        if not alarm.open:
            return
        if rule.explains:
            self._roots.setdefault(self._teller.place(alarm.terminal)[0], set()).add(alarm.key)
        if (mute := alarm.mask(alarms.SHELVED) or alarm.mask(alarms.MAINTENANCE)) is not None:
            known = self._book.incidents.get(alarm.incident)
            if known is not None and incidents.over_since(known) and alarm.mask(alarms.CHILD) is None:
                # It flapped there, and was well as people settled that: told when the mask is gone.
                self._book.leave(alarm, at)
            self._book.put(
                alarm, "not told", at, {"because": mute.kind, "ref": mute.ref, "by": mute.by, "reason": mute.reason}
            )
            return
        if alarm.condition == "unknown":  # it may have ended unseen; whoever would go there is told when it is seen
            self._book.put(alarm, "not told", at, {"because": "unknown"})
            return
        if (child := alarm.mask(alarms.CHILD)) is not None:  # another mask is gone; what explains it is not
            self._book.put(alarm, "not told", at, {"because": child.kind, "ref": child.ref, "reason": child.reason})
            return
        found = (
            self._foreseen.explained(rule, alarm, at, beside)
            or self._back(rule, alarm, at, beside, wait)
            or self._near(rule, alarm, at)
        )
        if not found and not alarm.mask(alarms.FLAPPING):
            found = self._explained(rule, alarm, at, beside) or self.concluding.common(rule, alarm, at, beside)
        if not found and not self._anew(rule, alarm, at, wait):
            self._own(rule, alarm, at, wait)
        if self._may_explain(rule, alarm):
            self._take_over(rule, self._book.alarms[alarm.key], at)
        self._foreseen.came_true(rule, self._book.alarms[alarm.key], at)

    def _back(self, rule: Rule, alarm: Alarm, at: int, beside: str, wait: int) -> bool:
        """To the incident that it came from: a ticket is for a fault, not for each of its turns."""
        if self._explained_still(alarm, at, beside):
            return True
        incident = self._came_from(alarm)
        if incident is None or incident.corr_id == beside or incident.state == DROPPED:
            return False
        over = incidents.over_since(incident)
        if over and not self._returns_to(incident, at):
            return False
        if over and self._settle_until(rule, alarm, at, wait) > at:
            return False  # this time it may be the symptom of something wider, or over in a moment: see before_told
        self._rejoin(incident, [alarm], at)
        return True

    def _came_from(self, alarm: Alarm) -> Incident | None:
        """The last incident that it was part of, where that is about its own terminal."""
        incident = self._book.incidents.get(alarm.incident)
        own = incident is not None and incident.scope == TERMINAL and incident.terminal == alarm.terminal
        return incident if own else None

    def _explained_still(self, alarm: Alarm, at: int, beside: str) -> bool:
        """What something elsewhere explained, by the rules or by people's word, is explained by it again for as long as it lasts."""
        incident = self._book.incidents.get(alarm.incident)
        if incident is None or incident.corr_id == beside or incident.scope != TERMINAL:
            return False
        if incident.terminal == alarm.terminal or not incident.living or incident.state == RESTORED:
            return False
        self.under(incident, alarm, at)
        self._following.tell_soon(incident.corr_id, at)
        return True

    def _anew(self, rule: Rule, alarm: Alarm, at: int, wait: int) -> bool:
        """Its own incident that was over before anybody was told settles once more."""
        incident = self._came_from(alarm)
        if incident is None or incident.state != DROPPED or incident.fault != alarm.rule or incident.parent:
            return False
        if at - incident.closed_at > self._book.policy.incident.verify_ns:
            return False
        settled = replace(
            incident, state=SETTLING, level=alarm.level, opened_at=at, occurred_at=alarm.since, closed_at=0,
            intermittent=alarm.mask(alarms.FLAPPING) is not None, cause=self.reason(alarm),
        )  # fmt: skip
        self._book.put_incident(replace(settled, settle_until=self._settle_until(rule, alarm, at, wait)), "opened", at)
        self._book.join(incident.corr_id, alarm, ROOT, at)
        self._following.follow_up(incident.corr_id, at)
        return True

    def _returns_to(self, incident: Incident, at: int) -> bool:
        """Whether a fault that is back belongs to this incident, which is over."""
        over = incidents.over_since(incident)
        return incident.scope == TERMINAL and over > 0 and at - over <= self._book.policy.incident.verify_ns

    def _rejoin(self, incident: Incident, them: Iterable[Alarm], at: int) -> None:
        joined = [
            self._book.join(incident.corr_id, alarm, ROOT if incident.fault == alarm.rule else CONSEQUENCE, at)
            for alarm in them
        ]
        flaps = [each.mask(alarms.FLAPPING) is not None for each in joined]
        said = all(flaps)
        if incidents.over_since(incident):
            level = min(alarm.level for alarm in joined)
            back = replace(
                incidents.reopen(incident, at), level=level, intermittent=incident.intermittent or any(flaps)
            )
            told = {"alarm": joined[0].id, "settled": back.reopened > incident.reopened}
            self._book.put_incident(back, "reopened", at, **told)
            self._following.tell(incident.corr_id, Op.OPEN, at, say("fault_back"))
            said = True
        self._changed(joined[0], at, said=said)

    def before_told(self, incident: Incident, at: int) -> None:
        """It has settled: last of all it may be part of something wider, or go on where the same fault was over shortly before."""
        self.concluding.before_told(incident, at)
        settled, former = self._book.incidents[incident.corr_id], self._book.incidents.get(incident.again)
        if settled.state != SETTLING or former is None or not self._returns_to(former, settled.opened_at):
            return
        for alarm in self._book.of(settled.corr_id, SYMPTOM):
            self.child(former, alarm, at)
        self._rejoin(former, self._book.of(settled.corr_id), at)
        self._book.put_incident(incidents.drop(settled, at, former.corr_id), "absorbed", at, by=former.corr_id)

    def _near(self, rule: Rule, alarm: Alarm, at: int) -> bool:
        """To the incident of what it follows from, or of what turns out to follow from it, near it."""
        for key in sorted(self._book.of_terminal.get(alarm.terminal, ())):
            other = self._book.alarms[key]
            relation, incident = self._book.rule(other.rule), self._book.incidents.get(other.incident)
            if relation is None or incident is None or not incident.living or incident.scope != TERMINAL:
                continue
            if not other.open or other.key == alarm.key or (other.rule in PREDICTED) != (rule.id in PREDICTED):
                continue
            if self._book.apart(alarm, incident.corr_id):
                continue
            if other.rule in rule.follows and together(rule.within, alarm.component, other.component):
                if incident.terminal != alarm.terminal:  # what it follows from is explained there itself
                    self.child(incident, alarm, at)
                    return True
                joined = self._book.join(incident.corr_id, alarm, CONSEQUENCE, at)
            elif (
                rule.id in relation.follows
                and together(relation.within, alarm.component, other.component)
                and other in self._book.of(incident.corr_id, ROOT)
            ):
                # The cause was seen after its consequence: one ticket all the same, which now says what it is.
                for one in self._book.of(incident.corr_id, ROOT):
                    self._book.join(incident.corr_id, one, CONSEQUENCE, at)
                joined = self._book.join(incident.corr_id, alarm, ROOT, at)
                self._book.put_incident(
                    replace(incident, fault=rule.id, component=alarm.component), "root", at, alarm=alarm.id
                )
            else:
                continue
            self._changed(joined, at)
            return True
        return False

    def _explained(self, rule: Rule, alarm: Alarm, at: int, beside: str) -> bool:
        """To the wider incident that explains it, if one is open."""
        for incident in self._wider(rule, alarm) if rule.symptom_of else ():
            if incident.corr_id != beside and not self._book.apart(alarm, incident.corr_id):
                self.child(incident, alarm, at)
                return True
        return False

    def _wider(self, rule: Rule, alarm: Alarm) -> Iterator[Incident]:
        yield from self.concluding.explaining(rule, alarm)
        branch, _ = self._teller.place(alarm.terminal)
        for key in sorted(self._roots.get(branch, ())):
            root, broken = self._book.alarms[key], self._book.rule(key[0])
            if broken is None or root.key == alarm.key or not root.open or broken.explains not in rule.symptom_of:
                continue
            if root.level > EXPLAINS:
                continue
            incident = self._book.incidents.get(root.incident)
            if incident is not None and incident.living and self._covers(root, broken.explains, alarm):
                yield incident

    def child(self, incident: Incident, alarm: Alarm, at: int) -> None:
        """An alarm that is explained elsewhere is followed, and not told by itself. What people have told apart stays so."""
        if self._book.apart(alarm, incident.corr_id):
            return
        former = self._book.incidents.get(alarm.incident)
        told = former is not None and former.announced and alarm.key in self._book.members.get(former.corr_id, {})
        if former is not None and told and former.living and former.corr_id != incident.corr_id:
            # Somebody was told already: that ticket stays, and says why.
            self._book.put_incident(replace(former, parent=incident.corr_id), "note", at, parent=incident.corr_id)
            self._following.tell(
                former.corr_id,
                Op.UPDATE,
                at,
                say("explained_titled", incident=incident.corr_id, **self._teller.titles(incident)),
            )
            self._following.rearm(former.corr_id, at)  # what was to be told of it soon is told with this
            return
        self.under(incident, alarm, at)
        if former is not None and former.state == SETTLING and not self._book.of(former.corr_id, ROOT, CONSEQUENCE):
            left = self._book.of(former.corr_id)
            if left and former.scope == TERMINAL:  # what that one explained is explained by what explains it
                self.child(incident, left[0], at)
            elif not left:
                drop = incidents.drop(former, at, incident.corr_id)
                self._book.put_incident(drop, "absorbed", at, by=incident.corr_id)
                self._following.follow_up(former.corr_id, at)
        self._following.tell_soon(incident.corr_id, at)

    def under(self, incident: Incident, alarm: Alarm, at: int) -> None:
        """It is a symptom of that one from now on, and silent."""
        joined = self._book.join(incident.corr_id, alarm, SYMPTOM, at)
        mask = Mask(alarms.CHILD, at, ref=incident.corr_id, reason=self._teller.title(incident))
        if (changed := alarms.masked(joined, mask)) is not None:
            self._book.put(*changed, at, {"kind": mask.kind, "ref": mask.ref, "reason": mask.reason})

    def _own(self, rule: Rule, alarm: Alarm, at: int, wait: int) -> None:
        branch, region = self._teller.place(alarm.terminal)
        corr_id = incidents.correlation_id(branch, alarm.terminal, alarm.component, alarm.rule, alarm.episode)
        # Later than as it began it may have had an incident of this very episode, which has ended, or was merged into another one: nothing
        # may be told of that any more, and the longer a shelf lasts the surer it is forgotten. That of a prediction was perhaps long ago.
        if at > alarm.raised_at or corr_id in self._book.incidents or rule.id in PREDICTED:
            corr_id = incidents.correlation_id(
                branch, alarm.terminal, alarm.component, f"{alarm.rule}|{at}", alarm.episode
            )
        former = self._came_from(alarm)
        again = former.corr_id if former is not None and former.announced and self._returns_to(former, at) else ""
        incident = Incident(
            corr_id, alarm.terminal, branch, alarm.level, SETTLING, at, 0, 0, region=region, component=alarm.component, again=again,
            fault=alarm.rule, episode=alarm.episode, occurred_at=alarm.since, settle_until=self._settle_until(rule, alarm, at, wait),
            drill=alarm.drill, tamper=rule.axis == "security" and rule.latched, intermittent=alarm.mask(alarms.FLAPPING) is not None, cause=self.reason(alarm),
        )  # fmt: skip
        self._book.put_incident(incident, "opened", at, fault=alarm.rule, level=alarm.level, drill=alarm.drill)
        self._book.join(corr_id, alarm, ROOT, at)
        self._following.follow_up(corr_id, at)

    def _settle_until(self, rule: Rule, alarm: Alarm, at: int, wait: int) -> int:
        # What comes and goes would be over within every time to settle, and nobody would ever be told.
        return at if alarm.mask(alarms.FLAPPING) else at + max(rule.settle_ns, wait)

    def _take_over(self, rule: Rule, root: Alarm, at: int) -> None:
        """What it explains, and was seen before it."""
        incident = self._book.incidents.get(root.incident)
        if incident is None or root.key not in self._book.members.get(incident.corr_id, {}):
            return
        below = self._book.topology.explained_by((root.terminal, root.component), rule.explains)
        owners = {node.partition("/")[0] for node in below.devices}
        for terminal in sorted({root.terminal, *below.terminals, *owners}):
            for key in sorted(self._book.of_terminal.get(terminal, ())):
                other, symptom = self._book.alarms[key], self._book.rule(key[0])
                if (
                    symptom is None
                    or rule.explains not in symptom.symptom_of
                    or not other.open
                    or other.key == root.key
                ):
                    continue
                former = self._book.incidents.get(other.incident)
                if former is None or former.corr_id == incident.corr_id or not former.living or former.parent:
                    continue
                if self._covers(root, rule.explains, other):
                    self.child(incident, other, at)

    def _may_explain(self, rule: Rule, alarm: Alarm) -> bool:
        return bool(rule.explains) and alarm.level <= EXPLAINS

    def _covers(self, root: Alarm, kind: str, alarm: Alarm) -> bool:
        return self._book.topology.explains((root.terminal, root.component), kind, alarm.terminal, alarm.component)

    def _changed(self, alarm: Alarm, at: int, *, said: bool = False) -> None:
        """The level or the evidence of one of its alarms, or which ones it has. said: this was told, all but another level."""
        incident = self._book.incidents.get(alarm.incident)
        if incident is None or not incident.living:
            return
        own = self._book.of(incident.corr_id, ROOT, CONSEQUENCE)
        level = min((each.level for each in own), default=incident.level)
        if level != incident.level:
            self._book.put_incident(incidents.worsen(incident, level, at), "level", at, level=level, was=incident.level)
        if incident.announced and (level != incident.level or not said):
            self._following.tell(incident.corr_id, Op.UPDATE, at)
        self._following.follow_up(incident.corr_id, at)

    def falls(self, alarm: Alarm, at: int) -> None:
        """Its condition is over, or its rule is gone."""
        if self._roots:
            self._roots.get(self._teller.place(alarm.terminal)[0], set()).discard(alarm.key)
        incident = self._book.incidents.get(alarm.incident)
        if alarm.returned and (alarm.muted is not None or incident is None or not incident.announced):
            alarm = self._book.unlist(alarm)  # nobody was told of it: nobody has to see that it is over
        if (changed := alarms.unmasked(alarm, alarms.CHILD)) is not None:
            self._book.put(*changed, at, {"kind": alarms.CHILD})
            alarm = changed[0]
        member = self._book.members.get(alarm.incident, {}).get(alarm.key)
        if incident is None or member is None:
            return
        if incident.intermittent and member.role != SYMPTOM and alarm.mask(alarms.FLAPPING):
            return
        self._book.leave(alarm, at)
        self.settle_down(incident.corr_id, alarm, at)

    def settle_down(self, corr_id: str, last: Alarm, at: int) -> None:
        """After an alarm has left it: whether the incident is over. last: that alarm."""
        incident = self._book.incidents[corr_id]
        if incident.scope != TERMINAL:
            if not self.concluding.lasts(incident):
                self._over(incident, at, at)
            else:
                self._following.tell_soon(corr_id, at)
        elif not self._book.of(corr_id, ROOT, CONSEQUENCE):
            self._over(incident, int(last.detail.get("since") or at), at)
            wide = self._book.incidents.get(incident.parent)
            if wide is not None and wide.living and wide.scope != TERMINAL and not self.concluding.lasts(wide):
                self._over(wide, at, at)
        else:
            self._changed_after(incident, at)

    def _changed_after(self, incident: Incident, at: int) -> None:
        level = min(each.level for each in self._book.of(incident.corr_id, ROOT, CONSEQUENCE))
        if level != incident.level:
            self._book.put_incident(replace(incident, level=level), "level", at, level=level, was=incident.level)
            if incident.announced:
                self._following.tell(incident.corr_id, Op.UPDATE, at)
        self._following.follow_up(incident.corr_id, at)

    def _over(self, incident: Incident, since: int, at: int) -> None:
        if incident.state == SETTLING:
            dropped = incidents.drop(incident, at)
            self._book.put_incident(dropped, "dropped", at, because="over before it was told")
        elif incident.living and incident.state != RESTORED:
            if incident.tamper:
                self._book.put_incident(
                    incident, "note", at, text="The condition is over; only a person ends this incident"
                )
                self._following.tell(incident.corr_id, Op.UPDATE, at, say("person_ends"))
            else:
                restored = incidents.restore(incident, max(since, incident.occurred_at), at)
                self._book.put_incident(restored, "restored", at, since=restored.restored_at)
                if restored.resolved_at:
                    self._book.put_incident(restored, "resolved", at, by="policy")
                self._following.tell(incident.corr_id, Op.RESOLVE, at)
        over = self._book.incidents[incident.corr_id]
        if self._book.of(incident.corr_id, SYMPTOM):
            over = self._book.put_incident(replace(over, release_at=at + self._book.policy.incident.child_settle_ns))
        self._following.follow_up(incident.corr_id, at)

    def rearm(self, at: int) -> None:
        """From what is kept."""
        self.restless.rearm(at)
        self._roots.clear()
        for key, alarm in self._book.alarms.items():
            rule = self._book.rule(key[0])
            if alarm.open and rule is not None and rule.explains:
                self._roots.setdefault(self._teller.place(alarm.terminal)[0], set()).add(key)

    # What time does.

    def release(self, incident: Incident, at: int) -> None:
        """The wider cause has been over for long enough: what of its symptoms is still there is broken by itself."""
        self._book.put_incident(replace(incident, release_at=0))
        for alarm in self._book.of(incident.corr_id, SYMPTOM):
            self._book.leave(alarm, at)
            changed = alarms.unmasked(replace(self._book.alarms[alarm.key], incident=""), alarms.CHILD)
            rule = self._book.rule(alarm.rule)
            if changed is not None and rule is not None:
                self._book.put(*changed, at, {"kind": alarms.CHILD})
                self.rises(rule, changed[0], at, beside=incident.corr_id)
        self._following.follow_up(incident.corr_id, at)
