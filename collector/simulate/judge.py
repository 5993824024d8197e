"""What the collector found against what was so: which incident tells of which fault, which faults nobody was told of, and which tickets tell of nothing.

A fault is to be told when its condition lasted, where it could be seen, for as long as its rule and its incident's time to settle ask for; it is not
to be told when it was over well before that, was seen in a planned window only, or in none of the collector's hours. Between the two, and where
one second decides, either is right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from tillwatch.collector.alarm.rules import PREDICTED, Rules
from tillwatch.collector.incident.incidents import SYMPTOM, TERMINAL, Incident
from tillwatch.collector.simulate.stations import READ_S
from tillwatch.collector.simulate.times import MINUTE, S
from tillwatch.collector.simulate.truth import Effect, Fault, Interval, Ledger, closed, within, without
from tillwatch.collector.simulate.world import FLEET, UNREADABLE
from tillwatch.collector.simulate.year import Outcome

YES, NO, EITHER = "yes", "no", "either"
SETTLED = 5 * S
"""By how much the connection's times are in doubt; those of a part are by READ_S, between two looks at it."""
AFTER = 20 * MINUTE
"""How long after the end of a fault an alarm may still be of it: what was read last, and what lasted, is confirmed then."""


@dataclass(slots=True)
class Finding:
    """One fault. expected: of YES, NO, EITHER; incidents: those that were told of it; hidden: it was seen as the symptom of something else."""

    fault: Fault
    expected: str
    incidents: list[str] = field(default_factory=list)
    hidden: bool = False

    @property
    def once(self) -> bool:
        """Whether it was told as it should be."""
        return len(self.incidents) <= 1 and (len(self.incidents) == 1 or self.expected != YES)


@dataclass(slots=True)
class Verdict:
    """findings: by fault; of: incident -> its faults, empty where it tells of nothing; told: the incidents that tickets were made of."""

    findings: list[Finding]
    of: dict[str, list[Fault]]
    told: list[Incident]

    @property
    def false(self) -> list[Incident]:
        """Tickets that tell of nothing, or of what nobody was to be told."""
        expected = {finding.fault.id: finding.expected for finding in self.findings}
        return [one for one in self.told if all(expected[fault.id] == NO for fault in self.of[one.corr_id])]

    @property
    def merged(self) -> list[Incident]:
        """Tickets of several faults that have nothing to do with each other."""
        return [one for one in self.told if len({fault.again_of or fault.id for fault in self.of[one.corr_id]}) > 1]

    def wrong(self, *levels: int) -> list[Finding]:
        """Faults of these levels that were not told, or more than once."""
        return [one for one in self.findings if one.fault.level in levels and not one.once]


def judge(outcome: Outcome) -> Verdict:
    ledger, end, rules = outcome.ledger, outcome.end, outcome.fold.book.rules
    sight = _Sight(outcome)
    findings = {fault.id: Finding(fault, _expected(fault, sight, rules, end)) for fault in ledger.faults}
    places: dict[tuple[str, str], list[tuple[Fault, Effect]]] = defaultdict(list)
    for fault in ledger.faults:
        for effect in fault.effects:
            places[effect.terminal, effect.component].append((fault, effect))
    told = [one for one in outcome.log.incidents.values() if _is_of_fault(one)]
    members = _members(outcome)
    begun: dict[str, list[int]] = defaultdict(list)
    for event in outcome.log.events:
        if event.kind in {"opened", "reopened"}:
            begun[event.incident].append(event.at)
    of: dict[str, list[Fault]] = {}
    for incident in outcome.log.incidents.values():
        mine: list[Fault] = []
        symptoms: list[Fault] = []
        for alarm, since in members[incident.corr_id]:
            one = outcome.log.members[incident.corr_id, alarm]
            found = _match(places[one.terminal, one.component], one.rule, since, end)
            if found is not None:
                (symptoms if one.role == SYMPTOM else mine).append(found)
        if incident.scope != TERMINAL:
            mine = _of_place(incident, begun[incident.corr_id], places, symptoms, end)
        if _is_of_fault(incident):
            of[incident.corr_id] = list({fault.id: fault for fault in mine}.values())
            for fault in of[incident.corr_id]:
                findings[fault.id].incidents.append(incident.corr_id)
            for fault in symptoms:
                findings[fault.id].hidden |= fault not in of[incident.corr_id]
    for finding in findings.values():
        if finding.expected == YES and not finding.incidents:
            finding.incidents += _carried(finding.fault, outcome, of)
    return Verdict(list(findings.values()), of, told)


def _is_of_fault(incident: Incident) -> bool:
    """Told, and neither a drill nor a prediction, which is judged by hindsight."""
    return bool(incident.announced_at) and not incident.drill and incident.fault not in PREDICTED


def _carried(fault: Fault, outcome: Outcome, of: Mapping[str, object]) -> list[str]:
    """The incident of an earlier fault of the same part that was mended out of sight: for the collector it never ended."""
    places = {(effect.terminal, effect.component) for effect in fault.effects}
    found = {
        alarm.incident
        for alarm in outcome.log.alarms.values()
        if (alarm.terminal, alarm.component) in places
        and alarm.incident in of
        and alarm.raised_at <= fault.start
        and (not alarm.cleared_at or alarm.cleared_at > fault.start)
    }
    return sorted(found)


def _members(outcome: Outcome) -> dict[str, list[tuple[int, int]]]:
    """Incident -> (alarm, since when its condition lasted) of those that joined it; what had left before it was told is not of it."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    told = set()
    for event in outcome.log.events:
        if event.kind == "joined":
            found[event.incident].append((event.detail["alarm"], event.detail["since"]))
        elif event.kind == "announced":
            told.add(event.incident)
        elif event.kind in {"dropped", "absorbed"} and event.incident not in told:
            found[event.incident].clear()
    return found


def _match(known: list[tuple[Fault, Effect]], rule: str, since: int, end: int) -> Fault | None:
    """The fault that an alarm of this place tells of: the one that began last before it."""
    best: tuple[int, Fault] | None = None
    for fault, effect in known:
        if not any(rule == each for each, _ in effect.told):
            continue
        for a, b in effect.spans(end):
            if a <= since + S <= b + AFTER and (best is None or a > best[0]):
                best = a, fault
    return best[1] if best is not None else None


def _of_place(
    incident: Incident,
    begun: list[int],
    places: dict[tuple[str, str], list[tuple[Fault, Effect]]],
    symptoms: list[Fault],
    end: int,
) -> list[Fault]:
    """What befell a branch, a region or all of it; else what most of its symptoms come from. begun: when it was opened, and again."""
    place = {"branch": f"branch:{incident.branch}", "region": f"region:{incident.region}"}.get(incident.scope, FLEET)
    matched = (_match(places[place, ""], incident.fault, at, end) for at in begun)
    if found := [fault for fault in matched if fault is not None]:
        return found
    counts = {one.id: sum(other is one for other in symptoms) for one in symptoms}
    most = max(counts, key=lambda each: counts[each], default=0)
    return [next(one for one in symptoms if one.id == most)] if most and 2 * counts[most] > len(symptoms) else []


class _Sight:
    """When what could be seen."""

    def __init__(self, outcome: Outcome) -> None:
        self.end = outcome.end
        self.ledger: Ledger = outcome.ledger
        self._branch = {unit.name: unit.branch for unit in outcome.bank.units}
        self._seen: dict[str, list[Interval]] = {}
        self._unread: dict[tuple[str, str], list[Interval]] = defaultdict(list)
        for fault in self.ledger.faults:
            for effect in fault.effects:
                if any(rule == UNREADABLE for rule, _ in effect.told):
                    self._unread[effect.terminal, effect.component] += effect.spans(self.end)

    def silenced(self, terminal: str) -> list[Interval]:
        """Windows and times out of service: what is so only then is nobody's business."""
        branch = self._branch[terminal]
        windows = [(since, until) for name, since, until in self.ledger.windows if name == branch]
        return [*windows, *closed(self.ledger.parked.get(terminal, ()), self.end)]

    def of(self, terminal: str, component: str) -> list[Interval]:
        """Of a part: while its terminal was heard, and its device read."""
        seen = self._seen.get(terminal)
        if seen is None:
            seen = self._seen[terminal] = self.ledger.visible(terminal, self.end)
        device = component.partition("/")[0]
        hidden = self._unread.get((terminal, device), ()) if device != component else ()
        return without(seen, hidden) if hidden else seen

    def away(self, terminal: str) -> list[Interval]:
        """When the broker had told that it was gone, and the collector was there to hear it."""
        seen = closed(self.ledger.seen.get(terminal, ()), self.end)
        gone = without([(seen[0][0], self.end)], seen) if seen else []
        return without(gone, closed(self.ledger.away, self.end))


def _expected(fault: Fault, sight: _Sight, rules: Rules, end: int) -> str:
    of_terminals = (e for e in fault.effects if e.level and ":" not in e.terminal and e.terminal != FLEET)
    answers = {_of_effect(effect, sight, rules, end) for effect in of_terminals}
    return YES if YES in answers else EITHER if EITHER in answers else NO


def _of_effect(effect: Effect, sight: _Sight, rules: Rules, end: int) -> str:
    spans, answer = effect.spans(end), NO
    if effect.component:
        seen = within(spans, sight.of(effect.terminal, effect.component))
        doubt = READ_S * S
    else:
        # A will comes a while after the loss, and may come when all is over; who was away already is not lost again.
        gone = sight.away(effect.terminal)
        seen = [(x, min(y, b + 2 * MINUTE)) for a, b in spans for x, y in gone if a <= x <= b + 2 * MINUTE]
        doubt = SETTLED
        if any(x < a and y > b for a, b in spans for x, y in gone):
            answer = EITHER
    silenced = sight.silenced(effect.terminal)
    # What was seen before an interruption and is seen after it lasted for all the collector knows.
    lasting = [(a, b) for a, b in spans if within([(a, b)], seen)] if effect.component else seen
    for name, _ in effect.told:
        rule = rules.by_id[name]
        confirm, settle = rule.limits.for_ns, rule.settle_ns
        # Its alarm, from when it is confirmed until it is over, and what of that anybody is to hear of.
        certain = without([(a + confirm + 2 * doubt, b) for a, b in seen], silenced)
        if any(y - x >= settle for x, y in certain):
            return YES
        possible = without([(a + confirm - doubt, b + AFTER) for a, b in lasting if b - a > confirm - doubt], silenced)
        if any(y - x >= settle - doubt for x, y in possible):
            answer = EITHER
    return answer


__all__ = ["EITHER", "NO", "YES", "Finding", "Verdict", "judge"]
