"""What really happened in a time, out of the store: the faults that anything is held against, and what the rule in force raised."""

from __future__ import annotations

from collections.abc import Iterator

import msgpack

from tillwatch.collector.alarm.rules import Rules
from tillwatch.collector.backtest.judging import CONFIRMED, REFUTED, Episode, Fault
from tillwatch.collector.predict.events import Events
from tillwatch.collector.predict.finding import FAMILIES, Finding, Happened
from tillwatch.collector.predict.record import LIMIT_FAULTS, RIGHT, WRONG
from tillwatch.collector.store.db import Db

_ALARMS = """
    SELECT terminal, component, raised_at, cleared_at, level,
        coalesce((SELECT e.detail FROM alarm_event e WHERE e.alarm = alarm.id AND e.kind = 'raised' ORDER BY e.seq LIMIT 1), detail) FROM alarm
    WHERE rule = ? AND drill = 0 AND raised_at >= ? AND raised_at < ? AND (? = '' OR terminal = ?) ORDER BY raised_at, id
"""
_FINDINGS = """
    SELECT body FROM finding WHERE begun >= ? AND begun < ? AND (? = '' OR terminal = ?) ORDER BY begun, id
"""


def faults(db: Db, rules: Rules, rule: str, since: int, known: int) -> list[Fault]:
    """Of the parts' own parties, and of the rule that is tried (own); with the verdict where there is one. since, known: UTC ns."""
    own_party = rules.by_id[rule].party if rule in rules.by_id else ""
    events, found = Events(), dict[tuple[str, str, str], list[Fault]]()
    events.open(db)
    for event in events.until(known, rules):
        key = event.rule, event.terminal, event.component
        match event.what:
            case "raised" if event.party in LIMIT_FAULTS or event.party == own_party:
                fault = Fault(event.terminal, event.component, event.rule, event.at, own=event.rule == rule)
                found.setdefault(key, []).append(fault)
            case "cleared" if key in found:
                found[key][-1] = _with(found[key][-1], ended=event.at)
            case "verdict" if key in found and (said := _verdict(event)):
                found[key][-1] = _with(found[key][-1], verdict=said)
    events.shut()
    return [each for row in found.values() for each in row if (each.ended or known) >= since]


def _with(fault: Fault, *, ended: int = 0, verdict: str = "") -> Fault:
    return Fault(
        fault.terminal, fault.component, fault.rule, fault.at, ended or fault.ended, fault.own, verdict or fault.verdict
    )


def _verdict(event: Happened) -> str:
    return CONFIRMED if event.value in RIGHT else REFUTED if event.value in WRONG else ""


def raised(db: Db, rule: str, since: int, until: int, terminal: str = "") -> Iterator[Episode]:
    """By the rule in force, whichever that was then."""
    for name, component, at, cleared, level, detail in db.execute(_ALARMS, (rule, since, until, terminal, terminal)):
        yield Episode(rule, name, component, at, cleared, level, msgpack.unpackb(detail).get("value"))


def found(db: Db, detector: str, since: int, until: int, terminal: str = "") -> Iterator[Episode]:
    """By the predictions in force."""
    for (body,) in db.execute(_FINDINGS, (since, until, terminal, terminal)):
        finding = Finding.of(msgpack.unpackb(body))
        if is_of(finding, detector):
            yield episode(finding)


def is_of(finding: Finding, detector: str) -> bool:
    """detector: a family, or one of its detectors."""
    return finding.family == detector if detector in FAMILIES else finding.detector == detector


def episode(finding: Finding) -> Episode:
    value = finding.probability if finding.probability is not None else finding.values.get("value")
    return Episode(
        finding.detector, finding.terminal, finding.component, finding.begun, finding.ended, 3, value, finding.outcome or "",
        told=not finding.demoted,
    )  # fmt: skip
