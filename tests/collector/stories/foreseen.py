"""Findings as stories tell of them."""

from __future__ import annotations

from typing import Any

from tillwatch.collector.predict.finding import CLOSED, LATER, OVER, Finding, finding_id


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


def over(finding: Finding, at: int, outcome: str = "") -> Finding:
    facts = {**finding.facts(), "status": CLOSED, "word": OVER, "at": at, "ended": at, "outcome": outcome}
    return Finding.of(facts)
