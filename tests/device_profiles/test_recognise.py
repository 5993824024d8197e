from __future__ import annotations

import pytest

from tillwatch.device_profiles.model import Match, Recognition
from tillwatch.device_profiles.recognise import AmbiguousError, beneath, questions, recognise


def specific(name: str, *rules: Match) -> Recognition:
    return Recognition(name, generic=False, matches=rules)


MAKER = specific("maker", Match(object_id="1.3.6.1.4.1.318"))
MODEL = specific("model", Match(object_id="1.3.6.1.4.1.318.1.3"), Match(description="^Old card"))
UPS = Recognition("ups-mib", generic=True, matches=(Match(present=("1.3.6.1.2.1.33",)),))
NET = Recognition("if-mib", generic=True, matches=(Match(present=("1.3.6.1.2.1.2",)),))


def found(known: list[Recognition], object_id: str = "", description: str = "", *present: str) -> tuple[str, ...]:
    return recognise(known, object_id, description, present.__contains__)


def test_the_longest_prefix_wins_and_generic_profiles_stand_back() -> None:
    assert found([MAKER, MODEL, UPS], "1.3.6.1.4.1.318.1.3.27", "", "1.3.6.1.2.1.33") == ("model",)
    assert found([MAKER, MODEL, UPS], "1.3.6.1.4.1.318.9", "", "1.3.6.1.2.1.33") == ("maker",)


def test_a_prefix_is_of_whole_numbers() -> None:
    assert found([MAKER], "1.3.6.1.4.1.3180.1") == ()
    assert beneath("1.3.6.10", "1.3.6.1") is False
    assert beneath("1.3.6.1", "1.3.6.1")


def test_any_rule_of_a_profile_is_enough_but_all_of_a_rule_must_hold() -> None:
    assert found([MODEL], "", "Old card 7") == ("model",)
    both = specific("both", Match(object_id="1.3.6.1.4.1.1", description="UPS"))
    assert found([both], "1.3.6.1.4.1.1.5", "PDU") == ()


def test_without_a_specific_profile_all_generic_ones_are_used() -> None:
    assert found([UPS, MAKER, NET], "1.3.6.1.4.1.1", "", "1.3.6.1.2.1.2", "1.3.6.1.2.1.33") == ("if-mib", "ups-mib")
    assert found([UPS, MAKER, NET], "1.3.6.1.4.1.1") == ()


def test_a_tie_names_both_and_the_mend() -> None:
    twin = specific("twin", Match(object_id="1.3.6.1.4.1.318"))
    with pytest.raises(
        AmbiguousError, match=r"maker and twin fit sysObjectID 1.3.6.1.4.1.318.4 equally well; give one a longer"
    ):
        found([MAKER, twin], "1.3.6.1.4.1.318.4")


def test_more_conditions_break_a_tie() -> None:
    finer = specific("finer", Match(object_id="1.3.6.1.4.1.318", present=("1.3.9",)))
    assert found([MAKER, finer], "1.3.6.1.4.1.318.4", "", "1.3.9") == ("finer",)
    assert found([MAKER, finer], "1.3.6.1.4.1.318.4") == ("maker",)


def test_each_question_is_asked_once() -> None:
    assert questions([UPS, NET, UPS], "", "") == ("1.3.6.1.2.1.2", "1.3.6.1.2.1.33")


def test_only_what_can_still_matter_is_asked() -> None:
    other = specific("other", Match(object_id="1.3.6.1.4.1.9", present=("1.3.7",)))
    assert questions([UPS, other], "1.3.6.1.4.1.318.1", "") == ("1.3.6.1.2.1.33",)
    assert questions([UPS, other], "1.3.6.1.4.1.9.1", "") == ("1.3.6.1.2.1.33", "1.3.7")


def test_beside_a_specific_profile_stand_the_generic_ones_that_it_names_and_that_fit() -> None:
    router = Recognition(
        "router", generic=False, matches=(Match(object_id="1.3.6.1.4.1.9"),), adds=("if-mib", "ups-mib")
    )
    assert found([UPS, NET, router], "1.3.6.1.4.1.9.1", "", "1.3.6.1.2.1.2") == ("router", "if-mib")
    assert found([UPS, NET, router], "1.3.6.1.4.1.9.1", "", "1.3.6.1.2.1.2", "1.3.6.1.2.1.33") == (
        "router",
        "if-mib",
        "ups-mib",
    )
    assert found([UPS, NET, MAKER], "1.3.6.1.4.1.318.1", "", "1.3.6.1.2.1.2") == ("maker",)
