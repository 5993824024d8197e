"""ServiceNow incidents against a fake that swallows what the product swallows: no live instance."""

from __future__ import annotations

from typing import ClassVar

import pytest

from tests.collector.tickets.desks.contract import Contract
from tests.collector.tickets.desks.fake_http import Reply
from tests.collector.tickets.desks.fake_servicenow import NO_RECORD, TOKEN, FakeServiceNow, failure
from tillwatch.collector import config
from tillwatch.collector.tickets.desks import servicenow, servicenow_events
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import Barred, Done, Leg, Link, NotAppliedError, RejectedError, Retry, Uncertain

START = 1_772_352_000


class Clock:
    """Stands still unless a test moves it."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def system(clock):
    with FakeServiceNow(clock) as fake:
        yield fake


class TestServiceNow(Contract):
    keyless: ClassVar = None  # correlation_id is a column of every task
    untaken: ClassVar = None  # see test_state_that_a_rule_takes_back_is_refused


@pytest.fixture
async def desk(system):
    desk = system.receiver(system.address, caller="Li Wei")
    yield desk
    await desk.close()


@pytest.fixture
def tell(desk, message):
    async def deliver(op=Op.OPEN, seq=1, *, link="", doubtful=False, leg=None, **fields):
        known = Link(link, "", "") if link else None
        return await desk.deliver(message(op=op, seq=seq, **fields), known, doubtful=doubtful, leg=leg or Leg())

    return deliver


KEY = "HWM-0011-1"


async def test_what_is_written_into_an_incident(system, tell) -> None:
    assert isinstance(await tell(level=1), Done)
    [row] = system.incidents(KEY)
    told = {
        name: row[name] for name in ("assignment_group", "caller_id", "cmdb_ci", "impact", "urgency", "contact_type")
    }
    assert told == {
        "assignment_group": system.group_id,
        "caller_id": system.person_id,
        "cmdb_ci": system.item_id,
        "impact": "1",
        "urgency": "1",
        "contact_type": "monitoring",
    }
    assert (row["correlation_id"], row["correlation_display"]) == (KEY, "tillwatch")


@pytest.mark.parametrize("items", [0, 2])
async def test_terminal_that_is_not_exactly_one_item_is_told_without(system, tell, items) -> None:
    system.tables["cmdb_ci"] *= items
    assert isinstance(await tell(), Done)
    assert system.incidents(KEY)[0]["cmdb_ci"] == ""


async def test_group_that_is_not_there_is_no_ticket_without_a_group(system, desk, message) -> None:
    """Written as it is, it would be stored as empty, with 201."""
    outcome = await desk.deliver(message(), None, doubtful=False, leg=Leg(queue="Hardwear"))
    assert outcome == Retry(outcome.reason, refused=True)
    assert "Hardwear" in outcome.reason
    assert system.incidents(KEY) == []


async def test_resolving_gives_what_the_data_policy_wants(system, tell) -> None:
    made = await tell()
    outcome = await tell(Op.RESOLVE, 2, link=made.external_id, wish=TicketState.RESOLVED, note="mains are back")
    assert (outcome.external_id, outcome.state) == (made.external_id, "resolved")
    [row] = system.incidents(KEY)
    assert (row["state"], row["close_code"], row["close_notes"]) == ("6", "Solution provided", "mains are back")


async def test_data_policy_with_more_fields_refuses_the_row_and_not_the_desk(system, desk, tell) -> None:
    made = await tell()
    with pytest.raises(RejectedError, match=r"Data Policy Exception.*close_notes"):
        await desk.port.set_state(made.external_id, TicketState.RESOLVED, "")


async def test_user_who_may_not_create_bars_the_desk(system, desk, message) -> None:
    denied = failure(403, "Operation Failed", "ACL Exception Insert Failed due to security constraints")
    answer = system.answer
    system.answer = lambda asked: denied if asked.method == "POST" else answer(asked)
    outcome = await desk.deliver(message(), None, doubtful=False, leg=Leg())
    assert isinstance(outcome, Barred)
    assert "ACL Exception" in outcome.reason


async def test_state_that_a_rule_takes_back_is_refused(system, tell) -> None:
    made = await tell()
    system.reverted = True
    outcome = await tell(Op.RESOLVE, 2, link=made.external_id, wish=TicketState.RESOLVED)
    assert isinstance(outcome, Uncertain)
    assert "still '1': resolved was not taken" in outcome.reason


@pytest.mark.parametrize("act", ["close", "cancel"])
async def test_closed_incident_is_made_anew_when_the_fault_comes_back(system, tell, act) -> None:
    made = await tell()
    system.person(made.external_id, "close")
    if act == "cancel":
        system.incidents(KEY)[0]["state"] = "8"
    outcome = await tell(Op.UPDATE, 2, link=made.external_id, wish=TicketState.OPEN)
    assert isinstance(outcome, Done)
    assert outcome.external_id != made.external_id
    assert "cannot be opened again" in outcome.also


async def test_resolved_incident_goes_back_into_progress(system, tell) -> None:
    made = await tell()
    system.person(made.external_id, "resolve")
    outcome = await tell(Op.UPDATE, 2, link=made.external_id, wish=TicketState.OPEN)
    assert (outcome.external_id, outcome.state) == (made.external_id, "working")


@pytest.mark.parametrize("no_rows", [False, True])
async def test_query_that_is_not_understood_finds_nothing_and_makes_nothing(system, desk, tell, no_rows) -> None:
    """All rows come back for a column that the user may not read; none, where the instance is set so."""
    await tell(incident="HWM-0011-2")
    system.hidden, system.no_rows = {"correlation_id"}, no_rows
    if not no_rows:
        with pytest.raises(RejectedError, match="does not search correlation_id"):
            await desk.port.find(KEY)
        outcome = await tell(doubtful=True)
        assert outcome == Retry(outcome.reason, refused=True)
        assert system.incidents(KEY) == []
        [problem] = await desk.preflight()
        assert "correlation_id" in problem.what
    else:
        outcome = await tell()
        assert "does not show its key" in outcome.also


async def test_poll_of_all_incidents_is_not_taken_for_ours(system, desk) -> None:
    system._add("incident", state="1", number="INC0000001", sys_updated_on=system.now())
    system.hidden = {"correlation_display"}
    with pytest.raises(RejectedError, match="other incidents than ours"):
        await desk.port.changed_since("0")


async def test_poll_pages_through_what_changed_in_one_second(system, desk, clock) -> None:
    for number in range(2 * servicenow.PAGE + 5):
        row = {"correlation_id": f"HWM-{number}-1", "correlation_display": "tillwatch", "state": "1"}
        system._add("incident", **row, sys_updated_on=system.now(), number=f"INC{number:07d}")
    seen, cursor = [], str(START)
    for _ in range(4):
        changed, cursor = await desk.port.changed_since(cursor)
        seen += [remote.key for remote in changed]
    assert set(seen) == {f"HWM-{number}-1" for number in range(2 * servicenow.PAGE + 5)}


async def test_poll_goes_on_behind_what_may_still_be_written(system, desk, tell, clock) -> None:
    made = await tell()
    _, cursor = await desk.port.changed_since("")
    clock.now += 3600
    assert (await desk.port.changed_since(cursor))[0][0].id == made.external_id
    system.person(made.external_id, "own")
    [remote], after = await desk.port.changed_since(cursor)
    assert (remote.owner, remote.by, remote.updated_at) == ("Li Wei", "li.wei", int(clock.now) * servicenow.SECOND)
    assert int(after) == int(clock.now) - servicenow.OVERLAP_S
    # A write that began before the cursor's newest, and was committed after it.
    clock.now -= 100
    await tell(incident="HWM-0012-1")
    changed, _ = await desk.port.changed_since(after)
    assert "HWM-0012-1" in {remote.key for remote in changed}


async def test_first_poll_of_an_instance_without_incidents_misses_none_of_the_first(desk, tell) -> None:
    _, cursor = await desk.port.changed_since("")
    await tell()
    assert [remote.key for remote in (await desk.port.changed_since(cursor))[0]] == [KEY]


async def test_journal_is_what_others_wrote(system, desk, tell) -> None:
    made = await tell()
    await tell(Op.UPDATE, 2, link=made.external_id)
    system.person(made.external_id, "note", "换了电池")
    [said] = (await desk.port.read(made.external_id)).said
    assert (said.by, said.text, said.at) == ("li.wei", "换了电池", START * servicenow.SECOND)


async def test_verdict_of_the_technician_comes_back(system, desk, tell) -> None:
    made = await tell()
    system.person(made.external_id, "finding", "replaced")
    assert (await desk.port.read(made.external_id)).verdict == "part_changed"


async def test_bearer_token_is_told_by_its_form(system, tmp_path) -> None:
    held = tmp_path / "token"
    held.write_text(TOKEN + "\n")
    desk = system.receiver(system.address, secret_file=held)
    assert await desk.preflight() == []
    await desk.close()


async def test_rate_limit_is_waited_for(system, tell) -> None:
    system.calls = 1
    outcome = await tell()
    assert outcome == Retry(outcome.reason, after_s=1.0)


async def test_list_that_was_cut_off_by_the_time_limit_is_no_list(system, desk, tell) -> None:
    """It ends in an error under a 200, and would look like no ticket."""
    await tell()
    error = {"message": "Transaction cancelled: maximum execution time exceeded", "detail": None}
    system.answer = lambda _: Reply(200, {"result": [], "error": error, "status": "failure"})
    with pytest.raises(NotAppliedError, match="maximum execution time"):
        await desk.port.find(KEY)


async def test_old_releases_answer_404_where_nothing_matches(system, desk) -> None:
    system.answer = lambda _: Reply(404, {"error": NO_RECORD, "status": "failure"})
    assert await desk.port.find(KEY) == []
    system.answer = lambda _: Reply(404, {"error": {"message": "Page not found"}})
    with pytest.raises(RejectedError, match="no Table API"):
        await desk.port.find(KEY)


async def test_key_that_would_become_part_of_the_query_is_refused(desk) -> None:
    with pytest.raises(RejectedError, match="encoded query"):
        await desk.port.find("HWM-1^ORstate=1")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"close_code": "Solved (Permanently)"}, "Solved (Permanently)"),
        ({"duplicate_code": "Double"}, "Double"),
        ({"caller": "nobody"}, "nobody"),
        ({"verdict_field": "u_nothing"}, "u_nothing"),
    ],
)
async def test_preflight_names_what_does_not_fit(system, tell, settings, named) -> None:
    await tell()
    desk = system.receiver(system.address, **settings)
    [problem] = await desk.preflight()
    assert named in problem.what
    await desk.close()


async def test_preflight_names_a_time_zone_in_which_changes_would_be_missed(system, desk, tell, clock) -> None:
    system.tables["sys_user"][1]["time_zone"] = "America/New_York"
    system.zone_s = -5 * 3600
    await tell()
    assert await desk.port.changed_since(str(START)) == ([], str(START))
    [problem] = await desk.preflight()
    assert "America/New_York" in problem.what
    assert "GMT" in problem.mend


def test_settings_as_they_are_written(tmp_path) -> None:
    file = tmp_path / "collector.toml"
    file.write_text(
        "[tickets.snow]\nkind = 'servicenow'\nurl = 'https://bank.service-now.com'\nsecret_env = 'A'\nqueue = 'Hardware'\n"
        "close_code = 'Solved (Permanently)'\n[tickets.servicenow-events]\nurl = 'https://bank.service-now.com'\nsecret_env = 'A'\n"
    )
    held = config.load_config(file).desks
    assert held["snow"].close_code == "Solved (Permanently)"
    assert type(held["servicenow-events"]) is servicenow_events.Settings
