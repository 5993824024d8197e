from __future__ import annotations

import pytest

from tillwatch.collector.figures.corrections import MAX_LENGTH_NS, CorrectionError, check_correction

NOW = 10**18
GOOD = {
    "since": NOW - 100,
    "until": NOW - 50,
    "counts_as": "down",
    "reason": "the line was cut",
    "party": "network",
    "now": NOW,
}


def test_what_makes_sense_passes():
    check_correction(**GOOD)
    check_correction(**GOOD | {"counts_as": "up", "party": ""})
    check_correction(**GOOD | {"counts_as": "excluded", "party": "", "reason": "网点装修"})
    check_correction(**GOOD | {"until": NOW})
    check_correction(**GOOD | {"since": NOW - MAX_LENGTH_NS, "until": NOW})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"counts_as": "Up"}, "write one of up, down, planned, unmonitored, excluded"),
        ({"until": NOW - 100}, "ends before it begins"),
        ({"until": NOW + 1}, "is not over"),
        ({"since": NOW - MAX_LENGTH_NS - 1, "until": NOW}, "longer than a year"),
        ({"party": "the bank"}, "is no party"),
        ({"party": ""}, "who answers for it"),
        ({"reason": " "}, "write the reason"),
        ({"reason": "x" * 201}, "write the reason"),
        ({"reason": "two\nlines"}, "write the reason"),
    ],
)
def test_what_makes_none_is_refused_with_its_mend(wrong, said):
    with pytest.raises(CorrectionError, match=said):
        check_correction(**GOOD | wrong)
