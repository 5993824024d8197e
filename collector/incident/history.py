"""What happened to an incident, event by event, in words of the catalogue. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tillwatch.collector.incident.case import Case, Line
from tillwatch.collector.incident.why import hold_text
from tillwatch.collector.records import IncidentEvent

WORDS = ("by", "to", "text", "note", "because", "part", "source")
"""Details that are said as they are, behind what happened."""
MAX_NAMED = 40
"""Terminals of an outage that one line names, as many as a ticket does."""
PLAIN = frozenset({
    "opened", "left", "announced", "acknowledged", "in_repair", "resumed", "restored", "reopened", "resolved", "closed", "absorbed",
    "intermittent", "steady", "dropped",
})  # fmt: skip
"""Kinds that need no more words than their name."""


def lines_of(event: IncidentEvent, case: Case) -> tuple[Line, ...]:
    """case: of the incident; it knows the names of rules, people and reasons."""
    return tuple(_lines(event, case))


def _lines(event: IncidentEvent, case: Case) -> Iterator[Line]:
    detail = event.detail
    match event.kind:
        case "joined":
            member = next((each for each in case.members if each.alarm == detail.get("alarm")), None)
            rule = member.rule if member is not None else ""
            values = {"alarm": _plain(detail, "alarm"), "terminal": _plain(detail, "terminal"), "text_rule": rule}
            yield Line("", f"event.joined_{detail.get('role', 'root')}", values)
        case "level":
            yield Line("", "event.level", {"level": _plain(detail, "level"), "was": _plain(detail, "was")})
        case "left" if detail.get("alarm"):
            yield Line("", "event.alarm_left", {"alarm": _plain(detail, "alarm")})
        case "root":
            yield Line("", "event.root", {"alarm": _plain(detail, "alarm")})
        case "note" if detail.get("parent"):
            yield Line("", "event.explained", {"parent": _plain(detail, "parent")})
        case "escalated" | "reminded":
            yield from _calls(event, case)
        case "held":
            reason = hold_text(case.policy, str(detail.get("reason", "")))
            yield Line("", "event.held", {"reason": reason, "by": _plain(detail, "by")})
        case "target_missed":
            yield Line("", "event.target_missed", {"clock_key": f"clock.{detail.get('clock', 'repair')}"})
        case "verdict":
            yield Line("", "event.verdict", {"verdict_key": f"verdict.{detail.get('verdict', '')}"})
        case "split" | "merged":
            yield Line("", f"event.{event.kind}", {"into": _plain(detail, "into")})
        case "took_in":
            yield Line("", "event.took_in", {"other": _plain(detail, "other")})
        case "opened" if detail.get("split_from"):
            yield Line("", "event.split_from", {"from": _plain(detail, "split_from")})
        case "note" | "assigned":
            yield Line("", f"event.{event.kind}")
        case kind if kind in PLAIN:
            yield Line("", f"event.{kind}")
        case _:
            yield Line("", "event.other", {"kind": event.kind})
    if stricken := detail.get("terminals"):
        names = "; ".join(f"{name} ({why})" for name, _, why in stricken[:MAX_NAMED])
        more = len(stricken) - len(stricken[:MAX_NAMED]) + int(detail.get("left_out", 0))
        yield Line("", "event.stricken_more" if more else "event.stricken", {"terminals": names, "more": more})
    words = ("source",) if event.kind in ("verdict", "held") else WORDS
    if said := _said(detail, words):
        yield Line("", "event.said", {"words": said})


def _calls(event: IncidentEvent, case: Case) -> Iterator[Line]:
    people = case.policy.roster.people
    told = [(str(one[0]), ", ".join(map(str, one[1:]))) for one in event.detail.get("people", ())]
    names = "; ".join(f"{people[who].name if who in people else who} ({how})" for who, how in told)
    roles = ", ".join(map(str, event.detail.get("roles", ())))
    if names:
        yield Line("", f"event.{event.kind}", {"roles": roles, "people": names})
    elif roles:
        yield Line("", "event.queued", {"roles": roles})
    if event.detail.get("nobody"):
        yield Line("", "event.nobody", {"roles": ", ".join(map(str, event.detail["nobody"]))})


def _said(detail: Mapping[str, Any], words: tuple[str, ...]) -> str:
    return "; ".join(str(detail[name]) for name in words if detail.get(name))


def _plain(detail: Mapping[str, Any], name: str) -> int | float | str:
    value = detail.get(name, "")
    return value if isinstance(value, int | float | str) else str(value)
