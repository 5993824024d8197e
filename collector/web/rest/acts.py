"""What people may do to incidents and alarms, as a table: what each act needs, whether it applies now, what becomes record. One way for a single act and for
many; what is asked of the store is asked on its reading thread, in one question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from tillwatch.collector.alarm.alarms import SHELVED
from tillwatch.collector.alarm.rules import EXTERNAL, PREDICTED
from tillwatch.collector.incident import applies
from tillwatch.collector.incident.case import Line
from tillwatch.collector.incident.incident_views import ConsoleReader, IncidentFile, IncidentView, news
from tillwatch.collector.incident.incidents import CLOSED, DROPPED, IN_REPAIR, RESOLVED, SETTLING, TERMINAL
from tillwatch.collector.people.roles import Permission, Visitor
from tillwatch.collector.read import AlarmView
from tillwatch.collector.web.rest import acts_schema as bodies

HOUR_NS = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class Subject:
    """What an act is on, as it was when it was looked at. into: of a merge; reasons: for a hold, with their words; now: UTC ns."""

    now: int
    reasons: Mapping[str, str]
    file: IncidentFile | None = None
    alarm: AlarmView | None = None
    into: IncidentView | None = None

    @property
    def view(self) -> IncidentView:
        assert self.file is not None
        return self.file.view

    @property
    def named(self) -> AlarmView:
        assert self.alarm is not None
        return self.alarm


class Act(NamedTuple):
    """action: of the record; check: why it does not apply; facts: beside the subject and who acts."""

    body: type[BaseModel]
    action: str
    check: Callable[[Subject, Any], Line | None]
    facts: Callable[[Subject, Any], dict[str, Any]]
    summary: str


def _merge(subject: Subject, _: Any) -> Line | None:
    assert subject.into is not None
    return applies.to_merge(subject.view.id, subject.view, subject.into.id, subject.into)


def _shelf(alarm: AlarmView) -> bool:
    return any(mask.kind == SHELVED for mask in alarm.masks)


INCIDENT: Mapping[str, Act] = {
    "acknowledge": Act(
        bodies.Acknowledge, "acknowledge", lambda s, _: applies.to_take(s.view.id, s.view), lambda _, b: {"note": b.note}, "Take an incident on"
    ),
    "assign": Act(
        bodies.Assign, "assign", lambda s, _: applies.to_take(s.view.id, s.view), lambda _, b: {"to": b.to, "note": b.note}, "Hand an incident over to somebody"
    ),
    "hold": Act(
        bodies.Hold, "hold", lambda s, b: applies.to_hold(s.view.id, s.view, b.reason, s.reasons), lambda _, b: {"reason": b.reason},
        "Let the repair clock of an incident stand still",
    ),
    "resume": Act(bodies.Nothing, "resume", lambda s, _: applies.to_resume(s.view.id, s.view), lambda _, __: {}, "End a hold"),
    "repair": Act(bodies.Nothing, "in-repair", lambda s, _: applies.to_repair(s.view.id, s.view), lambda _, __: {}, "Be at work on an incident"),
    "resolve": Act(
        bodies.Resolve, "resolve", lambda s, _: applies.to_resolve(s.view.id, s.view), lambda _, b: {"verdict": b.verdict, "part": b.part_text, "note": b.note},
        "Say that an incident is mended, and what it was; where the readings say otherwise it is open again at once",
    ),
    "close": Act(bodies.Nothing, "close", lambda s, _: applies.to_close(s.view.id, s.view), lambda _, __: {}, "Close an incident that is resolved"),
    "note": Act(bodies.NoteText, "note", lambda _, __: None, lambda _, b: {"text": b.text}, "Write a line into an incident's history and its ticket"),
    "split": Act(
        bodies.Split, "split", lambda s, b: applies.to_split(s.view.id, s.view, s.file.parts_now() if s.file else [], b.alarms),
        lambda _, b: {"alarms": b.alarms, "note": b.note}, "Make an incident of its own of some of its alarms",
    ),
    "merge": Act(bodies.Merge, "merge", _merge, lambda s, b: {"into": s.into.id if s.into else "", "note": b.note}, "Merge an incident into another one of its branch"),
}  # fmt: skip

ALARM: Mapping[str, Act] = {
    "acknowledge": Act(
        bodies.Acknowledge, "acknowledge", lambda s, _: applies.to_acknowledge(s.named.id, listed=s.named.condition != "normal" or s.named.returned),
        lambda _, b: {"note": b.note}, "Take an alarm on; one that is over leaves the list",
    ),
    "shelve": Act(
        bodies.Shelve, "shelve", lambda s, b: applies.to_shelve(s.named.id, s.named.level, b.second),
        lambda s, b: {"until": s.now + round(b.hours * HOUR_NS), "reason": b.reason, "second": b.second}, "Silence an alarm for at most 24 hours",
    ),
    "unshelve": Act(
        bodies.Nothing, "unshelve", lambda s, _: applies.to_unshelve(s.named.id, s.named.isa_state, shelved=_shelf(s.named)), lambda _, __: {},
        "End the shelving of an alarm now",
    ),
}  # fmt: skip


def possible(view: IncidentView, visitor: Visitor) -> list[str]:
    """The acts that would change something now, and that this visitor may do; whether two belong together is seen when they are merged."""
    if not visitor.may(Permission.ACT) or view.state in (CLOSED, DROPPED):
        return []
    name, taken = view.id, applies.to_take(view.id, view) is None
    works = applies.to_repair(name, view) is None
    apt = {
        "acknowledge": taken and view.owner != visitor.name,
        "assign": taken,
        "repair": works and view.state != IN_REPAIR,
        "hold": works and not view.on_hold,
        "resume": applies.to_resume(name, view) is None,
        "note": view.state != SETTLING,
        "resolve": applies.to_resolve(name, view) is None,
        "close": applies.to_close(name, view) is None,
        "split": works and view.alarms > 1,
        "merge": works and view.scope == TERMINAL and not view.tamper and view.fault not in (EXTERNAL, *PREDICTED),
    }
    return [each for each, yes in apt.items() if yes]


class Fault(Exception):  # noqa: N818  # an answer, not a defect
    """An act that is not to be done. status: of HTTP; reason: why, as a line where the act does not apply now."""

    def __init__(self, status: int, detail: str = "", reason: Line | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Wanted:
    """seq: the incident's as it was looked at by who asks, None where that does not matter."""

    act: str
    body: BaseModel
    incident: str = ""
    alarm: int = 0
    seq: int | None = None

    @property
    def known(self) -> Act:
        return (INCIDENT if self.incident else ALARM)[self.act]

    @classmethod
    def of(cls, item: bodies.Item) -> Wanted:
        """Raises Fault 422."""
        known = (INCIDENT if item.incident else ALARM).get(item.act)
        if known is None:
            words = ", ".join(INCIDENT if item.incident else ALARM)
            raise Fault(422, f"act: {item.act!r} is none of {words}")
        try:
            body = known.body.model_validate(item.model_extra or {})
        except ValidationError as error:
            said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise Fault(422, said) from None
        return cls(item.act, body, item.incident or "", item.alarm or 0, item.seq)


@dataclass(frozen=True, slots=True)
class Ready:
    """An act that applies: facts of its record, without who acts."""

    wanted: Wanted
    subject: Subject
    facts: dict[str, Any]


def look(reader: ConsoleReader, wanted: Sequence[Wanted], person: str, now: int) -> list[Ready | Fault]:
    """Which of them apply. Somebody acts on what he sees, and so the reader is that person's."""
    reasons = reader.in_force().policy.hold_reasons
    return [_look(reader, each, person, reasons, now) for each in wanted]


def _look(reader: ConsoleReader, wanted: Wanted, person: str, reasons: Mapping[str, str], now: int) -> Ready | Fault:
    try:
        subject = _subject(reader, wanted, reasons, now)
    except KeyError as missing:
        return Fault(404, f"no {str(missing.args[0])!r} in the store")
    if wanted.seq is not None and subject.file is not None and wanted.seq != subject.view.seq:
        return Fault(412, reason=Line("", "refused.faster", {"incident": subject.view.id}))
    if isinstance(wanted.body, bodies.Shelve) and wanted.body.second.casefold() == person.casefold() != "":
        return Fault(422, f"second: {person} is who asks; somebody else has to agree")
    refused = wanted.known.check(subject, wanted.body)
    if refused is not None:
        return Fault(409, reason=refused)
    about = subject.alarm.terminal if subject.alarm is not None else subject.view.terminal
    facts: dict[str, Any] = {"action": wanted.known.action, "terminal": about}
    facts |= {"alarm": wanted.alarm} if subject.alarm is not None else {"incident": wanted.incident}
    return Ready(wanted, subject, facts | wanted.known.facts(subject, wanted.body))


def _subject(reader: ConsoleReader, wanted: Wanted, reasons: Mapping[str, str], now: int) -> Subject:
    if wanted.alarm:
        alarm = reader.alarm(wanted.alarm)
        return Subject(now, reasons, _file(reader, alarm.incident, now), alarm)
    into = reader.incident(wanted.body.into, now).view if isinstance(wanted.body, bodies.Merge) else None
    return Subject(now, reasons, reader.incident(wanted.incident, now), into=into)


def _file(reader: ConsoleReader, incident: str, now: int) -> IncidentFile | None:
    try:
        return reader.incident(incident, now) if incident else None
    except KeyError:
        return None


@dataclass(frozen=True, slots=True)
class Came:
    """What came of an act: how things stand, and what has changed; lines where nothing has."""

    view: IncidentView | None
    alarm: AlarmView | None
    lines: tuple[Line, ...]
    still_there: bool = False


def outcomes(reader: ConsoleReader, ready: Sequence[Ready], now: int) -> list[Came | Fault]:
    """After they were journaled."""
    return [_outcome(reader, each, now) for each in ready]


def _outcome(reader: ConsoleReader, ready: Ready, now: int) -> Came | Fault:
    before = ready.subject
    if before.alarm is not None:
        alarm = reader.alarm(before.alarm.id)
        after = _file(reader, alarm.incident, now)
        view = after.view if after is not None else None
        line = _said(ready, before.alarm, alarm)
        if line is None:
            return Fault(409, reason=Line("", "refused.nothing_alarm", {"alarm": alarm.id}))
        same = before.file is not None and after is not None and before.file.view.id == after.view.id
        events = news(before.file, after) if same and before.file is not None and after is not None else ()
        return Came(view, alarm, (line, *(each for event in events for each in event.lines)))
    assert before.file is not None
    now_file = reader.incident(before.view.id, now)
    new = news(before.file, now_file)
    if not new:
        values = {"incident": now_file.view.id, "state_key": f"stage.{now_file.view.state}"}
        return Fault(409, reason=Line("", "refused.nothing", values))
    still = ready.wanted.act == "resolve" and now_file.view.state != RESOLVED
    return Came(now_file.view, None, tuple(line for event in new for line in event.lines), still_there=still)


def _said(ready: Ready, before: AlarmView, after: AlarmView) -> Line | None:
    """What has become of the alarm; None where nothing has."""
    match ready.wanted.act:
        case "acknowledge" if after.acked_at > before.acked_at:
            return Line("", "acted.taken", {"alarm": after.id, "by": after.acked_by, "until_at": after.ack_until})
        case "acknowledge" if before.returned and not after.returned:
            return Line("", "acted.seen", {"alarm": after.id})
        case "acknowledge" if before.condition != "normal" and after.condition == "normal":
            return Line("", "acted.seen", {"alarm": after.id})
        case "shelve":
            mask = next((each for each in after.masks if each.kind == SHELVED), None)
            if mask is not None and mask.until == ready.facts["until"]:
                return Line("", "acted.shelved", {"alarm": after.id, "until_at": mask.until})
        case "unshelve" if not _shelf(after):
            return Line("", "acted.unshelved", {"alarm": after.id})
    return None
