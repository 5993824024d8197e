from __future__ import annotations

from dataclasses import replace

from tests.collector.figures.test_course import event, incident
from tests.collector.figures.test_rollup import LOG, H
from tests.collector.figures.test_time_view import subject, table
from tillwatch.collector.figures import work_view
from tillwatch.collector.figures.blocks import Marked, Note, Split
from tillwatch.collector.figures.load import Shelf, Standing, Turn


def test_targets_phases_and_quality():
    section = work_view.service(subject())
    targets = {row[0]: row for row in table(section, "Targets").rows}
    assert targets["Answered in time"][1] == "0.0%"  # after an hour, and not at all
    assert targets["Answered in time"][3:] == ("0 / 2", "0")
    assert targets["Restored in time, gross"][3:] == ("1 / 2", "0")
    split = next(block for block in section.blocks if isinstance(block, Split))
    assert split.title == "Mean time from fault to restored: 4 h"
    assert [(piece.name, piece.share) for piece in split.bar.pieces] == [
        ("Detect", 0),
        ("Respond", 0.25),
        ("Travel", 0),
        ("Repair", 0.75),
    ]
    quality = {row[0]: row[1:] for row in table(section, "Quality").rows}
    assert quality["Mean time between failures"] == ("37 d 10 h", "2 failures of level 1 and 2")
    assert quality["Not restored yet"] == ("1", "2")


def test_without_anything_restored_there_is_no_split():
    section = work_view.service(subject(replace(LOG, events={}, incidents=[])))
    assert Note("No incident of this period is restored.") in section.blocks


def test_the_longest_incidents_come_first_and_open_ones_before_them():
    rows = table(work_view.incidents(subject())).rows
    assert [(row[8], row[2], row[6]) for row in rows] == [
        ("I2", "dispenser", Marked("still open", "bad")),
        ("I1", "a1 dispenser", "4 h"),
    ]


def test_the_load_is_held_against_what_is_advised():
    turns = [Turn(i * 10**9, "raised" if i % 2 == 0 else "cleared", "atm.jam", "a1", "c", 1) for i in range(24)]
    noisy = replace(
        LOG,
        turns=turns,
        episodes=[Standing("atm.jam", "a1", "", 2, 0, 30 * H)],
        shelves=[Shelf("atm.jam", "a1", "c", 0, H, "ann", "noise")],
    )
    section = work_view.load(subject(noisy))
    figures = {row[0]: row[1] for row in table(section).rows}
    assert figures["Alarms"] == "12"
    assert figures["Per operator hour"] == "0.02"
    assert figures["Busiest 10 minutes"] == Marked("12", "bad")
    assert figures["10-minute steps in flood"] == "0.02% (1 / 4320)"
    assert figures["Levels 1 / 2 / 3"] == "100% / 0% / 0%"
    assert figures["Chattering"] == Marked("1", "bad")
    assert table(section, "Noisiest sources").rows == [("Something is jammed", "a1", "c", "12")]
    assert table(section, "Standing for more than 24 hours").rows[0][-1] == "30 h"
    assert table(section, "Shelved").rows[0][-2:] == ("ann", "noise")


def test_drills_have_a_page_of_their_own_where_there_were_any():
    assert work_view.drills(subject()) is None
    drill = incident(corr_id="D", terminal="a1", opened_at=H, occurred_at=H - 10**10, drill=True)
    held = replace(LOG, incidents=[*LOG.incidents, drill], events={"D": [event(80, "acknowledged", by="ann")]})
    rows = {row[0]: row[1:] for row in table(work_view.drills(subject(held))).rows}
    assert rows == {
        "Drills": ("1", ""),
        "Mean time to detect": ("10 s", "1"),
        "Mean time to answer": ("20 min", "1"),
        "Answered in time": ("100.0%", "1 of 1"),
    }
