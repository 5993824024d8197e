from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.collector.figures.test_command import ns
from tests.collector.figures.test_rollup import LOG, POLICY
from tillwatch.collector.figures import time_view
from tillwatch.collector.figures.blocks import Days, Marked, Note, Table
from tillwatch.collector.figures.rollup import compute
from tillwatch.collector.figures.shares import Shares
from tillwatch.collector.figures.time_view import LISTED, Subject, edges_of_days
from tillwatch.collector.figures.wording import Wording

H = 3600 * 10**9
SAY = Wording("en", "UTC", {"atm.jam": "Something is jammed"})
FILES = {"availability": "a.csv", "kpi": "k.csv", "intervals": "i.csv", "incidents": "n.csv"}


def subject(log=LOG, start=0, end=720 * H):
    return Subject(compute(log, POLICY, start, end), POLICY, SAY, FILES)


def table(section, title=""):
    return next(block for block in section.blocks if isinstance(block, Table) and block.title == title)


@pytest.mark.parametrize(
    ("zone", "since", "until", "hours"),
    [
        ("Europe/Berlin", "2026-03-28", "2026-03-31", [24, 23, 24]),
        ("Europe/Berlin", "2026-10-24T12:00:00", "2026-10-26T01:00:00", [12, 25, 1]),
        ("Asia/Shanghai", "2026-02-01", "2026-02-02", [24]),
    ],
)
def test_days_are_those_of_the_zone(zone, since, until, hours):
    edges = edges_of_days(ns(since, zone), ns(until, zone), zone)
    assert [(later - earlier) // H for earlier, later in pairwise(edges)] == hours


def test_three_definitions_with_what_was_not_up():
    section = time_view.availability(subject())
    rows = {row[0]: row for row in table(section).rows}
    assert list(rows) == ["Network", "Any function", "Every function"]
    # Bars are of the greatest share that was not up: 14 of 1800 h.
    assert rows["Network"][1].pieces[0].share == pytest.approx(4 / 14)
    assert rows["Every function"][1].pieces[0].share == 1
    assert rows["Every function"][7] == Marked("0.778%", "bad")
    assert rows["Network"][7] == "0.222%"
    days = next(block for block in section.blocks if isinstance(block, Days))
    assert len(days.days) == 30
    assert [i for i, day in enumerate(days.days) if day.pieces] == [4]
    assert days.days[4].said == "1970-01-05: Down 8.333%"
    assert days.note.startswith("Full height: 8.333%. Worst day: 1970-01-05")


def test_a_period_without_a_fault_says_so():
    section = time_view.availability(subject(start=120 * H, end=240 * H))
    assert Note("Every day was up throughout.") in section.blocks
    nothing = time_view.availability(subject(replace(LOG, histories={}), 0, 240 * H))
    assert table(nothing).rows[0][2] == "–"


def test_reasons_and_parties_by_the_time_they_took():
    section = time_view.where(subject())
    assert [row[:4] for row in table(section, "Down by reason").rows] == [
        ("acceptor.fault", "0 min", "10 h", "71.4%"),
        ("Something is jammed", "4 h", "4 h", "28.6%"),
    ]
    assert [row[0] for row in table(section, "Down by responsible party").rows] == ["Not known", "Hardware"]


def test_scopes_are_listed_worst_first_and_bounded(monkeypatch):
    section = time_view.scopes(subject())
    terminals = table(section, "Terminals, the most interrupted first")
    assert [row[0] for row in terminals.rows] == ["a1", "a2", "a3"]
    assert terminals.rows[0][2] == Marked("0.556%", "bad")
    assert [block.title for block in section.blocks] == [
        "Regions",
        "Branches",
        "Makers",
        "Terminals, the most interrupted first",
    ]
    monkeypatch.setattr(time_view, "LISTED", 2)
    short = table(time_view.scopes(subject()), "Terminals, the most interrupted first")
    assert len(short.rows) == 2
    assert short.note.endswith("1 more are in a.csv.")


def test_what_nobody_saw_is_named_with_the_absences_of_the_collector():
    away = replace(LOG, outages=[(-5 * H, H), (10 * H, 12 * H), (11 * H, 13 * H)])
    section = time_view.unmonitored(subject(away))
    assert table(section).rows == [("The collector was away", "8 h", "0.444%")]
    assert section.blocks[-1] == Note("The collector itself was away 2 times, 4 h together, at most 3 h.")
    assert time_view.unmonitored(subject()).blocks[-1] == Note("The collector itself was never away.")


def test_bars_never_leave_their_frame():
    bar = time_view.not_up_bar(SAY, Shares(up=1, down=1, planned=1, unmonitored=1), 0.75)
    assert sum(piece.share for piece in bar.pieces) == pytest.approx(1)
    assert time_view.not_up_bar(SAY, Shares(up=5), 0.75).said == "0.000%"
    assert LISTED > 0
