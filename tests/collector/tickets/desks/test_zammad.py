"""Zammad against a fake of its documented API: no live instance."""

from __future__ import annotations

import pytest

from tests.collector.tickets.desks.contract import Contract
from tests.collector.tickets.desks.fake_http import Reply
from tests.collector.tickets.desks.fake_zammad import US, FakeZammad
from tillwatch.collector.tickets import lookout
from tillwatch.collector.tickets.desks import zammad
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import Done, Draft, GoneError, Leg, RejectedError

KEY = "HWM-0011-1"


@pytest.fixture
def system(tmp_path):
    with FakeZammad(tmp_path) as fake:
        yield fake


class TestZammad(Contract):
    def settle(self, system) -> None:
        system.now += zammad.SETTLE_S


@pytest.fixture
async def port(system):
    port = system.receiver(system.address).port
    yield port
    await port.close()


async def made(port, key: str = KEY, **given) -> str:
    return (await port.create(Draft(key, "UPS runs on battery", "line one\nline two", 1, **given))).id


async def test_what_is_written_into_a_ticket(system, port) -> None:
    await made(port)
    [row], [article] = system.rows.values(), system.articles
    assert (row["title"], row["group"], row["priority"]) == ("UPS runs on battery", "Hardware", "3 high")
    assert (row["customer"], row["hwm_incident"]) == (US, KEY)
    assert (article["internal"], article["type"], article["content_type"]) == (True, "note", "text/plain")


async def test_the_queue_of_a_route_is_the_group(system, port) -> None:
    await made(port, queue="Users")
    assert [row["group"] for row in system.rows.values()] == ["Users"]


async def test_a_group_that_is_not_there_makes_no_ticket(system, port) -> None:
    with pytest.raises(RejectedError, match="No lookup value found for 'group'"):
        await made(port, queue="Old")
    assert system.rows == {}


async def test_an_attempt_in_doubt_waits_for_the_index(system, message) -> None:
    """Looked for too early, the ticket is not there yet: this is what the settle time is for."""
    desk = system.receiver(system.address)
    assert desk.settle_s == zammad.SETTLE_S
    await desk.deliver(message(), None, doubtful=False, leg=Leg())
    assert await desk.port.find(KEY) == []
    system.now += desk.settle_s
    assert len(await desk.port.find(KEY)) == 1
    await desk.close()


async def test_a_key_that_the_ticket_object_does_not_have_is_seen_after_writing(system, message) -> None:
    desk = system.receiver(system.address, key_field="no_such_field")
    outcome = await desk.deliver(message(), None, doubtful=False, leg=Leg())
    assert isinstance(outcome, Done)
    assert "does not show its key" in outcome.also
    await desk.close()


async def test_a_search_that_answers_with_other_tickets_is_refused(system, port, monkeypatch) -> None:
    await made(port, "HWM-9999-1")
    system.now += zammad.SETTLE_S
    monkeypatch.setattr(system, "hit", lambda row, term: True)
    with pytest.raises(RejectedError, match="1 other tickets"):
        await port.find(KEY)


async def test_notes_are_internal(system, port) -> None:
    ticket = await made(port)
    await port.note(ticket, "a < b > c")
    assert system.articles[-1]["internal"] is True
    assert await port.has_note(ticket, "a < b > c")


async def test_what_people_write_comes_without_its_markup(system, port) -> None:
    ticket = await made(port)
    await port.note(ticket, "ours")
    system.person(ticket, "note", "on my way")
    [said] = (await port.read(ticket)).said
    assert (said.text, said.by) == ("on my way\n& more", "weiss@bank.example")


async def test_on_hold_comes_back_after_a_day(system, port) -> None:
    ticket = await made(port)
    await port.set_state(ticket, TicketState.ON_HOLD, "waits for a part")
    assert (await port.read(ticket)).state is TicketState.ON_HOLD


@pytest.mark.parametrize(
    ("states", "target", "word"),
    [
        ({}, TicketState.OPEN, "new"),
        ({}, TicketState.RESOLVED, "closed"),
        ({}, TicketState.DUPLICATE, "closed"),
        ({"gelöst": "resolved"}, TicketState.RESOLVED, "gelöst"),
        ({"in Arbeit": "working"}, TicketState.WORKING, "in Arbeit"),
        ({"in Arbeit": "working"}, TicketState.RESOLVED, "closed"),
    ],
)
async def test_states_have_the_words_of_the_configuration(system, states, target, word) -> None:
    system.states |= set(states)
    desk = system.receiver(system.address, states=states)
    ticket = await made(desk.port)
    await desk.port.set_state(ticket, target, "")
    assert system.rows[int(ticket)]["state"] == word
    await desk.close()


async def test_preflight_looks_for_the_words_of_states(system, port) -> None:
    system.states = {"neu", "open", "pending reminder", "closed"}
    [problem] = await port.preflight()
    assert problem.what == "Zammad has no state 'new'"


async def test_preflight_sees_attributes_without_administering(system) -> None:
    system.administers = False
    desk = system.receiver(system.address, key_field="no_such_field")
    assert await desk.port.preflight() == []
    await made(desk.port)
    [problem] = await desk.port.preflight()
    assert "no_such_field" in problem.what
    await desk.close()


async def test_a_group_that_was_switched_off_is_named(system) -> None:
    desk = system.receiver(system.address, queue="Old")
    [problem] = await desk.preflight()
    assert "'Old'" in problem.what
    await desk.close()


async def test_a_ticket_that_may_not_be_seen_is_neither_gone_nor_a_reason_to_stop(system, port) -> None:
    ticket = await made(port)
    system.hidden.add(int(ticket))
    with pytest.raises(RejectedError, match="Not authorized"):
        await port.read(ticket)
    with pytest.raises(GoneError):
        await port.read("999")


async def test_what_the_technician_found(system) -> None:
    desk = system.receiver(system.address, verdict_field="finding", verdicts={"PSU replaced": "part_changed"})
    ticket = await made(desk.port)
    system.rows[int(ticket)]["finding"] = "PSU replaced"
    assert (await desk.port.read(ticket)).verdict == "part_changed"
    await desk.close()


async def test_changes_come_once_though_the_index_lags(system, port) -> None:
    tickets = [await made(port, f"HWM-{n:04}-1") for n in range(4)]
    system.now += zammad.SETTLE_S
    _, cursor = await port.changed_since("")
    seen: list[str] = []
    for ticket in tickets:
        system.person(ticket, "own")
        system.now += 20.0
        changed, cursor = await port.changed_since(cursor)
        seen += [each.id for each in changed if each.owner]
    system.now += zammad.SETTLE_S
    changed, cursor = await port.changed_since(cursor)
    seen += [each.id for each in changed if each.owner]
    assert sorted(set(seen)) == tickets
    assert (await port.changed_since(cursor))[0] == []


async def test_a_look_for_changes_is_bounded_and_goes_on_where_it_ended(system, port, monkeypatch) -> None:
    monkeypatch.setattr(lookout, "READS", 2)
    monkeypatch.setattr(zammad, "PAGE", 2)
    _, cursor = await port.changed_since("")
    tickets = [await made(port, f"HWM-{n:04}-1") for n in range(5)]
    system.now += zammad.SETTLE_S
    seen: list[str] = []
    for _ in range(3):
        changed, cursor = await port.changed_since(cursor)
        assert len(changed) <= 2
        seen += [each.id for each in changed]
    assert seen == tickets


async def test_merged_tickets_are_seen_as_changed(system, port) -> None:
    first, second = await made(port, "HWM-0001-1"), await made(port, "HWM-0002-1")
    _, cursor = await port.changed_since("")
    system.person(first, "merge", second)
    system.now += zammad.SETTLE_S
    changed, _ = await port.changed_since(cursor)
    assert [(each.state, each.merged_into) for each in changed if each.id == first] == [(TicketState.DUPLICATE, second)]


async def test_reopening_does_not_look_as_if_somebody_worked_on_it(system, message) -> None:
    desk = system.receiver(system.address)
    made_it = await desk.deliver(message(), None, doubtful=False, leg=Leg())
    assert isinstance(made_it, Done)
    system.person(made_it.external_id, "close")
    system.now += zammad.SETTLE_S
    again = message(op=Op.UPDATE, seq=2, wish=TicketState.OPEN)
    outcome = await desk.deliver(again, None, doubtful=False, leg=Leg())
    assert isinstance(outcome, Done)
    assert outcome.state == "open"
    await desk.close()


async def test_one_ticket_that_cannot_be_read_hides_no_other(system, port, monkeypatch) -> None:
    _, cursor = await port.changed_since("")
    first, second = await made(port, "HWM-0001-1"), await made(port, "HWM-0002-1")
    system.now += zammad.SETTLE_S
    real = system.answer
    shut = f"/api/v1/ticket_articles/by_ticket/{first}"
    refused = Reply(403, {"error": "Not authorized"})
    monkeypatch.setattr(system, "answer", lambda asked: refused if asked.path == shut else real(asked))
    assert [each.id for each in (await port.changed_since(cursor))[0]] == [second]


async def test_a_change_that_is_indexed_behind_a_later_one_is_not_missed(system, port) -> None:
    first, second = await made(port, "HWM-0001-1"), await made(port, "HWM-0002-1")
    _, cursor = await port.changed_since("")
    system.now += 700.0
    system.person(second, "own")
    system.now += zammad.SETTLE_S
    _, cursor = await port.changed_since(cursor)
    system.lag_s = 300.0
    system.person(first, "close")
    system.now += 120.0
    system.lag_s = 0.0
    system.person(second, "close")
    changed, cursor = await port.changed_since(cursor)
    assert [each.id for each in changed] == [second]
    system.now += 300.0
    changed, cursor = await port.changed_since(cursor)
    assert [(each.id, each.state) for each in changed] == [(first, TicketState.CLOSED)]
