from __future__ import annotations

import pytest

from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.state_words import INSTEAD, StateWords

KNOWN = {"new": TicketState.OPEN, "open": TicketState.WORKING, "done": TicketState.RESOLVED}


def test_what_a_word_means() -> None:
    words = StateWords(KNOWN, {"vendor": "on_hold", "new": "working"})
    assert [words.meaning(word) for word in ("vendor", "new", "done", "strange")] == [
        TicketState.ON_HOLD,
        TicketState.WORKING,
        TicketState.RESOLVED,
        None,
    ]


@pytest.mark.parametrize(
    ("explained", "target", "words"),
    [
        ({}, TicketState.OPEN, ["new", "open"]),
        ({}, TicketState.DUPLICATE, ["done"]),
        ({}, TicketState.ON_HOLD, []),
        ({"fixed": "resolved"}, TicketState.RESOLVED, ["fixed"]),
        ({"shut": "closed"}, TicketState.RESOLVED, ["done", "shut"]),
        ({"new": "working"}, TicketState.OPEN, ["new"]),
    ],
)
def test_what_a_state_is_set_as(explained, target, words) -> None:
    assert StateWords(KNOWN, explained).of(target) == words


def test_over_stays_over() -> None:
    for target, others in INSTEAD.items():
        assert {other.over for other in others} == {target.over}
