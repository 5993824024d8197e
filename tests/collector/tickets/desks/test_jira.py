"""Jira against a fake with an index that lags, in both editions: no live site."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import re
import sqlite3
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tests.collector.tickets.desks.contract import Contract
from tests.collector.tickets.desks.fake_jira import MAIL, RESOLVING, FakeJira
from tests.collector.tickets.desks.proxy import FaultProxy, is_write
from tillwatch.collector import config
from tillwatch.collector.tickets import outbox
from tillwatch.collector.tickets.delivery import Pace
from tillwatch.collector.tickets.desks import jira
from tillwatch.collector.tickets.message import Op, TicketState
from tillwatch.collector.tickets.port import (
    BarredError,
    Destination,
    Done,
    Leg,
    Link,
    NotAppliedError,
    RejectedError,
    Retry,
    Uncertain,
)
from tillwatch.collector.tickets.sender import OutboxSender

KEY = "HWM-0011-1"
START = 1_772_352_000.0
LAG_S = 120.0


class Clock:
    """Moves a millisecond a look, and by what a test lets pass."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


class Editions(Contract):
    untaken: ClassVar = {"states": {"完成": "working"}}
    changes: ClassVar = Contract.changes | {
        "close": TicketState.RESOLVED
    }  # one category is all that is known of an end

    @staticmethod
    def writing(method: str, path: str) -> bool:
        return is_write(method, path) and "/search" not in path

    def settle(self, system: FakeJira) -> None:
        system.clock.now += jira.LAG_S


class TestCloud(Editions):
    @pytest.fixture
    def system(self):
        with FakeJira("cloud", Clock(), lag_s=LAG_S) as fake:
            yield fake


class TestDataCenter(Editions):
    @pytest.fixture
    def system(self):
        with FakeJira("data-center", Clock()) as fake:
            yield fake


class TestCloudByField(Editions):
    """The key in a text field: searched word by word."""

    @pytest.fixture
    def system(self, monkeypatch):
        with FakeJira("cloud", Clock(), lag_s=LAG_S) as fake:
            fake.custom = {"customfield_10050"}
            plainly = fake.receiver
            fake.receiver = lambda address, **settings: plainly(
                address, **{"key_field": "customfield_10050"} | settings
            )
            yield fake


@pytest.fixture
def system():
    with FakeJira("cloud", Clock(), lag_s=LAG_S) as fake:
        yield fake


@pytest.fixture
async def desk(system):
    desk = system.receiver(system.address)
    yield desk
    await desk.close()


@pytest.fixture
def tell(desk, message):
    async def deliver(op=Op.OPEN, seq=1, *, link="", doubtful=False, **fields):
        known = Link(link, "", "") if link else None
        return await desk.deliver(message(op=op, seq=seq, **fields), known, doubtful=doubtful, leg=Leg())

    return deliver


def living(system, key=KEY):
    return [seen.id for seen in system.tickets(key) if not seen.state.over]


# The index.


@pytest.mark.parametrize("lag_s", [0.0, 1.0, 60.0, 179.0])
async def test_index_that_lags_makes_no_duplicate(system, message, lag_s) -> None:
    """The answer to the create is lost with the process that waited for it; another one looks when the settle time is over."""
    system.lag_s = lag_s
    first, second = system.receiver(system.address), system.receiver(system.address)
    await first.deliver(message(), None, doubtful=False, leg=Leg())
    system.clock.now += second.settle_s
    outcome = await second.deliver(message(), None, doubtful=True, leg=Leg())
    assert living(system) == [outcome.external_id]
    await first.close()
    await second.close()


@pytest.mark.parametrize("copies", [2, 3])
async def test_duplicates_that_were_forced_are_adopted_and_closed(system, message, copies) -> None:
    """Looked for before the index had it, each makes another one; the next message finds them all and leaves one."""
    for _ in range(copies):
        desk = system.receiver(system.address)
        await desk.deliver(message(), None, doubtful=True, leg=Leg())
        await desk.close()
    assert len(living(system)) == copies
    system.clock.now += jira.LAG_S
    desk = system.receiver(system.address)
    outcome = await desk.deliver(message(op=Op.UPDATE, seq=2), None, doubtful=False, leg=Leg())
    oldest, *others = system.tickets(KEY)
    assert (outcome.external_id, living(system)) == (oldest.id, [oldest.id])
    assert {seen.state for seen in others} == {TicketState.DUPLICATE}
    assert all(f"Duplicate of {oldest.id}" in seen.notes[0] for seen in others)
    await desk.close()


async def test_outbox_before_an_index_that_lags_tells_each_incident_once(store, states, until, message) -> None:
    """Answers are lost, each write is found after a lag of its own, and each try is made by somebody who remembers nothing: the settle time alone saves."""
    chance, incidents = random.Random(180), [f"HWM-{number:04}-1" for number in range(12)]
    with FakeJira("cloud", Clock()) as system, FaultProxy(system.address, Editions.writing) as proxy:
        system.lags = [chance.uniform(0, jira.LAG_S) for _ in range(500)]
        proxy.writes = chance.choices(["pass", "drop", "drop after commit", "500 after commit", "429"], k=60)
        desk = system.receiver(proxy.address)
        desk.port._site.wrote = lambda _: None
        sender = OutboxSender(
            lambda: outbox.connect(store),
            desk,
            clock=lambda: int(system.clock.now * 1e9),
            jitter=lambda: 0.0,
            pace=Pace(1.0, 5.0),
        )
        with contextlib.closing(sqlite3.connect(store)) as conn, conn:
            for incident in incidents:
                for seq, (op, wish) in enumerate(
                    [(Op.OPEN, None), (Op.UPDATE, None), (Op.RESOLVE, TicketState.RESOLVED)], 1
                ):
                    told = message(incident, op, seq, wish=wish)
                    outbox.enqueue(conn, told, int(START * 1e9), [Destination("jira")])

        def passed() -> bool:
            if not states().get("sending"):
                system.clock.now += 10
                sender.wake()
            return states() == {"done": 3 * len(incidents)}

        task = asyncio.create_task(sender.run())
        await until(passed, 60)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not proxy.writes, "too few faults"
        for incident in incidents:
            [seen] = system.tickets(incident)
            assert seen.state.over
            assert [sum(f"[{incident}/{seq}]" in note for note in seen.notes) for seq in (2, 3)] == [1, 1]


async def test_what_this_process_made_is_found_before_the_index_has_it(system, desk, tell) -> None:
    made = await tell()
    assert [remote.id for remote in await desk.port.find(KEY)] == [made.external_id]
    [search] = [asked for asked in system.asked if asked.path.endswith("/search/jql")]
    assert search.body["reconcileIssues"] == [int(made.external_id)]


async def test_deleted_issue_that_the_index_still_holds_is_not_adopted(system, tell, message) -> None:
    made = await tell()
    system.clock.now += 1000
    system.person(made.external_id, "delete")
    other = system.receiver(system.address)
    outcome = await other.deliver(
        message(op=Op.UPDATE, seq=2), Link(made.external_id, "", ""), doubtful=False, leg=Leg()
    )
    assert isinstance(outcome, Done)
    assert living(system) == [outcome.external_id]
    await other.close()


@examples(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(["own", "work", "note", "finding"]),
            st.floats(0, jira.LAG_S),
            st.floats(0, 400),
        ),
        max_size=8,
    )
)
@example(acts=[(0, "own", 150.0, 0.0), (1, "own", 0.0, 60.0)])
async def test_poll_misses_nothing_while_the_index_lags(message, acts) -> None:
    """Each write comes into the index after a lag of its own, so that later ones are seen before earlier ones."""
    with FakeJira("cloud", Clock()) as system:
        desk, poller = system.receiver(system.address), system.receiver(system.address)
        made = [
            (await desk.deliver(message(f"HWM-{n}-1"), None, doubtful=False, leg=Leg())).external_id for n in range(4)
        ]
        system.clock.now += 3600
        _, cursor = await poller.port.changed_since("")
        seen = {}
        for number, act, lag_s, passed_s in [*acts, (0, "own", 0.0, jira.LAG_S)]:
            system.lags = [lag_s]
            system.person(made[number], act, "x")
            system.clock.now += passed_s
            changed, cursor = await poller.port.changed_since(cursor)
            seen |= {remote.id: remote for remote in changed}
        changed, cursor = await poller.port.changed_since(cursor)
        seen |= {remote.id: remote for remote in changed}
        for number, *_ in acts:
            assert seen[made[number]] == await poller.port.read(made[number])
        await desk.close()
        await poller.close()


async def test_poll_goes_on_page_by_page(system, desk, tell) -> None:
    system.lag_s = 0.0
    _, cursor = await desk.port.changed_since("")
    for number in range(jira.PAGE + 10):
        await tell(incident=f"HWM-{number}-1")
    seen = set()
    for _ in range(2):
        changed, cursor = await desk.port.changed_since(cursor)
        assert len(changed) <= jira.PAGE
        seen |= {remote.key for remote in changed}
    assert seen == {f"HWM-{number}-1" for number in range(jira.PAGE + 10)}


async def test_search_that_drops_labels_is_no_answer(system, desk, tell) -> None:
    await tell(incident="HWM-0012-1")
    system.deaf = True
    outcome = await tell(doubtful=True)
    assert outcome == Retry(outcome.reason, refused=True)
    assert "does not search labels" in outcome.reason
    assert system.tickets(KEY) == []
    with pytest.raises(RejectedError, match="other issues"):
        await desk.port.find(KEY)


# The workflow.


async def test_resolving_goes_the_way_of_the_workflow(system, tell) -> None:
    made = await tell()
    outcome = await tell(Op.RESOLVE, 2, link=made.external_id, wish=TicketState.RESOLVED)
    assert isinstance(outcome, Done)
    issue = system.issues[made.external_id]
    assert (issue["fields"]["status"], issue["fields"]["resolution"]) == ("4", {"name": "Done"})
    assert [asked.body["transition"]["id"] for asked in system.asked if asked.body and "transition" in asked.body] == [
        "11",
        "41",
    ]


async def test_coming_back_opens_the_same_issue(system, tell) -> None:
    made = await tell()
    system.person(made.external_id, "close")
    outcome = await tell(Op.UPDATE, 2, link=made.external_id, wish=TicketState.OPEN)
    assert (outcome.external_id, outcome.state) == (made.external_id, "open")


async def test_resolution_that_the_workflow_does_not_know_is_replaced_by_its_first(system, tell) -> None:
    screen = {"resolution": RESOLVING["resolution"] | {"allowedValues": [{"name": "已修复"}, {"name": "其他"}]}}
    system.workflow["2"] = [("41", "4", screen)]
    made = await tell()
    await tell(Op.RESOLVE, 2, link=made.external_id, wish=TicketState.RESOLVED)
    assert system.issues[made.external_id]["fields"]["resolution"] == {"name": "已修复"}


@pytest.mark.parametrize(
    ("ways", "named"),
    [
        ([], "0 transitions"),
        ([("41", "4", {"customfield_1": {"required": True, "hasDefaultValue": False}})], "asks for customfield_1"),
    ],
)
async def test_transition_that_is_not_available_is_refused_by_name(system, tell, ways, named) -> None:
    system.workflow["1"] = ways
    made = await tell()
    outcome = await tell(Op.RESOLVE, 2, link=made.external_id, wish=TicketState.RESOLVED)
    assert isinstance(outcome, Uncertain)  # the note was written
    assert "no transition leads to resolved" in outcome.reason
    assert named in outcome.reason
    assert living(system) == [made.external_id]


async def test_workflow_that_leads_in_circles_comes_to_an_end(system, desk, tell) -> None:
    system.workflow = {"1": [("11", "2", {})], "2": [("31", "3", {})], "3": [("21", "1", {})], "4": []}
    made = await tell()
    with pytest.raises(RejectedError, match="no transition leads to resolved"):
        await desk.port.set_state(made.external_id, TicketState.RESOLVED, "")


@pytest.mark.parametrize("conflicts", [1, 2])
async def test_conflict_is_looked_at_again_once(system, desk, tell, conflicts) -> None:
    made = await tell()
    system.conflicts = conflicts
    if conflicts == 1:
        await desk.port.set_state(made.external_id, TicketState.RESOLVED, "")
        assert living(system) == []
    else:
        with pytest.raises(NotAppliedError, match="409"):
            await desk.port.set_state(made.external_id, TicketState.RESOLVED, "")


async def test_transition_that_somebody_else_made_first(system, desk, tell) -> None:
    made = await tell()
    answer = system.answer

    def overtaken(asked):
        if asked.method == "POST" and asked.path.endswith("/transitions") and "31" not in str(asked.body):
            system.answer = answer
            system.person(made.external_id, "resolve")
        return answer(asked)

    system.answer = overtaken
    await desk.port.set_state(made.external_id, TicketState.RESOLVED, "")
    assert living(system) == []


# What people do.


async def test_issue_that_was_moved_is_followed_by_its_id(system, desk, tell) -> None:
    made = await tell()
    system.person(made.external_id, "move", "NET")
    outcome = await tell(Op.UPDATE, 2, link=made.external_id)
    assert (outcome.external_id, outcome.url) == (made.external_id, f"{system.address}/browse/NET-7")
    # An operator may have linked it by the key that it had.
    assert (await desk.port.read(made.url.rpartition("/")[2])).id == made.external_id


async def test_notes_of_a_service_project_are_not_for_its_customers(system, tell) -> None:
    system.service_desk = True
    made = await tell()
    await tell(Op.UPDATE, 2, link=made.external_id)
    assert [comment["jsdPublic"] for comment in system.issues[made.external_id]["comments"]] == [False]


async def test_verdict_and_who_said_it_come_back(system, desk, tell) -> None:
    made = await tell()
    system.person(made.external_id, "finding", "Part replaced")
    remote = await desk.port.read(made.external_id)
    assert (remote.verdict, remote.by) == ("part_changed", "Li Wei")


async def test_text_of_an_issue_is_a_document_with_links(system, tell) -> None:
    made = await tell()
    held = system.issues[made.external_id]["fields"]["description"]
    marks = [node["marks"] for block in held["content"] for node in block.get("content", []) if "marks" in node]
    page, chart = sorted((mark["attrs"]["href"] for [mark] in marks), key=len)
    assert page == "http://127.0.0.1:8080/incident/HWM-0011-1"
    assert chart.startswith("http://127.0.0.1:8080/chart/atm-017/ups/battery.charge.svg?from=")


async def test_priority_by_level(system, message) -> None:
    desk = system.receiver(system.address, priorities={"1": "Highest"})
    for level, priority in ((1, {"name": "Highest"}), (2, None)):
        made = await desk.deliver(message(f"HWM-{level}-1", level=level), None, doubtful=False, leg=Leg())
        assert system.issues[made.external_id]["fields"].get("priority") == priority
    await desk.close()


# Who we are, and what is there.


async def test_token_that_expired_is_not_taken_for_an_empty_site(system, tmp_path, message) -> None:
    """Cloud answers 200 and finds nothing, and 404 for what is there."""
    held = tmp_path / "secret"
    held.write_text(f"{MAIL}:expired")
    desk = system.receiver(system.address, secret_file=held)
    with pytest.raises(BarredError, match="AUTHENTICATED_FAILED"):
        await desk.port.find(KEY)
    with pytest.raises(BarredError, match="AUTHENTICATED_FAILED"):
        await desk.port.read("10000")
    with pytest.raises(BarredError, match="AUTHENTICATED_FAILED"):
        await desk.port.changed_since("1")
    found = await desk.preflight()
    assert found
    assert base64.b64encode(b"expired").decode() not in repr(found)
    await desk.close()


async def test_rate_limit_of_one_issue_is_waited_for(system, tell) -> None:
    made = await tell()
    system.calls = 2
    outcome = await tell(Op.UPDATE, 2, link=made.external_id)
    assert outcome == Retry(outcome.reason, after_s=1.0)


async def test_issue_that_is_locked_stops_no_other(system, tell) -> None:
    made = await tell()
    system.locked = {made.external_id}
    outcome = await tell(Op.UPDATE, 2, link=made.external_id)
    assert outcome == Retry(outcome.reason, refused=True)
    assert "do not have permission" in outcome.reason


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"edition": "data-center"}, "the site is Jira Cloud"),
        ({"issue_type": "Störung"}, "Störung"),
        ({"verdict_field": "customfield_9"}, "customfield_9"),
        ({"key_field": "customfield_9"}, "customfield_9"),
    ],
)
async def test_preflight_names_what_does_not_fit(system, settings, named) -> None:
    desk = system.receiver(system.address, **settings)
    found = await desk.preflight()
    assert any(named in problem.what for problem in found)
    await desk.close()


async def test_preflight_names_fields_that_are_asked_for_or_missing(system, desk) -> None:
    system.required, system.unlabelled = {"customfield_8"}, True
    assert [problem.what for problem in await desk.preflight()] == [
        "OPS has no field labels to create with",
        "OPS asks for customfield_8",
    ]


async def test_key_that_would_become_part_of_the_query_is_refused(desk) -> None:
    with pytest.raises(RejectedError, match="JQL"):
        await desk.port.find('HWM" OR labels = "x')


def test_settings_as_they_are_written(tmp_path) -> None:
    file = tmp_path / "collector.toml"
    table = (
        "[tickets.desk]\nkind = 'jira'\nurl = 'https://bank.atlassian.net'\nsecret_env = 'A'\nqueue = 'OPS'\n"
        "edition = 'data-center'\npriorities = { 1 = 'Highest' }\n"
    )
    file.write_text(table)
    desk = config.load_config(file).desks["desk"]
    assert (desk.edition, desk.key_field, desk.priorities) == ("data-center", "labels", {"1": "Highest"})


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("edition = 'server'", 'write "cloud" or "data-center"'),
        ("priorities = { high = 'Highest' }", "'high' is no level"),
        ("queue = ''", "text of 1 to 60"),
        ("", "queue is missing"),
    ],
)
def test_settings_that_cannot_work(tmp_path, told, said) -> None:
    queue = "" if not told or "queue" in told else "queue = 'OPS'\n"
    file = tmp_path / "collector.toml"
    file.write_text(f"[tickets.jira]\nurl = 'https://bank.atlassian.net'\nsecret_env = 'A'\n{queue}{told}\n")
    with pytest.raises(config.ConfigError, match=re.escape(said)):
        config.load_config(file)
