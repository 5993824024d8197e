"""What a terminal says of a command, as a key with its facts, so that it can be said in the reader's language. Only what the agent itself words is recognised; what a
device said, or an agent of another version, stays as it is. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tillwatch.agent.wire import CommandKind, Outcome
from tillwatch.collector.diagnosis.order import Order

_READ = re.compile(r"(?P<n>\d+) of (?P<of>\d+) devices read(?:; (?P<rest>.+))?", re.DOTALL)
_RAISED = re.compile(r"read (?P<factor>\d+) times as often for (?P<minutes>\d+) minutes")
_BYTES = re.compile(r"(?P<bytes>\d+) bytes")
_TIMEOUT = re.compile(r"it did not end within (?P<seconds>\d+) s")
_EXPIRED = re.compile(r"it came (?P<seconds>\d+) s after its expiry")
_BUNDLES = re.compile(r"(?P<n>\d+) bundles in an hour are taken, not more")
_COMMANDS = re.compile(r"(?P<n>\d+) commands in an hour are taken, not more")
_DONE = {
    CommandKind.POLL_NOW: {"read": _READ},
    CommandKind.RAISE_SAMPLING: {"raised": _RAISED},
    CommandKind.COLLECT_BUNDLE: {"bundle": _BYTES},
}
_BY_WHY = {
    "expired": {"late": _EXPIRED},
    "rate": {"most_bundles": _BUNDLES, "most_commands": _COMMANDS},
    "timeout": {"timeout": _TIMEOUT},
}
TOLD_BY_WHY = frozenset({"stale", "epoch", "lifetime", "kind", "not-allowed", "component"})
"""Refusals of which the agent's sentence says no more than the word of the refusal."""


@dataclass(frozen=True, slots=True)
class Said:
    """key: empty where there is nothing beside `rest`; facts: numbers of the sentence; rest: text of the device, or of whoever words it otherwise."""

    key: str = ""
    facts: dict[str, int] = field(default_factory=dict)
    rest: str = ""


def said(order: Order) -> Said:
    if order.outcome == Outcome.INTERRUPTED:
        return Said("interrupted")
    if order.outcome == Outcome.REFUSED and order.why in TOLD_BY_WHY:
        return Said()
    forms = _BY_WHY.get(order.why) or (_DONE[CommandKind(order.kind)] if order.kind in _DONE else {})
    for key, form in forms.items():
        if (found := form.fullmatch(order.words)) is not None:
            facts = found.groupdict()
            rest = facts.pop("rest", None) or ""
            return Said(key, {name: int(number) for name, number in facts.items()}, rest)
    return Said(rest=order.words)
