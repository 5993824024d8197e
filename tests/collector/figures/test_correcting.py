from __future__ import annotations

import pytest

from tillwatch.collector.figures.availability import History
from tillwatch.collector.figures.correcting import MAX_REASON, CorrectionError, check, effects
from tillwatch.collector.records import Correction, StateChange

H = 3600 * 10**9
NOW = 1_000 * H


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"until": NOW + 1}, "to"),
        ({"until": 10 * H}, "to"),
        ({"since": -1}, "to"),
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * (MAX_REASON + 1)}, "reason"),
        ({"reason": "a\nb"}, "reason"),
        ({"counts_as": "fine"}, "counts_as"),
        ({"party": "nobody"}, "party"),
    ],
)
def test_what_cannot_be_meant_is_said_with_its_field(changed, field):
    asked = {"since": 10 * H, "until": 12 * H, "counts_as": "planned", "reason": "move", "party": "branch", **changed}
    with pytest.raises(CorrectionError) as refused:
        check(**asked, now=NOW)
    assert refused.value.field == field


def test_a_reason_loses_the_blanks_around_it():
    assert check(10 * H, 12 * H, "excluded", "  搬迁 ", "planned", NOW) == "搬迁"


def correction(n, since, until, counts_as):
    return Correction(n, "t", since * H, until * H, counts_as, "x", "branch", "ann", n)


def state(since, name, **more):
    return StateChange("t", since * H, since * H, name, **more)


def test_an_effect_is_what_the_time_counted_as_before_and_counts_as_with_it():
    changes = [state(0, "in_service"), state(10, "out_of_service", reason="atm.jam"), state(14, "in_service")]
    said = [correction(1, 9, 12, "planned"), correction(2, 11, 15, "excluded"), correction(3, 8, 16, "up")]
    first, second, third = effects(History(changes, (), said), [(0, 24 * H)])
    assert (first.before, first.after) == ({"up": H, "down": 2 * H}, {"planned": 3 * H})
    # Of four hours one was planned by then; excluded is out of the schedule.
    assert (second.before, second.after, second.scheduled) == ({"up": H, "down": 2 * H, "planned": H}, {}, 4 * H)
    assert (third.before, third.after) == ({"up": 2 * H, "planned": 2 * H}, {"up": 8 * H})
    assert [each.counts for each in (first, second, third)] == [False, False, True]


def test_only_scheduled_time_is_changed():
    (one,) = effects(History([state(0, "in_service")], (), [correction(1, 2, 20, "down")]), [(8 * H, 12 * H)])
    assert (one.before, one.after, one.scheduled) == ({"up": 4 * H}, {"down": 4 * H}, 4 * H)
