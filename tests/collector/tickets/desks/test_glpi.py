"""GLPI against a fake of its documented API: no live instance."""

from __future__ import annotations

import html
from datetime import timedelta
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.collector.tickets.desks.contract import Contract
from tests.collector.tickets.desks.fake_glpi import APP_TOKEN, BOSS, USER_TOKEN, FakeGlpi
from tests.collector.tickets.desks.fake_http import Reply
from tillwatch.collector.tickets import lookout
from tillwatch.collector.tickets.desks import glpi
from tillwatch.collector.tickets.message import TicketState
from tillwatch.collector.tickets.port import BarredError, Draft, GoneError, RejectedError

KEY = "HWM-0011-1"


@pytest.fixture
def system(tmp_path):
    with FakeGlpi(tmp_path) as fake:
        yield fake


class TestGlpi(Contract):
    keyless: ClassVar = None  # the key stands in the title
    untaken: ClassVar = None  # states are numbers; see test_a_status_that_the_profile_forbids

    @staticmethod
    def writing(method: str, path: str) -> bool:
        return method in {"POST", "PUT"} and "changeActiveEntities" not in path


@pytest.fixture
async def port(system):
    port = system.receiver(system.address).port
    yield port
    await port.close()


def draft(key: str = KEY, **given) -> Draft:
    return Draft(key, "UPS runs on battery", "line one\n<b>&amp; line two", 1, **given)


async def made(port, **given) -> str:
    return (await port.create(draft(**given))).id


async def test_what_is_written_into_a_ticket(system, port) -> None:
    await made(port, queue="Bank > North:Hardware > ATM")
    [row] = system.rows.values()
    assert row["name"] == f"[{KEY}] UPS runs on battery"
    assert (row["urgency"], row["impact"], row["type"]) == (5, 5, 1)
    assert (row["entities_id"], row["itilcategories_id"]) == (3, 17)
    assert row["content"] == "<p>line one<br>&lt;b&gt;&amp;amp; line two</p>"


@pytest.mark.parametrize(("queue", "place"), [("17", (0, 17)), ("3:17", (3, 17)), ("3:", (3, 0)), ("ATM", (0, 17))])
async def test_a_queue_is_an_entity_and_a_category(system, port, queue, place) -> None:
    await made(port, queue=queue)
    [row] = system.rows.values()
    assert (row["entities_id"], row["itilcategories_id"]) == place


async def test_a_queue_that_is_not_there_makes_no_ticket(system, port) -> None:
    with pytest.raises(RejectedError, match="no Entity 'South'"):
        await made(port, queue="South:ATM")
    assert system.rows == {}


async def test_tickets_of_all_entities_are_found(system, port) -> None:
    ticket = await made(port, queue="3:17")
    assert [each.id for each in await port.find(KEY)] == [ticket]


async def test_a_session_that_ended_is_opened_again(system, port) -> None:
    ticket = await made(port)
    system.sessions.clear()
    await port.note(ticket, "still here")
    assert (system.opened, len(system.notes)) == (2, 1)


async def test_a_session_that_ends_at_once_bars(system, port, monkeypatch) -> None:
    ticket = await made(port)
    real = system.answer

    def answer(asked):
        if asked.path.endswith("/ITILFollowup"):
            system.sessions.clear()
        return real(asked)

    monkeypatch.setattr(system, "answer", answer)
    with pytest.raises(BarredError, match="SESSION_TOKEN_INVALID"):
        await port.note(ticket, "lost")
    assert system.opened == 2


async def test_notes_are_private(system, port) -> None:
    ticket = await made(port)
    await port.note(ticket, "first\nsecond")
    [note] = system.notes
    assert note["is_private"] == 1
    assert await port.has_note(ticket, "first")
    assert not await port.has_note(ticket, "third")


async def test_a_note_is_found_behind_many_others(system, port) -> None:
    ticket = await made(port)
    await port.note(ticket, "[HWM-0011-1/2]")
    for number in range(2 * glpi.PAGE):
        system.person(ticket, "note", f"call {number}")
    assert await port.has_note(ticket, "[HWM-0011-1/2]")
    assert len((await port.read(ticket)).said) == 2 * glpi.PAGE


async def test_only_the_row_tells_whose_link_it_is(system, port) -> None:
    """The text filter on links is what keeps them few, not what decides."""
    first, second, third = [await made(port, key=f"HWM-000{n}-1") for n in range(3)]
    system.person(second, "merge", third)
    system.matches = lambda row, query: True
    system.person(first, "delete")
    assert (await port.read(second)).merged_into == third
    with pytest.raises(GoneError):
        await port.read(first)


async def test_a_purged_ticket_is_gone(port) -> None:
    with pytest.raises(GoneError):
        await port.read("999")


async def test_a_ticket_that_may_not_be_seen_is_neither_gone_nor_a_reason_to_stop(system, port) -> None:
    ticket = await made(port)
    system.hidden.add(int(ticket))
    with pytest.raises(RejectedError, match="RIGHT_MISSING"):
        await port.read(ticket)
    with pytest.raises(RejectedError, match="declined"):
        await port.set_state(ticket, TicketState.WORKING, "")


async def test_a_solution_for_what_is_solved_is_declined(system, port) -> None:
    ticket = await made(port)
    await port.set_state(ticket, TicketState.RESOLVED, "mains are back")
    with pytest.raises(RejectedError, match="already solved"):
        await port.set_state(ticket, TicketState.RESOLVED, "again")
    assert len(system.solutions) == 1


async def test_a_status_that_the_profile_forbids_reads_back_as_it_was(system, port) -> None:
    ticket = await made(port)
    system.forbidden_status = {4}
    await port.set_state(ticket, TicketState.ON_HOLD, "")
    assert (await port.read(ticket)).state is TicketState.OPEN


async def test_a_partial_answer_is_no_ticket(system, port, monkeypatch) -> None:
    def partial(*_):
        return Reply(207, ["ERROR_GLPI_PARTIAL_ADD", [{"id": False, "message": "You don't have permission"}]])

    monkeypatch.setattr(system, "add", partial)
    with pytest.raises(RejectedError, match="permission"):
        await made(port)


async def test_a_status_of_a_later_version_has_no_state(system, port) -> None:
    ticket = await made(port)
    system.rows[int(ticket)]["status"] = 10
    remote = await port.read(ticket)
    assert (remote.status, remote.state) == ("10", None)


@pytest.mark.parametrize(
    ("zone", "seconds"), [("UTC", 0), ("Asia/Shanghai", 8 * 3600), ("Europe/Berlin", 3600)], ids=str
)
async def test_times_are_told_in_the_zone_of_the_user(system, zone, seconds) -> None:
    desk = system.receiver(system.address, timezone=zone)
    ticket = (await desk.port.create(draft())).id
    at = (await desk.port.read(ticket)).updated_at
    assert at == (1_772_355_601 - seconds) * 1_000_000_000
    await desk.close()


async def test_what_the_technician_found_is_the_type_of_the_solution(system) -> None:
    desk = system.receiver(system.address, verdict_field="solutiontypes_id", verdicts={"Part changed": "part_changed"})
    ticket = (await desk.port.create(draft())).id
    assert (await desk.port.read(ticket)).verdict == ""
    system.person(ticket, "resolve", "PSU")
    assert (await desk.port.read(ticket)).verdict == "part_changed"
    await desk.close()


async def test_changes_come_once_and_none_is_missed_when_the_clocks_go_back(system, port) -> None:
    early, late = await made(port, key="HWM-0001-1"), await made(port, key="HWM-0002-1")
    _, cursor = await port.changed_since("")
    system.person(early, "own")
    system.person(late, "note", "on my way")
    changed, cursor = await port.changed_since(cursor)
    assert {each.id for each in changed} >= {early, late}
    system.now -= timedelta(hours=1)
    system.person(early, "close")
    changed, after = await port.changed_since(cursor)
    assert (early, TicketState.CLOSED) in {(each.id, each.state) for each in changed}
    assert after == cursor


async def test_a_look_for_changes_is_bounded_and_goes_on_where_it_ended(system, port, monkeypatch) -> None:
    monkeypatch.setattr(lookout, "READS", 2)
    _, cursor = await port.changed_since("")
    tickets = [await made(port, key=f"HWM-{n:04}-1") for n in range(5)]
    seen: list[str] = []
    for _ in range(3):
        changed, cursor = await port.changed_since(cursor)
        assert len(changed) <= 2
        seen += [each.id for each in changed]
    assert seen == tickets


async def test_merged_tickets_are_seen_as_changed(system, port) -> None:
    first, second = await made(port, key="HWM-0001-1"), await made(port, key="HWM-0002-1")
    _, cursor = await port.changed_since("")
    system.person(first, "merge", second)
    changed, _ = await port.changed_since(cursor)
    assert [(each.state, each.merged_into) for each in changed if each.id == first] == [(TicketState.DUPLICATE, second)]


async def test_tickets_of_others_are_none_of_ours(system, port) -> None:
    _, cursor = await port.changed_since("")
    ticket = await made(port)
    system.rows[int(ticket)]["name"] = "[URGENT] printer is out of paper"
    assert (await port.changed_since(cursor))[0] == []


@pytest.mark.parametrize(
    ("secret", "code"),
    [
        (USER_TOKEN, "APP_TOKEN_PARAMETERS_MISSING"),
        (f"{USER_TOKEN}\nno", "WRONG_APP_TOKEN"),
        (f"no\n{APP_TOKEN}", "GLPI_LOGIN_USER_TOKEN"),
    ],
)
async def test_preflight_says_which_token_is_wrong(system, port, secret, code) -> None:
    system.secret.write_text(secret)
    [problem] = await port.preflight()
    assert code in problem.what


async def test_preflight_looks_at_the_search_options(system, port) -> None:
    system.options["19"] = "priority"
    [problem] = await port.preflight()
    assert problem.what == "search option 19 is not date_mod here"


async def test_search_that_answers_with_other_tickets_is_refused(system, port, monkeypatch) -> None:
    """As a search does whose criterion was dropped."""
    await made(port, key="HWM-9999-1")
    real = system.search
    plain = {"range": "0-9", "is_deleted": "0", "forcedisplay[0]": "1"}
    monkeypatch.setattr(system, "search", lambda _, *, everywhere: real(plain, everywhere=everywhere))
    with pytest.raises(RejectedError, match="with other tickets"):
        await port.find(KEY)


async def test_people_have_names_in_their_own_script(system, port) -> None:
    ticket = await made(port)
    system.actors.append({"id": 9, "tickets_id": int(ticket), "users_id": BOSS, "type": 2})
    assert (await port.read(ticket)).owner == "管理员"


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", 5])
def test_a_zone_that_is_none(zone) -> None:
    with pytest.raises(ValueError, match="Asia/Shanghai"):
        glpi.Settings.__dataclass_fields__["timezone"].metadata["read"](zone)


@given(st.text(st.characters(exclude_categories=["C"])), st.booleans())
def test_a_text_comes_back_as_it_was_written(text, encoded) -> None:
    """Of versions that store brackets as entities, and of those that do not."""
    stored = glpi._rich(text)
    assert glpi._plain(html.escape(stored, quote=False) if encoded else stored) == text.strip()


async def test_a_person_whom_we_may_not_read_has_a_number(system, port) -> None:
    ticket = await made(port)
    system.actors.append({"id": 9, "tickets_id": int(ticket), "users_id": 404, "type": 2})
    assert (await port.read(ticket)).owner == "404"


async def test_one_ticket_that_cannot_be_read_hides_no_other(system, port, monkeypatch) -> None:
    _, cursor = await port.changed_since("")
    first, second = await made(port, key="HWM-0001-1"), await made(port, key="HWM-0002-1")
    real = system.answer
    refused = Reply(403, ["ERROR_RIGHT_MISSING", "You don't have permission to perform this action."])
    shut = f"/apirest.php/Ticket/{first}"
    monkeypatch.setattr(system, "answer", lambda asked: refused if asked.path == shut else real(asked))
    assert [each.id for each in (await port.changed_since(cursor))[0]] == [second]


async def test_no_secret_bars_and_says_where_it_should_be(system, port) -> None:
    system.secret.unlink()
    with pytest.raises(BarredError, match="glpi-secret"):
        await port.find(KEY)
    [problem] = await port.preflight()
    assert not problem.passing


async def test_a_second_change_in_the_same_second_is_not_missed(system, port) -> None:
    ticket = await made(port)
    _, cursor = await port.changed_since("")
    system.person(ticket, "own")
    changed, cursor = await port.changed_since(cursor)
    assert changed[-1].state is TicketState.WORKING
    system.rows[int(ticket)]["status"] = 6
    [remote], cursor = await port.changed_since(cursor)
    assert remote.state is TicketState.CLOSED
