"""The people: they hear of incidents as a ticket system does, take them on, travel, mend, say what it was, and are sometimes late. They do not know what
the ledger knows until they stand before it. What they did is written down here for itself: figures about people are reckoned from it a
second time (reckon.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from tillwatch.collector.alarm.rules import PREDICTED
from tillwatch.collector.simulate.modes import HOUR, MINUTE, Span
from tillwatch.collector.simulate.omens import Omens
from tillwatch.collector.simulate.post import Post
from tillwatch.collector.simulate.times import DAY, S
from tillwatch.collector.simulate.truth import Fault
from tillwatch.collector.simulate.world import World
from tillwatch.collector.tickets.message import Op, TicketMessage

ANSWER = Span(MINUTE, 7 * MINUTE, 50 * MINUTE)
"""From the ticket to the first human word; of level 3 from when somebody is there."""
WORK = {
    "field": Span(35 * MINUTE, 95 * MINUTE, 7 * HOUR),
    "desk": Span(8 * MINUTE, 30 * MINUTE, 3 * HOUR),
    "branch": Span(6 * MINUTE, 25 * MINUTE, 5 * HOUR),
}
"""From the first word to the repair, by who does it."""
CONFIRM = Span(2 * MINUTE, 15 * MINUTE, 3 * HOUR)
"""From the telemetry's word that it is over to a person's."""
HELD = 0.05
"""Share of the visits that wait for a part."""
WAIT = Span(HOUR, 6 * HOUR, 60 * HOUR)
ROUND = Span(8 * HOUR, 40 * HOUR, 6 * 24 * HOUR)
"""From the first word on a prediction to the visit: it goes on a round that is planned anyway."""
FINDS, CHANGES = 0.93, 0.03
"""Share of the parts going bad that a technician finds so, and of the good ones that he changes all the same, to be sure."""
RETRY = 5 * 60 * S
EARLY, LATE = 1 * 3600 * S, 9 * 3600 * S
"""UTC, of a day: between 9 and 17 h in the bank's zone somebody looks after level 3."""


@dataclass(slots=True)
class Job:
    """One ticket. opened: how often it was, UTC ns; answered, resolved: by a person, as it stands in the journal; first: word of
    a person; settled: nothing is asked of anybody;
    reopened: after that; gravest: of the levels that were told.
    """

    incident: str
    level: int
    gravest: int
    terminal: str
    drill: bool
    fault: Fault | None = None
    opened: list[int] = field(default_factory=list)
    answered: list[int] = field(default_factory=list)
    resolved: list[int] = field(default_factory=list)
    first: int = 0
    settled: bool = False
    reopened: int = 0
    verdict: str = ""
    component: str = ""
    foreseen: bool = False


class Staff:
    """jobs: by incident, in the order in which they were heard of. visits: to what was predicted, by what came of them: `prevented`, `serviced`, `nothing`, `broken` where it had
    failed before somebody came.
    """

    def __init__(self, world: World, post: Post, omens: Omens, rng: Random, of_rounds: Random) -> None:
        self.jobs: dict[str, Job] = {}
        self.visits = dict.fromkeys(("prevented", "serviced", "nothing", "broken"), 0)
        self._world, self._post, self._omens, self._rng, self._of_rounds = world, post, omens, rng, of_rounds

    def told(self, at: int, message: TicketMessage) -> None:
        """One message to the ticket system."""
        job = self.jobs.get(message.incident)
        if job is None:
            level = message.level
            job = self.jobs[message.incident] = Job(message.incident, level, level, message.terminal, message.drill)
            incident = self._post.fold.book.incidents.get(message.incident)
            job.foreseen = incident is not None and incident.fault in PREDICTED
            job.component = message.component
        job.level, job.gravest = message.level, min(job.gravest, message.level)
        if message.op is Op.OPEN:
            fault = self._world.found(message.terminal, message.component, message.branch, message.region)
            job.fault = None if message.drill or job.foreseen else fault
            job.reopened += job.settled
            job.settled = False
            job.opened.append(at)
            self._world.later(self._answers(at, message.level), self._answer, job)
        elif message.op is Op.RESOLVE:
            job.settled = job.settled or message.state == "resolved"
            self._world.later(self._answers(at, job.level) + self._draw(CONFIRM), self._resolve, job)

    def _draw(self, span: Span) -> int:
        return round(span.draw(self._rng) * S)

    def _answers(self, at: int, level: int) -> int:
        """When somebody takes it on. Level 3 waits for the day, and on a Friday evening for Monday."""
        day = at // DAY * DAY
        if level == 3:
            while (day // DAY + 3) % 7 > 4 or at > day + LATE:
                day += DAY
            at = max(at, day + EARLY)
        return at + self._draw(ANSWER)

    def _act(self, at: int, job: Job, action: str, **facts: Any) -> int:
        """When it is in the journal; 0 while the collector is away, and nobody can tell it anything."""
        act = {"action": action, "actor": "lin", "incident": job.incident, **facts}
        return self._post.operate(at, act) if self._post.up else 0

    def _answer(self, at: int, job: Job) -> None:
        if len(job.answered) >= len(job.opened) or job.settled:
            return
        if not (told := self._act(at, job, "acknowledge", note="on it")):
            self._world.later(at + RETRY, self._answer, job)
            return
        job.answered.append(told)
        job.first = job.first or told
        if job.foreseen:
            self._world.later(at + round(ROUND.draw(self._of_rounds) * S), self._inspect, job)
            return
        fault = job.fault
        who = fault.who if fault is not None else "desk"
        work = at + self._draw(WORK[who])
        self._world.later(at + (work - at) // 2, self._begin, job)
        if fault is not None and not fault.end and not fault.heals and not fault.heard:
            if who == "field" and self._rng.random() < HELD:
                self._world.later(work, self._hold, job)
            else:
                self._world.later(work, self._world.visit, fault)
            fault.heard = True
        if job.drill or fault is None or (fault.heals and self._lingers(fault)):
            self._world.later(work, self._resolve, job)

    def _inspect(self, at: int, job: Job) -> None:
        """The round comes by what was predicted."""
        if job.settled:
            return
        omen = self._omens.found(at, job.terminal, job.component)
        broken = self._world.broken(job.terminal, job.component)
        if broken is not None:
            self.visits["broken"] += 1
            self._world.visit(at, broken)
            job.verdict = "true_fault"
        elif self._post.foresight is not None and self._post.foresight.foretold.due_service(
            job.terminal, job.component
        ):
            self.visits["serviced"] += 1
            job.verdict = "part_changed"
        elif omen is not None and self._of_rounds.random() < FINDS:
            self.visits["prevented"] += 1
            self._omens.prevent(at, omen)
            job.verdict = "part_changed"
        else:
            self.visits["nothing"] += 1
            job.verdict = "part_changed" if self._of_rounds.random() < CHANGES else "no_fault_found"
        self._resolve(at, job)

    def _lingers(self, fault: Fault) -> bool:
        """No reading ends an incident of tampering; somebody has to."""
        return fault.mode == "shaken"

    def _begin(self, at: int, job: Job) -> None:
        if not job.settled:
            self._act(at, job, "in-repair")

    def _hold(self, at: int, job: Job) -> None:
        if not self._act(at, job, "hold", reason="parts"):
            self._world.later(at + RETRY, self._hold, job)
            return
        self._world.later(at + self._draw(WAIT), self._go_on, job)

    def _go_on(self, at: int, job: Job) -> None:
        if not self._act(at, job, "resume"):
            self._world.later(at + RETRY, self._go_on, job)
            return
        if job.fault is not None:
            self._world.later(at + self._draw(WORK["branch"]), self._world.visit, job.fault)

    def _resolve(self, at: int, job: Job) -> None:
        if len(job.resolved) >= len(job.opened) or job.settled:
            return
        if not self._post.up:
            self._world.later(at + RETRY, self._resolve, job)
            return
        job.settled = True  # before it is said: the answer may be that the fault is still there
        if not (job.foreseen and job.verdict):
            job.verdict = _verdict(job)
        part = "module" if job.verdict == "part_changed" else ""
        told = self._act(at, job, "resolve", verdict=job.verdict, part=part, note="")
        job.resolved.append(told)
        job.first = job.first or told


def _verdict(job: Job) -> str:
    if job.drill:
        return "drill"
    if job.foreseen:
        return "no_fault_found"  # the readings took it back before anybody came
    if job.fault is None:
        return "false_alarm"
    return "part_changed" if job.fault.who == "field" and not job.fault.heals else "true_fault"
