"""Alerts of Jira Service Management against a fake of the documented interface: no live site."""

from __future__ import annotations

import pytest

from tests.collector.tickets.desks.contract import PushContract
from tests.collector.tickets.desks.fake_http import Reply
from tests.collector.tickets.desks.fake_jsm_ops import WAITS_S, FakeJsmOps
from tillwatch.collector.tickets.desks import jsm_ops
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import Barred, Done, Leg, Retry, Uncertain, Watched

KEY = "HWM-0011-1"


@pytest.fixture
def system(tmp_path):
    with FakeJsmOps(tmp_path) as fake:
        yield fake


@pytest.fixture
async def receiver(system):
    receiver = system.receiver(system.address)
    yield receiver
    await receiver.close()


@pytest.fixture
def tell(receiver, message):
    async def deliver(op=Op.OPEN, seq=1, *, doubtful=False, leg=None, **fields):
        told = message(op=op, seq=seq, **fields)
        return await receiver.deliver(told, None, doubtful=doubtful, leg=leg or Leg())

    return deliver


class TestJsmOps(PushContract):
    """All of it: an alias has one open alert."""


def test_it_is_only_told(receiver) -> None:
    assert not isinstance(receiver, Watched)


@pytest.mark.parametrize(("level", "priority"), [(1, "P1"), (2, "P2"), (3, "P3")])
async def test_what_an_alert_says(system, tell, level, priority) -> None:
    assert await tell(level=level, leg=Leg(queue="ATM on call")) == Done("alert-0", "", "open")
    [alert] = system.alerts
    assert (alert["alias"], alert["priority"], alert["entity"]) == (KEY, priority, "atm-017")
    assert alert["responders"] == [{"type": "team", "name": "ATM on call"}]
    assert alert["details"]["address"] == "http://127.0.0.1:8080/incident/HWM-0011-1"


@pytest.mark.parametrize(
    ("op", "fields", "state"),
    [
        (Op.UPDATE, {}, TicketState.OPEN),
        (Op.UPDATE, {"wish": TicketState.OPEN}, TicketState.OPEN),
        (Op.UPDATE, {"wish": TicketState.WORKING}, TicketState.WORKING),
        (Op.UPDATE, {"wish": TicketState.ON_HOLD}, TicketState.WORKING),
        (Op.UPDATE, {"wish": TicketState.CLOSED}, TicketState.CLOSED),
        (Op.RESOLVE, {}, TicketState.CLOSED),
    ],
)
async def test_every_change_has_its_request(system, tell, op, fields, state) -> None:
    await tell()
    outcome = await tell(op, 2, note="charge 12 %", **fields)
    assert outcome == Done("alert-0", "", state.value)
    [seen] = system.tickets(KEY)
    assert seen.state is state
    assert ["charge 12 %" in note for note in seen.notes] == ([] if fields.get("wish") is TicketState.OPEN else [True])


async def test_what_comes_back_is_a_new_alert(system, tell) -> None:
    await tell()
    await tell(Op.RESOLVE, 2)
    assert await tell(Op.UPDATE, 3, wish=TicketState.OPEN) == Done("alert-1", "", "open")


async def test_texts_fit_the_limits_of_an_alert(system, tell) -> None:
    """The fake declines what is longer."""
    assert isinstance(await tell(what="电" * 2000, action="长" * 20_000, terminal="t" * 600), Done)
    assert isinstance(await tell(Op.UPDATE, 2, note="长" * 30_000), Done)


async def test_taken_is_not_done(system, tell) -> None:
    """The outcome is asked for until there is one."""
    system.answers_late = 2
    assert isinstance(await tell(), Done)
    assert [asked.method for asked in system.asked] == ["POST", "GET", "GET", "GET"]


async def test_an_outcome_that_does_not_come_is_asked_for_again_and_nothing_sent(system, tell) -> None:
    await tell()
    system.answers_late = len(WAITS_S)
    outcome = await tell(Op.UPDATE, 2)
    assert isinstance(outcome, Uncertain)
    assert isinstance(await tell(Op.UPDATE, 2, doubtful=True), Done)
    assert len(system.alerts[0]["notes"]) == 1


async def test_a_failed_request_is_refused_and_sent_anew_the_next_time(system, tell) -> None:
    system.fails = "Alert creation is restricted by a policy"
    outcome = await tell()
    assert outcome == Retry(outcome.reason, refused=True)
    assert "restricted by a policy" in outcome.reason
    system.fails = ""
    assert isinstance(await tell(), Done)


@pytest.mark.parametrize("fields", [{"wish": TicketState.WORKING}, {}])
async def test_an_acknowledgement_or_a_note_without_an_open_alert_is_refused(system, tell, fields) -> None:
    """Taken with 202, and failed when it was carried out."""
    await tell()
    system.person("alert-0", "close")
    outcome = await tell(Op.UPDATE, 2, **fields)
    assert outcome == Retry(outcome.reason, refused=True)
    assert "no open alert" in outcome.reason


async def test_closing_what_people_closed_is_done(system, tell) -> None:
    await tell()
    system.person("alert-0", "close")
    outcome = await tell(Op.RESOLVE, 2)
    assert isinstance(outcome, Done)
    assert (outcome.state, "no alert was open" in outcome.also) == ("closed", True)


async def test_an_outcome_that_cannot_be_asked_for_leaves_it_open(system, receiver, tell, monkeypatch) -> None:
    real = system.answer
    monkeypatch.setattr(system, "answer", lambda asked: Reply(503) if asked.method == "GET" else real(asked))
    assert isinstance(await tell(), Uncertain)
    assert len(system.alerts) == 1


async def test_a_request_without_an_id_leaves_it_open(system, tell) -> None:
    system.answer = lambda _: Reply(202, {"result": "Request will be processed"})
    assert isinstance(await tell(), Uncertain)


async def test_requests_that_are_waited_for_are_bounded(system, tell, receiver, monkeypatch) -> None:
    monkeypatch.setattr(jsm_ops, "MAX_ASKED", 2)
    system.answers_late = 1000
    for seq in range(1, 6):
        assert isinstance(await tell(seq=seq), Uncertain)
    assert len(receiver._asked) == 2


@pytest.mark.parametrize("key", ["00000000-0000-0000-0000-000000000000", "short"])
async def test_a_wrong_key_bars(system, receiver, tell, key) -> None:
    system.secret.write_text(key)
    assert isinstance(await tell(), Barred)
    [problem] = await receiver.preflight()
    assert not problem.passing
    assert key not in repr(problem)


async def test_preflight_of_a_site_that_is_down_is_passing(system, receiver) -> None:
    system.answer = lambda _: Reply(503)
    [problem] = await receiver.preflight()
    assert problem.passing
