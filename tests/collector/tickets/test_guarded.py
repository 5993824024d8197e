from __future__ import annotations

import pytest

from tillwatch.collector.tickets.guarded import guarded, place_of
from tillwatch.collector.tickets.port import BarredError, GoneError, RejectedError, UnclearError

ODD = [KeyError("t0ken"), TypeError("t0ken"), ValueError("t0ken"), IndexError(), OverflowError(), OSError(75, "t0ken")]


@guarded
class Stumbling:
    name = "desk"

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def read(self, ticket: str) -> None:
        raise self.error

    async def note(self, ticket: str, text: str) -> None:
        raise self.error

    async def find(self, key: str) -> None:
        raise self.error

    async def preflight(self) -> list:
        raise self.error


@pytest.mark.parametrize("error", ODD, ids=repr)
async def test_an_answer_that_cannot_be_read(error) -> None:
    desk = Stumbling(error)
    with pytest.raises(RejectedError, match=r"desk answered in a form.*test_guarded.py") as read:
        await desk.read(ticket="5")
    with pytest.raises(UnclearError) as wrote:
        await desk.note("5", "more")
    [problem] = await desk.preflight()
    assert not problem.passing
    assert "t0ken" not in f"{read.value}{wrote.value}{problem}"


async def test_the_exceptions_of_the_contract_pass() -> None:
    for error in (BarredError("no"), GoneError("no")):
        with pytest.raises(type(error)):
            await Stumbling(error).read("5")


async def test_what_is_gone_is_a_ticket_only_where_one_was_named() -> None:
    with pytest.raises(RejectedError):
        await Stumbling(GoneError("no such path")).find("HWM-0011-1")


def test_a_place_says_nothing_of_the_words() -> None:
    assert place_of(ValueError("t0ken")) == "ValueError"
