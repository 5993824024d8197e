"""Whether an act of a person applies to an alarm or an incident now, and if not, why: what the commands, the console and the fold itself ask before
anything is changed. Pure. A refusal is a line of the catalogue, to be said in the words of whoever asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple, Protocol

from tillwatch.collector.alarm.rules import EXTERNAL, INFERRED, PREDICTED
from tillwatch.collector.incident.case import Line
from tillwatch.collector.incident.incidents import CONSEQUENCE, LIVING, RESOLVED, RESTORED, ROOT, SETTLING, TERMINAL

MAX_WORDS = 200
"""Characters of a note, a reason or a name: one line on a page."""


class Standing(Protocol):
    """How an incident stands: as the fold has it, or as it is shown. Read at one moment, by anybody; nothing is raised."""

    @property
    def state(self) -> str: ...
    @property
    def scope(self) -> str: ...
    @property
    def branch(self) -> str: ...
    @property
    def fault(self) -> str: ...
    @property
    def drill(self) -> bool: ...
    @property
    def tamper(self) -> bool: ...
    @property
    def settle_until(self) -> int: ...
    @property
    def on_hold(self) -> str: ...


class Part(NamedTuple):
    """An alarm that is part of an incident now. role: see incidents.py."""

    alarm: int
    role: str
    rule: str


def _no(key: str, incident: str, **values: int | str) -> Line:
    return Line("", f"refused.{key}", {"incident": incident, **values})


def to_take(name: str, incident: Standing) -> Line | None:
    """To acknowledge, to assign: somebody has it from now on."""
    if incident.state == SETTLING:
        return _no("settling", name, until_at=incident.settle_until)
    return None if incident.state in LIVING else _no("over", name, state_key=f"stage.{incident.state}")


def to_repair(name: str, incident: Standing) -> Line | None:
    if incident.state == RESTORED:
        return _no("restored", name)
    return to_take(name, incident)


def to_hold(name: str, incident: Standing, reason: str, known: Mapping[str, str]) -> Line | None:
    """known: the policy's reasons, with their words."""
    if reason not in known:
        words = "; ".join(f"{word} ({text})" for word, text in known.items())
        return _no("reason", name, reason=reason, known=words)
    if incident.on_hold:
        return _no("held", name, reason=incident.on_hold)
    return to_repair(name, incident)


def to_resume(name: str, incident: Standing) -> Line | None:
    return None if incident.on_hold else _no("not_held", name, state_key=f"stage.{incident.state}")


def to_resolve(name: str, incident: Standing) -> Line | None:
    """What is resolved already may get another verdict."""
    return None if incident.state == RESOLVED else to_take(name, incident)


def to_close(name: str, incident: Standing) -> Line | None:
    return None if incident.state == RESOLVED else _no("not_resolved", name, state_key=f"stage.{incident.state}")


def to_split(name: str, incident: Standing, parts: Collection[Part], chosen: Iterable[int]) -> Line | None:
    """Of the alarms that are chosen an incident of their own. parts: those that it has now. What it is about stays."""
    refused = to_repair(name, incident)
    if refused is not None:
        return refused
    known, wanted = {each.alarm: each for each in parts}, set(chosen)
    for alarm in sorted(wanted):
        if alarm not in known:
            return _no("not_part", name, alarm=alarm)
        if known[alarm].rule in PREDICTED:
            return _no("foreseen", name)
    left = [each for each in parts if each.alarm not in wanted]
    for role in (ROOT, CONSEQUENCE) if incident.scope == TERMINAL else ():
        if any(each.role == role for each in parts):
            return None if any(each.role == role for each in left) else _no("root", name)
    return None if left else _no("root", name)


def to_merge(name: str, incident: Standing, into_name: str, into: Standing) -> Line | None:
    """Into another one of the same place: both have one cause."""
    if name == into_name:
        return _no("itself", name)
    refused = to_repair(name, incident) or to_repair(into_name, into)
    if refused is not None:
        return refused
    if incident.scope != TERMINAL:
        return _no("concluded", name)
    if into.scope != TERMINAL and into.fault not in INFERRED.values():
        return _no("concluded", into_name)
    if incident.branch != into.branch:
        return _no("elsewhere", name, into=into_name)
    if incident.drill != into.drill:
        return _no("drill", name, into=into_name)
    if incident.tamper:
        return _no("tamper", name)
    for each, which in ((incident, name), (into, into_name)):
        if each.fault == EXTERNAL:
            return _no("alert", which)
        if each.fault in PREDICTED:
            return _no("foreseen", which)
    return None


# Alarms.


def to_acknowledge(alarm: int, *, listed: bool) -> Line | None:
    """listed: whether it lasts, or is over and nobody has seen it."""
    return None if listed else Line("", "refused.alarm_over", {"alarm": alarm})


def to_shelve(alarm: int, level: int, second: str) -> Line | None:
    """second: who agreed; of level 1 nobody decides alone."""
    return Line("", "refused.second", {"alarm": alarm}) if level == 1 and not second else None


def to_unshelve(alarm: int, state: str, *, shelved: bool) -> Line | None:
    """state: of IEC 62682."""
    return None if shelved else Line("", "refused.not_shelved", {"alarm": alarm, "state": state})
