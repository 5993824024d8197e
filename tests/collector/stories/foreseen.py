"""Findings as stories tell of them."""

from __future__ import annotations

from typing import Any

from tillwatch.collector.predict.finding import CLOSED, LATER, OPEN, OVER, SOON, Finding, Record, finding_id, kind_of


def found(
    terminal: str,
    component: str,
    at: int,
    *,
    family: str = "wear",
    look: str = "",
    begun: int = 0,
    word: str = LATER,
    **more: Any,
) -> Finding:
    """look: what the detector of the family looks at; begun: 0 for now."""
    detector = f"{family}/{look or 'ups.battery.age'}"
    number = finding_id(detector, terminal, component, begun or at)
    return Finding(
        number, detector, family, terminal, component, component, "ups.battery.age", "open", word, begun or at, at,
        reason="wear.used", values={"used": 0.9}, **more,
    )  # fmt: skip


def _told(terminal: str, component: str, detector: str, signal: str, at: int, **more: Any) -> Finding:
    return Finding(
        finding_id(detector, terminal, component, at), detector, detector.partition("/")[0], terminal, component, kind_of(component), signal, OPEN,
        more.pop("word", LATER), at, at, model="3f6c0d208b1e", **more,
    )  # fmt: skip


def disk_fills(terminal: str, at: int) -> Finding:
    """Whole, as an engine says it: with dates, readings and a record."""
    disk, signal, day = "host/disk:C", "host.disk.percent", 86_400 * 10**9
    values = {
        "text": "A disk fills up", "text.zh": "磁盘即将写满", "what": signal, "unit": "%", "value": 82.6, "slope": 0.71, "limit": 90.0, "low_days": 6.0,
        "high_days": 19.0,
    }  # fmt: skip
    readings = tuple((disk, signal, at - (6 - i) * day, round(78.4 + 0.7 * i, 2)) for i in range(7))
    record = Record("trend/disk", "host/disk", 14, 3, 2, 1, at - 150 * day)
    due = (at + 6 * day, at + 11 * day, at + 19 * day)
    return _told(terminal, disk, "trend/disk", signal, at, word=SOON, due=due, reason="trend.rising", values=values, readings=readings, record=record)  # fmt: skip


def part_fails(terminal: str, at: int) -> Finding:
    """With a probability and factors, of a detector of which nothing was judged yet."""
    values = {"horizon_days": 30.0, "chance_share": 0.38, "times": 6.1, "factor": "hardware"}
    factors = (
        ("hardware", 4.0, 1.21),
        ("terminal-all-events", 19.0, 0.66),
        ("age", 6.2, 0.31),
        ("model", "S-200", 0.1),
    )
    return _told(terminal, "atm/CardReader", "failure/learnt", "", at, reason="failure.learnt", values=values, probability=0.38, factors=factors)  # fmt: skip


def over(finding: Finding, at: int, outcome: str = "") -> Finding:
    facts = {**finding.facts(), "status": CLOSED, "word": OVER, "at": at, "ended": at, "outcome": outcome}
    return Finding.of(facts)
