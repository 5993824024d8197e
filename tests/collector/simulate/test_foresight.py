"""The predictions beside the fold: in the shadow they change nothing, acted on they bring people to what is going bad."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tillwatch.collector.alarm.rules import PREDICTED
from tillwatch.collector.predict.engine import Said
from tillwatch.collector.predict.finding import CLOSED, FALSE, HIT, LATER, OPEN, WEAR, Finding, Grade
from tillwatch.collector.predict.settings import parse_tables
from tillwatch.collector.simulate import year
from tillwatch.collector.simulate.foresight import OFF, ON, SHADOW, Foresight, Foretold
from tillwatch.collector.simulate.hindsight import Hindsight
from tillwatch.collector.simulate.report import report
from tillwatch.collector.simulate.times import DAY, HOUR
from tillwatch.collector.simulate.year import START, simulate

SMALL, BRIEF, PACE = (40, 30, 1), (10, 20, 2), 10.0
"""Terminals, days and seed: of test_report.py, and what shows that two runs are one."""
LONG_RECALL, LONG_PRECISION, LONG_WEAR = 0.7, 0.9, 0.8
SUDDEN = ("shutter-jams", "pin-pad-fails", "receipts-fail", "program-ends", "switch-module")
"""Nothing announces them."""


def finding(**changed: object) -> Finding:
    return replace(
        Finding("a", "wear/drive.wear", WEAR, "pos-01-2", "sda", "sda", "drive.wear", OPEN, LATER, START, START),
        **changed,
    )


def test_a_finding_counts_from_when_it_was_first_told_with_the_right_to_a_ticket():
    foretold = Foretold(parse_tables())
    foretold.add(Said((finding(demoted=True),)), START)
    assert (foretold.told, foretold.demoted) == ({}, {"a"})
    foretold.add(Said((finding(),)), START + DAY)
    foretold.add(Said((finding(at=START + 2 * DAY),)), START + 2 * DAY)
    assert (foretold.told["a"].at, foretold.told["a"].ended) == (START + DAY, 0)
    foretold.add(Said((finding(status=CLOSED, ended=START + 3 * DAY),)), START + 4 * DAY)
    assert foretold.told["a"].ended == START + 3 * DAY


def test_what_was_over_when_it_was_told_is_not_a_finding():
    foretold = Foretold(parse_tables())
    foretold.add(Said((finding(status=CLOSED, ended=START),)), START)
    assert foretold.told == {}


@pytest.mark.long
def test_in_the_shadow_they_see_and_nothing_else_changes_and_the_same_seed_sees_the_same():
    off, shadow, again = (simulate(*BRIEF, pace=PACE, predictions=how) for how in (OFF, SHADOW, SHADOW))
    assert off.foretold is None
    assert shadow.foretold is not None
    assert again.foretold is not None
    assert off.log.incidents == shadow.log.incidents
    assert off.log.states == shadow.log.states
    assert off.entries == shadow.entries
    assert shadow.foretold.told
    assert shadow.foretold.told == again.foretold.told
    assert shadow.foretold.grades == again.foretold.grades


SUPPLIES = ("cassette-low", "cashbox-full", "receipts-out", "roll-ends")


def pooled(found: Hindsight, *modes: str) -> tuple[float, float]:
    """Recall of what was announced, and precision, of these modes together."""
    rows = [found.rows[mode] for mode in modes if mode in found.rows]
    hits, false = (sum(row.findings[what] for row in rows) for what in (HIT, FALSE))
    return sum(row.rightly for row in rows) / sum(row.announced for row in rows), hits / (hits + false)


@pytest.mark.long
def test_most_of_what_runs_out_is_foretold_where_the_device_tells_a_level():
    found = report(simulate(20, 60, 2, pace=2.0, predictions=SHADOW)).foretold
    assert sum(found.rows[mode].announced for mode in SUPPLIES if mode in found.rows) > 15
    recall, precision = pooled(found, *SUPPLIES)
    assert recall > 0.3
    assert precision > 0.8
    assert found.rows["cassette-low"].foretold <= found.rows["cassette-low"].faults


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_year_of_predictions_keeps_its_bars():
    found = report(simulate(200, 365, 1, predictions=SHADOW)).foretold
    recall, precision = pooled(found, *SUPPLIES)
    assert recall >= LONG_RECALL
    assert precision >= LONG_PRECISION
    assert pooled(found, "drive-wears")[0] >= LONG_WEAR
    assert max(row.foretold / row.faults for mode, row in found.rows.items() if mode in SUDDEN) < 0.2


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_where_nothing_breaks_the_budget_of_false_findings_holds():
    found = report(simulate(100, 365, 1, pace=0.0, predictions=SHADOW))
    assert [(bar.name, bar.found, bar.shown) for bar in found.bars if not bar.met] == []


def sees_all(monkeypatch) -> None:
    """In place of the engine one who knows the ledger: each omen is told of as soon as it can be seen, and one finding of nothing a week."""

    def advance(self: Foresight, at: int) -> Said:
        ledger = worlds[-1].ledger
        said = [
            finding(
                id=f"{o.mode}{o.terminal}{o.strikes}",
                terminal=o.terminal,
                component=o.parts[0][0],
                signal=o.parts[0][1],
                begun=at,
                at=at,
            )
            for o in ledger.omens
            if at - HOUR <= o.begins < at and not o.fault
        ]
        if at % (7 * DAY) < HOUR:
            said.append(finding(id=str(at), terminal="server-01-0", component="room", begun=at, at=at))
        answer = Said(tuple(said), (Grade("pos-01-2", "high", 1.0, at, at),))
        self.foretold.add(answer, at)
        return answer

    worlds: list[year.World] = []
    made = year.World

    def world(*given: object) -> year.World:
        worlds.append(made(*given))  # type: ignore[arg-type] # as it is called in year.py
        return worlds[-1]

    monkeypatch.setattr(year, "World", world)
    monkeypatch.setattr(Foresight, "advance", advance)


@pytest.mark.long
def test_acted_on_they_prevent_what_is_going_bad_and_cost_visits_for_nothing(monkeypatch):
    sees_all(monkeypatch)
    off, acted = (simulate(*SMALL, pace=PACE, predictions=how) for how in (OFF, ON))
    found = report(acted)
    assert [(bar.name, bar.found, bar.shown) for bar in found.bars if not bar.met] == []
    prevented = {omen.mode for omen in acted.ledger.omens if omen.prevented}
    assert len(prevented) > 3
    assert found.facts["faults prevented"] == acted.staff.visits["prevented"] > 10
    assert found.facts["of them for nothing"] > 0
    assert len(acted.ledger.faults) < len(off.ledger.faults)
    assert found.facts["hours in which parts had failed"] < report(off).facts["hours in which parts had failed"]
    told = [one for one in acted.log.incidents.values() if one.fault in PREDICTED and one.announced_at]
    assert len(told) > 10
    assert {one.level for one in told} == {3}
    assert {"part_changed", "no_fault_found"} <= {one.verdict for one in told}
