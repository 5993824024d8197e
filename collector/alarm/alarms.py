"""The alarm state machine: one alarm is one episode of one condition on one component. Pure: an alarm, what its rule says now and the time
go in, the alarm afterwards and the event that tells of it come out. Condition, acknowledgement and masks are flags beside each other, as OPC UA
part 9 has them: whatever keeps an alarm from being told, its condition is followed all the same. The state of IEC 62682 is derived.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tillwatch.collector.alarm import flapping

ACK_NS = {1: 60 * 60 * 10**9, 2: 60 * 60 * 10**9, 3: 8 * 3600 * 10**9}
"""How long an acknowledgement of each level counts while the fault lasts: a forgotten one hides a fault that nobody works on."""

SHELF_NS = 24 * 3600 * 10**9
"""The longest that an alarm may be shelved: what is to be silent for longer needs a change of its rule."""
AUTOMATIC = 3
"""The level that acknowledges itself when its condition is over."""

SHELVED, MAINTENANCE, CHILD, FLAPPING = "shelved", "maintenance", "child_of", "flapping"
"""Kinds of masks. A life-cycle state (out of service by decision) needs none: it raises nothing."""

Key = tuple[str, str, str]
"""(rule, terminal, component)."""


@dataclass(frozen=True, slots=True)
class Mask:
    """What keeps an alarm from being told by itself. ref: the window or the incident; until: UTC ns, 0 where something else ends it."""

    kind: str
    since: int
    until: int = 0
    ref: str = ""
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """condition: `normal`, `active`, or `unknown` while the data that could tell is missing. Times are UTC ns, cleared_at 0 while open.
    detail: signal, value, and the corrected time of the reading that decided. acked_at, acked_by, ack_until: who has taken it on, since
    when and for how long it counts; 0 and empty while nobody has. masks: at most one of a kind; turns: see flapping.py; returned: the
    condition is over and nobody has seen it; drill: somebody injected it.
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
    masks: tuple[Mask, ...] = ()
    turns: flapping.Turns = ()
    returned: bool = False
    drill: bool = False

    @property
    def key(self) -> Key:
        return self.rule, self.terminal, self.component

    @property
    def open(self) -> bool:
        return self.condition != "normal"

    @property
    def listed(self) -> bool:
        """Whether it stands on the list: it lasts, or is over and was never acknowledged."""
        return self.open or self.returned

    @property
    def since(self) -> int:
        """When the condition began by the readings' own time, UTC ns."""
        return int(self.detail.get("since") or self.raised_at)

    def mask(self, kind: str) -> Mask | None:
        return next((each for each in self.masks if each.kind == kind), None)

    @property
    def muted(self) -> Mask | None:
        """What keeps it from opening an incident of its own."""
        return self.mask(SHELVED) or self.mask(MAINTENANCE) or self.mask(CHILD)

    @property
    def isa_state(self) -> str:
        """The state after ISA-18.2 / IEC 62682, for display: one letter would lose the condition of a shelved alarm."""
        if self.mask(SHELVED):
            return "SHLVD"
        if self.mask(MAINTENANCE) or self.mask(CHILD):
            return "DSUPR"
        if not self.open:
            return "RTNUN" if self.returned else "NORM"
        return "ACKED" if self.acked_at else "UNACK"


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """A change of an alarm: `raised`, `recurred`, `level`, `evidence`, `unknown`, `known`, `acknowledged`, `ack expired`, `returned`, `cleared`,
    `masked`, `unmasked`, or what was told of it: `told`, `not told`. Returned: the condition of a latched alarm is over, the alarm is
    not. Append-only; every figure comes from these.
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

    Within reopen_ns of its clearing, and while it flaps, an episode is taken up again, later a new one begins. new_id: for a new episode. The
    incident stays that of the last one until the caller names another: people may verify for longer than an episode lasts.
    """
    if last is None or not last.open:
        if level == 0:
            return None
        turns = flapping.turned(last.turns if last is not None else (), at)
        if last is not None and (at - last.cleared_at <= reopen_ns or last.mask(FLAPPING)):
            again = replace(_unacked(last), condition="active", level=level, cleared_at=0, detail=detail)
            return replace(again, turns=turns, returned=False), "recurred"
        rule, terminal, component = key
        episode = last.episode + 1 if last is not None else 1
        former = last.incident if last is not None else ""
        began = Alarm(new_id, rule, terminal, component, episode, "active", level, at, 0, former, detail, turns=turns)
        # Who shelved the condition, or the window it is in, did not mean one episode of it.
        return replace(
            began, masks=tuple(m for m in last.masks if m.kind != CHILD) if last is not None else ()
        ), "raised"
    if level == 0:
        unseen = not last.acked_at and last.level < AUTOMATIC
        over = replace(_unacked(last), condition="normal", cleared_at=at, detail=detail)
        return replace(over, turns=flapping.turned(last.turns, at), returned=unseen), "cleared"
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
    """Somebody takes it on: it counts as long as the fault lasts at this level, and no longer than ACK_NS. One that is over leaves the list.
    None for one that is not on it.
    """
    if not alarm.listed:
        return None
    if not alarm.open:
        return replace(alarm, returned=False), "acknowledged"
    return replace(alarm, acked_at=at, acked_by=by, ack_until=at + ACK_NS[alarm.level]), "acknowledged"


def expire(alarm: Alarm) -> tuple[Alarm, str]:
    return _unacked(alarm), "ack expired"


def masked(alarm: Alarm, mask: Mask) -> tuple[Alarm, str] | None:
    """With this mask, in the place of another of its kind. None where nothing changes."""
    if alarm.mask(mask.kind) == mask:
        return None
    others = [each for each in alarm.masks if each.kind != mask.kind]
    return replace(alarm, masks=tuple(sorted((*others, mask), key=lambda each: each.kind))), "masked"


def unmasked(alarm: Alarm, kind: str) -> tuple[Alarm, str] | None:
    """Without it. An alarm that lasts is nobody's any more: who acknowledged it did so before it was out of sight."""
    if alarm.mask(kind) is None:
        return None
    bare = replace(alarm, masks=tuple(each for each in alarm.masks if each.kind != kind))
    return (_unacked(bare) if bare.open and kind == SHELVED else bare), "unmasked"


def _unacked(alarm: Alarm) -> Alarm:
    return replace(alarm, acked_at=0, acked_by="", ack_until=0)
