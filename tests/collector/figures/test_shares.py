from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.figures.availability import COUNTS, DEFINITIONS, Stretch
from tillwatch.collector.figures.impact import HOURS_OF_WEEK, Profile
from tillwatch.collector.figures.shares import Shares, measure, together

H = 3600 * 10**9
FLAT = Profile()


def stretch(since, until, *counts, reason="x", party="hardware", source="state"):
    counts = counts if len(counts) == 3 else counts * 3
    return Stretch(since * H, until * H, "s", counts, reason, party, "", (), source, 0)


def test_one_repair_of_four_hours_breaks_the_ratio_of_a_month():
    """alarms.md 10: 0.5 % of 720 h is 3.6 h; 4 h are 0.556 %."""
    it = measure([stretch(0, 300, "up"), stretch(300, 304, "down"), stretch(304, 720, "up")], FLAT).parts["network"]
    assert it.shares.interruption_net == pytest.approx(0.00556, abs=5e-6)
    assert it.shares.operating_ratio == pytest.approx(1 - 4 / 720)
    assert it.interruptions == 1


def test_best_and_worst_case_and_gross_and_net():
    shares = Shares(up=90, down=2, planned=4, unmonitored=4)
    assert (shares.availability_best, shares.availability_worst) == (94 / 96, 90 / 96)
    assert (shares.interruption_net, shares.interruption_gross) == (0.02, 0.06)
    assert shares.operating_ratio == 0.98
    plain = shares.plain()
    assert sum(plain["shares"].values()) == pytest.approx(1)
    assert plain["scheduled_ns"] == 100


def test_without_schedule_nothing_is_divided():
    plain = measure([], FLAT).plain()
    assert plain["terminals"] == 0
    assert plain["definitions"]["full"]["availability_best"] is None
    assert plain["definitions"]["full"]["impact"] is None
    only_planned = measure([stretch(0, 1, "planned")], FLAT).parts["any"].shares
    assert only_planned.availability_worst is None
    assert only_planned.interruption_gross == 1


def test_three_definitions_stand_side_by_side():
    it = measure(
        [
            stretch(0, 6, "up", "up", "down", reason="atm.deposit"),
            stretch(6, 8, "down", reason="atm.screen"),
            stretch(8, 10, "up"),
        ],
        FLAT,
    )
    assert {name: it.parts[name].shares.down // H for name in DEFINITIONS} == {"network": 2, "any": 2, "full": 8}
    assert it.parts["full"].reasons == {"atm.deposit": 6 * H, "atm.screen": 2 * H}
    assert it.parts["network"].reasons == {"atm.screen": 2 * H}
    assert {name: it.parts[name].interruptions for name in DEFINITIONS} == {"network": 1, "any": 1, "full": 1}


def test_down_over_a_closed_night_is_one_interruption():
    it = measure(
        [
            stretch(8, 18, "up"),
            stretch(18, 20, "down"),
            stretch(32, 33, "down"),
            stretch(33, 40, "up"),
            stretch(40, 41, "down"),
        ],
        FLAT,
    )
    assert it.parts["network"].interruptions == 2


def test_the_rush_hour_weighs_more_than_the_night():
    weights = [1.0] * HOURS_OF_WEEK
    weights[3 * 24 + 17] = 100.0  # 1970-01-01 was a Thursday
    rush = measure([stretch(0, 17, "up"), stretch(17, 18, "down"), stretch(18, 24, "up")], Profile(weights))
    night = measure([stretch(0, 3, "up"), stretch(3, 4, "down"), stretch(4, 24, "up")], Profile(weights))
    assert rush.impact("network") == pytest.approx(100 / 123)
    assert night.impact("network") == pytest.approx(1 / 123)
    assert rush.parts["network"].shares == night.parts["network"].shares


lengths = st.lists(
    st.tuples(
        st.integers(1, 50),
        st.sampled_from(COUNTS),
        st.sampled_from("ab"),
        st.sampled_from(["state", "late", "correction"]),
    )
)


@given(st.lists(lengths, max_size=4))
def test_a_scope_is_the_sum_of_its_terminals(several):
    each = []
    for rows in several:
        at, them = 0, []
        for length, word, reason, source in rows:
            them.append(stretch(at, at + length, word, reason=reason, source=source))
            at += length
        each.append(measure(them, FLAT))
    whole = together(each)
    hours = sum(row[0] for rows in several for row in rows)
    for name in DEFINITIONS:
        part = whole.parts[name]
        assert part.shares.scheduled == hours * H
        assert sum(part.reasons.values()) == sum(part.parties.values()) == part.shares.down
    assert sum(whole.unmonitored.values()) == whole.parts["any"].shares.unmonitored
    assert sum(whole.planned.values()) == whole.parts["any"].shares.planned
    assert whole.expected == pytest.approx(hours)
    assert whole.terminals == sum(map(bool, several))
    assert whole.late == sum(row[0] for rows in several for row in rows if row[3] == "late") * H
