"""Which way through a Jira workflow leads to a state: pure. Transitions have ids of their own in each workflow, are listed only where they are
available, and may ask for fields; what counts is the category of the status that they lead to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import RejectedError

CATEGORIES = {"new": TicketState.OPEN, "indeterminate": TicketState.WORKING, "done": TicketState.RESOLVED}
"""status.statusCategory.key; a fourth, `undefined`, says nothing."""


@dataclass(frozen=True, slots=True)
class Step:
    """One transition to be made. to: id of the status behind it; fields: what its screen is given."""

    id: str
    to: str
    fields: Mapping[str, Any]


def reached(target: TicketState, state: TicketState | None) -> bool:
    if state is None:
        return False
    if target is TicketState.OPEN:
        return not state.over
    return state.over if target.over else state is target


def next_step(
    transitions: Sequence[Mapping[str, Any]],
    target: TicketState,
    state_of: Callable[[Mapping[str, Any]], TicketState | None],
    resolution: str,
    been: frozenset[str],
) -> Step:
    """The transition that leads to the target, or else a status not seen yet. transitions: as the issue lists them, with their fields; state_of:
    a status -> ours; been: ids of the statuses seen. Raises RejectedError that names what is in the way.
    """
    direct, detour, closed = list[Step](), list[Step](), list[str]()
    for each in transitions:
        status, screen = each.get("to") or {}, each.get("fields") or {}
        state = state_of(status)
        if wanting := sorted(
            name
            for name, told in screen.items()
            if name != "resolution" and told.get("required") and not told.get("hasDefaultValue")
        ):
            closed.append(f"{each.get('name', '')!r} asks for {', '.join(wanting)}")
            continue
        step = Step(str(each.get("id", "")), str(status.get("id", "")), _resolved(screen.get("resolution"), resolution))
        if reached(target, state):
            # Of several ways back the one that waits for somebody comes first: nobody works on it yet.
            direct.insert(0 if state is target else len(direct), step)
        elif step.to not in been:
            detour.append(step)
    if found := direct or detour:
        return found[0]
    offered = "; ".join(closed) or f"{len(transitions)} transitions are offered to its user"
    raise RejectedError(f"no transition leads to {target.value}: {offered}")


def _resolved(told: Mapping[str, Any] | None, wanted: str) -> Mapping[str, Any]:
    """The resolution for a screen that has one: the wanted one if it is allowed, else the first where one is required."""
    if told is None:
        return {}
    allowed = [str(one.get("name", "")) for one in told.get("allowedValues") or () if isinstance(one, Mapping)]
    if wanted in allowed or not allowed:
        return {"resolution": {"name": wanted}}
    return {"resolution": {"name": allowed[0]}} if told.get("required") else {}
