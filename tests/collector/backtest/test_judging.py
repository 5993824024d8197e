"""What was raised against what happened."""

from __future__ import annotations

import pytest

from tillwatch.collector.backtest.judging import CONFIRMED, REFUTED, Episode, Fault, Faults, Span, Tally, judge
from tillwatch.collector.learn.panel import DAY_NS
from tillwatch.collector.predict.finding import FALSE, HIT, PREVENTED, UNKNOWN

SPAN = Span(0, 70 * DAY_NS, 100 * DAY_NS, 10, 14 * DAY_NS)


def _episode(day: float, ended: float = 0, component: str = "ups", terminal: str = "atm-1", **more: str) -> Episode:
    return Episode("r", terminal, component, round(day * DAY_NS), round(ended * DAY_NS), 3, 1.0, **more)  # type: ignore[arg-type]


def _fault(day: float, ended: float = 0, component: str = "ups", **more: object) -> Fault:
    return Fault("atm-1", component, "other", round(day * DAY_NS), round(ended * DAY_NS), **more)  # type: ignore[arg-type]


def _judge(episodes: list[Episode], *faults: Fault, in_force: bool = False) -> Tally:
    return judge(episodes, Faults.of(faults), SPAN, looked_at=faults, tickets={"Harbour": 20}, in_force=in_force)


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        ([], FALSE),
        ([_fault(20)], HIT),
        ([_fault(5, 30)], HIT),
        ([_fault(5, 9)], FALSE),
        ([_fault(25)], FALSE),
        ([_fault(20, component="ups/battery")], HIT),
        ([_fault(20, component="printer")], FALSE),
        ([_fault(10, verdict=REFUTED)], FALSE),
        ([_fault(10, verdict=REFUTED), _fault(15, verdict=CONFIRMED)], HIT),
    ],
    ids=["nothing", "follows", "was there", "was over", "too late", "part of it", "elsewhere", "refuted", "one of two"],
)
def test_right_is_what_a_fault_of_the_unit_overlaps_or_follows_within_the_horizon(
    faults: list[Fault], outcome: str
) -> None:
    (found,) = _judge([_episode(10, 11)], *faults).episodes
    assert found.outcome == outcome


def test_it_is_not_known_of_what_the_horizon_is_not_over() -> None:
    assert _judge([_episode(90, 91)]).unknown == 1


def test_an_alarm_in_force_is_no_evidence_for_itself_but_for_the_one_on_trial() -> None:
    own = _fault(10, 11, own=True)
    assert _judge([_episode(9, 11)], own).hits == 1
    assert _judge([_episode(10, 11)], own, in_force=True).unknown == 1
    refuted = _fault(10, 11, own=True, verdict=REFUTED)
    assert _judge([_episode(10, 11)], refuted, in_force=True).false == 1


def test_the_lead_is_the_time_from_the_alarm_to_the_first_fault_after_it() -> None:
    tally = _judge([_episode(10, 11), _episode(30, 31)], _fault(14), _fault(18), _fault(29, 32))
    assert [each.lead and each.lead / DAY_NS for each in tally.episodes] == [4.0, -1.0]
    assert (tally.lead_days, tally.earlier) == (1.5, 1)


def test_what_no_episode_was_about_is_missed() -> None:
    tally = _judge([_episode(10, 11)], _fault(14), _fault(40), _fault(14, component="printer"))
    assert (tally.faults, tally.missed) == (3, 2)


def test_a_finding_keeps_the_outcome_that_the_engine_gave_it() -> None:
    outcomes = [_episode(10, 11, outcome=each) for each in (FALSE, PREVENTED, UNKNOWN, HIT)]
    tally = _judge(outcomes, _fault(14))
    assert (tally.hits, tally.false, tally.prevented, tally.unknown) == (1, 1, 1, 1)
    assert tally.precision == 0.5


def test_rates_are_a_terminal_and_year_and_a_week() -> None:
    tally = _judge([_episode(10, 11)])
    assert tally.false_per_terminal_year == pytest.approx(365.25 / 700, abs=1e-4)
    assert tally.tickets == {"Harbour": 2.0}
