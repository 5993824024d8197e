from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import RejectedError
from tillwatch.collector.tickets.products.jira_workflow import CATEGORIES, next_step, reached


def state_of(status):
    return CATEGORIES.get(status["statusCategory"]["key"])


def way(name, to, category, **fields):
    return {"id": name, "name": name, "to": {"id": to, "statusCategory": {"key": category}}, "fields": fields}


MUST = {"required": True, "hasDefaultValue": False}


def test_what_waits_comes_before_what_is_worked_on() -> None:
    ways = [way("a", "2", "indeterminate"), way("b", "1", "new"), way("c", "4", "done")]
    assert next_step(ways, TicketState.OPEN, state_of, "Done", frozenset({"5"})).id == "b"
    assert next_step(ways[:1], TicketState.OPEN, state_of, "Done", frozenset({"5"})).id == "a"


@pytest.mark.parametrize(
    "target", [TicketState.RESOLVED, TicketState.CLOSED, TicketState.DUPLICATE, TicketState.REJECTED]
)
def test_every_end_is_a_status_that_is_done(target) -> None:
    ways = [way("a", "2", "indeterminate"), way("c", "4", "done")]
    assert next_step(ways, target, state_of, "Done", frozenset()).id == "c"


def test_a_screen_that_cannot_be_filled_is_passed_by() -> None:
    ways = [way("a", "4", "done", customfield_1=MUST), way("b", "5", "done", customfield_1={"required": False})]
    assert next_step(ways, TicketState.RESOLVED, state_of, "Done", frozenset()).id == "b"
    with pytest.raises(RejectedError, match="'a' asks for customfield_1"):
        next_step(ways[:1], TicketState.RESOLVED, state_of, "Done", frozenset())


@pytest.mark.parametrize(
    ("told", "given"),
    [
        (None, {}),
        ({"required": False, "allowedValues": [{"name": "Fixed"}]}, {}),
        ({"required": True, "allowedValues": [{"name": "Fixed"}]}, {"resolution": {"name": "Fixed"}}),
        ({"required": False, "allowedValues": [{"name": "Fixed"}, {"name": "Done"}]}, {"resolution": {"name": "Done"}}),
        ({"required": True}, {"resolution": {"name": "Done"}}),
    ],
)
def test_resolution_that_a_screen_takes(told, given) -> None:
    ways = [way("a", "4", "done", **({"resolution": told} if told else {}))]
    assert next_step(ways, TicketState.RESOLVED, state_of, "Done", frozenset()).fields == given


workflows = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=4, unique=True), min_size=2
)
categories = st.fixed_dictionaries({name: st.sampled_from([*CATEGORIES, "undefined"]) for name in "abcdef"})


@given(workflows, categories, st.sampled_from(list(TicketState)))
def test_any_workflow_is_walked_to_an_end(workflow, category, target) -> None:
    """Every step leads to the target or to a status not seen yet, so that the walk is no longer than there are statuses."""
    here, been = "a", set[str]()
    for _ in range(len(category) + 1):
        if reached(target, CATEGORIES.get(category[here])):
            return
        been.add(here)
        ways = [way(f"to {to}", to, category[to]) for to in workflow.get(here, [])]
        try:
            step = next_step(ways, target, state_of, "Done", frozenset(been))
        except RejectedError:
            assert all(
                to in been and not reached(target, CATEGORIES.get(category[to])) for to in workflow.get(here, [])
            )
            return
        assert step.to in workflow[here]
        here = step.to
    raise AssertionError("it went in circles")


def test_nothing_is_reached_by_a_category_that_says_nothing() -> None:
    assert not any(reached(target, None) for target in TicketState)
