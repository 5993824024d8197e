"""The alarm state machine: one alarm is one episode of one condition on one component. Pure: an alarm, what its rule says now and the time
go in, the alarm afterwards and the event that tells of it come out. After IEC 62682 the condition is kept whatever people do to the alarm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

ACK_NS = {1: 60 * 60 * 10**9, 2: 60 * 60 * 10**9, 3: 8 * 3600 * 10**9}
"""How long an acknowledgement of each level counts while the fault lasts: a forgotten one hides a fault that nobody works on."""

Key = tuple[str, str, str]
"""(rule, terminal, component)."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """condition: `normal`, `active`, or `unknown` while the data that could tell is missing. Times are UTC ns, cleared_at 0 while open.
    detail: signal, value, and the corrected time of the reading that decided. acked_at, acked_by, ack_until: who has taken it on, since
    when and for how long it counts; 0 and empty while nobody has.
    """

    id: int
    rule: str
    terminal: str
    component: str
    episode: int
    condition: str
    level: int
    raised_at: int
    cleared_at: int
    incident: str
    detail: dict[str, Any]
    acked_at: int = 0
    acked_by: str = ""
    ack_until: int = 0

    @property
    def key(self) -> Key:
        return self.rule, self.terminal, self.component

    @property
    def open(self) -> bool:
        return self.condition != "normal"


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """A change of an alarm: `raised`, `recurred`, `level`, `evidence`, `unknown`, `known`, `acknowledged`, `ack expired`, `returned` or
    `cleared`. Returned: the condition of a latched alarm is over, the alarm is not. Append-only; every figure comes from these.
    """

    alarm: int
    kind: str
    at: int
    level: int
    detail: dict[str, Any]


def change(
    last: Alarm | None, key: Key, *, level: int, at: int, detail: dict[str, Any], reopen_ns: int, new_id: int
) -> tuple[Alarm, str] | None:
    """What a confirmed level (0 for normal) makes of the last episode of this condition, or None if nothing changes.

    Within reopen_ns of its clearing an episode is taken up again, later a new one begins. new_id: for a new episode; its incident is
    named by the caller.
    """
    if last is None or not last.open:
        if level == 0:
            return None
        if last is not None and at - last.cleared_at <= reopen_ns:
            return replace(_unacked(last), condition="active", level=level, cleared_at=0, detail=detail), "recurred"
        rule, terminal, component = key
        episode = last.episode + 1 if last is not None else 1
        return Alarm(new_id, rule, terminal, component, episode, "active", level, at, 0, "", detail), "raised"
    if level == 0:
        return replace(_unacked(last), condition="normal", cleared_at=at, detail=detail), "cleared"
    if level != last.level:
        # Who took on a small fault has not taken on a grave one.
        known = _unacked(last) if level < last.level else last
        return replace(known, condition="active", level=level, detail=detail), "level"
    if last.condition == "unknown":
        return replace(last, condition="active"), "known"
    return None


def lose_sight(last: Alarm) -> tuple[Alarm, str] | None:
    """The data that could tell is missing: the alarm stays open, and says that it is not known to last."""
    return (replace(last, condition="unknown"), "unknown") if last.condition == "active" else None


def acknowledge(alarm: Alarm, by: str, at: int) -> tuple[Alarm, str] | None:
    """Somebody takes it on: it counts as long as the fault lasts at this level, and no longer than ACK_NS. None for one that is over."""
    if not alarm.open:
        return None
    return replace(alarm, acked_at=at, acked_by=by, ack_until=at + ACK_NS[alarm.level]), "acknowledged"


def expire(alarm: Alarm) -> tuple[Alarm, str]:
    return _unacked(alarm), "ack expired"


def _unacked(alarm: Alarm) -> Alarm:
    return replace(alarm, acked_at=0, acked_by="", ack_until=0)
