"""PagerDuty against a fake of its documented APIs: no live account."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.collector.tickets.desks.contract import PushContract
from tests.collector.tickets.desks.fake_http import Reply
from tests.collector.tickets.desks.fake_pagerduty import FakePagerDuty
from tillwatch.collector.tickets.desks import pagerduty
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import Barred, Done, Leg, Retry, Uncertain, Watched

KEY = "HWM-0011-1"


@pytest.fixture
def system(tmp_path):
    with FakePagerDuty(tmp_path) as fake:
        yield fake


@pytest.fixture
def readable(system):
    system.reads_back = True
    return system


@pytest.fixture
async def receiver(system):
    receiver = system.receiver(system.address)
    yield receiver
    await receiver.close()


@pytest.fixture
async def watched(readable):
    receiver = readable.receiver(readable.address)
    yield receiver
    await receiver.close()


@pytest.fixture
def tell(message):
    async def deliver(receiver, op=Op.OPEN, seq=1, *, doubtful=False, **fields):
        told = message(op=op, seq=seq, **fields)
        return await receiver.deliver(told, None, doubtful=doubtful, leg=Leg())

    return deliver


class TestPagerDuty(PushContract):
    """Without the REST API: what was taken counts as done."""


class TestPagerDutyReadBack(PushContract):
    @pytest.fixture
    def system(self, readable):
        return readable


async def test_only_with_a_token_it_can_be_watched(receiver, watched) -> None:
    assert not isinstance(receiver, Watched)
    assert isinstance(watched, Watched)


@pytest.mark.parametrize(("level", "severity"), [(1, "critical"), (2, "error"), (3, "warning")])
async def test_what_an_event_says(system, receiver, tell, level, severity) -> None:
    assert await tell(receiver, level=level, fault="ups-on-battery") == Done()
    [event] = system.events
    address = "http://127.0.0.1:8080/incident/HWM-0011-1"
    assert (event["dedup_key"], event["event_action"], event["client"]) == (KEY, "trigger", "tillwatch")
    assert (event["client_url"], event["links"]) == (address, [{"href": address, "text": KEY}])
    payload = event["payload"]
    assert "UPS runs on battery" in payload.pop("custom_details")["text"]
    assert "UPS runs on battery" in payload.pop("summary")
    assert payload == {
        "source": "atm-017",
        "severity": severity,
        "timestamp": "2026-03-01T08:00:00.000+00:00",
        "component": "ups",
        "group": "north",
        "class": "ups-on-battery",
    }


@pytest.mark.parametrize(
    ("op", "fields", "event"),
    [
        (Op.UPDATE, {}, "trigger"),
        (Op.UPDATE, {"wish": TicketState.OPEN, "state": "restored"}, "trigger"),
        (Op.UPDATE, {"wish": TicketState.WORKING}, "acknowledge"),
        (Op.UPDATE, {"wish": TicketState.ON_HOLD}, "acknowledge"),
        (Op.UPDATE, {"wish": TicketState.RESOLVED}, "resolve"),
        (Op.UPDATE, {"state": "restored"}, ""),
        (Op.UPDATE, {"state": "closed"}, ""),
        (Op.RESOLVE, {}, "resolve"),
    ],
)
async def test_every_change_has_its_event(system, receiver, tell, op, fields, event) -> None:
    await tell(receiver)
    assert isinstance(await tell(receiver, op, 2, **fields), Done)
    assert [each["event_action"] for each in system.events] == ["trigger", event][: 2 if event else 1]


async def test_texts_fit_the_limits_of_an_event(system, receiver, tell) -> None:
    """The fake declines more than 1,024 characters of a summary, or 512 KB."""
    outcome = await tell(receiver, what="电" * 2000, action="\x01" * 60_000, component="c" * 900)
    assert isinstance(outcome, Done)
    assert len(json.dumps(system.events[0], ensure_ascii=False).encode()) < 512 * 1024


async def test_half_a_character_of_a_device_does_not_keep_the_page_back(system, receiver, tell) -> None:
    assert isinstance(await tell(receiver, what="paper \ud83d low"), Done)


@pytest.mark.parametrize("key", ["f" * 32, "short"])
async def test_a_wrong_integration_key_bars(system, receiver, tell, key) -> None:
    system.secret.write_text(key)
    assert isinstance(await tell(receiver), Barred)


async def test_an_event_that_is_declined_is_refused(system, receiver, tell) -> None:
    outcome = await tell(receiver, terminal="", branch="", region="", scope="")
    assert outcome == Retry(outcome.reason, refused=True)
    assert "payload.source" in outcome.reason


async def test_taken_for_another_incident_is_no_success(system, receiver, tell) -> None:
    system.answer = lambda _: Reply(202, {"status": "success", "dedup_key": "other"})
    assert isinstance(await tell(receiver), Uncertain)


@pytest.mark.parametrize("key", ["", "e93facc0", "e93facc0-764012d7bfb002500d5d1a6"])
async def test_preflight_looks_at_the_key(system, receiver, key) -> None:
    system.secret.write_text(key)
    [problem] = await receiver.preflight()
    assert problem.mend


async def test_preflight_asks_the_rest_api(readable, watched) -> None:
    assert await watched.preflight() == []
    readable.token.write_text("wrong-token")
    [problem] = await watched.preflight()
    assert "401" in problem.what
    assert "wrong-token" not in repr(problem)


async def test_what_is_read_back_is_the_ticket(readable, watched, tell) -> None:
    assert await tell(watched) == Done("PT00000", "https://bank.pagerduty.com/incidents/PT00000", "open")


async def test_taken_is_not_seen(readable, watched, tell) -> None:
    """Not seen at once: wait. Seen after the wait: nothing is sent again."""
    readable.lag = timedelta(seconds=10)
    assert isinstance(await tell(watched), Uncertain)
    readable.now += timedelta(seconds=30)
    assert isinstance(await tell(watched, doubtful=True), Done)
    assert len(readable.events) == 1


async def test_what_the_service_swallows_is_refused_in_the_end(readable, watched, tell) -> None:
    readable.suppressed = True
    assert isinstance(await tell(watched), Uncertain)
    outcome = await tell(watched, doubtful=True)
    assert outcome == Retry(outcome.reason, refused=True)
    assert "event rules" in outcome.reason


async def test_a_resolve_that_was_dropped_is_noticed(readable, watched, tell) -> None:
    """As one for an alert of another integration is."""
    await tell(watched)
    readable.happen = lambda event: None
    assert isinstance(await tell(watched, Op.RESOLVE, 2), Uncertain)
    assert isinstance(await tell(watched, Op.RESOLVE, 2, doubtful=True), Retry)


async def test_a_rest_api_that_is_out_of_order_keeps_no_page_back(readable, watched, tell) -> None:
    readable.token.write_text("wrong-token")
    outcome = await tell(watched, doubtful=True)
    assert isinstance(outcome, Done)
    assert "not read back" in outcome.also
    assert len(readable.incidents) == 1


async def test_news_of_what_people_ended_page_nobody(readable, watched, tell) -> None:
    await tell(watched)
    readable.person("PT00000", "resolve")
    outcome = await tell(watched, Op.UPDATE, 2)
    assert isinstance(outcome, Done)
    assert "not sent" in outcome.also
    assert len(readable.events) == 1
    again = await tell(watched, Op.UPDATE, 3, wish=TicketState.OPEN)
    assert again == Done("PT00001", "https://bank.pagerduty.com/incidents/PT00001", "open")


async def test_acknowledging_what_people_ended_changes_nothing(readable, watched, tell) -> None:
    await tell(watched)
    readable.person("PT00000", "resolve")
    outcome = await tell(watched, Op.UPDATE, 2, wish=TicketState.WORKING)
    assert outcome == Done("PT00000", "https://bank.pagerduty.com/incidents/PT00000", "resolved")


async def test_what_people_do_is_seen_and_what_we_do_is_not(readable, watched, tell) -> None:
    assert (await watched.changed_since(""))[0] == []
    await tell(watched)
    _, cursor = await watched.changed_since("")
    await tell(watched, Op.UPDATE, 2, wish=TicketState.WORKING)
    readable.now += timedelta(seconds=1)
    changed, cursor = await watched.changed_since(cursor)
    assert changed == []
    readable.person("PT00000", "note", "换了电池")
    readable.person("PT00000", "resolve")
    [remote], after = await watched.changed_since(cursor)
    assert after > cursor
    assert (remote.id, remote.key, remote.state, remote.by) == ("PT00000", KEY, TicketState.RESOLVED, "李伟")
    assert [(said.by, said.text) for said in remote.said] == [("李伟", "换了电池")]
    assert remote.updated_at > 0


async def test_who_acknowledged_owns_it(readable, watched, tell) -> None:
    await tell(watched)
    assert (await watched.read("PT00000")).owner == ""
    readable.person("PT00000", "own")
    remote = await watched.read("PT00000")
    assert (remote.owner, remote.state) == ("李伟", TicketState.WORKING)


async def test_merged_incidents_are_followed_by_their_alerts(readable, watched, tell, message) -> None:
    await tell(watched)
    other = message("HWM-0012-1")
    await watched.deliver(other, None, doubtful=False, leg=Leg())
    _, cursor = await watched.changed_since("")
    readable.person("PT00000", "merge", "PT00001")
    [merged], _ = await watched.changed_since(cursor)
    assert (merged.id, merged.state, merged.merged_into) == ("PT00000", TicketState.DUPLICATE, "PT00001")
    assert [each.id for each in await watched.find(KEY)] == ["PT00001"]
    # Its alert ends with it, the incident that it was merged into goes on.
    assert isinstance(await tell(watched, Op.RESOLVE, 2), Done)
    assert readable.incidents[1]["status"] == "triggered"


async def test_changes_at_other_services_are_not_read(readable, tell) -> None:
    receiver = readable.receiver(readable.address, service="POTHER1")
    await tell(receiver)
    _, cursor = await receiver.changed_since("")
    readable.person("PT00000", "resolve")
    assert (await receiver.changed_since(cursor))[0] == []
    await receiver.close()


async def test_a_long_log_is_read_to_its_end(readable, watched, tell, monkeypatch) -> None:
    """Beyond the documented end of the pages it goes on by time."""
    monkeypatch.setattr(pagerduty, "PAGE", 3)
    monkeypatch.setattr(pagerduty, "MAX_PAGES", 2)
    await tell(watched)
    _, cursor = await watched.changed_since("")
    readable.person("PT00000", "own")
    for _ in range(20):
        readable.changed(readable.incidents[0], "notify", {"type": "service_reference"})
    [remote], after = await watched.changed_since(cursor)
    assert remote.owner
    assert after == readable.log[-1]["created_at"]


def test_one_token_for_the_rest_api(system) -> None:
    known = {"url": system.address, "secret_file": system.secret, "rest_token_env": "TOKEN"}
    assert pagerduty.Settings(**known).problem() is None
    both = pagerduty.Settings(**known, rest_token_file=system.token)
    assert both.problem() == ("rest_token_env", "write either rest_token_file or rest_token_env, and not both")
