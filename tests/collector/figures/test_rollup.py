from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.figures.test_course import event, incident
from tests.collector.figures.test_shares import stretch
from tillwatch.collector.duty.policy import parse_policy
from tillwatch.collector.figures.availability import COUNTS, History
from tillwatch.collector.figures.impact import HOURS_OF_WEEK
from tillwatch.collector.figures.kpi import Delivery
from tillwatch.collector.figures.load import Turn
from tillwatch.collector.figures.rollup import FLEET, Log, Place, Scope, Settings, compute, daily
from tillwatch.collector.records import StateChange

H = 3600 * 10**9
POLICY = parse_policy()
PLACES = {
    place.terminal: place
    for place in (
        Place("a1", "Harbour", "North", "atm", "NCR"),
        Place("a2", "Harbour", "North", "atm", "GRG"),
        Place("a3", "Market", "South", "atm", "NCR"),
    )
}


def history(terminal, *rows):
    return History([StateChange(terminal, since * H, since * H, state, **more) for since, state, more in rows])


LOG = Log(
    known=1000 * H,
    places=PLACES,
    histories={
        "a1": history(
            "a1",
            (0, "in_service", {}),
            (100, "out_of_service", {"reason": "atm.jam", "party": "hardware"}),
            (104, "in_service", {}),
        ),
        "a2": history(
            "a2",
            (0, "in_service", {}),
            (50, "degraded", {"reason": "acceptor.fault", "lost": ("deposit",)}),
            (60, "in_service", {}),
        ),
        "a3": history("a3", (360, "in_service", {})),
    },
    incidents=[
        incident(corr_id="I1", terminal="a1", branch="Harbour", region="North", opened_at=100 * H, occurred_at=100 * H),
        incident(
            corr_id="I2",
            terminal="",
            branch="Harbour",
            region="North",
            scope="branch",
            opened_at=200 * H,
            occurred_at=200 * H,
        ),
        incident(corr_id="I3", terminal="a3", branch="Market", region="South", opened_at=900 * H, occurred_at=900 * H),
    ],
    events={
        "I1": [
            event(101 * 60, "acknowledged", by="ann"),
            event(104 * 60, "restored"),
            event(104 * 60, "resolved", by="ann"),
        ]
    },
    turns=[Turn(100 * H, "raised", "atm.jam", "a1", "c", 2), Turn(101 * H, "raised", "x", "dog", "c", 2)],
    deliveries=[Delivery("I2", 1, 200 * H, 201 * H, "", "Harbour", "North")],
)
IT = compute(LOG, POLICY, 0, 720 * H)


def down(scope, definition="network"):
    return IT.figures[scope].availability.parts[definition].shares.down // H


def test_every_scope_has_the_sum_of_its_terminals():
    scheduled = {scope: one.availability.parts["any"].shares.scheduled // H for scope, one in IT.figures.items()}
    assert scheduled == {
        FLEET: 1800,
        Scope("region", "North"): 1440,
        Scope("region", "South"): 360,
        Scope("branch", "Harbour"): 1440,
        Scope("branch", "Market"): 360,
        Scope("class", "atm"): 1800,
        Scope("vendor", "NCR"): 1080,
        Scope("vendor", "GRG"): 720,
        Scope("terminal", "a1"): 720,
        Scope("terminal", "a2"): 720,
        Scope("terminal", "a3"): 360,
    }
    assert (down(FLEET), down(Scope("terminal", "a1")), down(FLEET, "any"), down(FLEET, "full")) == (4, 4, 4, 14)
    assert [one.scope.name for one in IT.of_kind("terminal")] == ["a1", "a2", "a3"]


def test_a_terminal_over_the_limit_is_counted_though_the_fleet_is_within_it():
    assert IT.whole.availability.parts["network"].shares.interruption_net == pytest.approx(4 / 1800)
    assert (IT.whole.over, IT.figures[Scope("vendor", "NCR")].over, IT.figures[Scope("vendor", "GRG")].over) == (
        1,
        1,
        0,
    )


def test_incidents_count_where_they_belong():
    counts = {scope: one.kpi.incidents for scope, one in IT.figures.items() if one.kpi.incidents}
    assert counts == {
        FLEET: 2,  # the third was opened after the period
        Scope("region", "North"): 2,
        Scope("branch", "Harbour"): 2,
        Scope("class", "atm"): 1,
        Scope("vendor", "NCR"): 1,
        Scope("terminal", "a1"): 1,
    }
    assert IT.whole.kpi.undelivered.part == 1
    assert IT.figures[Scope("terminal", "a1")].mtbf == 716 * H
    assert IT.whole.load.alarms == 1  # what is no terminal of customers is not watched for them


def test_a_period_ends_where_the_log_does():
    short = compute(LOG, POLICY, 0, 5000 * H)
    assert (short.start, short.end) == (0, 1000 * H)
    assert short.figures[Scope("terminal", "a1")].availability.parts["network"].shares.scheduled == 1000 * H
    ahead = compute(LOG, POLICY, 2000 * H, 3000 * H)
    assert ahead.whole.availability.terminals == 0
    assert ahead.whole.kpi.incidents == 0


def test_weights_are_by_the_clocks_of_the_branch():
    """1970-01-05, a Monday: a1 is down from 04:00 to 08:00 UTC, in Shanghai from 12:00."""
    weights = [0.0] * HOURS_OF_WEEK
    weights[12] = 7.0
    site = parse_policy('[branch.Harbour]\ntime_zone = "Asia/Shanghai"\n[branch.Market]\ntime_zone = "UTC"\n')
    it = compute(LOG, site, 0, 720 * H, Settings(weights=weights))
    assert it.figures[Scope("terminal", "a1")].availability.parts["network"].lost == pytest.approx(7)
    assert it.figures[Scope("terminal", "a1")].availability.expected == pytest.approx(4 * 7)


def test_closed_hours_are_out_of_the_schedule():
    site = parse_policy('[site]\ntime_zone = "UTC"\n[class.atm]\nservice = "opening"\n')  # 08:30 to 17:30, every day
    it = compute(LOG, site, 0, 720 * H)
    assert it.figures[Scope("terminal", "a1")].availability.parts["network"].shares.scheduled == 30 * 9 * H
    assert it.figures[Scope("terminal", "a1")].availability.parts["network"].shares.down == 0  # 04:00 to 08:00


def test_figures_are_plain_json():
    plain = json.loads(json.dumps(IT.whole.plain()))
    assert plain["scope"] == {"kind": "fleet", "name": ""}
    assert plain["availability"]["definitions"]["full"]["down_by_reason_ns"] == {
        "acceptor.fault": 10 * H,
        "atm.jam": 4 * H,
    }
    assert plain["service"]["mtbf_ns"] == (1800 - 4) * H // 2


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9), st.sampled_from(COUNTS)), max_size=6))
def test_days_add_up_to_the_whole(rows):
    edges = [5 * H, 11 * H, 12 * H, 30 * H]
    them = [stretch(since, since + length, word) for since, length, word in rows]
    steps = daily([them[::2], them[1::2]], edges)
    for step, (since, until) in zip(steps, [(5, 11), (11, 12), (12, 30)], strict=True):
        for word in COUNTS:
            hours = sum(
                one.counts[0] == word and one.since <= at * H < one.until for one in them for at in range(since, until)
            )
            assert getattr(step, word) == hours * H
