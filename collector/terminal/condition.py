"""One state for a terminal: fitness, supply and security of its components, what people decided and whether it is heard, rolled up to one of
records.STATES with since, reason, party and the readings that decided. Pure: a view of the terminal and its last state go in.

The gravest of these counts: life cycle, planned maintenance, offline, out of service, supervisor, degraded, unmonitored, supply low, in service.
Security is an axis of its own: an alarm of it alone takes a terminal out of service at level 1 only, and is named in any case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tillwatch.agent.model import device_of
from tillwatch.collector.alarm.rules import COMPONENT_SILENT, SILENT, Rule
from tillwatch.collector.detect.limits import Limits
from tillwatch.collector.duty.policy import TerminalClass
from tillwatch.collector.incident.topology import ITSELF
from tillwatch.collector.records import LIFE_CYCLE, OFFLINE, PLANNED, UNMONITORED, StateChange

IN_SERVICE, SUPPLY_LOW, DEGRADED = "in_service", "supply_low", "degraded"
OUT_OF_SERVICE, SUPERVISOR = "out_of_service", "supervisor"
ORDER = (
    *LIFE_CYCLE,
    PLANNED,
    OFFLINE,
    OUT_OF_SERVICE,
    SUPERVISOR,
    DEGRADED,
    UNMONITORED,
    SUPPLY_LOW,
    IN_SERVICE,
)
"""Gravest first: the first that holds is the state."""

SUPERVISOR_RULE = "terminal.supervisor"
"""The reason of a terminal that somebody switched out of service, and the rule of the alarm when that lasts too long."""
_TOLD = (SUPERVISOR_RULE, SILENT)
"""Alarms of what the mode and the connection say themselves, and say earlier."""
UNREADABLE_RULE = "component.unreadable"
SUPERVISING = ("maintenance", "supervisor")
"""Words of atm.mode in which no customer is served."""
PARTY = {
    "power": "power",
    "network": "network",
    "terminal": "hardware",
    "agent": "software",
    "monitoring": "monitoring",
    "unknown": "unknown",
}
"""Who answers for each cause of records.CAUSES."""
MAX_READINGS = 8
"""That are named in a state: a terminal with more alarms is looked at on its own page."""
NOT_IN_USE = ("new", "revoked")
"""Connections of a terminal that has never spoken, and of one whose keys nobody may believe: it has to be put into service, again."""


@dataclass(frozen=True, slots=True)
class OpenAlarm:
    """condition: `active`, or `unknown`, which counts alike: nothing says that it is over. level: for the terminal's class. since: when the
    condition began; component, signal, at: the reading that decided, UTC ns. window: of planned work on its component, or empty.
    """

    rule: str
    axis: str
    party: str
    level: int
    condition: str
    since: int
    component: str = ""
    signal: str = ""
    at: int = 0
    window: str = ""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A component that functions need (`needs`) and that is not heard. why: Component.unknown; since: UTC ns."""

    component: str
    why: str
    since: int
    functions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TerminalInView:
    """Of one terminal at one time, UTC ns. connection_since: of an offline one its last word, or when it said goodbye; cause,
    cause_readings: of causes.py; window: the maintenance window that covers all of it, or empty; mode: the word of atm.mode, of mode_component; eased: when the last thing ended that made it worse, by the readings' time (the first
    good reading, the return, the end of a window): what is better now is better since then. 0 where nothing ended.
    """

    terminal: str
    at: int
    terminal_class: TerminalClass
    life_cycle: str = IN_SERVICE
    life_cycle_since: int = 0
    window: str = ""
    window_since: int = 0
    connection: str = "online"
    connection_since: int = 0
    cause: str = "unknown"
    cause_readings: tuple[tuple[str, str, int], ...] = ()
    mode: str = ""
    mode_since: int = 0
    mode_component: str = ""
    alarms: tuple[OpenAlarm, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    eased: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """change: the state as a row of the log. overdue_at: when a terminal under supervision is to be back, UTC ns, 0 where it is not; overdue:
    it is past. security: rule of its gravest open security alarm.
    """

    change: StateChange
    overdue: bool = False
    overdue_at: int = 0
    security: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """A state and since when what decides it holds. lost: function -> since when."""

    state: str
    since: int
    reason: str = ""
    party: str = ""
    level: int = 0
    lost: Mapping[str, int] | None = None
    readings: tuple[tuple[str, str, int], ...] = ()
    cause: str = ""
    decided: int = 0


def roll_up(view: TerminalInView, previous: StateChange | None = None, *, supervisor_limit_ns: int) -> Condition:
    """previous: the terminal's last row of the log. The change's `since` is the earliest moment that explains it: when what is worse began, when what
    was worse ended; never before the last row's, never after now. It belongs into the log if it `differs` from the last row.
    """
    found = _decide(view)
    security = min((each for each in view.alarms if each.axis == "security"), key=_gravity, default=None)
    readings = dict.fromkeys([*found.readings, *(_reading(security) if security else ())])
    change = StateChange(
        view.terminal,
        found.since,
        view.at,
        found.state,
        found.reason,
        found.party,
        found.cause,
        tuple(sorted(found.lost or ())),
        found.level,
        tuple(readings)[:MAX_READINGS],
    )
    change = replace(change, since=_since(change, found, previous, view))
    if previous is not None and change.state == previous.state == OFFLINE:
        change = replace(change, kind="cause")
    overdue_at = view.mode_since + supervisor_limit_ns if view.mode in SUPERVISING else 0
    looked_at = ORDER.index(found.state) > ORDER.index(OFFLINE)
    overdue = looked_at and 0 < overdue_at <= view.at
    return Condition(change, overdue, overdue_at if looked_at else 0, security.rule if security else "")


def differs(change: StateChange, previous: StateChange | None) -> bool:
    """Whether it says something that the last row of the log does not: other readings alone do not."""
    return previous is None or _said(change) != _said(previous)


def _said(row: StateChange) -> tuple[object, ...]:
    return row.state, row.reason, row.party, row.cause, row.lost, row.level


def needs(
    component: str, signals: Iterable[str], by_signal: Mapping[str, Sequence[Rule]], terminal_class: TerminalClass
) -> tuple[str, ...]:
    """The functions that need a component: those that an alarm on one of its signals could take away."""
    rules = {
        rule.id
        for signal in signals
        for rule in by_signal.get(signal, ())
        if (rule.component is None or rule.component.match(component))
        and 0 < terminal_class.level(rule.id, gravest(rule.limits)) <= 2
    }
    return tuple(sorted({name for rule in rules for name in terminal_class.lost(rule, component)}))


def gravest(limits: Limits) -> int:
    """The gravest level that a rule can ask for, 0 for none."""
    steps = [step.level for step in (*limits.above, *limits.below)]
    said = [*(limits.words or {}).values(), *(limits.judged or {}).values()]
    return min((level for level in (*steps, *said) if level), default=0)


def _decide(view: TerminalInView) -> _Found:
    now = view.at
    if view.life_cycle in LIFE_CYCLE:
        return _Found(view.life_cycle, view.life_cycle_since or now)
    if view.connection in NOT_IN_USE:
        return _Found("not_commissioned", view.connection_since or now)
    if view.window:
        return _Found(PLANNED, view.window_since or now, view.window, "planned")
    if view.connection != "online":
        return _offline(view)
    takers = _takers(view)
    stop = _stopped(view, takers)
    if stop is not None:
        return stop
    if view.mode in SUPERVISING:
        told = (view.mode_component, "atm.mode", view.mode_since)
        return _Found(
            SUPERVISOR,
            view.mode_since,
            SUPERVISOR_RULE,
            "branch",
            lost=_starts(takers),
            readings=(told,),
            decided=view.mode_since,
        )
    unseen = sorted(view.unseen, key=lambda each: (each.since, each.component))
    blind = {name for each in unseen for name in each.functions} - takers.keys()
    hurt = [each for each in view.alarms if each.level <= 2 and each.axis != "security" and each.rule not in _TOLD]
    # Where a function is lost and no other is seen to work, nothing shows that somebody is served.
    if (hurt or takers) and not (takers and blind and takers.keys() | blind >= view.terminal_class.functions.keys()):
        return _by(DEGRADED, [*hurt, *takers.values()], takers)
    if unseen:
        return _unmonitored(unseen, takers)
    low = [each for each in view.alarms if each.axis == "supply"]
    visible = [each for each in view.alarms if each.axis == "security"]
    if low:
        named = _by(SUPPLY_LOW, [*low, *visible], {})
        return replace(named, since=min(each.since for each in low))
    if visible:
        return replace(_by(IN_SERVICE, visible, {}), since=view.connection_since)
    return _Found(IN_SERVICE, view.connection_since)


def _offline(view: TerminalInView) -> _Found:
    level = min((each.level for each in view.alarms if each.rule == SILENT), default=0)
    since = view.connection_since or view.at
    return _Found(OFFLINE, since, SILENT, PARTY[view.cause], level, readings=view.cause_readings, cause=view.cause)


def _takers(view: TerminalInView) -> dict[str, OpenAlarm]:
    """Function -> the alarm that took it away first."""
    takers: dict[str, OpenAlarm] = {}
    for alarm in sorted(view.alarms, key=lambda each: (each.since, *_gravity(each))):
        if alarm.level <= 2:
            for name in view.terminal_class.lost(alarm.rule, alarm.component):
                takers.setdefault(name, alarm)
    return takers


def _stopped(view: TerminalInView, takers: Mapping[str, OpenAlarm]) -> _Found | None:
    """Out of service: by an alarm that stops all of it, or because the last function is gone; whichever came first."""
    stops = [each for each in view.alarms if each.level == 1 and _concerns_all(each, view.terminal_class)]
    deciding = min(stops, key=lambda each: (each.since, *_gravity(each)), default=None)
    functions = view.terminal_class.functions.keys()
    if functions and takers.keys() == functions and any(each.axis != "security" for each in takers.values()):
        last = max(takers.values(), key=lambda each: each.since)
        if deciding is None or last.since < deciding.since:
            deciding = last
    if deciding is None:
        return None
    found = _by(OUT_OF_SERVICE, [deciding], takers)
    readings = (each for one in (deciding, *takers.values()) for each in _reading(one))
    return replace(found, readings=tuple(dict.fromkeys(readings)))


def _concerns_all(alarm: OpenAlarm, terminal_class: TerminalClass) -> bool:
    """A UPS that runs empty is of level 1, and serves until it is: only what is of the terminal itself, or of one of its functions, stops it."""
    own = device_of(alarm.component) in ITSELF or alarm.axis == "security"
    return own or bool(terminal_class.lost(alarm.rule, alarm.component))


def _unmonitored(unseen: Sequence[Unseen], takers: Mapping[str, OpenAlarm]) -> _Found:
    first = unseen[0]
    reason = COMPONENT_SILENT if first.why == "silent" else UNREADABLE_RULE
    told = tuple((each.component, "monitor.source", each.since) for each in unseen)
    lost = _starts(takers)
    since = max(first.since, *lost.values()) if lost else first.since
    return _Found(UNMONITORED, since, reason, "monitoring", lost=lost, readings=told, decided=first.since)


def _by(state: str, alarms: Sequence[OpenAlarm], takers: Mapping[str, OpenAlarm]) -> _Found:
    """A state that alarms explain: the gravest is the reason, the earliest its beginning."""
    worst = min(alarms, key=_gravity)
    ordered = sorted(alarms, key=_gravity)
    return _Found(
        state,
        min(each.since for each in alarms),
        worst.rule,
        "planned" if worst.window else worst.party,
        worst.level,
        _starts(takers),
        tuple(dict.fromkeys(reading for each in ordered for reading in _reading(each))),
        decided=worst.since,
    )


def _starts(takers: Mapping[str, OpenAlarm]) -> dict[str, int]:
    return {name: alarm.since for name, alarm in takers.items()}


def _gravity(alarm: OpenAlarm) -> tuple[int, bool, int, str, str]:
    return alarm.level, alarm.axis != "security", alarm.since, alarm.rule, alarm.component


def _reading(alarm: OpenAlarm) -> tuple[tuple[str, str, int], ...]:
    return ((alarm.component, alarm.signal, alarm.at),) if alarm.signal else ()


def _since(change: StateChange, found: _Found, previous: StateChange | None, view: TerminalInView) -> int:
    if previous is None:
        return min(found.since or view.at, view.at)
    if not differs(change, previous) or change.state == previous.state == OFFLINE:
        return previous.since
    ended = view.eased or view.at
    newly = set(change.lost) - set(previous.lost)
    if _rank(change) < _rank(previous):
        begun = found.since
    elif change.state != previous.state:
        begun = max(found.since, ended)
    elif newly and found.lost:
        begun = max(found.lost[name] for name in newly)
    elif change.lost == previous.lost and found.decided > previous.since:
        begun = found.decided
    else:
        begun = ended
    return min(max(begun, previous.since), view.at)


def _rank(row: StateChange) -> int:
    """How grave, least first. Where functions are lost and none of the others is seen, that is worse than the loss alone."""
    if row.state == UNMONITORED and row.lost:
        return 2 * ORDER.index(DEGRADED) - 1
    return 2 * ORDER.index(row.state)
